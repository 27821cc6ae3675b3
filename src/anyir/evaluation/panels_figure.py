"""Pictures side by side: degraded, restored, clean and the error, whole and zoomed, as Figs. 4 and 7 of the paper.

The paper is arXiv 2407.13372. Its figures show chosen parts of chosen pictures; which are shown here is chosen by the
rules of :mod:`anyir.evaluation.panels`, and the figure says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from anyir.errors import UsageError
from anyir.evaluation.figure_style import PHOTOGRAPH_FORMATS, SMALL, WIDTH, file_content
from anyir.evaluation.panels import (
    WINDOW_RULE,
    Panel,
    Window,
    absolute_error,
    amplification,
    check_panel,
    choose_windows,
)

COLUMNS: Final = ("degraded", "restored", "clean", "error")
FRAMES: Final = (("#e69f00", "-"), ("#56b4e9", "--"))
"""Colour and line of the first and second window: told apart by the line in print without colours."""

_GAP: Final = 0.05
_MARGIN: Final = 0.06
_HEADING: Final = 0.24
_CAPTION: Final = 0.22
"""Inches: between pictures, around all, above each example, below it."""

_TITLE: Final = 0.50
_LEGEND: Final = 0.62
_COLUMN: Final = (WIDTH - 2 * _MARGIN - 3 * 2 * _GAP) / 4


@dataclass(frozen=True)
class _Box:
    """A rectangle in inches, from the top left corner of what it lies in."""

    left: float
    top: float
    width: float
    height: float


def panels_figure(title: str, panels: Sequence[Panel], suffix: str) -> bytes:
    """The figure as a file's content, the same for the same pictures.

    Each example shows the degraded, the restored and the clean picture and the restored one's absolute error, whole and
    in two windows. The errors of all examples have one scale, which the legend states. Values outside [0, 1] are
    clipped, as for the metrics.

    Args:
        title: of the figure: a task or a set.
        panels: the examples, at least one.
        suffix: of the file, which says the format: one of
            :data:`~anyir.evaluation.figure_style.PHOTOGRAPH_FORMATS`; ``.jpg`` is by far the smallest.

    Raises:
        UsageError: the format is another, or there is no example.
        ShapeMismatch: the images of an example do not belong together.
    """
    return file_content(lambda: _draw(title, panels), suffix, PHOTOGRAPH_FORMATS)


def _draw(title: str, panels: Sequence[Panel]) -> Figure:
    if not panels:
        raise UsageError("a figure of pictures needs at least one; there is nothing to show")
    for panel in panels:
        check_panel(panel)
    errors = [absolute_error(panel.restored, panel.clean) for panel in panels]
    factor = amplification(errors)
    layouts = [_layout(*panel.clean.shape[:2]) for panel in panels]
    rows = [_HEADING + max(box.top + box.height for box in boxes) + _CAPTION for boxes in layouts]
    height = _TITLE + sum(rows) + _LEGEND
    figure = Figure(figsize=(WIDTH, height))
    figure.text(_MARGIN / WIDTH, 1 - 0.08 / height, title, fontsize=10, va="top")
    for place, column in enumerate(COLUMNS):
        heading = f"{column} × {factor}" if column == "error" else column
        _write(figure, _column(place) + _COLUMN / 2, _TITLE - 0.06, heading, 8, ha="center", va="bottom")
    top = _TITLE
    for panel, error, boxes, row in zip(panels, errors, layouts, rows, strict=True):
        _draw_example(figure, panel, error * factor, boxes, top)
        top += row
    _draw_legend(figure, factor, top)
    return figure


def _layout(height: int, width: int) -> tuple[_Box, _Box, _Box]:
    """Boxes of the whole picture and its two windows in a column: these below it, or beside it if it is upright."""
    if width >= height:
        side = (_COLUMN - _GAP) / 2
        whole = _Box(0, 0, _COLUMN, _COLUMN * height / width)
        return (
            whole,
            _Box(0, whole.height + _GAP, side, side),
            _Box(side + _GAP, whole.height + _GAP, side, side),
        )
    # The whole picture's height h and the windows' side (h - gap) / 2 fill the column together.
    tall = (_COLUMN - _GAP / 2) / (width / height + 0.5)
    side = (tall - _GAP) / 2
    left = _COLUMN - side
    return (
        _Box(0, 0, left - _GAP, tall),
        _Box(left, 0, side, side),
        _Box(left, side + _GAP, side, side),
    )


def _draw_example(
    figure: Figure, panel: Panel, error: NDArray[np.float32], boxes: tuple[_Box, _Box, _Box], top: float
) -> None:
    _write(figure, _MARGIN, top + _HEADING - 0.05, f"{panel.why}: {panel.name}", SMALL + 0.5, va="bottom")
    windows = choose_windows(panel)
    for place, image in enumerate((panel.degraded, panel.restored, panel.clean, error)):
        left = _column(place)
        whole, *zooms = (
            _add_axes(figure, left + box.left, top + _HEADING + box.top, box.width, box.height)
            for box in boxes
        )
        _show(whole, image)
        for zoom, window, (colour, line) in zip(zooms, windows, FRAMES, strict=True):
            _show(zoom, window.of(image))
            _frame(whole, window, colour, line)
            for spine in zoom.spines.values():
                spine.set(visible=True, color=colour, linestyle=line, linewidth=1.2)
    bottom = top + _HEADING + max(box.top + box.height for box in boxes) + 0.04
    for place, caption in enumerate(_captions(panel)):
        _write(figure, _column(place) + _COLUMN / 2, bottom, caption, SMALL, ha="center", va="top")


def _captions(panel: Panel) -> tuple[str, ...]:
    if panel.input_psnr is None:
        return "the clean picture itself", f"{panel.psnr:.2f} dB"
    sign = "+" if panel.psnr >= panel.input_psnr else "−"
    gain = abs(panel.psnr - panel.input_psnr)
    return f"{panel.input_psnr:.2f} dB", f"{panel.psnr:.2f} dB ({sign}{gain:.2f})"


def _show(axes: Axes, image: NDArray[np.floating]) -> None:
    """A colour image as it is; an error in grey, from white for none to black."""
    scale: dict[str, Any] = {"cmap": "Greys", "vmin": 0, "vmax": 1} if image.ndim == 2 else {}
    axes.imshow(np.clip(image, 0, 1), aspect="auto", **scale)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=image.ndim == 2, color="0.7", linewidth=0.5)


def _frame(axes: Axes, window: Window, colour: str, line: str) -> None:
    """A window's outline: a dark line below the coloured one, so that it shows on any picture."""
    for edge, width, style in (("black", 1.8, "-"), (colour, 1.0, line)):
        axes.add_patch(
            Rectangle(
                (window.left - 0.5, window.top - 0.5), window.side, window.side,
                fill=False, edgecolor=edge, linewidth=width, linestyle=style,
            )
        )  # fmt: skip


