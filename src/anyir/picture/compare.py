"""Before, after and the difference in one picture, with a legend above each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from anyir.picture.difference import AMPLIFY, Difference, difference, eight_bits
from anyir.picture.limits import MAX_SIDE
from anyir.picture.types import Metadata, Picture

SURFACE: Final = 24
INK: Final = 235
FAINT_INK: Final = 165
"""Grey levels of what the panels lie on, of titles and of what stands below them."""

MIN_TYPE: Final = 14
"""Pixels of the smallest title that is read without effort."""

MIN_CELL: Final = 240
"""Pixels of width that a legend has at least, however narrow its panel is."""

_LINES_TO_A_SCREEN: Final = 80
"""Titles that the longer side of the whole would hold: on a screen they are as large as its own."""

_HEIGHTS_TO_A_CELL: Final = 16
"""Heights of a title in the width of a legend, at least: then what stands below it keeps to its lines."""

_WIDE: Final = 16 / 9
"""Width over height from which panels below each other come out larger than in a row, on a screen of that shape."""


def compare_pictures(
    before: Picture, after: Picture, *, amplify: float = AMPLIFY, format: str | None = None
) -> Picture:
    """Before | after | what changed, each with a legend; wide pictures below each other.

    The panels have the pictures' pixels as they are, at 8 bits, transparent parts over mid grey; but where the format
    cannot hold three panels of that size, they are reduced by the least whole factor with which it can. The third shows
    by how much ``after`` is brighter or darker than ``before``, channel by channel; see
    :func:`anyir.picture.difference.difference`.

    Args:
        before: a picture.
        after: one of the same size.
        amplify: of the difference, above 0 and at most 127.
        format: that the result is to be written in, and whose longest side it is laid out for; default: before's.

    Returns:
        A picture of 8 bits without transparency, grey if both are, with the metadata of ``before``; but where only
        that is grey, with those of ``after``, as a grey colour profile does not fit colours. As JPEG it is written
        with quality 95 and full colour resolution, whatever the two had.

    Raises:
        ShapeMismatch: they differ in size.
        UsageError: an impossible amplification.
    """
    change = difference(before, after, amplify)
    foreign = (
        ("its colours are shown by the profile of the other",)
        if before.metadata.icc != after.metadata.icc
        else ()
    )
    panels = (
        _Panel(eight_bits(before), "before", _notes(before)),
        _Panel(eight_bits(after), "after", (*_notes(after), *foreign)),
        _Panel(change.pixels, f"difference x{amplify:g}", _findings(change)),
    )
    grey = before.grey and after.grey
    owner = before if before.grey == grey else after
    kind = owner.format if format is None else format
    return Picture(_assemble(panels, MAX_SIDE.get(kind)), None, kind, grey, _own_coding(owner.metadata))


def _own_coding(metadata: Metadata) -> Metadata:
    """Without the JPEG coding of a photograph, which would smear letters and thin coloured lines."""
    return replace(metadata, jpeg_tables=None, jpeg_subsampling=None)


@dataclass(frozen=True, eq=False)
class _Panel:
    """(H, W, 3) uint8 and its legend."""

    pixels: NDArray[np.uint8]
    title: str
    details: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where everything lies.

    Attributes:
        height: of the whole, pixels.
        width: likewise.
        blocks: the top and left edge of a panel's legend or pixels, and these; ascending.
    """

    height: int
    width: int
    blocks: tuple[tuple[int, int, NDArray[np.uint8]], ...]

    @property
    def longest(self) -> int:
        """The longer side, pixels."""
        return max(self.height, self.width)


def _notes(picture: Picture) -> tuple[str, ...]:
    """How a picture is shown, where that is not as it is."""
    depth = (f"{picture.depth} bits, shown at 8",) if picture.depth != 8 else ()
    return depth if picture.alpha is None else (*depth, "transparent parts over mid grey")


