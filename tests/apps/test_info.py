import hashlib
import json
import re
import sys

import pytest

from anyir.inference import load_facts
from anyir.inference.weights import FACTS_FILE, weights_folder
from anyir.model import AnyIR, NetworkConfig, save_checkpoint

TINY = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=0)

TRAINING = {
    "recipe": "five-degradations",
    "network": "anyir-s",
    "data": {"pictures": 5144, "sets": {"wed": 4744, "bsd400": 400}},
    "samples": 1_200_000,
    "steps": 75_000,
    "minutes": 89.6,
    "device": "NVIDIA H200",
    "started_from": {"recipe": "first-try", "samples": 35_840, "data": {"pictures": 3}, "started_from": None},
}
RESULTS = {
    "file": "results/anyir-s.json",
    "sets": {
        "CBSD68 noise 25": {
            "input_psnr": 20.418,
            "psnr": 30.567,
            "ssim": 0.87654,
            "pictures": 68,
            "official": True,
        },
        "haze_partial": {
            "input_psnr": 15.9,
            "psnr": 18.25,
            "ssim": 0.8,
            "pictures": 12,
            "official": False,
        },
    },
    "clean_psnr": 41.237,
}
NETWORK = {"width": 16, "blocks": [1, 2, 2, 3], "gate_expansion": 8 / 3, "skip_split": True}


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """Model facts in place of those of this installation: 'small' ships, 'large' has no weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    bare = {"file": None, "sha256": None, "bytes": None, "training": None, "results": None}
    small = {"file": "small.onnx", "sha256": "ab" * 32, "bytes": 2_140_000}
    models = {
        "small": {"parameters": 1_034_567, "macs_224": 2_871_000_000, "network": NETWORK, **small}
        | {"training": TRAINING, "results": RESULTS},
        "large": {"parameters": 6_196_128, "macs_224": 19_949_999_999, "network": {"width": 28}, **bare},
    }
    (folder / FACTS_FILE).write_text(json.dumps({"default": "small", "models": models}))
    monkeypatch.setattr("anyir.inference.weights.weights_folder", lambda: folder)
    return folder


def test_without_a_name_all_models_are_listed(anyir, catalogue):
    code, out, err = anyir("info")
    assert (code, err) == (0, "")
    header, small, large, *_ = (re.split(r"  +", line) for line in out.splitlines())
    assert header == ["model", "parameters", "multiply-accumulates at 224x224", "weights"]
    assert small == ["small", "1.03 M", "2.87 G", "small.onnx, 2.1 MB (default)"]
    assert large == ["large", "6.20 M", "19.9 G", "no weights in this release"]


@pytest.mark.parametrize("name", ["small", "default"])
def test_a_shipped_model_tells_its_training_and_results(anyir, catalogue, name):
    code, out, _ = anyir("info", name)
    assert code == 0
    lines = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert lines[0] == ["small (default)"]
    assert ["sha256", "ab" * 32] in lines
    assert ["network", "width 16, blocks 1/2/2/3, gate_expansion 2.667, skip_split on"] in lines
    trained = "recipe five-degradations, network anyir-s, 1,200,000 samples, 75,000 steps, 90 minutes, "
    trained += "on NVIDIA H200"
    assert ["trained", trained] in lines
    assert ["starting from", "recipe first-try, 35,840 samples"] in lines
    assert sum(line[0] == "training data" for line in lines) == 1
    assert ["training data", "5,144 pictures, wed 4744, bsd400 400"] in lines
    assert ["results", "results/anyir-s.json"] in lines
    assert ["CBSD68 noise 25", "68", "20.42", "30.57", "0.8765", "as published"] in lines
    assert ["haze_partial", "12", "15.90", "18.25", "0.8000", "our own"] in lines
    assert lines[-1] == ["A clean picture comes back at 41.24 dB."]


def test_a_model_without_weights_still_tells_its_size(anyir, catalogue):
    code, out, _ = anyir("info", "large")
    assert code == 0
    lines = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert lines == [
        ["large"],
        ["parameters", "6.20 M"],
        ["multiply-accumulates", "19.9 G at 224x224"],
        ["network", "width 28"],
        ["weights", "no weights in this release"],
    ]


def test_a_file_tells_what_its_header_says(anyir, make_weights):
    path = make_weights({"name": "mine", "network": NETWORK, "training": TRAINING, "results": RESULTS})
    code, out, _ = anyir("info", path)
    assert code == 0
    assert out.startswith("mine\n")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in out
    assert "30.57" in out


@pytest.mark.parametrize(
    "header",
    [
        None,
        {},
        {"training": "long", "results": [1], "network": 3},
        {"training": {"minutes": "many", "samples": None, "data": 4}, "results": {"sets": {"x": 1, "y": {}}}},
        {"results": {"sets": {"x": {"official": [1], "psnr": 30}}}},
    ],
)
def test_whatever_is_absent_or_strange_in_a_file_is_left_out(anyir, make_weights, header):
    code, out, err = anyir("info", make_weights(header))
    assert (code, err) == (0, "")
    assert "sha256" in out


def test_a_checkpoint_tells_what_its_header_says_without_pytorch(anyir, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, AnyIR(TINY), TINY, {"name": "mine", "training": TRAINING, "results": RESULTS})
    for module in ("torch", "onnx", "safetensors", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, _ = anyir("info", path)
    assert code == 0 and out.startswith("mine\n")
    assert "width 4" in out and "five-degradations" in out and "30.57" in out
    assert hashlib.sha256(path.read_bytes()).hexdigest() in out


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff" * 50, (9).to_bytes(8, "little") + b"[[[[[[[[[", (2).to_bytes(8, "little") + b"{}"],
)
def test_what_is_no_checkpoint_is_one_line(anyir, tmp_path, content):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    code, out, err = anyir("info", path)
    assert (code, out, err.count("\n")) == (2, "", 1) and "bad.safetensors: " in err


def test_a_file_cannot_command_the_terminal(anyir, make_weights):
    _, out, _ = anyir("info", make_weights({"name": "\x1b[2Jmine", "network": {"width\n": 3}}))
    assert out.startswith("\\x1b[2Jmine\n")
    assert "width\\n 3" in out


@pytest.mark.parametrize("name", ["absent.onnx", "nonsense"])
def test_unknown_weights_are_one_line_and_exit_code_2(anyir, catalogue, name):
    code, out, err = anyir("info", name)
    assert (code, out) == (2, "")
    assert name in err
    assert err.count("\n") == 1


@pytest.mark.skipif(not (weights_folder() / FACTS_FILE).exists(), reason="no model facts yet")
def test_the_paper_s_network_has_its_published_size(anyir):
    assert load_facts().models["anyir"].parameters == pytest.approx(6.20e6, rel=0.005)
    code, out, _ = anyir("info", "anyir")
    assert code == 0
    assert "6.20 M" in out
    assert "19.9 G" in out


def test_info_needs_no_training_library(catalogue, anyir, monkeypatch):
    for module in ("torch", "onnx", "safetensors"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it now fails
    assert anyir("info", "small")[0] == 0
