"""``anyir evaluate``: weights against the standard test sets."""

from __future__ import annotations

import glob
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from anyir.apps.console import Interrupted, say
from anyir.apps.contenders import Contender, Running, contenders
from anyir.apps.engines import QUALITIES
from anyir.apps.extras import require_extra
from anyir.apps.options import repeating_command, tile_size
from anyir.errors import DataError, OutputError, UsageError
from anyir.files import make_folder, utf8, write_atomically

if TYPE_CHECKING:
    from anyir.evaluation.journal import Journal
    from anyir.evaluation.protocol import Protocol, Restore
    from anyir.evaluation.results import ImageResult, Results, SetResult
    from anyir.evaluation.run import Found, Listener
    from anyir.evaluation.sets import EvaluationSet

RESULTS: Final = "results"
UNFINISHED: Final = ".unfinished"
TABLES: Final = "tables"
FIGURES: Final = "figures"
TABLE_NAMES: Final = ("three", "five", "single", "complexity", "times")


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder of the test sets, or one above 'test'.")
    ],
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="What to evaluate: weights of anyir, a checkpoint, any ONNX restorer, or 'identity': the degraded "
            "input itself.",
        ),
    ] = "default",
    suite: Annotated[
        str, typer.Option(help="three, five, denoise, derain, dehaze, deblur, lowlight or all.")
    ] = "all",
    only: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Just this set of the suite (repeatable)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="OUT", help="Folder for the results; an interrupted run goes on there."
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="auto|onnx|torch", help="What runs the network; auto: PyTorch for a checkpoint."
        ),
    ] = "auto",
    tile: Annotated[str, typer.Option(metavar="auto|N", help="Side of a tile in pixels.")] = "auto",
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|...", help="Where to run the network, as in anyir restore.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    no_guard: Annotated[
        bool,
        typer.Option("--no-guard", help="The bare network: without the guard that anyir restore has."),
    ] = False,
    quality: Annotated[
        str, typer.Option(metavar="|".join(QUALITIES), help="As in anyir restore.")
    ] = "standard",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    noise_rounding: Annotated[
        str, typer.Option(metavar="round|truncate", help="How noisy values become 8-bit; papers truncate.")
    ] = "round",
    variants: Annotated[
        bool,
        typer.Option(
            "--conventions", help="Score also as other papers do: on Y, rounded, Gaussian SSIM, ..."
        ),
    ] = False,
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="NAME|FILE",
            help="Evaluate this too, as --weights, for the tables; or results of before, results.json (repeatable).",
        ),
    ] = None,
    figures: Annotated[
        bool,
        typer.Option("--figures", help="Draw them too: gains, quality against size, pictures of every set."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")] = False,
) -> None:
    """Measure PSNR and SSIM on the standard test sets, by the protocol of the papers."""
    needed = ("skimage", "torch", "onnx", "safetensors", *(("matplotlib",) if figures else ()))
    require_extra("train", needed, "evaluate")
    from anyir.evaluation.report import table, variants_table
    from anyir.evaluation.results import load_results
    from anyir.evaluation.run import find_sets
    from anyir.evaluation.sets import select_sets

    if figures and output is None:
        raise UsageError("--figures needs a folder to draw them in: give -o OUT")
    protocol = _protocol(seed, noise_rounding, variants)
    running = Running(engine, device, tile_size(tile), threads, guard=not no_guard, quality=quality)
    found = find_sets(data, select_sets(suite, only or ()))
    earlier = [load_results(Path(peer)) for peer in peers or () if peer.endswith(".json")]
    models = contenders([weights, *(peer for peer in peers or () if not peer.endswith(".json"))], running)
    if device == "auto":
        for line in dict.fromkeys(model.where for model in models if model.where is not None):
            say(line)
    options = {
        "--weights": weights,
        "--peer": peers,
        "--data": data,
        "--suite": suite,
        "--set": only,
        "--engine": engine,
        "--tile": tile,
        "--device": device,
        "--threads": threads,
        "--quality": quality if quality != "standard" else None,
        "--no-guard": no_guard,
        "--seed": seed,
        "--noise-rounding": noise_rounding,
        "--conventions": variants,
        "--figures": figures,
        "-o": output,
    }
    chosen = {
        key.removeprefix("--"): options[key]
        for key in ("--suite", "--engine", "--tile", "--device", "--seed")
    }
    command = repeating_command("evaluate", options)
    begun = [_begin(model, command, chosen, protocol, found) for model in models]
    with _journals(output, [model.name for model in models], begun, overwrite) as journals:
        done = [
            replace(start, sets=_evaluate(found, model.restore, protocol, journal))
            for model, start, journal in zip(models, begun, journals, strict=True)
        ]
        for results in done:
            print("\n".join(table(results)))
            if variants:
                print("\n" + "\n".join(variants_table(results)))
        if output is not None:
            _write(output, models, found, done, earlier, protocol if figures else None)


def _begin(
    model: Contender, command: str, chosen: Mapping[str, Any], protocol: Protocol, found: Found
) -> Results:
    """Results without any yet: everything that decides them."""
    from anyir.evaluation.machine import machine
    from anyir.evaluation.protocol import conventions
    from anyir.evaluation.results import Results, library_versions

    return Results(
        command=command,
        weights=model.weights,
        settings={
            **chosen,
            "threads": model.threads,
            "guard": model.guard,
            "quality": model.quality,
            "provider": model.provider,
            **machine(),
        },
        conventions=conventions(protocol),
        versions=library_versions(*model.libraries),
        sets=(),
        absent=found.absent,
        model=model.model,
    )


def _protocol(seed: int, noise_rounding: str, variants: bool) -> Protocol:
    from anyir.evaluation.protocol import NoiseRounding, Protocol

    try:
        return Protocol(seed, NoiseRounding(noise_rounding), variants)
    except ValueError:
        raise UsageError(f"--noise-rounding {noise_rounding!r}: must be 'round' or 'truncate'") from None


@contextmanager
def _journals(
    output: Path | None, names: Sequence[str], begun: Sequence[Results], overwrite: bool
) -> Generator[Sequence[Journal | None]]:
    """A journal in OUT for each; gone once everything is written, kept with what is done where something stops us.

    Raises:
        OutputError: OUT holds results already, or the journal of another evaluation, and ``overwrite`` is not given.
    """
    if output is None:
        yield [None] * len(begun)
        return
    from anyir.evaluation.journal import Journal

    make_folder(output)
    older = _in_the_way(output)
    if older and not overwrite:
        raise OutputError(f"{older[0]} exists already; give --overwrite or another folder")
    journals = [
        Journal(output / f"{name}{UNFINISHED}", _about(results), anew=overwrite)
        for name, results in zip(names, begun, strict=True)
    ]
    try:
        yield journals
    except BaseException as stop:
        done = sum(len(journal) for journal in journals)
        for journal in journals:
            if not len(journal):
                journal.remove()
        if done and isinstance(stop, KeyboardInterrupt):
            more = " with --overwrite" if _in_the_way(output) and not overwrite else ""
            raise Interrupted(
                f"interrupted with {done} pictures done; the same command{more} goes on from there"
            ) from None
        raise
    for journal in journals:
        journal.remove()


def _about(results: Results) -> dict[str, Any]:
    """What decides a score, for the journal's first line."""
    return {
        "weights": dict(results.weights),
        "settings": dict(results.settings),
        "conventions": dict(results.conventions),
        "versions": dict(results.versions),
    }


def _in_the_way(output: Path) -> list[Path]:
    """What looks like results of an evaluation, figures included, sorted; journals do not."""
    patterns = (f"{RESULTS}*.json", f"{RESULTS}*.md", f"{TABLES}*.*", f"{FIGURES}/*.png", f"{FIGURES}/*.jpg")
    return sorted(path for pattern in patterns for path in output.glob(pattern))


def _of_ours(output: Path) -> set[Path]:
    """What earlier evaluations wrote into the folder, and nothing that only looks like it."""
    from anyir.evaluation.results import load_results
    from anyir.evaluation.sets import SETS

    ours: set[Path] = set()
    for file in output.glob(f"{RESULTS}*.json"):
        try:
            weights = str(load_results(file).weights["name"])
        except DataError:
            continue
        ours |= {file, file.with_suffix(".md"), output / f"{TABLES}.md"}
        ours |= {output / f"{TABLES}-{name}.{kind}" for name in TABLE_NAMES for kind in ("csv", "json")}
        ours |= {output / FIGURES / "gain.png", output / FIGURES / "size.png"}
        ours |= {
            path for name in SETS for path in (output / FIGURES).glob(f"{glob.escape(weights)}*-{name}.jpg")
        }
    return ours


def _evaluate(
    found: Found, restore: Restore, protocol: Protocol, journal: Journal | None
) -> tuple[SetResult, ...]:
    from anyir.evaluation.run import evaluate_sets

    with _progress(found.pictures) as listener:
        return evaluate_sets(found, restore, protocol, listener, journal)


@contextmanager
def _progress(total: int) -> Generator[Listener]:
    """A bar where a terminal shows it, and a line for each set; on the error stream, not among the table."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        class Shown:
            def begin(self, evaluated: EvaluationSet) -> None:
                bar.update(task, description=evaluated.title)

            def image(self, image: ImageResult) -> None:
                bar.advance(task)

            def end(self, result: SetResult) -> None:
                console.print(_line(result), markup=False, highlight=False, soft_wrap=True)

        yield Shown()


def _line(result: SetResult) -> str:
    before = "" if result.input_psnr is None else f"{result.input_psnr:.2f} → "
    pictures = f"{len(result.images)} picture{'s' if len(result.images) > 1 else ''}"
    return f"{result.title}: {before}{result.psnr:.2f} dB, {pictures}, {result.seconds:.1f} s"


def _write(
    output: Path,
    models: Sequence[Contender],
    found: Found,
    done: Sequence[Results],
    earlier: Sequence[Results],
    panels: Protocol | None,
) -> None:
    """Everything that was found, in place of what an earlier evaluation left there; results.json last.

    With ``panels``, the protocol, figures are drawn too.
    """
    from anyir.evaluation.report import markdown
    from anyir.evaluation.results import to_json

    files = _tables([*done, *earlier])
    if panels is not None:
        for model, results in zip(models, done, strict=True):
            files |= _panels(model, found, results, panels)
        files |= _charts([*done, *earlier])
    for number, (model, results) in reversed(list(enumerate(zip(models, done, strict=True)))):
        stem = f"{RESULTS}-{model.name}" if number else RESULTS
        files |= {f"{stem}.md": utf8(markdown(results)), f"{stem}.json": utf8(to_json(results))}
    stale = _of_ours(output) - {output / name for name in files}
    if panels is not None:
        make_folder(output / FIGURES)
    for name, content in files.items():
        write_atomically(output / name, content)
    for path in stale:
        path.unlink(missing_ok=True)


def _tables(results: Sequence[Results]) -> dict[str, bytes]:
    """The results beside the published ones: all tables in one document, and each for programs."""
    from anyir.evaluation.comparison import comparison_tables
    from anyir.evaluation.cost import cost_tables
    from anyir.evaluation.tables import to_csv, to_json, to_markdown

    tables = (*comparison_tables(results), *cost_tables(results))
    made = f"# Beside the published numbers\n\nMade by\n\n    {results[0].command}\n"
    files = {f"{TABLES}.md": utf8("\n".join((made, *map(to_markdown, tables))))}
    for each in tables:
        files |= {f"{TABLES}-{each.name}.csv": utf8(to_csv(each))}
        files |= {f"{TABLES}-{each.name}.json": utf8(to_json(each))}
    return files


def _panels(model: Contender, found: Found, results: Results, protocol: Protocol) -> dict[str, bytes]:
    """Pictures of every set: the best, the median and the worst."""
    from anyir.evaluation.figures import set_panels

    return {
        f"{FIGURES}/{model.name}-{evaluated.name}.jpg": set_panels(
            result, pairs, evaluated, model.restore, protocol, model.name, ".jpg"
        )
        for (evaluated, pairs), result in zip(found.sets, results.sets, strict=True)
    }


def _charts(results: Sequence[Results]) -> dict[str, bytes]:
    """What can be drawn from results alone, where there is anything to draw."""
    from anyir.evaluation.figures import size_comparisons
    from anyir.evaluation.gain_figure import gain_figure
    from anyir.evaluation.size_figure import size_figure

    files: dict[str, bytes] = {}
    if any(result.gain is not None for result in results[0].sets):
        files[f"{FIGURES}/gain.png"] = gain_figure(results[0], ".png")
    if comparisons := size_comparisons(results):
        files[f"{FIGURES}/size.png"] = size_figure(comparisons, ".png")
    return files
