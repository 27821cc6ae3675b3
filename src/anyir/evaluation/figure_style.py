"""What all figures share: formats, type, colours, and files that are the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from matplotlib import style
from matplotlib.figure import Figure

from anyir.errors import UsageError

CHART_FORMATS: Final = (".png", ".svg", ".pdf")
PHOTOGRAPH_FORMATS: Final = (".jpg", *CHART_FORMATS)
"""For figures that hold photographs, which a PNG makes several times as large."""

DPI: Final = 200
WIDTH: Final = 6.3
"""Inches: the text of an A4 page, so that type keeps its size in print."""

SMALL: Final = 7
"""Points: the smallest type in any figure."""

TASK_STYLES: Final[Mapping[str, tuple[str, str]]] = {
    "denoise": ("#0072b2", "o"),
    "derain": ("#e69f00", "^"),
    "dehaze": ("#009e73", "s"),
    "deblur": ("#cc79a7", "D"),
    "lowlight": ("#000000", "X"),
    "deblock": ("#d55e00", "P"),
    "clean": ("#56b4e9", "v"),
}
"""Task → colour of Okabe and Ito's palette, which the colour-blind tell apart; and marker, for print in grey."""

_OPTIONS: Final[Mapping[str, dict[str, Any]]] = {
    # Subsampled colours would smear coloured noise and thin frames, which are what such a figure is looked at for.
    ".jpg": {"pil_kwargs": {"quality": 88, "subsampling": 0, "optimize": True}},
    # Without the date, the same figure is the same bytes.
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
}
_STYLE: Final[dict[Any, Any]] = {"svg.hashsalt": "anyir", "font.size": 9, "pdf.fonttype": 42}


def check_format(suffix: str, formats: Sequence[str] = CHART_FORMATS) -> None:
    """See that figures can be drawn in this format.

    Raises:
        UsageError: ``suffix``, with its dot, is none of ``formats``.
    """
    if suffix.lower() not in formats:
        raise UsageError(f"a figure cannot be written as {suffix!r}; choose {', '.join(formats)}")


def file_content(draw: Callable[[], Figure], suffix: str, formats: Sequence[str] = CHART_FORMATS) -> bytes:
    """A figure as a file's content, the same for the same figure.

    Args:
        draw: makes the figure; called in the style that figures share.
        suffix: of the file, which says the format: one of ``formats``.
        formats: those that suit the figure.

    Raises:
        UsageError: the format is another.
    """
    check_format(suffix, formats)
    kind = suffix.lower()
    content = io.BytesIO()
    with style.context(_STYLE, after_reset=True):  # whatever the user's own settings are
        draw().savefig(content, format=kind[1:], dpi=DPI, **_OPTIONS.get(kind, {}))
    return content.getvalue()
