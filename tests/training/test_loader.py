"""Worker processes are forks on Linux, so they see the tiny network and the tasks that the fixtures put in place."""

import itertools
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from anyir.data.catalogue import load_pictures
from anyir.errors import TrainingError, UnreadablePicture
from anyir.model.checkpoint import read_safetensors
from anyir.training.loader import Loader, make_loader, measure_data_path
from anyir.training.loop import train
from anyir.training.recipe import Stage
from anyir.training.sampling import load_split, make_sampler

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux", reason="what fixtures put in place is not in spawned workers"
    ),
    # Python 3.12 and later, of the threads of PyTorch, which a worker does not use
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
FILES = ("loading=files", "workers=2")
CPU = torch.device("cpu")
FIRST, SECOND = Stage(0.5, 32, 4), Stage(1.0, 40, 2)


def state(run):
    return read_safetensors(run / "state.safetensors")[0]


def assert_same_bits(a, b):
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]


def loader_of(recipe, data):
    pictures, _ = load_pictures(data, recipe.sets, loading=recipe.loading)
    return make_loader(recipe, make_sampler(recipe, pictures), pictures.device, CPU)


@pytest.mark.parametrize("changes", [(), ("mixture={}", "repeats={noise50=2, lowlight=1, clean=1}")])
def test_training_ends_with_the_same_bits_wherever_pictures_are(tiny_data, tmp_path, recipe, changes):
    memory = train(recipe(*changes), tiny_data, tmp_path / "memory")
    for loading, workers in (("files", 0), ("files", 2), ("host", 2)):
        run = tmp_path / f"{loading}-{workers}"
        other = train(recipe(*changes, f"loading={loading}", f"workers={workers}"), tiny_data, run)
        assert other.finished and other.step == 12 and other.scores == memory.scores
        assert_same_bits(tmp_path / "memory", run)
        losses = [
            json.loads((each / "log.jsonl").read_text().splitlines()[-2])["loss"]
            for each in (tmp_path / "memory", run)
        ]
        assert losses[0] == losses[1]
        assert not multiprocessing.active_children()


@pytest.mark.parametrize("stop", [5, 9])
def test_a_resumed_run_goes_on_exactly_also_in_its_second_stage_and_with_other_workers(
    tiny_data, tmp_path, recipe, whole, stop, stop_after
):
    part = train(recipe(*FILES), tiny_data, tmp_path / "files", should_stop=stop_after(stop))
    assert part.step == stop and not multiprocessing.active_children()
    train(recipe(*FILES, "workers=1"), tiny_data, tmp_path / "files", resume=True)
    assert_same_bits(whole.model.parent, tmp_path / "files")


def test_loading_may_not_change_when_a_run_is_resumed(tiny_data, tmp_path, recipe, stop_after):
    """On a GPU the batches would be others."""
    train(recipe(), tiny_data, tmp_path / "run", should_stop=stop_after(2))
    with pytest.raises(TrainingError, match=r"different: loading\)"):
        train(recipe(*FILES), tiny_data, tmp_path / "run", resume=True)


def test_any_step_can_be_asked_for_and_the_trainings_random_numbers_are_left_alone(tiny_data, recipe):
    places = [(0, 0, FIRST), (1, 4, FIRST), (7, 28, FIRST), (8, 32, FIRST), (9, 36, SECOND), (10, 38, SECOND)]
    before = torch.random.get_rng_state()
    with loader_of(recipe(*FILES), tiny_data) as workers, loader_of(recipe(), tiny_data) as memory:
        assert type(memory) is Loader and type(workers) is not Loader
        for place in places:
            ours, theirs = workers.batch(*place), memory.batch(*place)
            assert torch.equal(ours.degraded, theirs.degraded) and torch.equal(ours.clean, theirs.clean), (
                place
            )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_beside_a_gpu_pictures_can_stay_on_the_host_where_workers_make_the_batches(tiny_data, recipe):
    settings = recipe("loading=host", "workers=1")
    training, validation = load_split(settings, tiny_data, torch.device("meta"))  # which is not the host
    assert training.device == validation.device == CPU
    assert training.fingerprints  # they are read now
    with (
        loader_of(recipe("loading=host", "workers=1"), tiny_data) as host,
        loader_of(recipe(), tiny_data) as plain,
    ):
        assert torch.equal(host.batch(3, 12, FIRST).degraded, plain.batch(3, 12, FIRST).degraded)
        assert len(multiprocessing.active_children()) == 1


