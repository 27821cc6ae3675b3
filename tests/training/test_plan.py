import json

import pytest
import torch

from anyir.errors import ConfigurationError, DataError, OutputError, TrainingError
from anyir.model.checkpoint import read_safetensors, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.training import plan as planning
from anyir.training.loop import train
from anyir.training.plan import plan_training, schedule, to_json


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(planning, "DATA_SECONDS", 0.0)


def test_the_plan_is_that_of_the_training(tiny_data, tmp_path, recipe, whole):
    plan = plan_training(recipe(), tiny_data, tmp_path / "run", recipe_name="mine")
    assert (plan.steps, plan.steps_left, plan.samples_left, plan.validations) == (12, 12, 6 * 4 + 6 * 2, 2)
    assert [(s.steps, s.patch, s.batch, s.freeze_batch_norm) for s in plan.stages] == [
        (6, 32, 4, False),
        (6, 40, 2, True),
    ]
    assert plan.held_out == {"bsds": 1, "lowlight": 1}
    assert not plan.ends_by_time and plan.epochs is None
    assert (whole.step, whole.samples) == (plan.steps_left, plan.samples_left)
    log = [json.loads(line) for line in (whole.model.parent / "log.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in log if "loss" in line]  # of steps 10 and 12
    assert plan.stages[1].learning_rates[1] == rates[-1]
    assert plan.stages[0].learning_rates[0] == pytest.approx(2e-3 / 3)
    for name, planned in (("model", plan.model_bytes), ("state", plan.state_bytes)):
        tensors = read_safetensors(whole.model.parent / f"{name}.safetensors")[0]
        assert sum(tensor.nbytes for tensor in tensors.values()) == planned
    assert 100e6 < plan.peak_bytes < 100e9 and plan.free_bytes > 0


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["stages=[{until=1.0,patch=32,batch=4,accumulate=2}]"],
        ["optimiser.name=muon"],
        ["distillation={teacher='WHOLE',share=1.0}"],
        ["distillation={teacher='WHOLE',share=1.0,mean_tolerance=0.02}"],
    ],
)
def test_the_steps_that_are_timed_are_those_of_the_loop(
    tiny_data, tmp_path, recipe, whole, monkeypatch, changes
):
    """Four of them lead to the very weights of a run of four steps."""
    changes = [change.replace("WHOLE", str(whole.model)) for change in changes]
    four = recipe("steps=4", "stages=[{until=1.0,patch=32,batch=4}]", *changes)
    states = []
    make = planning.new_state
    monkeypatch.setattr(planning, "new_state", lambda *given: states.append(make(*given)) or states[-1])
    plan = plan_training(four, tiny_data, tmp_path / "dry")
    train(four, tiny_data, tmp_path / "run")
    tensors, header = read_safetensors(tmp_path / "run" / "state.safetensors")
    assert plan.state_bytes == sum(tensor.nbytes for tensor in tensors.values())
    assert plan.teacher == ("model.safetensors" if four.distillation else None)
    (state,) = states
    assert state.step == header["step"] == 4
    network = state.network.state_dict()
    assert [name for name in network if not torch.equal(network[name], tensors[f"network/{name}"])] == []
    assert all(torch.equal(value, tensors[f"average/{name}"]) for name, value in state.average.state.items())


def test_steps_are_timed_with_the_memory_of_the_training(
    tiny_data, tmp_path, recipe, monkeypatch, keeping_recorded
):
    happened, timed = keeping_recorded(planning), planning._time
    monkeypatch.setattr(planning, "_time", lambda *given: happened.append("timed") or timed(*given))
    plan_training(recipe(), tiny_data, tmp_path / "dry")
    assert happened[0] == torch.device("cpu") and happened[-1] == "left"
    assert happened[1:-1] and set(happened[1:-1]) == {"timed"}


def test_nothing_is_written(tiny_data, tmp_path, recipe):
    settings = recipe()
    before = sorted(tmp_path.rglob("*"))
    plan_training(settings, tiny_data, tmp_path / "new" / "run")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_resumed_run_is_planned_from_where_it_stopped_and_left_as_it_was(
    tiny_data, tmp_path, recipe, stop_after
):
    train(recipe(), tiny_data, tmp_path / "run", should_stop=stop_after(8))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").iterdir()}
    plan = plan_training(recipe(), tiny_data, tmp_path / "run", resume=True)
    assert (plan.steps_done, plan.steps_left, plan.validations) == (8, 4, 1)
    assert [stage.steps for stage in plan.stages] == [0, 4]
    assert plan.stages[0].learning_rates is None
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").iterdir()
    }
    with pytest.raises(OutputError, match="--resume"):
        plan_training(recipe(), tiny_data, tmp_path / "run")
    with pytest.raises(TrainingError, match="another recipe"):
        plan_training(recipe("seed=5"), tiny_data, tmp_path / "run", resume=True)


