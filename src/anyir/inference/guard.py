"""The guard against harm: where two readings of a picture disagree on its tones, the weaker is taken.

A network that sees one tile of a photograph can mistake a dull wall for haze, or the dark half of a street for a
picture taken at night, and change tones that were right. So the picture is restored once more, whole and reduced; and
where the tile's change of brightness and colour differs from the overview's by more than a
little, the smaller of the two is made, or none if they point in opposite directions.

Only low frequencies of the change are compared and corrected: noise, streaks and edges are the tile's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyir.errors import UsageError
from anyir.inference.tiles import TilePlan, plan_whole

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


@dataclass(frozen=True)
class Limits:
    """How far two readings of a place may differ in mean grey, of 1; chosen on held-out pictures, by results/guard.

    Attributes:
        doubt: from here on the weaker reading has a share.
        disbelief: from here on it has all. Above ``doubt``.

    Raises:
        UsageError: the two are not so.
    """

    doubt: float = 0.04
    disbelief: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.doubt < self.disbelief:
            raise UsageError(
                f"limits of the guard: doubt = {self.doubt} and disbelief = {self.disbelief}; the first must be at "
                "least 0 and below the second"
            )

    def share(self, difference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Difference in grey → share of the weaker reading, from 0 to 1."""
        return np.clip((difference - self.doubt) / (self.disbelief - self.doubt), 0, 1)


Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(3, h, w) in [0, 1], sides as an engine wants them → the same shape, restored."""


class Guard:
    """Holds the tiles of one picture to the tones of its overview.

    Args:
        image: (H, W, 3) of any type, at least one pixel; no copy is made of it.
        full_scale: the value of its type that stands for 1.0.
        plan: of its tiles. They limit the size of the overview, as :data:`MAX_AREA` and :data:`MIN_AREA` do.
        network: what restores the tiles. It is run once here, on the overview.
        limits: from which difference on readings are not believed.
    """

    def __init__(
        self,
        image: NDArray[Any],
        full_scale: float,
        plan: TilePlan,
        network: Network,
        limits: Limits | None = None,
    ) -> None:
        self._limits: Final = limits or Limits()
        height, width = image.shape[:2]
        area = max(MIN_AREA, min(plan.tile_area, MAX_AREA))
        self._reduction: Final = max(MIN_REDUCTION, ceil(sqrt(height * width / area)))
        overview = reduced(image, self._reduction).transpose(2, 0, 1) / np.float32(full_scale)
        height, width = overview.shape[1:]
        whole = plan_whole(height, width)
        padded = overview[:, whole.rows.source(0)[:, None], whole.columns.source(0)]
        restored = network(np.ascontiguousarray(padded))[:, :height, :width]
        self._change: Final[NDArray[np.float32]] = np.clip(restored, 0, 1) - overview

    def hold_back(
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
            The share of the tile, from 0 to 1, in which the tones were held back.
        """
        change = np.clip(restored, 0, 1) - degraded
        tile, overview, area = self._readings(change, rows, columns, PLACE)
        doubt = self._limits.share(np.abs((tile - overview).mean(axis=0)))
        share = float(doubt.mean())
        if share > 0:
            smooth = area.spread(doubt)
            tile, overview, area = self._readings(change, rows, columns, SPOT)
            restored += smooth * area.spread(_weaker(tile, overview) - tile)
        return share

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
        count = max(1, round(pixels / side))
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
