"""What several commands take and check in the same way."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from anyir.errors import UsageError, shown
from anyir.files import check_folder


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


def check_training(device: str, max_minutes: float | None) -> None:
    """See that the options of a command that trains are possible.

    Raises:
        UsageError: an unknown device, or no time at all.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device!r}: must be auto, cpu or cuda")
    if max_minutes is not None and not 0 < max_minutes < math.inf:
        raise UsageError(f"--max-minutes {max_minutes:g}: must be above 0, and a number")


def protect_inputs(output: Path, *inputs: Path) -> None:
    """Refuse an output that is one of the inputs, by whatever name.

    Raises:
        UsageError: it is.
    """
    for path in inputs:
        if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):
            raise UsageError(f"{output}: the result would replace an input; choose another output")


def check_report(report: Path | None) -> None:
    """See, before the work that it is about, that a report can be written; None: there is to be none.

    Raises:
        UsageError: its name is not that of a JSON file: a picture could be replaced by it.
        OutputError: there is no place for it.
    """
    if report is None:
        return
    if report.suffix.lower() != ".json":
        raise UsageError(f"--report {shown(report)}: must end in .json, so that it never replaces a picture")
    if os.path.isdir(report):
        raise UsageError(f"--report {shown(report)}: is a folder; give a file's name")
    check_folder(report.parent)


def repeating_command(command: str, options: Mapping[str, object]) -> str:
    """The line that runs a command again.

    An option without a value is left out, a list repeats its option, and a flag stands alone.
    """
    words = ["anyir", command]
    for option, value in options.items():
        values: Sequence[object] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        for each in values:
            if isinstance(each, bool):
                words += [option] if each else []
            elif each is not None:
                words += [option, str(each)]
    return shlex.join(words)
