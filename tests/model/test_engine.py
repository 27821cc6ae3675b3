from __future__ import annotations

import numpy as np
import pytest
import torch

from anyir import Restorer
from anyir.errors import EngineUnavailable, UsageError, WeightsNotFound
from anyir.model.checkpoint import save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.engine import TorchEngine
from anyir.model.network import AnyIR


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


def test_what_it_cannot_do_it_says(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailable, match="'cuda' is not available to PyTorch here"):
        TorchEngine(checkpoint, "cuda")
    with pytest.raises(UsageError, match="'abacus'"):
        TorchEngine(checkpoint, "abacus")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="threads = 0"):
        TorchEngine(checkpoint, "cpu", 0)
    with pytest.raises(WeightsNotFound, match="none"):
        TorchEngine(tmp_path / "none.safetensors", "cpu")


def test_a_tile_that_does_not_fit_is_an_error_with_a_remedy(checkpoint, monkeypatch):
    engine = TorchEngine(checkpoint, "cpu")

    def no_memory(*_):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(engine, "_network", no_memory)
    with pytest.raises(
        EngineUnavailable, match=r"mine.safetensors failed on a tile of 16x24 .* smaller tile"
    ):
        engine(np.zeros((1, 3, 24, 16), np.float32))
