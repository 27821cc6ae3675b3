"""``anyir restore``: pictures and folders of them."""

from __future__ import annotations

import json
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from anyir._version import __version__
from anyir.apps.console import Interrupted, batch_progress, complain, counting, say, table, write_text
from anyir.apps.engines import DEVICES, ENGINES, QUALITIES, check_choices, open_restorer
from anyir.apps.options import check_report, tile_size
from anyir.errors import UsageError, shown

if TYPE_CHECKING:
    from anyir.inference import Restorer
    from anyir.inference.batch_plan import Outcome, Plan

_ROWS: Final = 50
"""Pictures in the table of a report; the file has all."""


class Format(str, Enum):
    """What the results are written as."""

    KEEP = "keep"
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    TIFF = "tiff"


def restore(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Pictures, and folders of pictures.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A folder for the results; for one picture also a file. Without it, NAME.restored.EXT "
            "beside each original.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Search the sub-folders of folders too.")
    ] = False,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="0 leaves a picture as it is, 1 restores it fully.")
    ] = 1.0,
    tile: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Work in squares of N pixels: smaller takes less memory."),
    ] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            metavar="|".join(ENGINES),
            help="onnx: ONNX Runtime; torch: PyTorch, for checkpoints; auto: as the weights are.",
        ),
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            metavar="|".join(DEVICES), help="auto takes a GPU where the engine can use one, and says why."
        ),
    ] = "auto",
    weights: Annotated[str, typer.Option(metavar="NAME|FILE", help="See: anyir info")] = "default",
    format: Annotated[Format, typer.Option(help="Of the results; keep: as each input.")] = Format.KEEP,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Also write before, after and difference as NAME.compare.EXT."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Write what was done and what changed to this file, replacing it; and print a table of it.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Restore nothing: prove that every picture has its result in the output folder."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist; originals never are.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; all cores if not given.", show_default=False)
    ] = None,
    quality: Annotated[
        str,
        typer.Option(
            metavar="|".join(QUALITIES),
            help="best: the mean of each picture and its mirror images, in four times the time.",
        ),
    ] = "standard",
    no_guard: Annotated[
        bool,
        typer.Option(
            "--no-guard",
            help="Each tile keeps its own brightness, colour and contrast, whatever the picture as a whole bears out.",
        ),
    ] = False,
    strip_metadata: Annotated[
        bool,
        typer.Option(
            "--strip-metadata",
            help="Leave EXIF, XMP, IPTC and texts out: place, time, camera, names. The colour profile stays.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what went wrong.")] = False,
) -> None:
    """Restore pictures: noise, rain, haze, blur, darkness. Originals are never changed.

    Inputs that would get one name keep their suffix in it:
    a.jpg and a.png written as PNG become a.jpg.png and a.png.png.
    Of several folders, each gets its own folder under the output.

    PATH may be a quoted pattern: 'holiday/**/*.jpg'.

    A picture whose result is there already is skipped: stopped, the
    same command goes on where it was. anyir-manifest.jsonl in the
    output folder says what each result was made of: where a picture,
    the weights or the settings have changed, or a result is damaged,
    it is restored again. A file that anyir did not write is kept.

    Exit codes: 0 all done; 1 some failed, listed at the end;
    2 wrong usage or nothing to restore; 130 interrupted.
    """
    from anyir.inference.batch_plan import BatchSettings
    from anyir.inference.batch_plan import plan as make_plan

    check_choices(engine, device, quality)
    if verify and (overwrite or report is not None):
        raise UsageError("--verify changes nothing: leave out --overwrite and --report")
    check_report(report)
    settings = BatchSettings(
        output=output,
        recursive=recursive,
        format=format.value,
        strength=strength,
        side_by_side=side_by_side,
        overwrite=overwrite,
        strip_metadata=strip_metadata,
    )
    plan = make_plan(paths, settings)  # before the weights are loaded: a wrong path is told at once
    restorer = open_restorer(
        weights,
        engine=engine,
        device=device,
        tile=tile_size(tile),
        threads=threads,
        guard=not no_guard,
        quality=quality,
    )
    if device == "auto" and not (quiet or verify):
        say(f"device {restorer.device}: {restorer.chosen_because}")
    if verify:
        return _verify(plan, restorer, quiet)
    outcomes, interrupted = _run(plan, restorer, quiet)
    _tell(plan, outcomes, restorer, quiet)
    if report is not None:
        options = {
            "tile": tile,
            "engine": engine,
            "device": device,
            "threads": threads,
            "guard": not no_guard,
            "quality": quality,
        }
        _write_report(report, plan, outcomes, restorer, options)
        if not (quiet or interrupted):
            _print_table(report, [*outcomes, *plan.failures])
    if interrupted:
        done = f"{len(outcomes)} of {len(plan.jobs)} pictures done, none half-written"
        raise Interrupted(f"interrupted: {done}; {_how_to_go_on(overwrite)}")
    if plan.failures or any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _run(plan: Plan, restorer: Restorer, quiet: bool) -> tuple[list[Outcome], bool]:
    """The outcomes, and whether Ctrl-C came before the last of them."""
    from anyir.inference.batch import run
    from anyir.inference.batch_plan import Job

    outcomes: list[Outcome] = []
    with batch_progress([job.source for job in plan.jobs], quiet=quiet) as progress:

        def on_progress(job: Job, done: int, total: int) -> None:
            if total == 0:
                progress.begin(job.source)
            else:
                progress.tile(done, total)

        try:
            with closing(run(plan, restorer, on_progress=on_progress)) as running:
                for outcome in running:
                    outcomes.append(outcome)
                    progress.end(outcome)
        except KeyboardInterrupt:
            return outcomes, True
    return outcomes, False


