import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from anyir.errors import ConfigurationError, DataError, OutputError, TrainingError, WeightsDamaged
from anyir.model.checkpoint import load_checkpoint, read_safetensors, write_safetensors_atomic
from anyir.model.config import network_config
from anyir.model.network import AnyIR, DegradationAdaptationBlock
from anyir.training import loop
from anyir.training.averaging import MovingAverage
from anyir.training.loop import train
from anyir.training.recipe import Stage
from anyir.training.state import step_seed


def tensors(run):
    return read_safetensors(run / "state.safetensors")[0]


def assert_same_run(a, b):
    ours, theirs = tensors(a), tensors(b)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different
    first, second = (load_checkpoint(run / "model.safetensors").state for run in (a, b))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("stop", [1, 5, 6, 9])
def test_a_resumed_run_ends_with_the_same_bits_as_one_that_never_stopped(
    tiny_data, tmp_path, recipe, whole, stop, stop_after
):
    """Also when stopped in the second stage (step 9), where BatchNorm is frozen, and before any checkpoint was due."""
    part = train(recipe(), tiny_data, tmp_path / "parts", should_stop=stop_after(stop))
    assert whole.finished and not part.finished and part.step == stop
    rest = train(recipe(), tiny_data, tmp_path / "parts", resume=True)
    assert rest.finished and rest.step == 12 and rest.samples == whole.samples == 6 * 4 + 6 * 2
    assert_same_run(whole.model.parent, tmp_path / "parts")
    assert rest.scores == whole.scores


def test_freed_memory_is_kept_while_it_trains_and_no_longer(tiny_data, tmp_path, recipe, keeping_recorded):
    happened = keeping_recorded(loop)
    train(recipe(), tiny_data, tmp_path / "run", on_progress=lambda _: happened.append("trains"))
    assert happened == [torch.device("cpu"), "trains", "trains", "left"]


