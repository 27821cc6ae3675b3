import json
from dataclasses import replace

import pytest
import torch

from anyir.errors import ConfigurationError, DataError, OutputError, TrainingError, UsageError
from anyir.model import config
from anyir.model.checkpoint import load_checkpoint, read_safetensors
from anyir.model.config import TABLE_5, network_config
from anyir.training import ablation
from anyir.training.ablation import (
    finished_runs,
    fitting_steps,
    prepare_study,
    run_seconds,
    train_study,
    unfinished_runs,
)
from anyir.training.loader import Loader
from anyir.training.plan import plan_training
from anyir.training.recipe import load_recipe


@pytest.fixture(autouse=True)
def tiny_ablations(monkeypatch, small):
    """The four networks beside the tiny whole one."""
    whole = config.NETWORKS["tiny"]
    rows = {f"tiny-{row}": replace(whole, **TABLE_5[row]) for row in "abcd"}
    monkeypatch.setattr(config, "NETWORKS", {**config.NETWORKS, **rows})
    monkeypatch.setattr("anyir.training.plan.DATA_SECONDS", 0.0)


@pytest.fixture
def shared(recipe):
    """A recipe of three steps, the last of them in the second stage, with a checkpoint at its end."""
    three = ("steps=3", "checkpoint_every_steps=3", "validation.hold_out_every=4")
    return lambda *changes: recipe(*three, *changes)


def weights(out, name):
    return load_checkpoint(out / "runs" / name / "model.safetensors").state


def test_the_papers_study_is_the_five_shipped_recipes(tiny_data, tmp_path, recipe):
    study = prepare_study(recipe("validation.hold_out_every=4"), tiny_data, tmp_path / "out", seeds=1)
    paper = load_recipe("three-degradations")
    runs = replace(study, recipe=paper, steps=7, seeds=(0,)).runs
    rows = [replace(load_recipe(f"ablation-{row}"), steps=7, epochs=None) for row in "abcde"]
    assert [run.recipe for run in runs] == rows


def test_five_networks_with_two_seeds_learn_from_the_same_batches_and_come_out_different(
    tiny_data, tmp_path, shared, monkeypatch
):
    seen = []
    make = Loader.batch

    def batch(self, step, before, stage):
        made = make(self, step, before, stage)
        seen.append((self._recipe.network, self._recipe.seed, step, made))
        return made

    monkeypatch.setattr(Loader, "batch", batch)
    out = tmp_path / "out"
    study = prepare_study(shared("seed=4"), tiny_data, out, recipe_name="mine", seeds=2)
    numbers = []
    assert train_study(
        study, tiny_data, out, watch=lambda n, run: numbers.append(n) or ablation.nullcontext()
    )
    names = ["a-seed4", "b-seed4", "c-seed4", "d-seed4", "e-seed4"]
    names += [name.replace("4", "5") for name in names]
    assert [run.name for run in study.runs] == names and numbers == list(range(1, 11))

    batches = {(network, seed, step): made for network, seed, step, made in seen}
    assert len(seen) == len(batches) == 5 * 2 * 3
    for seed in (4, 5):
        for step in range(3):
            first = batches["tiny", seed, step]
            for row in "abcd":
                other = batches[f"tiny-{row}", seed, step]
                assert all(torch.equal(x, y) for x, y in zip(first, other, strict=True))
    assert not torch.equal(batches["tiny", 4, 0].clean, batches["tiny", 5, 0].clean)

    results = finished_runs(study, out)
    # Two steps of four samples and one of two: the second stage begins at half of the three steps.
    assert [(each.row, each.seed, each.samples) for each in results] == [
        (row, seed, 10) for seed in (4, 5) for row in "abcde"
    ]
    assert all(each.scores.keys() == {"noise50", "lowlight", "clean"} for each in results)
    assert len({each.scores["noise50"].degraded for each in results}) == 1  # the same patches
    assert len({each.scores["noise50"].restored for each in results}) == 10
    header = load_checkpoint(out / "runs/b-seed4/model.safetensors")
    assert header.network == network_config("tiny-b") and header.header["training"]["recipe"] == "mine"
    assert header.header["name"] == "tiny-b"


