"""``anyir compare``: two pictures in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyir.apps.options import protect_inputs
from anyir.errors import ShapeMismatch


def compare(
    before: Annotated[Path, typer.Argument(help="The left half.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="The right half, of the same size.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PICTURE", help="The picture to write.", show_default=False),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace PICTURE if it exists.")] = False,
) -> None:
    """Put two pictures of one size side by side: before|after."""
    from anyir.inference.batch import compare_pictures
    from anyir.picture import read, write

    protect_inputs(output, before, after)
    left, right = read(before), read(after)
    if (left.width, left.height) != (right.width, right.height):
        raise ShapeMismatch(
            f"{before} has {left.width}x{left.height} pixels and {after} {right.width}x{right.height}; "
            "bring them to one size first"
        )
    write(compare_pictures(left, right), output, overwrite=overwrite)
