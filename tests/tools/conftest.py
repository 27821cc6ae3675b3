"""What the tests of several tools begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyir.data import mixture
from anyir.model.checkpoint import save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR

TINY = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny network that returns nearly what it is given."""
    torch.manual_seed(1)
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, AnyIR(TINY), TINY, {"name": "tiny"})
    return path


@pytest.fixture
def tasks_on_bsds(bsds_tasks: dict[str, mixture.Task], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks on clean pictures draw from BSDS alone."""
    monkeypatch.setattr(mixture, "TASKS", bsds_tasks)