def test_the_initial_weights_differ_with_the_seed_alone_where_the_networks_have_the_same_parts(
    tiny_data, tmp_path, shared
):
    """The skip-split and the cross-feature update have no parameters: a and b begin alike, and so do c, d and e."""
    still = shared("optimiser.learning_rate=1e-12", "optimiser.weight_decay=0.0", "steps=1")
    study = prepare_study(still, tiny_data, tmp_path, seeds=2)
    train_study(study, tiny_data, tmp_path)
    last = {run.name: weights(tmp_path, run.name)["output.weight"] for run in study.runs}
    for first, others in (("a", "b"), ("c", "de")):
        for other in others:
            assert torch.allclose(last[f"{first}-seed0"], last[f"{other}-seed0"], atol=1e-9)
        assert not torch.allclose(last[f"{first}-seed0"], last[f"{first}-seed1"], atol=1e-3)


def test_a_study_that_was_stopped_goes_on_and_ends_as_one_that_was_not(
    tiny_data, tmp_path, shared, stop_after
):
    settings = shared()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    study = prepare_study(settings, tiny_data, whole, seeds=1)
    assert train_study(study, tiny_data, whole)

    study = prepare_study(settings, tiny_data, parts, seeds=1)
    # It is asked once before each run and after each step: four times a run, then b's start and its first step.
    assert not train_study(study, tiny_data, parts, should_stop=stop_after(6))
    assert [each.row for each in finished_runs(study, parts)] == ["a"]
    assert [run.row for run in unfinished_runs(study, parts)] == ["b", "c", "d", "e"]
    assert read_safetensors(parts / "runs/b-seed0/state.safetensors")[1]["step"] == 1
    before = (parts / "runs/a-seed0/model.safetensors").stat().st_mtime_ns

    again = prepare_study(settings, tiny_data, parts, seeds=1, resume=True)
    begun = []
    assert again == study
    assert train_study(
        again, tiny_data, parts, watch=lambda n, run: begun.append((n, run.row)) or ablation.nullcontext()
    )
    assert begun == [(2, "b"), (3, "c"), (4, "d"), (5, "e")]
    assert (parts / "runs/a-seed0/model.safetensors").stat().st_mtime_ns == before
    for row in "abcde":
        ours, theirs = weights(parts, f"{row}-seed0"), weights(whole, f"{row}-seed0")
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = finished_runs(again, parts), finished_runs(study, whole)
    assert [each.scores for each in ours] == [each.scores for each in theirs]


