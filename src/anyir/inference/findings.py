"""What a restoration did to a picture, in figures: noise, sharpness and exposure before and after, and the change.

All values are in grey levels of 0 to 255, whatever the picture's depth. They are estimates made to be compared before
with after, not measurements of a camera. No float copy of the picture is made: the change is taken band by band over
all of it, the rest over bands spread evenly from top to bottom.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch
from anyir.picture import LUMA, Samples

SAMPLE: Final = 1 << 19
"""Pixels, about, by which a picture is judged; a smaller one is judged whole."""

BAND: Final = 16
"""Rows of a band of the sample."""

MIN_BANDS: Final = 8
"""However wide a picture is, it is not judged by its upper edge alone."""

PIECE: Final = 1 << 20
"""Pixels, about, of which the change is taken at a time."""

GRID: Final = 8
"""The picture is divided into so many areas down and across, to say where it changed most."""

DARKEST: Final = 2.0
BRIGHTEST: Final = 253.0
"""Grey levels up to which, and from which on, brightness counts as lost."""

NEWLY_LOST: Final = 0.01
"""Share of the picture whose brightness is lost in the result alone, from which there is a warning."""

NOISE_ADDED: Final = 1.0
"""Grey levels by which the noise may seem to rise without a warning."""

_LUMA: Final = np.array(LUMA, np.float32)
_NORMAL_MEDIAN: Final = 0.6745
"""Median of the absolute value of what is normally distributed with a standard deviation of 1."""


@dataclass(frozen=True)
class Reading:
    """What a picture looks like.

    Attributes:
        noise: standard deviation of the noise in a channel, mean of the three. The median of the absolute second
            difference both ways (the kernel of Immerkær 1996), over that of unit noise: structure, being rare, hardly
            counts, but dense texture does. 0 where a picture has fewer than 3 pixels a side.
        sharpness: steepness of the steepest hundredth of luma, in grey levels a pixel (Sobel). Noise adds to it: after
            a denoising, less is not worse. 0 where a picture has fewer than 3 pixels a side.
        brightness: mean luma.
        dark: share of the picture, from 0 to 1, of luma up to :data:`DARKEST`.
        bright: share of luma from :data:`BRIGHTEST` on.
    """

    noise: float
    sharpness: float
    brightness: float
    dark: float
    bright: float


@dataclass(frozen=True)
class Change:
    """How far two pictures of one size are from each other.

    Attributes:
        mean: absolute difference, mean over pixels and channels.
        largest: absolute difference of a channel of a pixel, at most.
        largest_at: (column, row) of that pixel, the first of several.
        area: (left, top, width, height) in pixels of the one of :data:`GRID`² areas that changed most.
        area_mean: as ``mean``, of that area.
    """

    mean: float
    largest: float
    largest_at: tuple[int, int]
    area: tuple[int, int, int, int]
    area_mean: float


@dataclass(frozen=True)
class Findings:
    """A picture before and after, and what changed."""

    before: Reading
    after: Reading
    change: Change

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at before using the result."""
        found: list[str] = []
        for what, before, after in (
            ("black", self.before.dark, self.after.dark),
            ("white", self.before.bright, self.after.bright),
        ):
            if after - before >= NEWLY_LOST:
                found.append(f"{after - before:.1%} of it became {what}")
        if self.after.noise - self.before.noise >= NOISE_ADDED:
            found.append(f"noise seems to have risen from {self.before.noise:.1f} to {self.after.noise:.1f}")
        return tuple(found)


def find(before: Samples, after: Samples) -> Findings:
    """Compare a picture's pixels before and after.

    Args:
        before: (H, W, 3) RGB, uint8 or uint16, at least one pixel.
        after: of the same shape and type.

    Raises:
        ShapeMismatch: they are not two such images.
    """
    if before.shape != after.shape or before.dtype != after.dtype or before.ndim != 3:
        raise ShapeMismatch(
            f"findings need two (H, W, 3) images alike, not {before.shape} {before.dtype} "
            f"and {after.shape} {after.dtype}"
        )
    return Findings(look_at(before), look_at(after), _change(before, after))


