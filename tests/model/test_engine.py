from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from anyir import Restorer
from anyir.errors import EngineUnavailable, UsageError, WeightsNotFound
from anyir.inference.provenance import with_note
from anyir.model.checkpoint import find_checkpoint, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.engine import TorchEngine, _arithmetic
from anyir.model.inference_form import InferenceForm
from anyir.model.network import AnyIR
from anyir.picture import Picture


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AnyIR(NetworkConfig(width=8, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), refinement_blocks=1)).eval()


@pytest.fixture
def checkpoint(network, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, network.state_dict(), network.config, {"name": "mine"})
    return path


def test_it_gives_what_the_network_gives(network, checkpoint):
    batch = np.random.default_rng(0).random((2, 3, 32, 40), dtype=np.float32)
    engine = TorchEngine(checkpoint, "cpu")
    with torch.no_grad():
        expected = network(torch.from_numpy(batch)).numpy()
    assert engine(batch) == pytest.approx(expected, abs=1e-5)
    assert engine.provider == "PyTorch on the CPU" and engine.header["name"] == "mine"


def test_a_restorer_takes_it_for_pictures_of_any_size(checkpoint):
    image = np.random.default_rng(0).integers(0, 256, (37, 21, 3), dtype=np.uint8)
    restored = Restorer("mine", engine=TorchEngine(checkpoint, "cpu"))(image)
    assert restored.shape == image.shape and restored.dtype == np.uint8
    assert not np.array_equal(restored, image)


def test_a_checkpoint_of_the_package_is_found_by_its_name():
    engine = TorchEngine("anyir-s", "cpu")
    assert engine.path == find_checkpoint("anyir-s") and engine.header["name"] == "anyir-s"


def test_results_name_the_checkpoint_and_the_engine(checkpoint):
    restorer = Restorer("mine", engine=TorchEngine(checkpoint, "cpu"))
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (restorer.sha256, restorer.device, restorer.chosen_because) == (sha256, "cpu", "it was asked for")
    noted = with_note(Picture(np.zeros((2, 2, 3), np.uint8)), restorer, 1)
    assert f"sha256={sha256}; strength=1; engine=PyTorch on the CPU".encode() in (noted.metadata.xmp or b"")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "device = 'abacus': must be one of auto, cpu, cuda, mps"),
        ({"precision": "half"}, "precision = 'half': must be one of auto, float32, bfloat16"),
        ({"threads": 0}, "threads = 0"),
    ],
)
def test_impossible_options_are_refused(checkpoint, options, message):
    with pytest.raises(UsageError, match=message):
        TorchEngine(checkpoint, **options)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(WeightsNotFound, match="none"):
        TorchEngine(tmp_path / "none.safetensors", "cpu")


@pytest.fixture
def machine(monkeypatch):
    """machine(cuda, mps, built, bfloat16): let PyTorch believe that it has these."""

    def pretend(*, cuda=False, mps=False, built=True, bfloat16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Anycard 9")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)
        # Nothing can be moved there, so the network stays where it is.
        monkeypatch.setattr(InferenceForm, "to", lambda form, device, memory_format: form)

    return pretend


@pytest.mark.parametrize(
    ("there", "device", "provider", "because"),
    [
        ({"cuda": True, "mps": True}, "cuda", "PyTorch on CUDA in bfloat16", "PyTorch can use Anycard 9"),
        ({"cuda": True, "bfloat16": False}, "cuda", "PyTorch on CUDA", "PyTorch can use Anycard 9"),
        ({"mps": True}, "mps", "PyTorch on MPS", "PyTorch can use Metal"),
        ({}, "cpu", "PyTorch on the CPU", "PyTorch finds no CUDA GPU; PyTorch finds no Metal GPU"),
        (
            {"built": False},
            "cpu",
            "PyTorch on the CPU",
            "this PyTorch is built without CUDA; this PyTorch is built without MPS",
        ),
    ],
)
def test_auto_takes_what_there_is_and_says_why(checkpoint, machine, there, device, provider, because):
    machine(**there)
    engine = TorchEngine(checkpoint)
    assert (engine.device, engine.provider, engine.chosen_because) == (device, provider, because)
    assert engine.precision == ("bfloat16" if provider.endswith("bfloat16") else "float32")
    assert engine.hardware == ("Anycard 9" if device == "cuda" else None)


@pytest.mark.parametrize(
    ("there", "device", "message"),
    [
        ({}, "cuda", "'cuda' is not available: PyTorch finds no CUDA GPU; .*pytorch.org.* there is: cpu$"),
        ({"mps": True}, "cuda", "'cuda' is not available: .* there is: mps, cpu$"),
        ({"built": False}, "cuda", "'cuda' is not available: this PyTorch is built without CUDA"),
        (
            {"cuda": True},
            "mps",
            "'mps' is not available: PyTorch finds no Metal GPU; .* there is: cuda, cpu$",
        ),
    ],
)
def test_a_device_that_is_not_there_is_an_error(checkpoint, machine, there, device, message):
    machine(**there)
    with pytest.raises(EngineUnavailable, match=message):
        TorchEngine(checkpoint, device)


def test_what_is_asked_for_is_taken_though_there_is_better(checkpoint, machine):
    machine(cuda=True, mps=True)
    assert [TorchEngine(checkpoint, device).device for device in ("cpu", "mps", "cuda")] == [
        "cpu",
        "mps",
        "cuda",
    ]
    exact = TorchEngine(checkpoint, "cuda", precision="float32")
    assert (exact.provider, exact.precision) == ("PyTorch on CUDA", "float32")


def test_in_float32_on_cuda_there_is_no_tf32():
    before = torch.backends.cudnn.allow_tf32
    with _arithmetic("cuda", "float32"):
        assert not torch.backends.cudnn.allow_tf32 and not torch.is_autocast_enabled("cuda")
    assert torch.backends.cudnn.allow_tf32 == before


def test_in_bfloat16_the_correction_is_rounded(network, checkpoint):
    batch = np.random.default_rng(0).random((1, 3, 16, 24), dtype=np.float32)
    exact, rounded = (
        TorchEngine(checkpoint, "cpu", precision=precision)(batch) for precision in ("float32", "bfloat16")
    )
    assert rounded.dtype == np.float32
    assert 1e-5 < np.abs(rounded - exact).max() < 0.1 * np.abs(exact - batch).max()


def test_in_bfloat16_the_picture_is_not(network, tmp_path):
    with torch.no_grad():
        network.output.weight.zero_()
    path = tmp_path / "nothing.safetensors"
    save_checkpoint(path, network.state_dict(), network.config, {"name": "nothing"})
    batch = np.random.default_rng(0).random((1, 3, 16, 24), dtype=np.float32)
    assert np.array_equal(TorchEngine(path, "cpu", precision="bfloat16")(batch), batch)


def test_a_tile_that_does_not_fit_is_an_error_with_a_remedy(checkpoint, monkeypatch):
    engine = TorchEngine(checkpoint, "cpu")

    def no_memory(*_):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(engine, "_network", no_memory)
    with pytest.raises(
        EngineUnavailable, match=r"mine.safetensors failed on a tile of 16x24 .* smaller tile"
    ):
        engine(np.zeros((1, 3, 24, 16), np.float32))