@pytest.mark.parametrize("stop", [1, 9])
def test_a_run_with_muon_ends_with_the_same_bits_when_it_is_resumed(
    tiny_data, tmp_path, recipe, whole, stop, stop_after
):
    muon = recipe("optimiser.name=muon")
    train(muon, tiny_data, tmp_path / "whole")
    train(muon, tiny_data, tmp_path / "parts", should_stop=stop_after(stop))
    train(muon, tiny_data, tmp_path / "parts", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert not torch.equal(
        tensors(tmp_path / "parts")["network/embed.weight"],
        tensors(whole.model.parent)["network/embed.weight"],
    )


@pytest.mark.filterwarnings("ignore")  # of what PyTorch itself uses, and of what it looks at
def test_a_compiled_run_can_be_resumed_and_ends_as_one_that_was_not_compiled(
    tiny_data, tmp_path, recipe, whole, monkeypatch, stop_after
):
    """Compiling must leave no trace in names, modes or statistics."""
    compile_block = nn.Module.compile
    kept = []

    def without_code_generation(block, **options):
        kept.append(options)
        compile_block(block, backend="eager", **options)

    monkeypatch.setattr(nn.Module, "compile", without_code_generation)
    with torch._dynamo.config.patch(recompile_limit=8):
        train(recipe("compile=true"), tiny_data, tmp_path / "compiled", should_stop=stop_after(7))
        train(recipe("compile=true"), tiny_data, tmp_path / "compiled", resume=True)
    assert_same_run(whole.model.parent, tmp_path / "compiled")
    blocks = [
        each
        for each in AnyIR(network_config("tiny")).modules()
        if isinstance(each, DegradationAdaptationBlock)
    ]
    assert kept == [{"dynamic": False}] * 2 * len(blocks)


def test_training_changes_the_weights_and_another_seed_changes_them_otherwise(
    tiny_data, tmp_path, recipe, whole
):
    train(recipe("seed=1"), tiny_data, tmp_path / "b")
    a, b = tensors(whole.model.parent), tensors(tmp_path / "b")
    assert not torch.equal(a["network/embed.weight"], b["network/embed.weight"])
    assert not torch.equal(a["network/embed.weight"], a["average/embed.weight"])


def test_the_loss_falls(tiny_data, tmp_path, recipe):
    long = recipe("steps=150", "validation.every_steps=150", "checkpoint_every_steps=150")
    train(long, tiny_data, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == 15 and sum(losses[-4:]) < 0.8 * sum(losses[:4])
    (degraded, restored) = next(e["validation"]["lowlight"] for e in reversed(log) if "validation" in e)
    assert restored > degraded + 1


def test_the_log_is_that_of_one_run_after_a_resume(tiny_data, tmp_path, recipe, stop_after):
    """Steps after the last checkpoint are trained again: their old lines must go."""
    slow = recipe("steps=40", "checkpoint_every_steps=15", "validation.every_steps=40")
    run = tmp_path / "run"
    train(slow, tiny_data, run, should_stop=stop_after(15))
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 20, "loss": 1.0}\n{"step": 30, "lo')
    train(slow, tiny_data, run, resume=True)
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40, 40]


def test_the_weights_say_what_they_are(whole):
    checkpoint = load_checkpoint(whole.model)
    training = checkpoint.header["training"]
    assert checkpoint.network == network_config("tiny")
    assert checkpoint.header["recipe"]["optimiser"]["learning_rate"] == 2e-3
    assert training["recipe"] == "whole" and training["samples"] == 36 and training["steps"] == 12
    assert training["data"] == {"pictures": 14, "sets": {"bsds": 7, "lowlight": 7}}
    assert set(training["validation"]) == {"noise50", "lowlight", "clean"}


def test_a_run_can_start_from_other_weights_and_says_so(tiny_data, tmp_path, recipe, whole, stop_after):
    first = whole.model
    gentle = recipe("optimiser.learning_rate=1e-12", "seed=9", "optimiser.weight_decay=0.0")
    train(gentle, tiny_data, tmp_path / "second", weights=first)
    before, after = load_checkpoint(first), load_checkpoint(tmp_path / "second/model.safetensors")
    assert torch.allclose(before.state["embed.weight"], after.state["embed.weight"], atol=1e-6)
    assert after.header["training"]["started_from"]["recipe"] == "whole"
    stopped, weights = tmp_path / "stopped", first
    for resume in (False, True):  # the second sitting is not told again what the first began from
        stop = stop_after(3)
        train(gentle, tiny_data, stopped, weights=weights, resume=resume, should_stop=stop)
        header = load_checkpoint(stopped / "model.safetensors").header
        assert header["training"]["started_from"]["recipe"] == "whole"
        weights = None
    with pytest.raises(ConfigurationError, match="not the recipe's"):
        train(recipe("network=ablation-a"), tiny_data, tmp_path / "third", weights=first)


@pytest.fixture
def eighths(monkeypatch):
    """A clock for the loop, on which every step takes an eighth of a second."""
    ticks = itertools.count(100.0, 0.125)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


def test_a_time_budget_ends_the_run_and_its_schedule(tiny_data, tmp_path, recipe, eighths):
    rates = []
    outcome = train(
        recipe("steps=1000000", "validation.every_steps=1000000", "optimiser.final_share=0.0"),
        tiny_data,
        tmp_path / "run",
        max_minutes=0.05,
        on_progress=lambda p: rates.append(p.learning_rate),
    )
    assert outcome.finished and (outcome.step, outcome.seconds) == (24, 3.0)
    assert outcome.samples == 12 * 4 + 12 * 2  # the second stage begins at half of the time
    # Of steps 10, 20 and 24: half a cosine, over the time that is over before them.
    expected = [1e-3 * (1 + math.cos(math.pi * steps / 24)) for steps in (9, 19, 23)]
    assert rates == pytest.approx(expected, rel=1e-3)


def test_a_resumed_run_keeps_its_time_budget(tiny_data, tmp_path, recipe, eighths, stop_after):
    long = recipe("steps=1000000", "validation.every_steps=1000000")
    first = train(long, tiny_data, tmp_path / "run", max_minutes=0.03125, should_stop=stop_after(3))
    rest = train(long, tiny_data, tmp_path / "run", resume=True)
    assert not first.finished and (first.step, first.seconds) == (3, 0.375)
    assert rest.finished and (rest.step, rest.seconds) == (15, 1.875)


def test_a_run_folder_is_not_overwritten_nor_resumed_with_another_recipe(
    tiny_data, tmp_path, recipe, stop_after
):
    train(recipe(), tiny_data, tmp_path / "run", should_stop=stop_after(2))
    with pytest.raises(OutputError, match="--resume"):
        train(recipe(), tiny_data, tmp_path / "run")
    with pytest.raises(TrainingError, match="different: seed"):
        train(recipe("seed=5"), tiny_data, tmp_path / "run", resume=True)


def test_a_damaged_state_is_refused(tiny_data, tmp_path, recipe, stop_after):
    run = tmp_path / "run"
    train(recipe(), tiny_data, run, should_stop=stop_after(2))
    content = (run / "state.safetensors").read_bytes()
    (run / "state.safetensors").write_bytes(content[:-100])
    with pytest.raises(WeightsDamaged, match=r"state\.safetensors"):
        train(recipe(), tiny_data, run, resume=True)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files")
@pytest.mark.parametrize("fails", ["model", "state", "log"])
def test_a_full_disk_ends_training_in_one_line_and_leaves_what_can_be_resumed(
    tiny_data, tmp_path, recipe, whole, fails, stop_after
):
    """A limit on the size of files breaks a write off half way, as a full disk does."""
    import resource

    run, kept = tmp_path / "run", {}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk():
        if "calls" in kept:
            return False
        if (run / "state.safetensors").exists():  # after step 3: the next checkpoint is due after step 4
            kept.update(
                calls=1, **{name: (run / f"{name}.safetensors").read_bytes() for name in ("model", "state")}
            )
            model, state = len(kept["model"]), len(kept["state"])
            limit = {"model": model // 2, "state": (model + state) // 2, "log": 10}[fails]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        return False

    changes = ("checkpoint_every_steps=20",) if fails == "log" else ()
    if fails == "log":
        train(recipe(*changes), tiny_data, run, should_stop=stop_after(2))
    try:
        with pytest.raises(OutputError) as caught:
            train(recipe(*changes), tiny_data, run, resume=True, should_stop=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(caught.value)
    assert fails in message and "make room" in message and "--resume" in message and "\n" not in message
    assert not list(run.glob(".*"))
    assert (run / "state.safetensors").read_bytes() == kept["state"]
    if fails == "state":  # the weights were written first: sound, and of a later step than the state
        assert load_checkpoint(run / "model.safetensors").header["training"]["steps"] == 4
    else:
        assert (run / "model.safetensors").read_bytes() == kept["model"]
    train(recipe(*changes), tiny_data, run, resume=True)
    assert_same_run(whole.model.parent, run)


def test_a_patch_too_large_for_the_pictures_is_refused_before_training(
    tiny_data, tmp_path, recipe, stop_after
):
    stages = "stages=[{until=0.5, patch=32, batch=2}, {until=1, patch=128, batch=2}]"
    with pytest.raises(DataError, match="patches of 128"):
        train(recipe(stages), tiny_data, tmp_path / "run", should_stop=stop_after(1))


def test_frozen_batch_norm_keeps_its_statistics(tiny_data, tmp_path, recipe, stop_after):
    first = train(recipe(), tiny_data, tmp_path / "run", should_stop=stop_after(6))
    before = tensors(tmp_path / "run")
    train(recipe(), tiny_data, tmp_path / "run", resume=True)
    after = tensors(tmp_path / "run")
    statistics = [name for name in before if name.startswith("network/") and "running" in name]
    assert first.step == 6 and statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)


def test_a_batch_in_parts_trains_what_the_whole_batch_does(tiny_data, tmp_path, recipe):
    """Where BatchNorm is frozen; with its own statistics it sees the parts, and the weights become others."""
    distance = {}
    for frozen in ("true", "false"):
        weights = []
        for accumulate in (1, 3):
            stages = f"stages=[{{until=1, patch=16, batch=6, freeze_batch_norm={frozen}, accumulate={accumulate}}}]"
            run = tmp_path / f"{frozen}{accumulate}"
            eight = ("steps=8", "checkpoint_every_steps=8", "optimiser.learning_rate=1e-4")
            train(recipe(stages, *eight), tiny_data, run)
            weights.append(load_checkpoint(run / "model.safetensors").state)
        whole, parts = weights
        distance[frozen] = max(float((whole[n] - parts[n]).abs().max()) for n in whole if whole[n].ndim)
    assert distance["true"] < 1e-6 < 1e-4 < distance["false"]


def test_a_run_of_a_version_that_knew_fewer_settings_can_be_resumed(tiny_data, tmp_path, recipe, stop_after):
    run = tmp_path / "run"
    train(recipe(), tiny_data, run, should_stop=stop_after(2))
    state, header = read_safetensors(run / "state.safetensors")
    for stage in header["recipe"]["stages"]:
        del stage["accumulate"]
    del header["recipe"]["optimiser"]["name"], header["recipe"]["optimiser"]["momentum"]
    write_safetensors_atomic(run / "state.safetensors", state, header)
    assert train(recipe(), tiny_data, run, resume=True, should_stop=stop_after(1)).step == 3


def test_a_teacher_of_a_version_that_knew_no_tolerance_teaches_on(
    tiny_data, tmp_path, recipe, whole, stop_after
):
    run, taught = tmp_path / "run", recipe(f"distillation.teacher='{whole.model}'")
    train(taught, tiny_data, run, should_stop=stop_after(2))
    state, header = read_safetensors(run / "state.safetensors")
    del header["recipe"]["distillation"]["mean_tolerance"]
    write_safetensors_atomic(run / "state.safetensors", state, header)
    stricter = recipe(f"distillation.teacher='{whole.model}'", "distillation.mean_tolerance=0.02")
    with pytest.raises(TrainingError, match="resume with the same recipe"):
        train(stricter, tiny_data, run, resume=True)
    assert train(taught, tiny_data, run, resume=True, should_stop=stop_after(1)).step == 3


def test_the_average_is_exponential_with_a_quick_start():
    network = torch.nn.BatchNorm2d(2)
    average = MovingAverage(network, 0.5)
    expected = network.running_mean.clone()
    for update in range(6):
        network.running_mean += 1
        network.num_batches_tracked += 1
        average.update(network)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * network.running_mean
    assert torch.allclose(average.state["running_mean"], expected)
    assert average.state["num_batches_tracked"] == 6


def test_step_seeds_differ():
    assert len({step_seed(seed, step) for seed in range(20) for step in range(500)}) == 10_000


@pytest.mark.parametrize("patch", [8, 20, 63])
def test_stage_sizes_must_suit_the_network(patch):
    with pytest.raises(ConfigurationError, match=f"patch = {patch}"):
        Stage(1.0, patch, 1)


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from anyir.data import mixture
from anyir.model import config
import anyir.training.validation as validation
from anyir.training.loop import train
from anyir.training.recipe import load_recipe

tasks = {n: replace(t, sources=("bsds",)) if "bsds" in t.sources else t for n, t in mixture.TASKS.items()}
mixture.TASKS = tasks
config.NETWORKS = {**config.NETWORKS, "tiny": config.NetworkConfig(
    width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)}
recipe, data, out = sys.argv[1:]
train(load_recipe(recipe, ["steps=60", "validation.every_steps=60"]), Path(data), Path(out), resume=True,
      on_progress=lambda p: print(p.step, flush=True))
"""


def test_a_run_killed_at_any_moment_ends_with_the_same_bits(tiny_data, tmp_path, recipe):
    """SIGKILL leaves no time to write anything; some of the kills fall into the writing of a checkpoint.

    The killed run writes one every second step, the other only at its end, which changes no bit.
    """
    sixty = ("steps=60", "validation.every_steps=60", "checkpoint_every_steps=60")
    whole = train(recipe(*sixty), tiny_data, tmp_path / "whole")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [
        sys.executable,
        str(script),
        str(tmp_path / "recipe.toml"),
        str(tiny_data),
        str(tmp_path / "killed"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    kills = 0
    for wait in (0.05, 0.3, 0.5):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        process.stdout.readline()  # training has begun
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        kills += process.wait() == -signal.SIGKILL
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    assert whole.finished and kills >= 1
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").glob(".*"))  # what a kill left half-written is tidied up
