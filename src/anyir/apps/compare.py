"""``anyir compare``: two pictures and what changed between them, in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyir.apps.options import protect_inputs
from anyir.errors import ShapeMismatch, shown


def compare(
    before: Annotated[Path, typer.Argument(help="The first panel.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="The second panel, of the same size.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PICTURE", help="The picture to write.", show_default=False),
    ],
    amplify: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="How much the difference is amplified: above 0, at most 127; 4 by default.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace PICTURE if it exists.")] = False,
) -> None:
    """Put two pictures of one size and their difference side by side: before | after | difference.

    The difference is mid grey where nothing changed, lighter where AFTER
    is brighter and darker where it is darker, channel by channel. The
    legend says by how much it is amplified and how much of it is clipped.
    Wide pictures are put below each other.
    """
    from anyir.picture import AMPLIFY, SUFFIXES, compare_pictures, read, write

    protect_inputs(output, before, after)
    first, second = read(before), read(after)
    if (first.width, first.height) != (second.width, second.height):
        raise ShapeMismatch(
            f"{shown(before)} has {first.width}x{first.height} pixels and {shown(after)} "
            f"{second.width}x{second.height}; bring them to one size first"
        )
    compared = compare_pictures(
        first,
        second,
        amplify=AMPLIFY if amplify is None else amplify,
        format=SUFFIXES.get(output.suffix.lower()),
    )
    write(compared, output, overwrite=overwrite)