def look_at(pixels: Samples) -> Reading:
    """Judge a picture by a sample of it.

    Args:
        pixels: (H, W, 3) RGB, uint8 or uint16, at least one pixel.
    """
    responses: list[NDArray[np.float32]] = []
    slopes: list[NDArray[np.floating[Any]]] = []
    total, dark, bright, count = 0.0, 0, 0, 0
    for band in _sample(pixels):
        levels = _levels(band)
        luma = levels @ _LUMA
        total += float(luma.sum(dtype=np.float64))
        dark += int(np.count_nonzero(luma <= DARKEST))
        bright += int(np.count_nonzero(luma >= BRIGHTEST))
        count += luma.size
        if min(luma.shape) >= 3:
            responses.append(np.abs(_second_difference(levels)).reshape(-1, 3))
            slopes.append(_slope(luma).ravel())
    noise = sharpness = 0.0
    if responses:
        medians = np.median(np.concatenate(responses), axis=0)
        noise = float(medians.mean()) / (6 * _NORMAL_MEDIAN)  # 6: the norm of the kernel
        sharpness = float(np.percentile(np.concatenate(slopes), 99))
    return Reading(noise, sharpness, total / count, dark / count, bright / count)


def to_json(findings: Findings) -> dict[str, Any]:
    """The findings as plain values, rounded to what they are good for."""
    return {
        name: {
            key: [*value] if isinstance(value, tuple) else round(value, 4 if key in ("dark", "bright") else 2)
            for key, value in part.items()
        }
        for name, part in asdict(findings).items()
    }


def from_json(values: Any) -> Findings:  # noqa: ANN401 - what a file says
    """What :func:`to_json` gave.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    change = dict(values["change"])
    column, row = change.pop("largest_at")
    left, top, width, height = change.pop("area")
    return Findings(
        Reading(**values["before"]),
        Reading(**values["after"]),
        Change(largest_at=(column, row), area=(left, top, width, height), **change),
    )


def _sample(pixels: Samples) -> Iterator[Samples]:
    """Bands of a picture, evenly spread; all of it where it is small."""
    height, width = pixels.shape[:2]
    bands = max(MIN_BANDS, SAMPLE // (BAND * width))
    if bands * BAND >= height:
        yield pixels
        return
    for top in np.linspace(0, height - BAND, bands).astype(int):
        yield pixels[top : top + BAND]


def _levels(pixels: Samples) -> NDArray[np.float32]:
    """Samples of any depth → float32 in [0, 255]."""
    levels = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        levels /= np.float32(257)
    return levels


def _second_difference(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, C) → (H - 2, W - 2, C), filtered by (1, -2, 1) down and across."""
    return np.diff(np.diff(values, 2, axis=0), 2, axis=1)


def _slope(luma: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """(H, W) → (H - 2, W - 2): length of the gradient, as the Sobel filters have it."""
    smooth = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
    down = (smooth[2:] - smooth[:-2]) / 8
    smooth = luma[:-2] + 2 * luma[1:-1] + luma[2:]
    across = (smooth[:, 2:] - smooth[:, :-2]) / 8
    return np.hypot(down, across)


def _change(before: Samples, after: Samples) -> Change:
    height, width = before.shape[:2]
    rows, columns = _edges(height), _edges(width)
    sums = np.zeros((len(rows) - 1, len(columns) - 1))
    largest, at = -1, (0, 0)
    step = max(1, PIECE // width)
    for index, (top, bottom) in enumerate(itertools.pairwise(rows)):
        for start in range(top, bottom, step):
            piece = slice(start, min(start + step, bottom))
            old, new = before[piece], after[piece]
            difference = np.maximum(old, new) - np.minimum(old, new)
            by_column = difference.sum(axis=(0, 2), dtype=np.float64)
            sums[index] += np.add.reduceat(by_column, columns[:-1])
            place = int(difference.argmax())
            if (value := int(difference.flat[place])) > largest:
                largest, at = value, (place // 3 % width, start + place // 3 // width)
    scale = np.iinfo(before.dtype).max / 255 * 3  # three channels a pixel
    means = sums / scale / np.outer(np.diff(rows), np.diff(columns))
    down, across = divmod(int(means.argmax()), means.shape[1])
    left, top = columns[across], rows[down]
    return Change(
        mean=float(sums.sum() / scale / (height * width)),
        largest=largest / (scale / 3),
        largest_at=at,
        area=(left, top, columns[across + 1] - left, rows[down + 1] - top),
        area_mean=float(means[down, across]),
    )


def _edges(length: int) -> list[int]:
    """Where the areas begin along an axis, and its end."""
    parts = min(GRID, length)
    return [length * part // parts for part in range(parts + 1)]
