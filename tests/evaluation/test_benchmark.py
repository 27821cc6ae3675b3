import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from anyir.errors import EngineUnavailable, UsageError
from anyir.evaluation import benchmark, benchmark_worker, peak_memory
from anyir.evaluation.benchmark import (
    Benchmark,
    Case,
    PhotoTiming,
    Timing,
    Way,
    check_sizes,
    measure_in_a_process,
    photograph,
    run_benchmark,
)
from anyir.evaluation.benchmark_worker import answer, timed
from anyir.inference import usable_cores
from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.export import export_onnx
from anyir.model.network import AnyIR

MACS = 224**2 * 1000
"""A thousand multiply-accumulates a pixel."""

PLAIN = Way("PyTorch", "torch", "plain", MACS)
EXPORTED = Way("exported", "onnx", "exported", MACS)
PEER = Way("peer.onnx", "onnx", "peer")

PHOTO = {
    "tiles": 4,
    "read_seconds": 1,
    "restore_seconds": 2,
    "write_seconds": 3,
    "first_seconds": 0.5,
    "peak_bytes": 7,
}


def small(way, device="cpu"):
    """What a worker is asked, about one small image."""
    common = {"size": 16, "batch": 1, "threads": 1, "result": None}
    return {"do": "network", "way": way, "device": device, **common}


class Machine:
    """Answers as workers do: each way takes its seconds, longer by one hundredth every round."""

    def __init__(self, seconds, results=None, errors=()):
        self.seconds, self.results, self.errors = seconds, results or {}, errors
        self.asked = []

    def __call__(self, asked):
        self.asked.append(asked)
        if asked["do"] == "matrix":
            return {"rates": {"float32": 1e6 * len(self.asked)}}
        if asked["do"] == "photo":
            return dict(PHOTO)
        name = asked["way"]["name"]
        if name in self.errors:
            return {"error": f"{name} broke"}
        if asked["result"] is not None:
            np.full(3, self.results.get(name, 0.0), np.float32).tofile(asked["result"])
        seconds = self.seconds[name] + 0.01 * sum(each["do"] == "matrix" for each in self.asked)
        return {"seconds": [seconds, 2 * seconds], "provider": "X", "peak_bytes": len(self.asked)}


def test_the_ways_take_turns_and_none_always_follows_the_same_other():
    machine = Machine({"PyTorch": 1, "exported": 1, "peer.onnx": 1})
    run_benchmark([Case(way, 64) for way in (PLAIN, EXPORTED, PEER)], weights="w", rounds=3, measure=machine)
    order = [each["way"]["name"] if each["do"] == "network" else each["do"] for each in machine.asked]
    assert order == [
        *("matrix", "PyTorch", "exported", "peer.onnx"),
        *("matrix", "exported", "peer.onnx", "PyTorch"),
        *("matrix", "peer.onnx", "PyTorch", "exported"),
    ]


def test_every_run_is_kept_and_the_shortest_decides():
    machine = Machine({"PyTorch": 0.99, "exported": 0.24}, {"PyTorch": 0.5, "exported": 0.375})
    cases = [Case(PLAIN, 64), Case(EXPORTED, 64)]
    found = run_benchmark(cases, weights="w", rounds=2, device="cpu", threads=3, measure=machine)
    plain, exported = found.timings
    assert np.allclose(plain.rounds, [(1.0, 2.0), (1.01, 2.02)])
    assert plain.best == pytest.approx(1.0)
    assert plain.median == pytest.approx(1.505)
    assert plain.middle == pytest.approx((1.0075, 2.005))
    assert found.speedup(plain) == 1
    assert found.speedup(exported) == pytest.approx(4)
    assert (plain.difference, exported.difference) == (0, 0.125)
    assert (
        exported.peak_bytes
        == max(place for place, each in enumerate(machine.asked, 1) if each["do"] == "network") - 1
    )
    assert {(each["device"], each["threads"]) for each in machine.asked} == {("cpu", 3)}


