"""What ``anyir evaluate`` sets against test pictures: weights and the engine that runs them, or the picture itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anyir.apps.engines import check_choices, engine_for, find_shipped_or_own
from anyir.errors import UsageError

if TYPE_CHECKING:
    from anyir.evaluation.protocol import Restore
    from anyir.evaluation.results import EvaluatedModel
    from anyir.inference import Device
    from anyir.inference.engine import DescribedEngine
    from anyir.inference.ensemble import Quality
    from anyir.inference.tiles import TileSize
    from anyir.model.engine import TorchDevice


@dataclass(frozen=True)
class Running:
    """How weights are run: the options of the command line.

    Attributes:
        engine: "onnx", "torch" or "auto", see :func:`anyir.apps.engines.engine_for`.
        device: "auto" or a device of the engine's.
        tile: side of a tile in pixels, or "auto".
        threads: CPU threads; None: all.
        guard: whether our own weights run with the guard, as in ``anyir restore``; those of others never do.
        quality: of every restoration, as in ``anyir restore``.
    """

    engine: str
    device: str
    tile: TileSize
    threads: int | None
    guard: bool = True
    quality: str = "standard"

    def __post_init__(self) -> None:
        check_choices(self.engine, self.device, self.quality)


@dataclass(frozen=True)
class Contender:
    """What is evaluated.

    Attributes:
        name: that no other has that is evaluated with it.
        weights: "name" and "sha256", for the results file.
        restore: degraded → restored image.
        provider: what really runs it; None for the identity.
        model: what the tables say of it; None for the identity.
        threads: CPU threads that it was given or chose; None where it says nothing.
        guard: whether the guard was on; None for the identity.
        quality: "standard" or "best"; None for the identity.
        libraries: that decide its numbers, beside those of every evaluation.
        where: the device that runs it and why that one, in a line; None for the identity.
    """

    name: str
    weights: Mapping[str, str | None]
    restore: Restore
    provider: str | None
    model: EvaluatedModel | None
    threads: int | None = None
    guard: bool | None = None
    quality: Quality | None = None
    libraries: tuple[str, ...] = ()
    where: str | None = None


def contenders(weights: Sequence[str], running: Running) -> list[Contender]:
    """Load all that is to be evaluated together.

    Args:
        weights: each "identity", a name, a checkpoint or an ONNX file.
        running: how.

    Raises:
        UsageError: the same weights twice, or an impossible way to run them.
        WeightsError, EngineUnavailable: as the engines'.
    """
    loaded = [_contender(each, running) for each in weights]
    known: dict[str | None, str] = {}
    for given, each in zip(weights, loaded, strict=True):
        sha256 = each.weights["sha256"]
        if sha256 in known:
            raise UsageError(
                f"--peer {given} is the same as {known[sha256]}; name other weights, or leave it out"
            )
        known[sha256] = given
    names = Counter(each.name for each in loaded)
    return [
        replace(each, name=f"{each.name}-{sha256[:8]}")
        if names[each.name] > 1 and (sha256 := each.weights["sha256"])
        else each
        for each in loaded
    ]


def _contender(weights: str, running: Running) -> Contender:
    from anyir.evaluation.results import IDENTITY

    if weights == IDENTITY:
        return Contender(IDENTITY, {"name": IDENTITY, "sha256": None}, lambda image: image, None, None)
    by_pytorch = engine_for(weights, running.engine, running.device) == "torch"
    return _by_pytorch(weights, running) if by_pytorch else _by_onnx_runtime(weights, running)


def _by_onnx_runtime(weights: str, running: Running) -> Contender:
    from anyir.evaluation.models import describe_model
    from anyir.evaluation.peak_memory import peak_memory_bytes
    from anyir.inference import OnnxEngine, Restorer, resolve

    file = resolve(weights)
    memory = peak_memory_bytes(file.path, running.threads)
    engine = OnnxEngine(file.path, cast("Device", running.device), running.threads)
    guard = running.guard and bool(engine.header)
    quality = cast("Quality", running.quality)
    restorer = Restorer(file.name, tile=running.tile, guard=guard, quality=quality, engine=engine)
    model = describe_model(file, engine.header, memory)
    weights_of = _identified(file.name, file.path)
    return Contender(
        file.name,
        weights_of,
        restorer,
        engine.provider,
        model,
        running.threads,
        guard,
        quality,
        where=_where(engine),
    )


def _by_pytorch(weights: str, running: Running) -> Contender:
    from anyir.evaluation.models import describe_checkpoint
    from anyir.inference import Restorer
    from anyir.model.engine import TorchEngine

    path = find_shipped_or_own(weights)
    # In float32 everywhere, as numbers that are set beside published ones are computed.
    engine = TorchEngine(path, cast("TorchDevice", running.device), running.threads, precision="float32")
    quality = cast("Quality", running.quality)
    restorer = Restorer(path.stem, tile=running.tile, guard=running.guard, quality=quality, engine=engine)
    return Contender(
        path.stem,
        _identified(path.stem, path),
        restorer,
        engine.provider if engine.hardware is None else f"{engine.provider} ({engine.hardware})",
        describe_checkpoint(path),
        engine.threads,
        running.guard,
        quality,
        ("torch",),
        _where(engine),
    )


def _where(engine: DescribedEngine) -> str:
    return f"device {engine.device}: {engine.chosen_because}"


def _identified(name: str, path: Path) -> dict[str, str | None]:
    return {"name": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