def test_another_study_is_not_resumed_nor_replaced(tiny_data, tmp_path, shared):
    out, given = tmp_path / "out", {"seeds": 2, "max_minutes": None}
    train_study(prepare_study(shared(), tiny_data, out, **given), tiny_data, out, should_stop=lambda: True)
    with pytest.raises(OutputError, match="--resume"):
        prepare_study(shared(), tiny_data, out, **given)
    for settings, changed, message in [
        (shared("steps=4"), {}, "different: steps"),
        (shared(), {"seeds": 3}, "different: seeds"),
        (shared(), {"max_minutes": 5.0}, "different: max_minutes"),
        (shared("leave_out.lowlight=['3']"), {}, "different: leave_out"),
    ]:
        with pytest.raises(TrainingError, match=message):
            prepare_study(settings, tiny_data, out, resume=True, **{**given, **changed})
    other = tmp_path / "data"
    for file in tiny_data.glob("train/[cl]*/**/*.png"):
        place = other / file.relative_to(tiny_data)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TrainingError, match="different: files"):
        prepare_study(shared(), other, out, resume=True, **given)
    assert prepare_study(shared("workers=1"), tiny_data, out, resume=True, **given).recipe.workers == 1
    (out / "study.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"study\.json: does not say"):
        prepare_study(shared(), tiny_data, out, resume=True, **given)


def test_a_run_that_the_study_did_not_train_is_no_result_of_it(tiny_data, tmp_path, shared):
    study = prepare_study(shared(), tiny_data, tmp_path, seeds=1)
    train_study(study, tiny_data, tmp_path)
    (tmp_path / "runs/a-seed0").rename(tmp_path / "a")
    assert [each.row for each in finished_runs(study, tmp_path)] == ["b", "c", "d", "e"]
    (tmp_path / "runs/b-seed0").rename(tmp_path / "runs/a-seed0")
    with pytest.raises(TrainingError, match=r"another recipe.*different: network"):
        finished_runs(study, tmp_path)
    (tmp_path / "runs/a-seed0").rename(tmp_path / "runs/b-seed0")
    with pytest.raises(TrainingError, match="was trained on"):
        finished_runs(replace(study, examples={"bsds": 5}), tmp_path)


def test_what_cannot_be_compared_is_refused_before_training(tiny_data, tmp_path, shared):
    few = tmp_path / "few"  # five pairs: none is held out
    for file in tiny_data.glob("train/lowlight/*/[0-4].png"):
        place = few / file.relative_to(tiny_data)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    no_task = "no task of the recipe has held-out pictures"
    for error, settings, data, message in [
        (ConfigurationError, shared("validation.hold_out_every=0"), tiny_data, "hold_out_every=20"),
        (DataError, shared("mixture={lowlight=1}"), few, no_task),
        (DataError, shared("mixture={clean=1}"), tiny_data, no_task),
    ]:
        with pytest.raises(error, match=message):
            prepare_study(settings, data, tmp_path / "out", seeds=1)
    assert not (tmp_path / "out").exists()


def test_minutes_become_the_same_steps_for_all_networks(tiny_data, tmp_path, shared, monkeypatch):
    """Steps of 1 s in the first half, of 3 s in the second, twice as long with gated adaptation; validations of 5 s."""
    settings = shared("steps=100", "validation.every_steps=10")
    plan = plan_training(settings, tiny_data, tmp_path / "out")

    def measured(given, data, out, device):
        slow = network_config(given.network).gated_adaptation
        stages = [
            replace(stage, step_seconds=seconds * (2 if slow else 1))
            for stage, seconds in zip(plan.stages, (1.0, 3.0), strict=True)
        ]
        return replace(plan, stages=tuple(stages), validation_seconds=5.0)

    monkeypatch.setattr(ablation, "plan_training", measured)
    # Ten steps and a validation: 20 + 5 s, or 40 + 5 s; two of the first kind and three of the second, twice.
    assert run_seconds(settings, measured(settings, None, None, device=None), 10) == 45
    needed = 2 * (2 * 25 + 3 * 45) / 60
    minutes = {needed: 10, needed * 0.999: 9, 1e6: 100}
    for given, steps in minutes.items():
        study = prepare_study(settings, tiny_data, tmp_path / "out", seeds=2, max_minutes=given)
        assert study.steps == steps and {run.recipe.steps for run in study.runs} == {steps}
    with pytest.raises(UsageError, match=r"--max-minutes 0\.1.*10 runs"):
        prepare_study(settings, tiny_data, tmp_path / "out", seeds=2, max_minutes=0.1)
    assert fitting_steps(settings, [plan], 1, 1e9, 100) == 100


def test_steps_that_minutes_gave_are_kept_when_the_study_goes_on(tiny_data, tmp_path, shared):
    out, settings = tmp_path / "out", shared("steps=5")
    study = prepare_study(settings, tiny_data, out, seeds=1, max_minutes=60)
    assert study.steps == 5
    assert not train_study(replace(study, steps=2), tiny_data, out, should_stop=lambda: True)
    assert json.loads((out / "study.json").read_text())["max_minutes"] == 60
    for minutes in (60, None):
        again = prepare_study(settings, tiny_data, out, seeds=1, max_minutes=minutes, resume=True)
        assert (again.steps, again.max_minutes) == (2, 60)