def test_the_share_of_the_matrix_product_counts_what_the_network_does_not_how():
    """64·64 pixels of 2000 operations each in 1 s, at a rate of 16.384 million a second: one half."""
    timing = Timing(Case(EXPORTED, 64), ((1.0,),))
    found = Benchmark((timing,), {"float32": 16.384e6})
    assert found.share(timing) == pytest.approx(0.5)
    two = replace(timing, case=Case(EXPORTED, 64, batch=2))
    assert found.share(two) == pytest.approx(1)
    assert found.share(replace(timing, case=Case(PEER, 64))) is None
    half = replace(EXPORTED, precision="bfloat16")
    assert found.share(replace(timing, case=Case(half, 64))) is None
    assert found.speedup(timing) is None


def test_a_batch_is_compared_with_its_equal():
    timings = tuple(
        Timing(Case(way, size, batch), ((seconds,),))
        for way, size, batch, seconds in (
            (PLAIN, 64, 1, 1.0),
            (PLAIN, 64, 4, 8.0),
            (PLAIN, 128, 1, 4.0),
            (EXPORTED, 64, 4, 2.0),
        )
    )
    assert Benchmark(timings, {}).speedup(timings[3]) == 4


def test_the_best_matrix_product_counts():
    found = run_benchmark([], weights="w", rounds=3, measure=Machine({}))
    assert found.matrix_rates == {"float32": 3e6}


def test_what_fails_is_said_and_not_tried_again():
    machine = Machine({"exported": 1}, errors=("PyTorch",))
    found = run_benchmark([Case(PLAIN, 64), Case(EXPORTED, 64)], weights="w", rounds=3, measure=machine)
    assert found.timings[0] == Timing(Case(PLAIN, 64), error="PyTorch broke")
    assert sum(each.get("way", {}).get("name") == "PyTorch" for each in machine.asked) == 1
    assert len(found.timings[1].rounds) == 3
    assert found.speedup(found.timings[1]) is None


def test_another_network_has_no_difference():
    machine = Machine({"PyTorch": 1, "peer.onnx": 1})
    found = run_benchmark([Case(PLAIN, 64), Case(PEER, 64)], weights="w", rounds=1, measure=machine)
    assert found.timings[1].difference is None


def test_photographs_are_made_in_the_shape_of_a_camera_and_restored_from_small_to_large():
    machine = Machine({})
    steps = []
    found = run_benchmark(
        [],
        weights="w",
        megapixels=[1.2, 0.3],
        rounds=1,
        measure=machine,
        on_step=lambda *step: steps.append(step),
    )
    assert [(each.width, each.height) for each in found.photos] == [(633, 474), (1264, 949)]
    assert found.photos[0] == PhotoTiming(633, 474, **PHOTO, runs=3)
    assert found.photos[0].decoded_bytes == 3 * 633 * 474
    assert machine.asked[-1]["weights"] == "w"
    assert sum(each["do"] == "photo" for each in machine.asked) == 6
    assert [step[:2] for step in steps] == [(0, 3), (1, 3), (2, 3)]
    assert steps[2][2] == "a photograph of 1264x949"


def test_the_shortest_of_a_photographs_runs_counts_and_a_long_one_is_not_repeated():
    runs = iter(
        {
            **PHOTO,
            "read_seconds": number,
            "restore_seconds": seconds,
            "first_seconds": first,
            "peak_bytes": peak,
        }
        for number, (seconds, first, peak) in enumerate(
            [(20.0, 0.5, 7), (19.0, 0.75, 9), (21.0, 0.25, 8), (61.0, 2.0, 5)]
        )
    )

    def measure(asked):
        return {"rates": {}} if asked["do"] == "matrix" else next(runs)

    small, large = run_benchmark([], weights="w", megapixels=[0.3, 1], rounds=1, measure=measure).photos
    assert (small.restore_seconds, small.read_seconds, small.runs) == (19.0, 1, 3)
    assert (small.first_seconds, small.peak_bytes) == (0.25, 9)
    assert (large.restore_seconds, large.runs) == (61.0, 1)


