"""What all figures share: formats, type, colours, and files that are the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from matplotlib import rc_context
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
    "clean": ("#56b4e9", "v"),
}
"""Task → colour of Okabe and Ito's palette, which the colour-blind tell apart, and marker, for print without colours."""

_JPEG: Final = {"quality": 92, "subsampling": 0, "optimize": True}
"""No subsampling: it smears coloured noise and thin frames, which are what such a figure is looked at for."""

_REPRODUCIBLE: Final[dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_STYLE: Final[dict[Any, Any]] = {"svg.hashsalt": "anyir", "font.size": 9, "pdf.fonttype": 42}


def check_format(suffix: str, formats: Sequence[str] = CHART_FORMATS) -> None:
    """See that figures can be drawn in this format.

    Raises:
        UsageError: ``suffix``, with its dot, is none of ``formats``.
    """
    if suffix.lower() not in formats:
        raise UsageError(f"a figure cannot be written as {suffix!r}; choose {', '.join(formats)}")


def file_content(
    draw: Callable[[], Figure], suffix: str, formats: Sequence[str] = CHART_FORMATS, dpi: int = DPI
) -> bytes:
    """A figure as a file's content, the same for the same figure.

    Args:
        draw: makes the figure; called in the style that figures share.
        suffix: of the file, which says the format: one of ``formats``.
        formats: those that suit the figure.
        dpi: dots an inch, where the format has any.

    Raises:
        UsageError: the format is another.
    """
    check_format(suffix, formats)
    kind = suffix.lower()
    content = io.BytesIO()
    with rc_context(_STYLE):
        draw().savefig(
            content,
            format=kind[1:],
            dpi=dpi,
            metadata=_REPRODUCIBLE.get(kind),
            **({"pil_kwargs": _JPEG} if kind == ".jpg" else {}),
        )
    return content.getvalue()
