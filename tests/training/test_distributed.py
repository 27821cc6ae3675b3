"""Several processes on one machine, over gloo. One launch does most of it, as starting PyTorch twice takes long."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from anyir.errors import ConfigurationError
from anyir.model.checkpoint import load_checkpoint, read_safetensors
from anyir.training.distributed import Processes, training_processes
from anyir.training.loop import train
from anyir.training.recipe import load_recipe

RECIPE = """
network = "tiny"
steps = 20
warmup_steps = 3
average_decay = 0.9
[mixture]
noise_real = 1
lowlight = 1
[optimiser]
learning_rate = 5e-4
[[stages]]
until = 1
patch = 16
batch = 4
[validation]
samples = 1
patch = 64
"""
FREE = "stages=[{until=1, patch=16, batch=4}]"
FROZEN = "stages=[{until=1, patch=16, batch=4, freeze_batch_norm=true}]"


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return path


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def two_processes(*command):
    """Run a Python script in two processes that know of each other, as torchrun would; their exit codes."""
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common["OMP_NUM_THREADS"] = "1"
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    try:
        return [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def runs(tiny_data, recipe_file, tmp_path_factory):
    """What two processes made: the folder, and the results that each wrote."""
    out = tmp_path_factory.mktemp("runs")
    assert two_processes(Path(__file__).with_name("several.py"), recipe_file, tiny_data, out) == [0, 0]
    return out, [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


def state(run):
    return read_safetensors(run / "state.safetensors")[0]


def assert_same_bits(a, b):
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]


@pytest.mark.parametrize(
    ("name", "special", "tolerance"),
    [
        ("free", (FREE,), 1e-6),
        ("frozen", (FROZEN,), 1e-6),
        # Along directions in which there is hardly a gradient, an orthogonal step follows its rounding.
        ("muon", (FROZEN, "optimiser.name=muon"), 1e-4),
        ("taught", (FROZEN, "distillation.teacher='RUNS/frozen/model.safetensors'"), 1e-6),
    ],
)
def test_two_processes_train_what_one_would(runs, tiny_data, tmp_path, recipe_file, name, special, tolerance):
    special = [change.replace("RUNS", str(runs[0])) for change in special]
    changes = ("checkpoint_every_steps=5", "validation.every_steps=20", *special)
    train(load_recipe(str(recipe_file), changes), tiny_data, tmp_path / "one", device="cpu")
    one = load_checkpoint(tmp_path / "one/model.safetensors")
    two = load_checkpoint(runs[0] / name / "model.safetensors")
    distance = {key: float((one.state[key] - two.state[key]).abs().max()) for key in one.state}
    assert max(distance.values()) <= tolerance, sorted(distance.items(), key=lambda item: -item[1])[:3]
    losses = [
        json.loads((run / "log.jsonl").read_text().splitlines()[0])["loss"]
        for run in (tmp_path / "one", runs[0] / name)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert two.header["training"]["device"].startswith("2 × ")


def test_processes_with_workers_of_their_own_train_the_same(runs):
    assert_same_bits(runs[0] / "free", runs[0] / "files")


def test_batch_norm_over_processes_is_batch_norm_of_the_whole_batch(runs):
    assert all(result["batch_norm"] < 1e-12 for result in runs[1])


def test_all_stop_at_the_step_at_which_one_is_asked_to_and_resume_exactly(runs):
    out, (first, second) = runs
    assert first["stopped"][0] == second["stopped"][0] == 7 and not first["stopped"][2]
    assert first["resumed"][0] == 20 and first["resumed"][2]
    assert_same_bits(out / "free", out / "stopped")


def test_a_time_budget_ends_by_one_clock_and_scores_are_known_to_all(runs):
    _, (first, second) = runs
    assert first["budget"][:3] == second["budget"][:3] and 0 < first["budget"][0] < 1000000
    assert first["budget"][3] == second["budget"][3] and set(first["budget"][3]) == {"noise_real", "lowlight"}


def test_a_loss_that_is_not_finite_in_one_process_ends_all(runs):
    _, (first, second) = runs
    assert first["poisoned"][0] == "TrainingError" and "the loss is nan at step 3" in first["poisoned"][1]
    assert second["poisoned"][0] == "FirstProcessFailed"


DYING = """
import os, signal, sys
from anyir.apps.cli import main
from anyir.model import config
from anyir.training import distributed

config.NETWORKS = {**config.NETWORKS, "tiny": config.NetworkConfig(
    width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)}
agree, calls = distributed._Several.agree, iter(range(1, 1000))

def dies(self, seconds, stop):
    if next(calls) == int(sys.argv[1]) and self.rank == int(sys.argv[2]):
        open(sys.argv[3], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return agree(self, seconds, stop)

distributed._Several.agree = dies
main(sys.argv[4:])
"""


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_with_a_word_and_the_run_can_be_resumed(
    runs, tiny_data, recipe_file, tmp_path, rank
):
    script, dead, run = tmp_path / "dying.py", tmp_path / "dead", tmp_path / "run"
    script.write_text(DYING)
    settings = ("checkpoint_every_steps=5", "validation.every_steps=20", FREE)
    arguments = ["train", recipe_file, "--data", tiny_data, "--out", run, "--device", "cpu", "--threads", "1"]
    arguments += [word for setting in settings for word in ("--set", setting)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    job = subprocess.run(
        [*launcher, str(script), "13", str(rank), str(dead), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    ended = time.time()
    assert job.returncode != 0 and ended - dead.stat().st_mtime < 30
    said = [line for line in job.stderr.splitlines() if line.startswith("anyir: ")]
    assert len(said) == 1 and "another process" in said[0] and "--resume" in said[0]
    assert read_safetensors(run / "state.safetensors")[1]["step"] == 10
    assert two_processes(script, "1000", "0", "", *arguments, "--resume", "--quiet") == [0, 0]
    assert_same_bits(runs[0] / "free", run)


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_starts(recipe, tmp_path):
    with pytest.raises(ConfigurationError, match=r"batch = 4: .* 3 processes"):
        train(recipe(), tmp_path / "no-pictures", tmp_path / "run", processes=Processes(0, 3))
    clipped = recipe("optimiser.part_clip=3")
    with pytest.raises(ConfigurationError, match=r"part_clip = 3: works in one process, and these are 2"):
        train(clipped, tmp_path / "no-pictures", tmp_path / "run", processes=Processes(0, 2))
    assert not (tmp_path / "run").exists()


def test_without_torchrun_there_is_one_process_and_nothing_is_started():
    for environment in ({}, {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}):
        with training_processes(environment=environment) as processes:
            assert (processes.count, processes.rank, processes.is_first) == (1, 0, True)
            assert not torch.distributed.is_initialized()
    with (
        pytest.raises(ConfigurationError, match=r"RANK.*torchrun"),
        training_processes(environment={"WORLD_SIZE": "2"}),
    ):
        pass
