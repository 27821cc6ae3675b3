"""What ``anyir evaluate`` sets against test pictures: weights and the engine that runs them, or the picture itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from anyir.errors import UsageError

if TYPE_CHECKING:
    from anyir.evaluation.protocol import Restore
    from anyir.evaluation.results import EvaluatedModel
    from anyir.inference.engine import Device
    from anyir.inference.tiles import TileSize

ENGINES: Final = ("auto", "onnx", "torch")


@dataclass(frozen=True)
class Running:
    """How weights are run: the options of the command line.

    Attributes:
        engine: one of :data:`ENGINES`; "auto" is PyTorch for a checkpoint and ONNX Runtime for all else.
        device: "auto", "cpu" or "cuda".
        tile: side of a tile in pixels, or "auto".
        threads: CPU threads; None: all.
    """

    engine: str
    device: str
    tile: TileSize
    threads: int | None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine!r}: must be one of {', '.join(ENGINES)}")


@dataclass(frozen=True)
class Contender:
    """What is evaluated.

    Attributes:
        weights: "name" and "sha256", for the results file.
        restore: degraded → restored image.
        provider: what really runs it; None for the identity.
        model: what the tables say of it; None for the identity.
    """

    weights: Mapping[str, str | None]
    restore: Restore
    provider: str | None
    model: EvaluatedModel | None


def contender(weights: str, running: Running) -> Contender:
    """Load what is to be evaluated.

    Args:
        weights: "identity", a name, a checkpoint or an ONNX file.
        running: how.

    Raises:
        UsageError, WeightsError, EngineUnavailable: as the engines'.
    """
    from anyir.evaluation.results import IDENTITY

    if weights == IDENTITY:
        return Contender({"name": IDENTITY, "sha256": None}, lambda image: image, None, None)
    checkpoint = weights.lower().endswith(".safetensors")
    if running.engine == "torch" or (running.engine == "auto" and checkpoint):
        return _by_pytorch(weights, running)
    return _by_onnx_runtime(weights, running)


def _by_onnx_runtime(weights: str, running: Running) -> Contender:
    from anyir.evaluation.models import describe_model
    from anyir.evaluation.peak_memory import peak_memory_bytes
    from anyir.inference import OnnxEngine, Restorer, resolve

    file = resolve(weights)
    memory = peak_memory_bytes(file.path, running.threads)
    engine = OnnxEngine(file.path, cast("Device", running.device), running.threads)
    restorer = Restorer(file.name, tile=running.tile, engine=engine)
    model = describe_model(file, engine.header, memory)
    return Contender(_identified(file.name, file.path), restorer, engine.provider, model)


def _by_pytorch(weights: str, running: Running) -> Contender:
    from anyir.evaluation.models import describe_checkpoint
    from anyir.inference import Restorer, default_name
    from anyir.inference.weights import DEFAULT
    from anyir.model.checkpoint import find_checkpoint
    from anyir.model.engine import TorchEngine

    path = find_checkpoint(default_name() if weights == DEFAULT else weights)
    engine = TorchEngine(path, cast("Device", running.device), running.threads)
    restorer = Restorer(path.stem, tile=running.tile, engine=engine)
    return Contender(_identified(path.stem, path), restorer, engine.provider, describe_checkpoint(path))


def _identified(name: str, path: Path) -> dict[str, str | None]:
    return {"name": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
