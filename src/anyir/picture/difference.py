"""What changed from one picture to another, as a picture: mid grey where nothing did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch, UsageError
from anyir.picture.types import Picture

AMPLIFY: Final = 4.0
"""Default amplification: a change of a few grey levels, which the eye hardly sees, stands out; taking away rain or haze
is clipped in few places."""

UNCHANGED: Final = 128
"""Grey level of a difference of zero."""

REACH: Final = 127
"""Grey levels by which the picture of a difference goes up and down from there."""

BACKDROP: Final = 128.0
"""Grey level behind transparent parts: neither black drawings nor white ones vanish before it."""

_PIECE: Final = 1 << 18
"""Pixels, about, that are held as float at a time."""


@dataclass(frozen=True, eq=False)
class Difference:
    """How far two pictures are from each other, as they are shown.

    Attributes:
        pixels: (H, W, 3) uint8: :data:`UNCHANGED`, and ``amplify`` times the change of the channel above or below it.
        amplify: by how much.
        mean: absolute change, mean over pixels and channels, in grey levels of 255.
        largest: absolute change of a channel of a pixel, at most.
        clipped: share of the pixels, from 0 to 1, of which a channel changed by more than can be shown.
    """

    pixels: NDArray[np.uint8]
    amplify: float
    mean: float
    largest: float
    clipped: float

    @property
    def reach(self) -> float:
        """The largest change that can be shown, in grey levels of 255."""
        return REACH / self.amplify


def difference(before: Picture, after: Picture, amplify: float = AMPLIFY) -> Difference:
    """Take ``after`` less ``before``, at full depth, transparent parts over :data:`BACKDROP`.

    Args:
        before: a picture of any depth.
        after: one of the same size, which may have another depth.
        amplify: above 0, at most :data:`REACH`, with which a change of one grey level is already full scale.

    Raises:
        ShapeMismatch: they differ in size.
        UsageError: an impossible amplification.
    """
    if (before.width, before.height) != (after.width, after.height):
        raise ShapeMismatch(
            f"a comparison needs two pictures of one size, not {before.width}x{before.height} "
            f"and {after.width}x{after.height} pixels; bring them to one size first"
        )
    if not 0 < amplify <= REACH:  # also refuses NaN
        raise UsageError(f"amplify = {amplify:g}: must be above 0 and at most {REACH}")
    pixels = np.empty(before.pixels.shape, np.uint8)
    total, largest, clipped = 0.0, 0.0, 0
    for rows in _bands(before):
        change = _levels(after, rows) - _levels(before, rows)
        size = np.abs(change)
        total += float(size.sum(dtype=np.float64))
        largest = max(largest, float(size.max()))
        clipped += int(np.count_nonzero(size.max(axis=2) * amplify > REACH))
        change *= amplify
        np.clip(change, -REACH, REACH, out=change)
        pixels[rows] = np.rint(change) + UNCHANGED
    area = before.width * before.height
    return Difference(pixels, amplify, total / (3 * area), largest, clipped / area)


def eight_bits(picture: Picture) -> NDArray[np.uint8]:
    """A picture as it is shown, (H, W, 3): 16 bits rounded to 8, transparent parts over :data:`BACKDROP`.

    An opaque picture of 8 bits is returned as it is, not copied.
    """
    if picture.alpha is None and picture.pixels.dtype == np.uint8:
        return picture.pixels.astype(np.uint8, copy=False)
    pixels = np.empty(picture.pixels.shape, np.uint8)
    for rows in _bands(picture):
        pixels[rows] = np.rint(_levels(picture, rows))
    return pixels


def _bands(picture: Picture) -> Iterator[slice]:
    step = max(1, _PIECE // picture.width)
    for top in range(0, picture.height, step):
        yield slice(top, min(top + step, picture.height))


def _levels(picture: Picture, rows: slice) -> NDArray[np.float32]:
    """Some rows of a picture as they are shown, float32 in [0, 255], not rounded."""
    scale = np.float32(np.iinfo(picture.pixels.dtype).max)
    levels = picture.pixels[rows].astype(np.float32) * (np.float32(255) / scale)
    if picture.alpha is not None:
        opacity = (picture.alpha[rows].astype(np.float32) / scale)[..., None]
        levels = (levels - BACKDROP) * opacity + BACKDROP
    return levels
