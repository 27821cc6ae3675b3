"""Tiles: how a picture of any size goes through a network in pieces, and comes back as one.

The picture is treated as padded by reflection to multiples of :data:`SIZE_MULTIPLE`; no padded copy is made.
Along each axis all tiles have the same size, the smallest that covers the axis with that number of tiles, and
start at multiples of :data:`SIZE_MULTIPLE`: the network sees every pixel in the same phase of its three
halvings whether tiled or not. Neighbours overlap; the outer quarter of the overlap, where a tile lacks its
surroundings, is discarded, and the middle half is cross-faded by a raised cosine.

The result is made band by band: besides the picture and its result, only one row of tiles is held as float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyir.errors import UsageError

SIZE_MULTIPLE: Final = 8
"""Height and width of what an engine is given are multiples of this: the network halves them three times."""

MIN_SIDE: Final = 16
"""Shortest side an engine is given: below it, the network's deepest level would be a single pixel wide."""

AUTO_TILE: Final = 512
"""Longest side of a tile where the user leaves it to us: smaller ones lose PSNR on haze and darkness, by
results/tiles, and larger ones take more memory."""

AUTO_WHOLE_AREA: Final = 640 * 640
"""With ``tile="auto"``, a picture of at most this many pixels goes through in one piece."""

MIN_TILE: Final = 64
"""Smallest tile that may be asked for."""

OVERLAP: Final = 32
"""Pixels that neighbouring tiles share, at least."""