def test_what_training_refuses_is_refused_with_the_same_words(tiny_data, tmp_path, recipe):
    config = NetworkConfig(width=6, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), refinement_blocks=0)
    save_checkpoint(tmp_path / "other.safetensors", AnyIR(config), config, {"name": "other"})
    (tmp_path / "file").write_text("")
    cases = [
        (DataError, recipe("mixture.deblur=1"), "run", {}),
        (DataError, recipe("stages=[{until=1.0,patch=128,batch=4}]"), "run", {}),
        (ConfigurationError, recipe(), "run", {"weights": tmp_path / "other.safetensors"}),
        (OutputError, recipe(), "file/run", {}),
    ]
    for error, settings, out, given in cases:
        messages = []
        for number, call in enumerate((plan_training, train)):
            with pytest.raises(error) as caught:
                call(settings, tiny_data, tmp_path / out.replace("run", f"run{number}"), **given)
            messages.append(str(caught.value))
        assert messages[0] == messages[1] or error is OutputError
    assert not (tmp_path / "run0").exists()


def test_a_stage_too_large_for_the_gpu_is_named(tiny_data, tmp_path, recipe, monkeypatch):
    step = planning._Trial._step

    def small_gpu(self, stage):
        if stage.patch == 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(self, stage)

    monkeypatch.setattr(planning._Trial, "_step", small_gpu)
    with pytest.raises(TrainingError, match=r"stage 2 \(patches of 40, batches of 2\).*accumulate"):
        plan_training(recipe(), tiny_data, tmp_path / "run")


def test_test_pictures_among_the_training_pictures_are_refused(tiny_data, tmp_path, recipe):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(tiny_data / "train")
    (data / "test" / "Kodak24").mkdir(parents=True)
    (data / "test" / "Kodak24" / "1.png").write_bytes((tiny_data / "train/clean/bsds/2.png").read_bytes())
    with pytest.raises(DataError, match="show what test pictures show"):
        plan_training(recipe(), data, tmp_path / "run")
    assert plan_training(recipe("test_pictures=allow"), data, tmp_path / "run").steps == 12


@pytest.mark.parametrize("steps", [1, 7, 12, 13, 100])
def test_steps_fall_to_the_stages_as_in_the_loop(recipe, steps):
    settings = recipe(
        "stages=[{until=0.3,patch=16,batch=1},{until=0.35,patch=24,batch=1},{until=1,patch=32,batch=1}]"
    )
    counted = [0, 0, 0]
    for step in range(steps):
        counted[settings.stages.index(settings.stage_at(step / steps))] += 1
    spans, by_time = schedule(settings, steps, [1.0, 1.0, 1.0])
    assert [span.steps for span in spans] == counted and not by_time


def test_a_budget_ends_the_stages_by_time(recipe):
    """Ten seconds, the first half with steps of 1 s, the second of 2 s: as the loop would, with these durations."""
    spans, by_time = schedule(recipe("steps=1000"), 1000, [1.0, 2.0], budget=10)
    assert [(span.steps, span.seconds) for span in spans] == [(5, 5), (3, 6)] and by_time
    first, last = spans[1].learning_rates
    assert last < first
    spans, by_time = schedule(recipe("steps=4"), 4, [1.0, 2.0], budget=100)
    assert [span.steps for span in spans] == [2, 2] and not by_time
    spans, _ = schedule(recipe("steps=1000"), 1000, [1.0, 2.0], step=6, seconds=7.0, budget=10)
    assert [span.steps for span in spans] == [0, 2]


def test_the_data_path_is_judged_by_the_slowest_stage(tiny_data, tmp_path, recipe):
    from dataclasses import replace

    plan = plan_training(recipe(), tiny_data, tmp_path / "run")
    fast, slow = (
        replace(plan.stages[0], samples_per_second=10.0, data_per_second=rate) for rate in (90.0, 19.0)
    )
    assert not replace(plan, stages=(fast, slow)).data_keeps_up
    assert replace(plan, stages=(fast, fast)).data_ratio == 9
    assert json.loads(json.dumps(to_json(plan)))["stages"][1]["steps"] == 6
