"""The one way to restore: a picture, an array or a file in, the same kind of thing out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from anyir.errors import EngineUnavailable, ShapeMismatch, UsageError
from anyir.inference.engine import DescribedEngine, Engine, OnnxEngine
from anyir.inference.ensemble import Quality, SelfEnsemble, check_quality
from anyir.inference.guard import MIN_SIDE, Guard, Limits
from anyir.inference.onnx_session import Device
from anyir.inference.tiles import (
    OVERLAP,
    Progress,
    TileSize,
    check_overlap,
    check_tile,
    plan_tiles,
    restore_bands,
)
from anyir.inference.weights import DEFAULT, ModelFacts, resolve
from anyir.picture import Picture, read

_FULL_SCALE: Final = {"u1": 255.0, "u2": 65535.0, "f2": 1.0, "f4": 1.0, "f8": 1.0}
"""The value that stands for 1.0, by kind and size of number."""


class Restorer:
    """Restores pictures with one network. Loading it takes a moment, so make one and call it often.

    Args:
        weights: a name ("default", "anyir", ...) or an ONNX file. With an ``engine``, only a name to go by.
        device: "cpu", "cuda", "directml", "coreml", or "auto": CUDA or DirectML where ONNX Runtime can use it, else
            the CPU.
        tile: longest side in pixels of what the network sees at once, a multiple of 8 of at least 64; it sets
            the memory needed. "auto" chooses.
        overlap: pixels that neighbouring tiles share at least: a multiple of 8, at most half the tile.
        threads: CPU threads; ``None``: as many as this process may use cores.
        guard: hold changes of brightness, colour and contrast to those of an overview of the picture
            (:mod:`anyir.inference.guard`). The overview has at most 320×320 pixels, and no more than a tile, or
            than 256×256 where tiles are smaller; a quarter of the picture, where it is read, up to 1.8 times as many.
            Pictures of less than 64 pixels a side have no guard. It may be given other limits.
        quality: "standard", or "best": the mean of what the network makes of each tile and its three mirror images,
            in four times the time (:mod:`anyir.inference.ensemble`).
        engine: runs the network in place of ONNX Runtime, for example :class:`anyir.model.engine.TorchEngine`;
            weights, device and threads are then up to it.

    Attributes:
        name: the weights' name.
        facts: what is known of shipped weights; ``None`` for others.
        sha256: of the weights' file, in hexadecimal; ``None`` with an ``engine`` that does not say.
        tile: as given.
        overlap: as given.
        guard: whether there is one.
        limits: the guard's; ``None`` where there is none.
        quality: as given.
        engine: what runs the network.
        provider: what really runs it, e.g. "CPUExecutionProvider".
        device: where, e.g. "cpu"; ``None`` with an ``engine`` that does not say.
        chosen_because: why there, as the rest of a sentence; ``None`` likewise.

    Raises:
        UsageError: an impossible tile, overlap, quality, device or number of threads.
        WeightsError: there are no such weights, or they cannot be used.
        EngineUnavailable: the device or ONNX Runtime cannot be had.

    Examples:
        >>> restored = Restorer()("old-photograph.jpg")  # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | Path = DEFAULT,
        *,
        device: Device = "auto",
        tile: TileSize = "auto",
        overlap: int = OVERLAP,
        threads: int | None = None,
        guard: bool | Limits = True,
        quality: Quality = "standard",
        engine: Engine | None = None,
    ) -> None:
        self.tile: Final = check_tile(tile)
        self.overlap: Final = check_overlap(overlap, self.tile)
        self.limits: Final = guard if isinstance(guard, Limits) else Limits() if guard else None
        self.guard: Final = self.limits is not None
        self.quality: Final = check_quality(quality)
        self.facts: ModelFacts | None = None
        self.sha256: str | None = None
        if engine is not None:
            self.engine: Engine = engine
            described = engine if isinstance(engine, DescribedEngine) else None
            self.name = type(engine).__name__ if weights == DEFAULT else str(weights)
            self.sha256 = None if described is None else described.sha256
        else:
            file = resolve(weights)
            self.engine = described = OnnxEngine(file.path, device, threads)
            self.name, self.facts, self.sha256 = file.name, file.facts, file.sha256()
        if quality == "best":
            self.engine = SelfEnsemble(self.engine)
        self.device: Final = None if described is None else described.device
        self.chosen_because: Final = None if described is None else described.chosen_because

    @property
    def provider(self) -> str:
        """What really runs the network, e.g. "CPUExecutionProvider"."""
        return self.engine.provider

    @overload
    def __call__(
        self,
        degraded: Picture | str | Path,
        *,
        strength: float = 1.0,
        on_tile: Progress | None = None,
        on_guard: Callable[[float], None] | None = None,
    ) -> Picture: ...

    @overload
    def __call__(
        self,
        degraded: NDArray[Any],
        *,
        strength: float = 1.0,
        on_tile: Progress | None = None,
        on_guard: Callable[[float], None] | None = None,
    ) -> NDArray[Any]: ...

    def __call__(
        self,
        degraded: Picture | str | Path | NDArray[Any],
        *,
        strength: float = 1.0,
        on_tile: Progress | None = None,
        on_guard: Callable[[float], None] | None = None,
    ) -> Picture | NDArray[Any]:
        """Restore a picture. Its size never changes.

        Args:
            degraded: a :class:`Picture` or the path of one; or an RGB image (H, W, 3) or grey one (H, W) of
                at least one pixel, uint8, uint16, or floating point in [0, 1].
            strength: from 0, the input as it is without running the network, to 1, what the network gives.
            on_tile: called as ``on_tile(done, total)`` after each tile; not at all at strength 0.
            on_guard: called at the end with the share of the picture, from 0 to 1, in which the guard corrected
                tones; not at all where there was no guard.

        Returns:
            For a picture or path, a picture: alpha, metadata and greyness are kept. For an integer image, one
            of the same shape and type, rounded to nearest; for a floating-point image, float32 in [0, 1], not
            rounded. At strength 0, what was given bit for bit (float16 and float64 become float32).

        Raises:
            UsageError: strength or values outside [0, 1], values that are not numbers, or another type.
            ShapeMismatch: an array of another shape, or an engine that changes the shape.
            PictureError: the file cannot be read.
            EngineUnavailable: the engine cannot run the network, or gives values that are not finite.
        """
        if not 0 <= strength <= 1:
            raise UsageError(f"strength = {strength!r}: must be from 0 (leave as it is) to 1 (restore fully)")
        if isinstance(degraded, (str, Path)):
            degraded = read(degraded)
        if isinstance(degraded, Picture):
            if strength == 0:
                return degraded
            restored = self._restore(degraded.pixels, strength, on_tile, on_guard, degraded.grey)
            return degraded.with_pixels(restored)
        full_scale = _check_image(degraded)
        if strength == 0:
            return degraded.astype(np.float32) if full_scale == 1.0 else degraded.copy()
        return self._restore(degraded, strength, on_tile, on_guard, degraded.ndim == 2)

    def _restore(
        self,
        image: NDArray[Any],
        strength: float,
        on_tile: Progress | None,
        on_guard: Callable[[float], None] | None,
        grey: bool,
    ) -> NDArray[Any]:
        """Restore a checked image, band by band; where grey, average the network's three channels."""
        full_scale = _full_scale(image.dtype)
        rounded = full_scale != 1.0
        result = np.empty(image.shape, image.dtype.newbyteorder("=") if rounded else np.float32)
        rgb = image if image.ndim == 3 else np.broadcast_to(image[..., None], (*image.shape, 3))
        plan = plan_tiles(image.shape[0], image.shape[1], self.tile, self.overlap)
        guarded = self.guard and min(image.shape[:2]) >= MIN_SIDE
        guard = Guard(rgb, full_scale, plan, self._run, self.limits) if guarded else None
        corrected: list[float] = []

        def restore_tile(
            tile: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]
        ) -> NDArray[np.float32]:
            unit = _to_unit(tile, full_scale)
            restored = self._run(unit)
            if guard is not None:
                corrected.append(guard.correct(restored, unit, rows, columns))
            return restored

        for rows, band in restore_bands(rgb, plan, restore_tile, on_tile):
            np.clip(band, 0, 1, out=band)
            if grey:
                band = band.mean(axis=0, keepdims=True)
            if strength < 1:
                _blend(band, _to_unit(rgb[rows, :, : len(band)], full_scale), strength)
            if rounded:
                band *= full_scale
                np.rint(band, out=band)
            result[rows] = band[0] if image.ndim == 2 else band.transpose(1, 2, 0)
        if corrected and on_guard is not None:
            on_guard(fmean(corrected))
        return result

    def _run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the engine on one tile (3, h, w), and check what comes back: an engine may be anybody's."""
        restored = self.engine(tile[None])
        if restored.shape != (1, *tile.shape):
            raise ShapeMismatch(
                f"{self.name}: the network made {tuple(restored.shape)} of {(1, *tile.shape)}; "
                "a restorer must keep the size"
            )
        if not np.isfinite(restored).all():
            raise EngineUnavailable(
                f"{self.name}: the network's result is not finite ({self.provider}); try the device 'cpu', "
                "or other weights"
            )
        return restored[0]


