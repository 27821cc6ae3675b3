"""The guard against harm: a picture's tones are held to what a reading of the whole picture bears out.

A network that sees one tile of a photograph can mistake a dull wall for haze, or the dark half of a street for a
picture taken at night, and change tones that were right; and of two tiles of one haze it can see one and not the
other. So the picture is restored once more, whole and reduced: its overview. Where a tile's change of brightness and
colour differs from the overview's by more than a little, one of two things is done.

- The weaker of the two changes is made, or none if they point in opposite directions. So it is where the picture is
  a single tile, which sees the whole as the overview does, or where nothing confirms the overview.
- The overview's tones are taken, its contrast too, so that neighbouring tiles agree. So it is where the picture has
  several tiles and quarters of it, each restored by itself at up to twice the overview's scale, confirm the overview.
  This is one judgement for the whole picture, or its own border would be a seam.

Only low frequencies of the change are compared and corrected: noise, streaks and edges are the tile's alone, but that
they are raised or lowered with the contrast around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, sqrt
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anyir.errors import UsageError
from anyir.inference.tiles import (
    MIN_TILE,
    OVERLAP,
    SIZE_MULTIPLE,
    TilePlan,
    plan_tiles,
    plan_whole,
    restore_bands,
)

MIN_SIDE: Final = 64
"""Shortest side in pixels of a picture that is guarded: an overview of a smaller one shows nothing."""

MIN_REDUCTION: Final = 2
"""An overview at full size would be the same reading again."""

MAX_AREA: Final = 320 * 320
"""Pixels of an overview, at most, and no more than a tile has: about as many as most pictures that shipped weights were
trained on, so that a large photograph costs little more for it."""

MIN_AREA: Final = 256 * 256
"""Pixels that it may have even where tiles are smaller: a smaller one of a large picture is no photograph."""

PLACE: Final = 16
"""Side, in pixels of the overview, of the places whose tones are compared."""

SPOT: Final = 4
"""Side, in pixels of the overview, of the spots by which tones are corrected where a place is in doubt: finer, as
haze that is taken away where there is none changes contrast too."""

AROUND: Final = 5
"""Side, in spots, of the neighbourhood by which a spot's contrast is measured."""

MOST_CONTRAST: Final = 4.0
"""By how much contrast is raised or lowered at most: beyond, noise and blocks of compression show."""

FLAT: Final = 2e-4
"""Variance of spots, in grey of 1, well below which there is no contrast to speak of, and none is changed."""