def test_a_photograph_has_some_grain_and_is_the_same_each_time():
    picture = photograph(40, 30)
    assert picture.shape == (30, 40, 3)
    assert (picture == photograph(40, 30)).all()
    assert 2 < np.abs(np.diff(picture[:, :, 0].astype(int), axis=1)).mean() < 20


@pytest.mark.parametrize(
    ("sizes", "batches", "megapixels", "message"),
    [
        ([60], [1], [], "size = 60: must be a multiple of 8 from 16 to 8192"),
        ([8], [1], [], "size = 8"),
        ([8200], [1], [], "size = 8200"),
        ([64], [0], [], "batch = 0: must be at least 1"),
        ([64], [1], [0.05], "photo = 0.05: must be from 0.1 to 100 megapixels"),
        ([64], [1], [101], "photo = 101"),
        ([64], [1], [float("nan")], "photo = nan"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(sizes, batches, megapixels, message):
    with pytest.raises(UsageError, match=message):
        check_sizes(sizes, batches, megapixels)


def test_no_rounds_are_refused():
    with pytest.raises(UsageError, match="rounds = 0"):
        run_benchmark([], weights="w", rounds=0)


def test_a_photograph_that_cannot_be_restored_costs_nothing_else():
    def measure(asked):
        if asked["do"] == "matrix":
            return {"rates": {}}
        return {"error": "gone"} if "1155x866" in asked["path"] else dict(PHOTO)

    found = run_benchmark([], weights="w", megapixels=[0.3, 1, 1.2], rounds=1, measure=measure)
    assert [photo.width for photo in found.photos] == [633, 1264]
    assert found.failures == ("a photograph of 1155x866 cannot be restored: gone",)


def test_a_matrix_product_that_cannot_be_measured_ends_it():
    with pytest.raises(EngineUnavailable, match="matrix product cannot be measured: none"):
        run_benchmark([], weights="w", measure=lambda _: {"error": "none"})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_result_that_is_not_finite_is_an_error_and_has_no_time(value):
    machine = Machine({"PyTorch": 1, "exported": 1}, {"exported": value})
    found = run_benchmark([Case(PLAIN, 64), Case(EXPORTED, 64)], weights="w", rounds=1, measure=machine)
    assert found.timings[1] == Timing(Case(EXPORTED, 64), error="the result is not finite")


def test_without_pytorch_a_gpu_has_no_rate(monkeypatch):
    monkeypatch.setattr(benchmark_worker, "find_spec", lambda name: None)
    assert answer({"do": "matrix", "device": "cuda"}) == {"rates": {}}


def test_memory_that_the_system_does_not_tell_is_not_guessed(network, monkeypatch):
    """The highest point was before the engine was made, or the engine holds its memory on a device."""
    monkeypatch.setattr(benchmark_worker, "SECONDS", 0.0)
    way = {"engine": "onnx", "path": str(network[1])}
    monkeypatch.setattr(peak_memory, "forget_peak", lambda: None)
    monkeypatch.setattr(peak_memory, "status_bytes", {"VmRSS": 5, "VmHWM": 9}.__getitem__)
    assert answer(small(way))["peak_bytes"] is None
    peaks = iter([9, 12])
    monkeypatch.setattr(peak_memory, "status_bytes", lambda key: 5 if key == "VmRSS" else next(peaks))
    assert answer(small(way))["peak_bytes"] == 7


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """(checkpoint, ONNX file) of one small network."""
    folder = tmp_path_factory.mktemp("network")
    config = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)
    torch.manual_seed(0)
    save_checkpoint(folder / "small.safetensors", AnyIR(config), config, {})
    export_onnx(load_checkpoint(folder / "small.safetensors"), folder / "small.onnx", storage="fp32")
    return folder / "small.safetensors", folder / "small.onnx"


@pytest.mark.parametrize("channels_last", [False, True])
def test_pytorch_and_onnx_runtime_are_given_the_same_and_give_the_same(
    network, tmp_path, monkeypatch, channels_last
):
    monkeypatch.setattr(benchmark_worker, "SECONDS", 0.0)
    checkpoint, exported = network
    common = {"do": "network", "size": 32, "batch": 2, "device": "cpu", "threads": 1}
    plain = {"engine": "torch", "path": str(checkpoint), "channels_last": channels_last}
    ways = {
        "torch": {**plain, "precision": "float32", "compiled": False},
        "onnx": {"engine": "onnx", "path": str(exported)},
    }
    found = {
        name: answer({**common, "way": way, "result": str(tmp_path / f"{name}.float32")})
        for name, way in ways.items()
    }
    results = [np.fromfile(tmp_path / f"{name}.float32", np.float32) for name in ways]
    assert results[0].shape == (2 * 3 * 32 * 32,)
    assert np.abs(results[0] - results[1]).max() < 1e-4
    assert found["torch"]["provider"] == "PyTorch on the CPU"
    assert found["onnx"]["provider"] == "CPUExecutionProvider"
    assert all(len(each["seconds"]) == 3 and min(each["seconds"]) > 0 for each in found.values())


def test_runs_go_on_for_their_time_and_at_least_three_unless_that_takes_too_long(monkeypatch):
    clock = iter(range(0, 1000, 1))
    monkeypatch.setattr(benchmark_worker.time, "perf_counter", lambda: 0.25 * next(clock))
    assert timed(lambda: None) == [0.25] * 6
    monkeypatch.setattr(benchmark_worker.time, "perf_counter", lambda: 5.0 * next(clock))
    assert timed(lambda: None) == [5.0] * 3
    monkeypatch.setattr(benchmark_worker.time, "perf_counter", lambda: 20.0 * next(clock))
    assert timed(lambda: None) == [20.0]


def test_cuda_that_is_not_there_is_an_error_and_no_silent_cpu(network, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    way = {
        "engine": "torch",
        "path": str(network[0]),
        "channels_last": False,
        "precision": "float32",
        "compiled": False,
    }
    with pytest.raises(EngineUnavailable, match="'cuda' is not available"):
        answer(small(way, "cuda"))


def test_a_photograph_is_timed_from_jpeg_to_jpeg_in_a_process_of_its_own(make_onnx):
    found = run_benchmark([], weights=str(make_onnx(1)), megapixels=[0.5], rounds=1, device="cpu", threads=1)
    (photo,) = found.photos
    assert photo.tiles == 4
    assert min(photo.read_seconds, photo.restore_seconds, photo.write_seconds) > 0
    assert photo.first_seconds > photo.read_seconds
    assert 20e6 < photo.peak_bytes < 600e6
    assert found.matrix_rates["float32"] > 1e8


def test_a_worker_says_in_one_line_what_is_wrong(tmp_path):
    way = {"engine": "onnx", "path": str(tmp_path / "none.onnx")}
    assert measure_in_a_process(small(way)) == {
        "error": f"{way['path']}: no such file; give the path of an ONNX model"
    }


def test_a_worker_that_is_killed_is_no_answer(monkeypatch):
    class Killed:
        returncode, stdout, stderr = -9, "", ""

    monkeypatch.setattr(benchmark.subprocess, "run", lambda *_, **__: Killed)
    assert measure_in_a_process({}) == {"error": "ended by signal 9, for want of memory perhaps"}


def test_a_worker_is_asked_in_json_and_told_when_it_was_started(monkeypatch):
    given = {}

    class Done:
        returncode, stdout, stderr = 0, 'a library said this\n{"x": 1}\n', ""

    def run(command, **_):
        given.update(json.loads(command[-1]))
        return Done

    monkeypatch.setattr(benchmark.subprocess, "run", run)
    assert measure_in_a_process({"threads": usable_cores()}) == {"x": 1}
    assert given["started"] > 1e9
    assert given["threads"] == usable_cores()