def _to_unit(pixels: NDArray[Any], full_scale: float) -> NDArray[np.float32]:
    """(h, w, C) of any type → contiguous float32 (C, h, w) in [0, 1]."""
    unit = np.array(pixels.transpose(2, 0, 1), dtype=np.float32, order="C")
    unit /= full_scale
    return unit


def _blend(restored: NDArray[np.float32], degraded: NDArray[np.float32], strength: float) -> None:
    """Mix ``degraded`` into ``restored``, both in [0, 1], in place; both are overwritten."""
    restored *= strength
    degraded *= 1 - strength
    restored += degraded
    np.clip(restored, 0, 1, out=restored)  # the two weights may sum to a rounding error above 1


def _full_scale(dtype: np.dtype[Any]) -> float:
    """The value of this type that stands for 1.0.

    Raises:
        UsageError: for a type that no image has.
    """
    try:
        return _FULL_SCALE[f"{dtype.kind}{dtype.itemsize}"]
    except KeyError:
        raise UsageError(
            f"an image of {dtype}: must be uint8, uint16, or floating point in [0, 1]; convert it first"
        ) from None


def _check_image(image: object) -> float:
    """Check an array at the door, and return its full scale.

    Raises:
        UsageError, ShapeMismatch: as :meth:`Restorer.__call__`.
    """
    if not isinstance(image, np.ndarray):
        raise UsageError(f"cannot restore a {type(image).__name__}: give a Picture, a path or a NumPy array")
    full_scale = _full_scale(image.dtype)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ShapeMismatch(
            f"an image of shape {image.shape}: must be (H, W, 3) RGB or (H, W) grey, with at least one pixel"
        )
    if full_scale == 1.0:
        lowest, highest = float(image.min()), float(image.max())
        if np.isnan(lowest) or np.isnan(highest):
            raise UsageError("the image has values that are not numbers (NaN); replace them first")
        if lowest < 0 or highest > 1:
            raise UsageError(
                f"the image has values from {lowest:g} to {highest:g}; floating point must be in [0, 1]"
            )
    return full_scale