@dataclass(frozen=True)
class Limits:
    """When a tile is corrected, and by what; chosen on held-out pictures, by results/guard.

    Differences are of mean grey, of 1, between what tile and overview change in a place. Where the picture has several
    tiles, half of either counts, as a tile sees less of it; where the overview is followed, half of that, as what
    remains between neighbours is seen.

    Attributes:
        doubt: difference from which on the tile is corrected in part.
        disbelief: difference from which on it is corrected in full. Above ``doubt``.
        unconfirmed: share of the overview's changes that its quarters make too, up to which it is not followed.
        confirmed: share from which on it is. Above ``unconfirmed``.

    Raises:
        UsageError: they are not so.
    """

    doubt: float = 0.04
    disbelief: float = 0.10
    unconfirmed: float = 0.70
    confirmed: float = 0.80

    def __post_init__(self) -> None:
        if not 0 <= self.doubt < self.disbelief:
            raise UsageError(
                f"limits of the guard: doubt = {self.doubt} and disbelief = {self.disbelief}; the first must be at "
                "least 0 and below the second"
            )
        if not (isfinite(self.disbelief) and -inf < self.unconfirmed < self.confirmed < inf):
            raise UsageError(
                f"limits of the guard: unconfirmed = {self.unconfirmed} and confirmed = {self.confirmed}; the first "
                "must be below the second, all of them finite"
            )

    def scaled(self, factor: float) -> Limits:
        """The same with other differences."""
        return replace(self, doubt=self.doubt * factor, disbelief=self.disbelief * factor)

    def share(self, difference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Difference in grey → share of the correction, from 0 to 1."""
        return np.clip((difference - self.doubt) / (self.disbelief - self.doubt), 0, 1)

    def trust(self, made_too: float) -> float:
        """Share of the overview's changes that its quarters make too → how far it is followed, from 0 to 1."""
        return float(np.clip((made_too - self.unconfirmed) / (self.confirmed - self.unconfirmed), 0, 1))


Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(3, h, w) in [0, 1], sides as an engine wants them → the same shape, restored."""


class Guard:
    """Holds the tiles of one picture to the tones of its overview.

    Args:
        image: (H, W, 3) of any type, at least one pixel; no copy is made of it.
        full_scale: the value of its type that stands for 1.0.
        plan: of its tiles. They limit the size of the overview, as :data:`MAX_AREA` and :data:`MIN_AREA` do.
        network: what restores the tiles. It is run here on the overview; and on the picture's quarters, if there are
            several tiles and the overview changes tones.
        limits: when a tile is corrected, and by what.
    """

    def __init__(
        self,
        image: NDArray[Any],
        full_scale: float,
        plan: TilePlan,
        network: Network,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        height, width = image.shape[:2]
        area = max(MIN_AREA, min(plan.tile_area, MAX_AREA))
        self._reduction: Final = max(MIN_REDUCTION, ceil(sqrt(height * width / area)))
        overview = reduced(image, self._reduction).transpose(2, 0, 1) / np.float32(full_scale)
        height, width = overview.shape[1:]
        whole = plan_whole(height, width)
        padded = overview[:, whole.rows.source(0)[:, None], whole.columns.source(0)]
        restored = network(np.ascontiguousarray(padded))[:, :height, :width]
        self._change: Final[NDArray[np.float32]] = np.clip(restored, 0, 1) - overview
        tiled = plan.count > 1
        self._trust: Final = self._confirmation(image, full_scale, network, limits) if tiled else 0.0
        self._limits: Final = limits.scaled((1 - self._trust / 2) / 2 if tiled else 1)

    def correct(
        self,
        restored: NDArray[np.float32],
        degraded: NDArray[np.float32],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
    ) -> float:
        """Correct the tones of a restored tile, in place.

        Args:
            restored: (3, h, w), what the network made of the tile.
            degraded: (3, h, w) in [0, 1], what it was given.
            rows: (h,), the picture's rows that the tile is made of.
            columns: (w,), likewise.

        Returns:
            The share of the tile, from 0 to 1, in which the tones were corrected.
        """
        change = np.clip(restored, 0, 1) - degraded
        tile, overview, area = self._readings(change, rows, columns, PLACE)
        doubt = self._limits.share(np.abs((tile - overview).mean(axis=0)))
        share = float(doubt.mean())
        if share > 0:
            np.clip(restored, 0, 1, out=restored)  # as it was when its change was measured
            smooth = area.spread(doubt)
            tile, overview, area = self._readings(change, rows, columns, SPOT)
            trust = np.float32(self._trust)
            weaker = _weaker(tile, overview)
            correction = area.spread(weaker + trust * (overview - weaker) - tile)
            if trust > 0:
                before = area.means(degraded, np.arange(len(rows)), np.arange(len(columns)))
                made = before + tile
                more = trust * (_contrast(made, before + overview) - 1)
                correction += area.spread(more) * (restored - area.spread(made))
            restored += smooth * correction
        return share

    def _confirmation(
        self, image: NDArray[Any], full_scale: float, network: Network, limits: Limits
    ) -> float:
        """How far the overview is to be believed against a tile, from 0 to 1, by readings of the picture's quarters.

        0 if it changes no tones by as much as ``limits.doubt``: then there is nothing to follow, and no quarter is
        read.
        """
        size = self._change.shape[1:]
        overview = _by_places(self._change, size)
        largest = np.abs(overview.mean(axis=0)).max()
        if largest == 0 or largest < limits.doubt:
            return 0.0
        closer = reduced(image, ceil(self._reduction / 2)) / np.float32(full_scale)
        height, width = closer.shape[:2]
        half = ceil((max(height, width) / 2 + OVERLAP) / SIZE_MULTIPLE) * SIZE_MULTIPLE
        change = np.empty((3, height, width), np.float32)

        def restore(
            quarter: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]
        ) -> NDArray[np.float32]:
            return network(np.ascontiguousarray(quarter.transpose(2, 0, 1)))

        for rows, band in restore_bands(closer, plan_tiles(height, width, max(half, MIN_TILE)), restore):
            change[:, rows] = np.clip(band, 0, 1) - closer[rows].transpose(2, 0, 1)
        quarters = _by_places(change, size)
        made_too = np.clip(quarters * np.sign(overview), 0, np.abs(overview)).sum() / np.abs(overview).sum()
        return limits.trust(float(made_too))

    def _readings(
        self, change: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], cell: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], _Area]:
        """What tile and overview change, each (3, cells down, cells across): means over cells; and the cells."""
        side = cell * self._reduction
        area = _Area(_Cells.of(len(rows), side), _Cells.of(len(columns), side))
        tile = area.means(change, np.arange(len(rows)), np.arange(len(columns)))
        overview = area.means(self._change, rows // self._reduction, columns // self._reduction)
        return tile, overview, area


def reduced(image: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Means of squares of ``factor`` pixels: (H, W, C) → (⌈H/factor⌉, ⌈W/factor⌉, C). The last may be partial."""
    height, width, channels = image.shape
    starts = np.arange(0, width, factor)
    widths = np.diff(starts, append=width)[:, None]
    result = np.empty((-(-height // factor), len(starts), channels), np.float32)
    for row in range(len(result)):  # row by row: no copy of the picture is made
        lines = image[row * factor : (row + 1) * factor].astype(np.float32)
        result[row] = np.add.reduceat(lines.sum(axis=0), starts, axis=0) / (widths * len(lines))
    return result


def _by_places(change: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """(3, H, W) → means over the places that an overview of this size has, (3, places down, places across)."""
    down, across = (
        _Cells.divided(pixels, max(1, round(side / PLACE)))
        for pixels, side in zip(change.shape[1:], size, strict=True)
    )
    area = _Area(down, across)
    return area.means(change, np.arange(change.shape[1]), np.arange(change.shape[2]))


def _contrast(made: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """By which factor contrast differs between two pictures, (3, spots down, spots across) each → (down, across).

    The slope of a regression of one on the other over the spots around each, as in a guided filter (He et al., 2010,
    eq. 5); towards 1 where all is flat, and where the two go their own ways, as where one has smoothed a texture.
    """
    mean_made, mean_wanted = _around(made), _around(wanted)
    variance = (_around(made * made) - mean_made * mean_made).mean(axis=0)
    variance_wanted = (_around(wanted * wanted) - mean_wanted * mean_wanted).mean(axis=0)
    covariance = (_around(made * wanted) - mean_made * mean_wanted).mean(axis=0)
    slope = np.clip((covariance + FLAT) / (variance + FLAT), 1 / MOST_CONTRAST, MOST_CONTRAST)
    in_common = np.clip(covariance, 0, None) ** 2 / (variance * variance_wanted + FLAT * FLAT)
    return (1 + np.clip(in_common, 0, 1) * (slope - 1)).astype(np.float32)


def _around(spots: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over the neighbourhood of each spot; the last spots are repeated beyond the border."""
    beyond = AROUND // 2
    padded = np.pad(spots, ((0, 0), (beyond, beyond), (beyond, beyond)), "edge")
    return sliding_window_view(padded, (AROUND, AROUND), axis=(1, 2)).mean(axis=(-2, -1))


def _weaker(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of two changes the smaller; none where they point in opposite directions."""
    smaller = np.where(np.abs(first) < np.abs(second), first, second)
    return np.where(first * second > 0, smaller, np.float32(0))


@dataclass(frozen=True)
class _Cells:
    """One axis of a tile, divided into cells of equal size, as nearly as pixels allow.

    Attributes:
        count: of the cells.
        index: (pixels,), the cell that each pixel lies in.
    """

    count: int
    index: NDArray[np.intp]

    @classmethod
    def of(cls, pixels: int, side: int) -> _Cells:
        return cls.divided(pixels, max(1, round(pixels / side)))

    @classmethod
    def divided(cls, pixels: int, count: int) -> _Cells:
        return cls(count, np.arange(pixels) * count // pixels)

    def averaging(self, positions: NDArray[np.intp]) -> NDArray[np.float32]:
        """(cells, last position + 1): the matrix that takes means over cells, of values at these positions."""
        matrix = np.zeros((self.count, int(positions.max()) + 1), np.float32)
        np.add.at(matrix, (self.index, positions), 1)
        return matrix / matrix.sum(axis=1, keepdims=True)

    def spreading(self) -> NDArray[np.float32]:
        """(pixels, cells): the matrix that interpolates linearly between the cells' centres."""
        pixels = np.arange(len(self.index))
        centres = np.bincount(self.index, pixels) / np.bincount(self.index)
        unit = np.eye(self.count)
        return np.stack([np.interp(pixels, centres, cell) for cell in unit], axis=1).astype(np.float32)


@dataclass(frozen=True)
class _Area:
    """A tile, divided into cells both ways."""

    down: _Cells
    across: _Cells

    def means(
        self, values: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """(C, H, W) → (C, cells down, cells across): means over the tile's pixels, which lie at these places."""
        down, across = self.down.averaging(rows), self.across.averaging(columns)
        return down @ values[:, : down.shape[1], : across.shape[1]] @ across.T

    def spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., cells down, cells across) → (..., h, w), interpolated."""
        return self.down.spreading() @ values @ self.across.spreading().T
