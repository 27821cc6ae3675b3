"""What several commands take and check in the same way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from anyir.errors import UsageError


def tile_size(text: str) -> int | Literal["auto"]:
    """The value of ``--tile``; which numbers are possible, the restorer knows.

    Raises:
        UsageError: neither "auto" nor a whole number.
    """
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--tile {text!r}: must be 'auto' or a whole number of pixels") from None


def protect_inputs(output: Path, *inputs: Path) -> None:
    """Refuse an output that is one of the inputs, by whatever name.

    Raises:
        UsageError: it is.
    """
    for path in inputs:
        if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
            raise UsageError(f"{output}: the result would replace an input; choose another output")