def _findings(change: Difference) -> tuple[str, ...]:
    clipped = f"{change.clipped:.1%}" if change.clipped >= 0.001 else "under 0.1%"
    beyond = f"; {clipped} of pixels clipped" if change.clipped else ""
    return (
        f"mean change {change.mean:.3g}, largest {change.largest:.3g} of 255",
        "mid grey: no change; lighter: brighter after",
        f"full scale: ±{change.reach:.3g}{beyond}",
    )


def _assemble(panels: Sequence[_Panel], limit: int | None) -> NDArray[np.uint8]:
    """All in one, laid out so that it is within the limit, if that can be."""
    fitting = (each for each in _layouts(panels) if limit is None or each.longest <= limit)
    layout = next(fitting, None) or next(_layouts(panels))
    whole = np.full((layout.height, layout.width, 3), SURFACE, np.uint8)
    for top, left, block in layout.blocks:
        whole[top : top + block.shape[0], left : left + block.shape[1]] = block
    return whole


def _layouts(panels: Sequence[_Panel]) -> Iterator[_Layout]:
    """The ways to lay the panels out, the better before the worse: every pixel in either way, then reduced ones."""
    height, width = panels[0].pixels.shape[:2]
    wide = width >= _WIDE * height
    for factor in range(1, max(height, width) + 1):
        reduced = panels if factor == 1 else [_reduced(panel, factor) for panel in panels]
        yield _lay_out(reduced, stacked=wide)
        yield _lay_out(reduced, stacked=not wide)


def _reduced(panel: _Panel, factor: int) -> _Panel:
    """The means of squares of ``factor`` pixels a side, and a legend that says so."""
    pixels = np.asarray(Image.fromarray(panel.pixels).reduce(factor))
    return replace(
        panel, pixels=pixels, details=(*panel.details, f"reduced to 1/{factor} for the file format")
    )


def _lay_out(panels: Sequence[_Panel], *, stacked: bool) -> _Layout:
    height, width = panels[0].pixels.shape[:2]
    longest = max(len(panels) * height, width) if stacked else max(height, len(panels) * width)
    cell = max(width, MIN_CELL)
    size = max(MIN_TYPE, min(longest // _LINES_TO_A_SCREEN, cell // _HEIGHTS_TO_A_CELL))
    gap = size // 2
    legends = [_legend(panel, cell, size) for panel in panels]
    tallest = max(legend.shape[0] for legend in legends)
    blocks: list[tuple[int, int, NDArray[np.uint8]]] = []
    top, left, bottom = gap, gap, 0
    for panel, legend in zip(panels, legends, strict=True):
        below = top + (legend.shape[0] if stacked else tallest)
        blocks += [(top, left, legend), (below, left, panel.pixels)]
        bottom = below + height
        if stacked:
            top = bottom + 2 * gap
        else:
            left += cell + gap
    return _Layout(bottom + gap, cell + 2 * gap if stacked else left, tuple(blocks))


def _legend(panel: _Panel, width: int, size: int) -> NDArray[np.uint8]:
    """A title and its details, broken into lines that fit the width: (H, width, 3)."""
    title, small = ImageFont.load_default(size), ImageFont.load_default(size * 0.8)
    titles = [*_broken(panel.title, title, width)]
    details = [line for each in panel.details for line in _broken(each, small, width)]
    step, space = round(1.15 * size), size // 3
    image = Image.new("L", (width, step * (len(titles) + len(details)) + 2 * space), SURFACE)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(titles):
        draw.text((0, step * number), line, fill=INK, font=title)
    for number, line in enumerate(details, len(titles)):
        draw.text((0, step * number + space), line, fill=FAINT_INK, font=small)
    return np.repeat(np.asarray(image)[..., None], 3, axis=2)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> Iterator[str]:
    """The text in lines of at most ``width`` pixels, broken between words."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            yield line
            longer = word
        line = longer
    yield line
