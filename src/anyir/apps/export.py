"""``anyir export``: a training checkpoint as an ONNX file that needs no PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from anyir.apps.console import say
from anyir.apps.extras import require_extra
from anyir.apps.options import protect_inputs


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Weights from training: RUN/model.safetensors.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL.onnx", help="The file to write.")],
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULTS.json",
            help="Put the summary of an 'anyir evaluate' of these weights into the file.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace MODEL.onnx if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Make an ONNX file from a training checkpoint, and check that it computes the same."""
    require_extra("train", ("torch", "safetensors", "onnx"), "export")
    from anyir.model.checkpoint import load_checkpoint
    from anyir.model.export import export_onnx

    protect_inputs(output, checkpoint, *(() if results is None else (results,)))
    weights = load_checkpoint(checkpoint)
    if results is not None:
        from anyir.evaluation.results import load_results, summary

        weights = replace(weights, header={**weights.header, "results": summary(load_results(results))})
    written = export_onnx(weights, output, overwrite=overwrite)
    if not quiet:
        say(
            f"{written.path}: {written.size_bytes / 1e6:.1f} MB, equal to the checkpoint within "
            f"{written.difference:.1g}; try it with: anyir restore PICTURE --weights {written.path}"
        )
