"""Which engine runs given weights, and a restorer with it: what the commands that restore have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from anyir.apps.extras import require_extra
from anyir.errors import UsageError

if TYPE_CHECKING:
    from anyir.inference import Device, Restorer
    from anyir.inference.ensemble import Quality
    from anyir.inference.tiles import TileSize
    from anyir.model.engine import TorchDevice

EngineName: TypeAlias = Literal["onnx", "torch"]

ENGINES: Final = ("auto", "onnx", "torch")
DEVICES: Final = {"auto": ENGINES, "cpu": ENGINES, "cuda": ENGINES} | {
    "directml": ("onnx",),
    "coreml": ("onnx",),
    "mps": ("torch",),
}
"""The devices that can be asked for, and the engines that know them."""
QUALITIES: Final = ("standard", "best")


def check_choices(engine: str, device: str, quality: str) -> None:
    """See that there are such an engine, such a device and such a quality.

    Raises:
        UsageError: there are not.
    """
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine!r}: must be one of {', '.join(ENGINES)}")
    if device not in DEVICES:
        raise UsageError(f"--device {device!r}: must be one of {', '.join(DEVICES)}")
    if quality not in QUALITIES:
        raise UsageError(f"--quality {quality!r}: must be one of {', '.join(QUALITIES)}")


def engine_for(weights: str, engine: str, device: str) -> EngineName:
    """The engine that runs these weights; "auto" is PyTorch for a checkpoint and ONNX Runtime for all else.

    Raises:
        UsageError: the engine cannot run such weights, or does not know the device.
    """
    if engine == "torch" and weights.lower().endswith(".onnx"):
        raise UsageError(
            f"--engine torch runs checkpoints, not {weights}; name a .safetensors file or use --engine onnx"
        )
    checkpoint = weights.lower().endswith(".safetensors")
    chosen: EngineName = "torch" if engine == "torch" or (engine == "auto" and checkpoint) else "onnx"
    if chosen not in DEVICES[device]:
        raise UsageError(
            f"--device {device} is not for --engine {chosen}, but for --engine {DEVICES[device][0]}"
        )
    return chosen


def find_shipped_or_own(weights: str) -> Path:
    """The checkpoint of weights by name, "default" included, or by file.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`anyir.model.checkpoint.find_checkpoint`.
    """
    from anyir.inference import default_name
    from anyir.inference.weights import DEFAULT
    from anyir.model.checkpoint import find_checkpoint

    return find_checkpoint(default_name() if weights == DEFAULT else weights)


def open_restorer(
    weights: str,
    *,
    engine: str,
    device: str,
    tile: TileSize,
    threads: int | None,
    guard: bool,
    quality: str,
) -> Restorer:
    """A restorer with the engine that was asked for.

    Raises:
        UsageError: as :func:`engine_for`, or an impossible tile, quality or number of threads.
        MissingExtra: PyTorch is to run, and is not installed.
        WeightsError, EngineUnavailable: as the engines'.
    """
    from anyir.inference import Restorer

    how = cast("Quality", quality)
    if engine_for(weights, engine, device) == "onnx":
        return Restorer(
            weights, device=cast("Device", device), tile=tile, threads=threads, guard=guard, quality=how
        )
    require_extra("train", ("torch", "safetensors"), "restore --engine torch")
    from anyir.model.engine import TorchEngine

    path = find_shipped_or_own(weights)
    torch = TorchEngine(path, cast("TorchDevice", device), threads)
    return Restorer(path.stem, tile=tile, guard=guard, quality=how, engine=torch)