TileSize: TypeAlias = int | Literal["auto"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called as ``progress(tiles done, tiles in all)``."""


RestoreTile: TypeAlias = Callable[[NDArray[Any], NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32]]
"""A tile (h, w, C), and the picture's rows (h,) and columns (w,) that it is made of → (C, h, w) float32."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis.

    Attributes:
        length: pixels of the picture.
        padded: pixels including the reflection; the tiles cover exactly this.
        size: pixels of each tile.
        starts: first pixel of each tile, ascending.
        fade: pixels over which a tile gives way to the next.
    """

    length: int
    padded: int
    size: int
    starts: tuple[int, ...]
    fade: int

    def source(self, index: int) -> NDArray[np.intp]:
        """Picture coordinates (size,) that tile ``index`` is made of, reflected beyond the border."""
        positions = np.arange(self.starts[index], self.starts[index] + self.size)
        period = max(2 * (self.length - 1), 1)  # one pixel has no reflection but itself
        folded = positions % period
        return np.minimum(folded, period - folded) if self.length > 1 else np.zeros_like(folded)

    def weights(self, index: int) -> NDArray[np.float32]:
        """Blending weights (size,) of tile ``index`` in [0, 1]; at each pixel those of all tiles sum to 1."""
        # A telescoping sum: each tile gets what has faded in by its start less what has by its successor's.
        return (self._faded_in(index) - self._faded_in(index, index + 1)).astype(np.float32)

    def _faded_in(self, window: int, index: int | None = None) -> NDArray[np.float64]:
        """How far tile ``index`` (default: ``window``) has faded in, at the pixels of tile ``window``."""
        index = window if index is None else index
        if index == 0:
            return np.ones(self.size)
        if index == len(self.starts):
            return np.zeros(self.size)
        centre = (self.starts[index] + self.starts[index - 1] + self.size) / 2
        pixels = self.starts[window] + np.arange(self.size) + 0.5
        return np.sin(np.pi / 2 * np.clip((pixels - centre) / self.fade + 0.5, 0, 1)) ** 2


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a picture: every row of ``rows`` with every column of ``columns``."""

    rows: Axis
    columns: Axis

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def tile_area(self) -> int:
        """Pixels of each tile."""
        return self.rows.size * self.columns.size


def check_tile(tile: object) -> TileSize:
    """Return ``tile`` if it is a tile size.

    Raises:
        UsageError: if it is neither "auto" nor a multiple of 8 of at least 64.
    """
    if tile == "auto":
        return "auto"
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < MIN_TILE or tile % SIZE_MULTIPLE:
        raise UsageError(
            f"tile = {tile!r}: must be 'auto' or a multiple of {SIZE_MULTIPLE} of at least {MIN_TILE} pixels"
        )
    return tile


def check_overlap(overlap: int, tile: TileSize) -> int:
    """Return ``overlap`` if tiles of this size can share so many pixels.

    Raises:
        UsageError: if it is not a multiple of 8 from 0 to half the tile.
    """
    side = AUTO_TILE if tile == "auto" else tile
    if not 0 <= overlap <= side // 2 or overlap % SIZE_MULTIPLE:
        raise UsageError(
            f"overlap = {overlap}: must be a multiple of {SIZE_MULTIPLE} up to half the tile ({side // 2})"
        )
    return overlap


def plan_tiles(height: int, width: int, tile: TileSize = "auto", overlap: int = OVERLAP) -> TilePlan:
    """Lay tiles over a picture.

    Args:
        height: of the picture in pixels, at least 1.
        width: likewise.
        tile: longest side of a tile in pixels, overlap included; "auto": the whole picture up to
            :data:`AUTO_WHOLE_AREA` pixels, :data:`AUTO_TILE` above.
        overlap: pixels that neighbours share at least: a multiple of 8, at most half the tile.

    Raises:
        UsageError: if tile or overlap is not one of these.
    """
    tile = check_tile(tile)
    check_overlap(overlap, tile)
    if tile == "auto":
        if _padded(height) * _padded(width) <= AUTO_WHOLE_AREA:
            return plan_whole(height, width)
        tile = AUTO_TILE
    return TilePlan(_lay(height, tile, overlap), _lay(width, tile, overlap))


def plan_whole(height: int, width: int) -> TilePlan:
    """A single tile over all of a picture, whatever its size."""
    side = max(_padded(height), _padded(width))
    return TilePlan(_lay(height, side, 0), _lay(width, side, 0))


def restore_bands(
    image: NDArray[Any],
    plan: TilePlan,
    restore: RestoreTile,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Restore ``image`` tile by tile and yield finished bands from the top down.

    Args:
        image: (H, W, C), of any type: the tiles that ``restore`` is given are cut from it.
        plan: laid for this H and W.
        restore: what restores a tile.
        progress: called after each tile.

    Yields:
        Rows of the picture and their values, (C, rows, W). The array is the caller's to change until the next
        band is asked for, and no longer valid then.
    """
    rows, columns = plan.rows, plan.columns
    band = np.zeros((image.shape[2], rows.size, columns.padded), np.float32)
    done = 0
    for i, top in enumerate(rows.starts):
        row_source, row_weights = rows.source(i), rows.weights(i)[:, None]
        for j, left in enumerate(columns.starts):
            column_source = columns.source(j)
            restored = restore(image[row_source[:, None], column_source], row_source, column_source)
            band[:, :, left : left + columns.size] += restored * (row_weights * columns.weights(j))
            done += 1
            if progress is not None:
                progress(done, plan.count)
        # What lies above the next row of tiles is final; the rest is carried over to it.
        bottom = rows.starts[i + 1] if i + 1 < len(rows.starts) else rows.padded
        final, inside = bottom - top, min(bottom, rows.length) - top
        if inside > 0:
            yield slice(top, top + inside), band[:, :inside, : columns.length]
        band[:, : rows.size - final] = band[:, final:]
        band[:, rows.size - final :] = 0


def _round_up(pixels: int) -> int:
    return -(-pixels // SIZE_MULTIPLE) * SIZE_MULTIPLE


def _padded(length: int) -> int:
    return max(_round_up(length), MIN_SIDE)


def _lay(length: int, tile: int, overlap: int) -> Axis:
    """Tiles of at most ``tile`` pixels along an axis: as few as possible, then as small as possible."""
    padded = _padded(length)
    fade = max(overlap // 2, 1)
    if padded <= tile:
        return Axis(length, padded, padded, (0,), fade)
    count = -(-(padded - overlap) // (tile - overlap))
    size = _round_up(-(-(padded + (count - 1) * overlap) // count))
    steps = (padded - size) // SIZE_MULTIPLE
    starts = tuple(steps * i // (count - 1) * SIZE_MULTIPLE for i in range(count))
    return Axis(length, padded, size, starts, fade)
