"""``anyir ablation``: Table 5 of the paper with any recipe, under one equal budget."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyir.apps.console import Interrupted, say, table, write_text
from anyir.apps.extras import require_extra
from anyir.apps.options import check_training, repeating_command
from anyir.apps.train_plan import shown_bytes, shown_time
from anyir.apps.train_progress import stop_request, training_progress
from anyir.errors import UsageError

if TYPE_CHECKING:
    from anyir.apps.train_progress import OnProgress
    from anyir.training.ablation import Run, RunResult, Study


def ablation(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the training pictures.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="Folder for the runs and the tables.")
    ],
    recipe: Annotated[
        str,
        typer.Option(metavar="RECIPE", help="What all five share: a recipe's name, or a .toml file."),
    ] = "three-degradations",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each network.")] = 3,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: steps=4000, network=anyir-s."),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Fit all runs into this time of training: the same steps for all."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in OUT.")] = False,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to train.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Time a few steps of each network, print the plan; write nothing."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train the five networks of the paper's ablation alike, with several seeds, and compare them."""
    require_extra("train", ("torch", "safetensors", "onnx", "scipy"), "ablation")
    check_training(device, max_minutes)
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("an ablation trains in one process; start it without torchrun")
    import torch

    from anyir.training.ablation import finished_runs, prepare_study, train_study
    from anyir.training.recipe import load_recipe

    settings = load_recipe(recipe, changes or ())
    if threads is not None:
        torch.set_num_threads(threads)
    study = prepare_study(
        settings,
        data,
        output,
        recipe_name=Path(recipe).stem,
        seeds=seeds,
        max_minutes=max_minutes,
        device=device,
        resume=resume,
    )
    if dry_run:
        _print_plan(study, data, output, device)
        return
    if not quiet:
        say(f"{len(study.runs)} runs of {study.steps} steps, recipe {study.recipe_name}")
    with stop_request(restore=True, quiet=quiet) as should_stop:
        finished = train_study(
            study, data, output, device=device, watch=_watch(len(study.runs), quiet), should_stop=should_stop
        )
    results = finished_runs(study, output)
    options = {
        "--recipe": recipe,
        "--data": data,
        "-o": output,
        "--seeds": seeds,
        "--set": changes,
        "--max-minutes": max_minutes,
        "--device": device,
        "--threads": threads,
    }
    lines = _write_tables(study, results, output, repeating_command("ablation", options))
    if not quiet:
        print("\n".join(lines))
    if not finished:
        tables = f"; {output / 'ablation.md'} compares the seeds that are complete" if lines else ""
        raise Interrupted(
            f"stopped after {len(results)} of {len(study.runs)} runs; everything is saved: the same command with "
            f"--resume goes on{tables}"
        )


def _watch(runs: int, quiet: bool) -> Callable[[int, Run], AbstractContextManager[OnProgress | None]]:
    def watch(number: int, run: Run) -> AbstractContextManager[OnProgress | None]:
        title = f"run {number} of {runs}, {run.name}"
        return training_progress(title, before=f"{title}: ", quiet=quiet)

    return watch


def _write_tables(study: Study, results: tuple[RunResult, ...], output: Path, command: str) -> list[str]:
    """Write the tables of the seeds that are complete; what to print of them, nothing where there is none."""
    from anyir.evaluation.ablation_report import markdown, table_lines, to_csv, to_json
    from anyir.evaluation.ablation_table import ablation_table, complete_seeds

    if not complete_seeds(study, results):
        return []
    numbers = ablation_table(study, results)
    write_text(output / "ablation.json", to_json(study, numbers, results, command))
    write_text(output / "ablation.md", markdown(study, numbers, results, command))
    write_text(output / "ablation.csv", to_csv(numbers))
    return [*table_lines(numbers), "", numbers.verdict]


def _print_plan(study: Study, data: Path, output: Path, device: str) -> None:
    """Steps, time and disk of the runs that are left."""
    from anyir.files import check_folder
    from anyir.training.ablation import measure_networks, run_seconds, unfinished_runs

    left = unfinished_runs(study, output)
    plans = measure_networks(study.recipe, data, output, device)
    seconds = {row: run_seconds(study.recipe, plan, study.steps) for row, plan in plans.items()}
    rows = [
        (
            row,
            plan.network,
            f"{plan.parameters:,}",
            f"{seconds[row] / study.steps:.3g}",
            shown_time(seconds[row]),
            f"{sum(run.row == row for run in left)}",
        )
        for row, plan in plans.items()
    ]
    table(("row", "network", "parameters", "s a step", "a run", "runs left"), rows, right=range(2, 6))
    disk = sum(plans[run.row].model_bytes + plans[run.row].state_bytes for run in left)
    free = shutil.disk_usage(check_folder(output)).free
    print(
        f"\nsteps  {study.steps:,} a run, {len(study.runs)} runs: seeds {', '.join(map(str, study.seeds))}; "
        f"validated: {', '.join(study.tasks)}"
    )
    print(
        f"time   {shown_time(sum(seconds[run.row] for run in left))} of training and validation are left; loading "
        "pictures and writing checkpoints not counted"
    )
    print(f"disk   {shown_bytes(disk)} of checkpoints; {shown_bytes(free)} free")
    print("dry run: nothing was trained, nothing was written")
