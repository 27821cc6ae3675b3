"""The loss of a step, and what a teacher adds to it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from anyir.errors import ConfigurationError, TrainingError, WeightsNotFound
from anyir.model.checkpoint import build_network, digest_of, load_checkpoint, save_checkpoint
from anyir.training.ablation import prepare_study
from anyir.training.loop import train
from anyir.training.losses import batch_loss, l1
from anyir.training.objective import Objective, Teacher, load_teacher
from anyir.training.plan import plan_training
from anyir.training.recipe import Distillation

CPU = torch.device("cpu")


@pytest.fixture
def batch():
    clean = 0.2 + 0.6 * torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return clean - 0.15, clean


class Halfway(nn.Module):
    """A teacher that adds a part of what a darkened image lacks."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.1))

    def forward(self, degraded):
        return degraded + self.gain


@pytest.fixture
def student(whole):
    return build_network(load_checkpoint(whole.model)).train()


def test_the_loss_is_that_of_the_results_and_of_the_teachers(recipe, student, batch):
    degraded, clean = batch
    plain, teacher = recipe("harm=2.0"), Teacher(Halfway(), {})
    taught = replace(plain, distillation=Distillation("any", 0.3))
    student.eval()  # so that two passes give the same
    with torch.no_grad():
        restored = student(degraded)
    for settings, its_teacher, expected in (
        (plain, None, batch_loss("l1", 2.0, restored, clean, degraded)),
        (taught, teacher, batch_loss("l1", 2.0, restored, clean, degraded, degraded + 0.1, 0.3)),
    ):
        loss = Objective(settings, student, its_teacher, CPU)(degraded, clean).detach()
        assert float(loss) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_teacher_learns_nothing_and_the_student_does(recipe, whole, student, batch, precision):
    settings = recipe(f"precision={precision}", f"distillation.teacher='{whole.model}'")
    settings, teacher = load_teacher(settings)
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    loss = Objective(settings, student, teacher, CPU)(*batch)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(value.grad is not None for value in student.parameters())
    assert all(value.grad is None for value in teacher.network.parameters())
    after = teacher.network.state_dict()
    assert all(
        torch.equal(value, after[name]) for name, value in before.items()
    )  # BatchNorm's statistics too


