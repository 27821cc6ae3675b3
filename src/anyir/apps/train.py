"""``anyir train``: a recipe, pictures, a run folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyir.apps.console import INTERRUPTED, Interrupted, complain
from anyir.apps.extras import require_extra
from anyir.apps.options import check_training
from anyir.apps.train_plan import print_plan
from anyir.apps.train_progress import stop_request, training_progress
from anyir.errors import ExportMismatch, UsageError

if TYPE_CHECKING:
    from anyir.training.loop import Outcome


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or a .toml file.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the training pictures.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for checkpoints and log.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in RUN.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: optimiser.learning_rate=1e-3."),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Fit the schedule into this time, all sittings together."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|CHECKPOINT", help="Start from shipped weights, or from a run's."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to train.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves and samples to RUN/tensorboard too.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, time a few steps, print the plan; write nothing."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train a network on pictures of your own, or go on with a run; under torchrun, in several processes."""
    require_extra("train", ("torch", "safetensors", "onnx"), "train")
    check_training(device, max_minutes)
    import torch

    from anyir.model.checkpoint import find_checkpoint
    from anyir.training.distributed import FirstProcessFailed, training_processes
    from anyir.training.loop import train as run
    from anyir.training.plan import plan_training
    from anyir.training.recipe import load_recipe

    settings = load_recipe(recipe, changes or ())
    start = None if weights is None else find_checkpoint(weights)
    if threads is not None:
        torch.set_num_threads(threads)
    if dry_run:
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError("--dry-run: measures one process; start it without torchrun")
        print_plan(
            plan_training(
                settings,
                data,
                out,
                recipe_name=Path(recipe).stem,
                device=device,
                resume=resume,
                max_minutes=max_minutes,
                weights=start,
                tensorboard=tensorboard,
            )
        )
        return
    try:
        with (
            training_processes(device) as processes,
            stop_request(restore=processes.count == 1, quiet=quiet) as should_stop,
            training_progress(settings.network, quiet=quiet or not processes.is_first) as on_progress,
        ):
            outcome = run(
                settings,
                data,
                out,
                recipe_name=Path(recipe).stem,
                device=device,
                resume=resume,
                max_minutes=max_minutes,
                weights=start,
                processes=processes,
                tensorboard=tensorboard,
                on_progress=on_progress,
                should_stop=should_stop,
            )
    except FirstProcessFailed as error:  # the first has said why
        sys.exit(error.exit_code)
    if not processes.is_first:
        sys.exit(0 if outcome.finished else INTERRUPTED)
    if not outcome.finished:
        raise Interrupted(
            f"stopped after step {outcome.step}; everything is saved: the same command with --resume goes on"
        )
    exported = _export(outcome.model)
    if not quiet:
        _report(outcome, exported)


def _export(model: Path) -> Path | None:
    """The trained weights as an ONNX file beside them, which ``anyir restore`` takes; None where it would differ.

    In half precision where that is exact enough, as it is for all but unusual weights.
    """
    from anyir.model.checkpoint import load_checkpoint
    from anyir.model.export import export_onnx

    checkpoint, path = load_checkpoint(model), model.with_suffix(".onnx")
    try:
        try:
            return export_onnx(checkpoint, path, overwrite=True).path
        except ExportMismatch:
            return export_onnx(checkpoint, path, overwrite=True, storage="fp32").path
    except ExportMismatch as error:  # the training itself has succeeded
        complain(error)
        return None


def _report(outcome: Outcome, exported: Path | None) -> None:
    """The last validation, task by task, where the weights are, and what to do with them."""
    for task, score in outcome.scores.items():
        print(f"{task:14s} {score.degraded:6.2f} → {score.restored:6.2f} dB")
    print(f"{outcome.samples} samples, {outcome.step} steps, {outcome.seconds / 60:.1f} min: {outcome.model}")
    if exported is not None:
        print(f"try it with: anyir restore PICTURE --weights {exported}")