def test_more_workers_than_processors_are_not_started(tiny_data, recipe):
    with loader_of(recipe("loading=files", "workers=64"), tiny_data) as loader:
        loader.batch(0, 0, FIRST)  # PyTorch would warn
        assert 1 <= len(multiprocessing.active_children()) <= len(os.sched_getaffinity(0))


def test_a_sampler_can_be_sent_to_processes_that_are_no_forks(tiny_data, recipe):
    for changes in ((), ("mixture={}", "repeats={noise50=2, lowlight=1, clean=1}")):
        settings = recipe(*FILES, *changes)
        pictures, _ = load_pictures(tiny_data, settings.sets, loading="files")
        sampler = make_sampler(settings, pictures)
        sent = pickle.loads(pickle.dumps(sampler))
        ours, theirs = (each.batch(3, 4, 32, torch.Generator().manual_seed(1)) for each in (sampler, sent))
        assert torch.equal(ours.degraded, theirs.degraded)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_ends_training_with_its_name_and_no_process_is_left(
    tiny_data, tmp_path, recipe, workers
):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    for path in (data / "train/lowlight/normal").iterdir():
        if path.stem != "5":  # which is for validation
            path.write_bytes(path.read_bytes()[:100])
    settings = recipe(*FILES, f"workers={workers}", "test_pictures=allow")
    with pytest.raises(UnreadablePicture) as caught:
        train(settings, data, tmp_path / "run")
    message = str(caught.value)
    assert "damaged or truncated PNG" in message and "lowlight/normal/" in message and "\n" not in message
    assert not multiprocessing.active_children()


def test_an_error_in_training_itself_leaves_no_process(tiny_data, tmp_path, recipe):
    def interrupt():
        assert multiprocessing.active_children()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(*FILES), tiny_data, tmp_path / "run", should_stop=interrupt)
    assert not multiprocessing.active_children()


STOPPED = """
import sys
from dataclasses import replace
from anyir.apps.cli import main
from anyir.data import mixture
from anyir.model import config

mixture.TASKS = {n: replace(t, sources=("bsds",)) if "bsds" in t.sources else t for n, t in mixture.TASKS.items()}
config.NETWORKS = {**config.NETWORKS, "tiny": config.NetworkConfig(
    width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)}
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_job_stops_it_in_good_order(tiny_data, tmp_path, recipe, number):
    """As Ctrl-C in a terminal does, and a cluster's scheduler."""
    recipe()  # writes recipe.toml
    (tmp_path / "stopped.py").write_text(STOPPED)
    settings = (*FILES, "steps=100000", "validation.every_steps=100000")
    arguments = ["train", tmp_path / "recipe.toml", "--data", tiny_data, "--out", tmp_path / "run"]
    arguments += [
        "--device",
        "cpu",
        "--threads",
        "1",
        "--quiet",
        *(x for change in settings for x in ("--set", change)),
    ]
    job = subprocess.Popen(
        [sys.executable, tmp_path / "stopped.py", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stderr is not None
    try:
        while not (tmp_path / "run/log.jsonl").exists():  # ten steps
            assert job.poll() is None
            time.sleep(0.05)
        os.killpg(job.pid, number)
        said = job.stderr.read().splitlines()
        assert job.wait(60) == 130
        assert len(said) == 1 and "everything is saved" in said[0]
        with pytest.raises(ProcessLookupError):  # nobody is left in its group
            os.killpg(job.pid, 0)
    finally:
        job.kill()
        job.stderr.close()
        job.wait()


def test_the_speed_of_the_data_path_is_that_of_the_batches_after_the_first(tiny_data, recipe):
    pictures, _ = load_pictures(tiny_data, ["bsds", "lowlight"], loading="files")
    ticks = itertools.count(0.0, 0.5)
    calls = []

    def clock():
        calls.append(next(ticks))
        return calls[-1]

    # Half a second a batch of four; five batches, two for each worker and one to begin with, are left out.
    assert measure_data_path(recipe(*FILES), pictures, 2.0, clock=clock) == 8.0
    assert len(calls) == 5 + 4
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("loading", ["memory", "files"])
def test_the_speed_of_the_data_path_is_real(tiny_data, recipe, loading):
    pictures, _ = load_pictures(tiny_data, ["bsds", "lowlight"], loading=loading)
    speed = measure_data_path(recipe(f"loading={loading}", "workers=1"), pictures, 0.2)
    assert 10 < speed < 1e6
