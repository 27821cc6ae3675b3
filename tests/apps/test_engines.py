"""Engines and devices by the options of ``anyir restore``."""

import hashlib
import json

import onnxruntime
import pytest
import torch

from anyir.apps.engines import DEVICES, engine_for
from anyir.errors import UsageError
from anyir.inference.manifest import NAME
from anyir.model.checkpoint import save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.picture import read

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def no_gpu(monkeypatch):
    """Neither engine finds one, whatever this machine has."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    network = AnyIR(NetworkConfig(width=8, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), refinement_blocks=1))
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, network.state_dict(), network.config, {"name": "mine"})
    return path


@pytest.mark.parametrize("options", [[], ["--engine", "torch"]])
def test_a_checkpoint_is_restored_by_pytorch_and_all_records_say_so(
    anyir, no_gpu, checkpoint, pictures, tmp_path, options
):
    out, report = tmp_path / "out", tmp_path / "report.json"
    given = ["restore", pictures / "a.png", "-o", out, "--weights", checkpoint, "--report", report]
    code, _, err = anyir(*given, *options)
    assert code == 0
    first, *_, last = err.splitlines()
    assert first.startswith("device cpu: ") and "CUDA" in first
    assert last.endswith("megapixels/s, PyTorch on the CPU, weights mine")
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    content, entry = json.loads(report.read_text()), json.loads((out / NAME).read_text())
    for record in (content, entry):
        assert (record["weights"], record["weights_sha256"]) == ("mine", sha256)
        assert record["provider"] == "PyTorch on the CPU"
    assert f"device {content['device']}: {content['device_because']}" == first
    assert content["settings"]["engine"] == (options or [None, "auto"])[1]
    assert f"sha256={sha256}; strength=1; engine=PyTorch on the CPU".encode() in (
        read(out / "a.png").metadata.xmp or b""
    )
    assert anyir(*given, *options, "--verify")[0] == 2  # with --report
    assert anyir(*given[:-2], *options, "--verify")[0] == 0


def test_quiet_and_a_device_that_was_asked_for_need_no_word(anyir, no_gpu, weights, pictures, tmp_path):
    given = ["restore", pictures / "a.png", "-o", tmp_path / "b.png", "--weights", weights, "--overwrite"]
    assert anyir(*given, "--quiet") == (0, "", "")
    code, _, err = anyir(*given, "--device", "cpu")
    assert code == 0 and not err.startswith("device")
    code, _, err = anyir(*given)
    assert code == 0 and err.startswith(
        "device cpu: this ONNX Runtime has no provider for a GPU that anyir uses\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda"], f"this ONNX Runtime has no {CUDA}; install onnxruntime-gpu"),
        (["--device", "directml"], "install onnxruntime-directml"),
        (["--device", "mps"], "--device mps is not for --engine onnx, but for --engine torch"),
        (["--engine", "torch", "--device", "cuda"], "'cuda' is not available: "),
        (["--engine", "torch", "--device", "mps"], "'mps' is not available: "),
        (["--engine", "torch", "--device", "coreml"], "--device coreml is not for --engine torch, but for"),
        (["--engine", "torch", "--weights", "x.onnx"], "--engine torch runs checkpoints, not x.onnx"),
        (["--engine", "torch", "--weights", "nobody"], "no checkpoint is called 'nobody'"),
        (
            ["--engine", "onnx", "--weights", "./x.safetensors"],
            "run it with PyTorch (anyir restore --engine torch)",
        ),
        (["--engine", "steam"], "'steam'"),
        (["--device", "abacus"], "'abacus'"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_exit_code_2(anyir, no_gpu, pictures, options, message):
    code, out, err = anyir("restore", pictures / "a.png", *options)
    assert (code, out) == (2, "")
    assert err.startswith("anyir: ") and err.count("\n") == 1
    assert message in err
    assert not (pictures / "a.restored.png").exists()


def test_without_pytorch_the_line_names_the_extra(anyir, pictures, monkeypatch):
    monkeypatch.setattr("anyir.apps.extras.find_spec", lambda name: None)
    for options in (["--engine", "torch"], ["--weights", "mine.safetensors"]):
        code, out, err = anyir("restore", pictures / "a.png", *options)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "needs torch, safetensors" in err and "pip install 'anyir[train]'" in err


@pytest.mark.parametrize(
    ("weights", "engine", "chosen"),
    [
        ("default", "auto", "onnx"),
        ("mine.onnx", "auto", "onnx"),
        ("mine.SAFETENSORS", "auto", "torch"),
        ("default", "torch", "torch"),
        ("mine.safetensors", "onnx", "onnx"),
    ],
)
def test_the_weights_decide_unless_the_user_does(weights, engine, chosen):
    assert engine_for(weights, engine, "cpu") == chosen


def test_every_device_is_known_to_an_engine():
    for device, engines in DEVICES.items():
        for engine in ("onnx", "torch"):
            if engine in engines:
                assert engine_for("default", engine, device) == engine
            else:
                with pytest.raises(UsageError, match=f"--device {device} is not for --engine {engine}"):
                    engine_for("default", engine, device)