def _draw_legend(figure: Figure, factor: int, top: float) -> None:
    bar = _add_axes(figure, _column(3), top + 0.16, _COLUMN, 0.12)
    bar.imshow(np.linspace(0, 1, 256)[None], cmap="Greys", vmin=0, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
    bar.set_yticks([])
    bar.set_xticks([0, 1], ["0", f"{1 / factor:g} or more"], fontsize=SMALL)
    for label, side in zip(bar.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)
    bar.tick_params(length=2, pad=2)
    _write(figure, _column(3), top + 0.13, "error; 1 is white against black", SMALL, va="bottom")
    note = (
        "PSNR below each picture is of the whole picture. The error is |restored − clean|, mean over R, G and B, "
        f"{factor} times amplified in all examples. {WINDOW_RULE}"
    )
    _write(figure, _MARGIN, top + 0.02, textwrap.fill(note, 92), SMALL, va="top")


def _column(place: int) -> float:
    """Left edge of a column, inches."""
    return _MARGIN + place * (_COLUMN + 2 * _GAP)


def _add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the top left corner."""
    full = figure.get_figheight()
    return figure.add_axes((left / WIDTH, 1 - (top + height) / full, width / WIDTH, height / full))


def _write(
    figure: Figure, left: float, top: float, text: str, size: float, ha: str = "left", va: str = "baseline"
) -> None:
    """A text at a place in inches from the top left corner."""
    figure.text(left / WIDTH, 1 - top / figure.get_figheight(), text, fontsize=size, ha=ha, va=va)
