import json
import shutil

import pytest

from anyir.apps import benchmark as command
from anyir.evaluation import benchmark
from anyir.inference import resolve

PHOTO = {
    "tiles": 1,
    "read_seconds": 1,
    "restore_seconds": 2,
    "write_seconds": 3,
    "first_seconds": 4,
    "peak_bytes": 5,
}


@pytest.fixture
def asked(monkeypatch):
    """What the workers would be asked; they all answer that a run took a second."""
    requests = []

    def measure(request):
        requests.append(request)
        if request["do"] == "matrix":
            return {"rates": {"float32": 1e9}}
        if request["do"] == "photo":
            return dict(PHOTO)
        return {"seconds": [1.0, 1.0], "provider": "X", "peak_bytes": 1}

    monkeypatch.setattr(benchmark, "measure_in_a_process", measure)
    return requests


def networks(asked):
    return [request for request in asked if request["do"] == "network"]


def test_the_shipped_weights_are_measured_in_three_ways_at_two_sizes(anyir, asked, tmp_path):
    code, out, err = anyir("benchmark", "--rounds", "1", "--threads", "1", "-o", tmp_path / "out")
    assert code == 0, err
    names = ["PyTorch", "PyTorch, channels last", "exported, ONNX Runtime"]
    assert [(each["way"]["name"], each["size"], each["batch"]) for each in networks(asked)] == [
        *((name, 256, 1) for name in names),
        *((name, 1024, 1) for name in names),
    ]
    shipped = resolve("default")
    paths = [each["way"]["path"] for each in networks(asked)[:3]]
    assert paths == [str(shipped.path.with_suffix(".safetensors"))] * 2 + [str(shipped.path)]
    assert {each["way"]["macs_224"] for each in networks(asked)} == {shipped.facts.macs_224}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"benchmark.{suffix}" for suffix in ("json", "md", "png")
    ]
    assert (tmp_path / "out" / "benchmark.md").read_text() == out
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["settings"]["threads"] == 1
    assert err.splitlines()[0] == "1/7 matrix product"


def test_peers_sizes_batches_and_photographs_are_the_users(anyir, asked, make_weights):
    peer = make_weights(name="peer.onnx")
    code, out, err = anyir(
        *("benchmark", "--size", "64", "--size", "32", "--batch", "2", "--peer", peer, "--photo", "0.3"),
        *("--rounds", "1", "--quiet"),
    )
    assert (code, err) == (0, "")
    assert [(each["size"], each["batch"]) for each in networks(asked)][::4] == [(64, 2), (32, 2)]
    assert networks(asked)[3]["way"]["name"] == "peer.onnx"
    assert asked[-1]["do"] == "photo"
    assert asked[-1]["weights"] == resolve("default").name
    repeat = f"--size 64 --size 32 --batch 2 --peer {peer} --photo 0.3 --rounds 1 --device cpu"
    assert f"anyir benchmark --weights default {repeat}\n" in out


def test_weights_without_a_checkpoint_go_without_pytorch_and_say_so(anyir, asked, weights):
    code, _, err = anyir("benchmark", "--weights", weights, "--size", "64", "--rounds", "1")
    assert code == 0
    assert [each["way"]["name"] for each in networks(asked)] == ["exported, ONNX Runtime"]
    assert err.startswith("without PyTorch's times: they need the extra 'train'")


def test_without_pytorch_the_rest_is_measured(anyir, asked, monkeypatch):
    real = command.find_spec
    monkeypatch.setattr(
        command, "find_spec", lambda name: None if name in ("torch", "matplotlib") else real(name)
    )
    code, _, err = anyir("benchmark", "--size", "64", "--rounds", "1")
    assert code == 0
    assert [each["way"]["name"] for each in networks(asked)] == ["exported, ONNX Runtime"]
    assert "pip install 'anyir[train]'" in err


def test_a_gpu_is_measured_in_half_precision_and_compiled_too(anyir, asked):
    assert anyir("benchmark", "--device", "cuda", "--size", "64", "--batch", "16", "--rounds", "1")[0] == 0
    ways = [each["way"] for each in networks(asked)]
    assert [(way["precision"], way["channels_last"], way["compiled"]) for way in ways] == [
        ("float32", False, False),
        ("float32", True, False),
        ("bfloat16", True, False),
        ("bfloat16", True, True),
        ("float32", False, False),
    ]
    assert {each["device"] for each in asked} == {"cuda"}


def test_results_are_replaced_only_when_that_is_allowed(anyir, asked, tmp_path):
    (tmp_path / "benchmark.md").write_text("mine")
    code, _, err = anyir("benchmark", "--size", "64", "--rounds", "1", "-o", tmp_path)
    assert code == 1
    assert "benchmark.md exists already; choose another folder, or allow it with --overwrite" in err
    assert not asked
    assert anyir("benchmark", "--size", "64", "--rounds", "1", "-o", tmp_path, "--overwrite")[0] == 0
    assert (tmp_path / "benchmark.md").read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "60"), "size = 60: must be a multiple of 8"),
        (("--photo", "500"), "photo = 500: must be from 0.1 to 100 megapixels"),
        (("--device", "tpu"), "--device 'tpu': must be cpu or cuda"),
        (("--peer", "none.onnx"), "none.onnx: no such file"),
        (("--weights", "nobody"), "no weights are called 'nobody'"),
    ],
)
def test_what_is_impossible_is_said_before_anything_is_measured(anyir, asked, arguments, message):
    code, _, err = anyir("benchmark", *arguments)
    assert (code, asked) == (2, [])
    assert message in err


def test_what_fails_is_written_beside_the_rest_and_the_exit_code_says_so(anyir, monkeypatch, tmp_path):
    def measure(request):
        return {"rates": {"float32": 1e9}} if request["do"] == "matrix" else {"error": "out of memory"}

    monkeypatch.setattr(benchmark, "measure_in_a_process", measure)
    (tmp_path / "benchmark.png").write_bytes(b"of an earlier run")
    code, out, _ = anyir("benchmark", "--size", "64", "--rounds", "1", "-o", tmp_path, "--overwrite")
    assert code == 1
    assert "out of memory" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmark.json", "benchmark.md"]


def test_a_file_where_the_results_belong_is_told_before_anything_is_measured(anyir, asked, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code, out, err = anyir("benchmark", "-o", tmp_path / "notes.txt")
    assert (code, out, err.count("\n")) == (1, "", 1) and "notes.txt is no folder" in err
    assert not asked and (tmp_path / "notes.txt").read_text() == "mine"


def test_two_peers_of_one_name_are_refused(anyir, asked, make_weights, tmp_path):
    (tmp_path / "other").mkdir()
    first = make_weights(name="peer.onnx")
    second = shutil.copy(first, tmp_path / "other" / "peer.onnx")
    code, _, err = anyir("benchmark", "--peer", first, "--peer", second)
    assert (code, asked) == (2, [])
    assert "two peers have the same file name" in err


def test_an_interruption_writes_nothing_and_says_so(anyir, monkeypatch, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure_in_a_process", interrupt)
    code, _, err = anyir("benchmark", "--size", "64", "-o", tmp_path / "out")
    assert code == 130
    assert err.endswith("anyir: interrupted; nothing was written: run the same command again\n")
    assert not (tmp_path / "out").exists()