def test_with_the_whole_share_a_student_learns_from_a_better_teacher_alone(recipe, student, batch):
    """Halfway adds 0.1 where 0.12 is wanted, and the student, which has learnt to add more, is further off."""
    degraded, _ = batch
    clean = degraded + 0.12
    student.eval()  # so that two passes give the same
    objective = Objective(
        replace(recipe(), distillation=Distillation("any", 1.0)), student, Teacher(Halfway(), {}), CPU
    )

    def gradients(loss):
        student.zero_grad()
        loss.backward()
        return torch.cat([each.grad.flatten() for each in student.parameters()])

    taught = gradients(objective(degraded, clean))
    by_teacher = gradients(l1(student(degraded), degraded + 0.1).mean())
    by_clean = gradients(l1(student(degraded), clean).mean())
    assert torch.allclose(taught, by_teacher, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(taught, by_clean, rtol=1e-2, atol=1e-7)


def test_a_teachers_mean_colours_are_followed_as_far_as_the_recipe_says(recipe, student, batch):
    """Halfway adds 0.1 to every colour, where 0.11 is wanted: 0.01 beside it, nearer than the student."""
    degraded, _ = batch
    clean = degraded + 0.11

    def loss(**settings):
        chosen = replace(recipe(), distillation=Distillation("any", 1.0, **settings))
        return float(Objective(chosen, student, Teacher(Halfway(), {}), CPU)(degraded, clean).detach())

    alone = float(Objective(recipe(), student, None, CPU)(degraded, clean).detach())
    assert loss(mean_tolerance=0.02) == loss() != alone
    assert loss(mean_tolerance=0.005) == pytest.approx(alone, rel=1e-6)


@pytest.fixture
def wise(whole, tmp_path):
    """wise(scale) → the checkpoint of a teacher: weights of a run, the first scaled so."""

    def make(scale=1.0):
        checkpoint = load_checkpoint(whole.model)
        checkpoint.state["embed.weight"] *= scale
        path = tmp_path / "elsewhere" / "wise.safetensors"
        path.parent.mkdir(exist_ok=True)
        training = {"recipe": "long", "samples": 9, "data": {"pictures": 3}, "started_from": {"settings": {}}}
        save_checkpoint(path, checkpoint.state, checkpoint.network, {"name": "tiny", "training": training})
        return path

    return make


def test_a_run_says_who_taught_it_and_ends_with_the_same_bits_when_resumed(
    tiny_data, tmp_path, recipe, whole, wise, stop_after
):
    teacher = wise()
    taught = recipe(f"distillation.teacher='{teacher}'", "distillation.share=0.8")
    outcome = train(taught, tiny_data, tmp_path / "run")
    end = load_checkpoint(outcome.model)
    sha256 = digest_of(load_checkpoint(teacher).state)
    header, its_own = end.header, {"recipe": "long", "samples": 9, "data": {"pictures": 3}, "name": "tiny"}
    assert header["training"]["teacher"] == {**its_own, "file": "wise.safetensors", "sha256": sha256}
    stored = {"teacher": "wise.safetensors", "share": 0.8, "mean_tolerance": None, "sha256": sha256}
    assert header["recipe"]["distillation"] == stored  # and not where it lay
    assert "elsewhere" not in str(header)
    untaught = load_checkpoint(whole.model)
    assert "teacher" not in untaught.header["training"] and untaught.header["recipe"]["distillation"] is None
    assert not torch.equal(end.state["embed.weight"], untaught.state["embed.weight"])

    train(taught, tiny_data, tmp_path / "stopped", should_stop=stop_after(5))
    moved = recipe(f"distillation.teacher='{teacher.rename(tmp_path / 'moved.safetensors')}'")
    moved = replace(moved, distillation=replace(moved.distillation, share=0.8))
    resumed = train(moved, tiny_data, tmp_path / "stopped", resume=True)
    again = load_checkpoint(resumed.model)
    assert [name for name, value in end.state.items() if not torch.equal(value, again.state[name])] == []


def test_a_run_goes_on_with_the_teacher_that_it_had_or_not_at_all(
    tiny_data, tmp_path, recipe, wise, stop_after
):
    taught = recipe(f"distillation.teacher='{wise()}'")
    train(taught, tiny_data, tmp_path / "run", should_stop=stop_after(3))
    wise(scale=1.001)
    for work in (train, plan_training):
        with pytest.raises(TrainingError, match="different: distillation"):
            work(taught, tiny_data, tmp_path / "run", resume=True)


def test_a_teacher_that_is_not_the_one_meant_is_refused(tmp_path, recipe, wise):
    teacher = wise()
    settled, _ = load_teacher(recipe(f"distillation.teacher='{teacher}'"))
    assert load_teacher(settled)[0] == settled
    wise(scale=1.001)
    with pytest.raises(ConfigurationError, match=r"wise\.safetensors: not the weights that the recipe means"):
        train(settled, tmp_path / "no data", tmp_path / "run")


@pytest.mark.filterwarnings("ignore")  # of what PyTorch itself uses, and of what it looks at
def test_compiled_both_give_what_they_give_as_they_are(recipe, student, whole, batch, monkeypatch):
    compile_block, compiled_forms = nn.Module.compile, []

    def counting(graph, _):
        compiled_forms.append(graph)
        return graph

    monkeypatch.setattr(nn.Module, "compile", lambda block, **o: compile_block(block, backend=counting, **o))
    student.eval()
    losses, forms = [], []
    for compiled in ("false", "true"):
        settings = recipe(f"compile={compiled}", f"distillation.teacher='{whole.model}'")
        settings, teacher = load_teacher(settings)
        with torch._dynamo.config.patch(recompile_limit=8):
            objective = Objective(settings, student, teacher, CPU)
            for _ in range(2):
                losses.append(objective(*batch).detach())
                forms.append(len(compiled_forms))
    assert torch.allclose(torch.stack(losses), losses[0], rtol=1e-6)
    assert forms == [0, 0, 8, 8]  # of four levels, the teacher's and the student's, each compiled once


def test_an_absent_teacher_is_told_before_anything_is_read_or_written(tmp_path, recipe):
    for work in (train, plan_training):
        with pytest.raises(WeightsNotFound, match="no checkpoint is called 'nobody'; there are: anyir"):
            work(recipe("distillation.teacher=nobody"), tmp_path / "no data", tmp_path / "run")
    with pytest.raises(WeightsNotFound, match="'nobody'"):
        prepare_study(
            recipe("network=anyir-s", "distillation.teacher=nobody"), tmp_path / "no data", tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("distillation.share=0.5", "the key 'teacher' is missing"),
        ("distillation={teacher='anyir',share=0.0}", "distillation.share = 0.0: must be above 0"),
        ("distillation={teacher='anyir',share=1.5}", "distillation.share = 1.5: must be above 0"),
        (
            "distillation={teacher='anyir',mean_tolerance=5.0}",
            "mean_tolerance = 5.0: must be above 0 and below 1",
        ),
        (
            "distillation={teacher='anyir',mean_tolerance=0.0}",
            "distillation.mean_tolerance = 0.0: must be above 0",
        ),
        ("distillation.teacher=''", "distillation.teacher = '': must be a name"),
        ("distillation.weights=anyir", "unknown key 'weights'"),
    ],
)
def test_impossible_settings_are_named(recipe, change, words):
    with pytest.raises(ConfigurationError, match=words):
        recipe(change)