def _how_to_go_on(overwrite: bool) -> str:
    if overwrite:  # without it, what is left of an earlier run would count as done
        return "the others keep their earlier results; the same command begins again with the first"
    return "to go on, run the same command again: what is there is not restored twice"


def _verify(plan: Plan, restorer: Restorer, quiet: bool) -> None:
    """Say what is wrong with a finished folder; exit code 1 if anything is."""
    from anyir.inference.verify import verify

    with counting("verifying", quiet=quiet) as on_progress:
        problems = list(verify(plan, restorer, on_progress=on_progress))
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
    if not quiet:
        pictures = "1 picture" if len(plan.jobs) == 1 else f"{len(plan.jobs)} pictures"
        say(f"{pictures} verified: inputs, weights {restorer.name}, settings and results are as recorded")


def _tell(plan: Plan, outcomes: list[Outcome], restorer: Restorer, quiet: bool) -> None:
    from anyir.inference.batch_report import summarise

    for outcome in (*outcomes, *plan.failures):
        if outcome.error is not None:
            complain(outcome.error)
    if not quiet:
        for outcome in outcomes:
            if outcome.note:
                say(f"anyir: kept: {outcome.note}; --overwrite replaces it")
        summary = summarise(plan, outcomes)
        skipped = f", {summary.skipped} skipped (already there)" if summary.skipped else ""
        failed = f", {summary.failed} failed" if summary.failed else ""
        held_back = f", {summary.held_back} with tones corrected by the guard" if summary.held_back else ""
        pictures = "1 picture" if summary.restored == 1 else f"{summary.restored} pictures"
        say(
            f"{pictures} restored{skipped}{failed}{held_back}: {summary.seconds:.1f} s, "
            f"{summary.megapixels_per_second:.2f} megapixels/s, {restorer.provider}, weights {restorer.name}"
        )


def _write_report(
    path: Path, plan: Plan, outcomes: list[Outcome], restorer: Restorer, options: dict[str, Any]
) -> None:
    from anyir.inference.batch_report import report

    content = report(plan, outcomes)
    content["settings"].update(options)
    content = {
        "anyir": __version__,
        "weights": restorer.name,
        "weights_sha256": restorer.sha256,
        "provider": restorer.provider,
        "device": restorer.device,
        "device_because": restorer.chosen_because,
        **content,
    }
    write_text(path, json.dumps(content, indent=2) + "\n")


def _print_table(path: Path, outcomes: list[Outcome]) -> None:
    """What changed, on the standard output."""
    from anyir.inference.batch_report import HEADINGS
    from anyir.inference.batch_report import table as rows_of

    rows = rows_of(outcomes[:_ROWS])
    table(HEADINGS, [[shown(cell) for cell in row] for row in rows])
    if len(outcomes) > _ROWS:
        print(f"and {len(outcomes) - _ROWS} more in {shown(path)}")
