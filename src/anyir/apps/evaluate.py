"""``anyir evaluate``: weights against the standard test sets."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from anyir.apps.console import Interrupted
from anyir.apps.contenders import Running, contender
from anyir.apps.extras import require_extra
from anyir.apps.options import repeating_command, tile_size
from anyir.errors import OutputError, UsageError
from anyir.files import make_folder, write_atomically

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
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to run the network.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
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
    require_extra("train", ("skimage", "matplotlib") if figures else ("skimage",), "evaluate")
    from anyir.evaluation.cost import machine
    from anyir.evaluation.protocol import conventions
    from anyir.evaluation.report import markdown, table, variants_table
    from anyir.evaluation.results import Results, library_versions, load_results, to_json
    from anyir.evaluation.run import find_sets
    from anyir.evaluation.sets import select_sets

    protocol = _protocol(seed, noise_rounding, variants)
    running = Running(engine, device, tile_size(tile), threads)
    found = find_sets(data, select_sets(suite, only or ()))
    earlier = [load_results(Path(peer)) for peer in peers or () if peer.endswith(".json")]
    wanted = [weights, *(peer for peer in peers or () if not peer.endswith(".json"))]
    if figures and output is None:
        raise UsageError("--figures needs a folder to draw them in: give -o OUT")
    if output is not None:
        _prepare(output, overwrite)
    chosen = {
        "suite": suite,
        "engine": engine,
        "tile": tile,
        "device": device,
        "threads": threads,
        "seed": seed,
    }
    common = {"--data": data, "--suite": suite, "--set": only, "--engine": engine, "--tile": tile}
    common |= {"--device": device, "--threads": threads, "--seed": seed, "--noise-rounding": noise_rounding}
    common |= {"--conventions": variants, "--figures": figures, "-o": output}
    done: list[Results] = []
    for number, name in enumerate(wanted):
        model = contender(name, running)
        stem = RESULTS if number == 0 else f"{RESULTS}-{model.weights['name']}"
        begun = Results(
            command=repeating_command(
                "evaluate", {"--weights": name, "--peer": peers if number == 0 else None, **common}
            ),
            weights=model.weights,
            settings={**chosen, "provider": model.provider, **machine()},
            conventions=conventions(protocol),
            versions=library_versions(),
            sets=(),
            absent=found.absent,
            model=model.model,
        )
        with _journal(output, stem, begun, variants) as journal:
            results = replace(begun, sets=_evaluate(found, model.restore, protocol, journal))
            if output is not None:
                _write(output / f"{stem}.json", to_json(results))
                _write(output / f"{stem}.md", markdown(results))
            if output is not None and figures:
                _draw_panels(output / FIGURES, found, results, model.restore, protocol)
        done.append(results)
        print("\n".join(table(results)))
        if variants:
            print("\n" + "\n".join(variants_table(results)))
    if output is not None:
        _write_tables(output, [*done, *earlier])
        if figures:
            _draw_charts(output / FIGURES, done[0], [*done, *earlier])


def _protocol(seed: int, noise_rounding: str, variants: bool) -> Protocol:
    from anyir.evaluation.protocol import NoiseRounding, Protocol

    try:
        return Protocol(seed, NoiseRounding(noise_rounding), variants)
    except ValueError:
        raise UsageError(f"--noise-rounding {noise_rounding!r}: must be 'round' or 'truncate'") from None


def _prepare(output: Path, overwrite: bool) -> None:
    """Make the folder and look for older results: before the work, not after it."""
    make_folder(output)
    existing = sorted(path for name in (RESULTS, TABLES) for path in output.glob(f"{name}*.*"))
    finished = [path for path in existing if path.suffix != UNFINISHED]
    if finished and not overwrite:
        raise OutputError(f"{finished[0]} exists already; give --overwrite or another folder")
    for path in existing if overwrite else ():
        if path.suffix == UNFINISHED:
            path.unlink()


@contextmanager
def _journal(output: Path | None, stem: str, begun: Results, variants: bool) -> Generator[Journal | None]:
    """The journal in OUT, gone once everything is written; kept with what is done where something stops us."""
    if output is None:
        yield None
        return
    from anyir.evaluation.journal import Journal

    about = {
        "weights": dict(begun.weights),
        "settings": dict(begun.settings),
        "conventions": {**begun.conventions, "variants": variants},
        "versions": dict(begun.versions),
    }
    journal = Journal(output / f"{stem}{UNFINISHED}", about)
    try:
        yield journal
    except BaseException as stop:
        if not len(journal):
            journal.remove()
        elif isinstance(stop, KeyboardInterrupt):
            raise Interrupted(
                f"interrupted with {len(journal)} pictures done; the same command goes on from there"
            ) from None
        raise
    journal.remove()


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


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())


def _write_tables(output: Path, results: Sequence[Results]) -> None:
    """The results beside the published ones: all tables in one document, and each for programs."""
    from anyir.evaluation.comparison import comparison_tables
    from anyir.evaluation.cost import cost_tables
    from anyir.evaluation.tables import to_csv, to_json, to_markdown

    tables = (*comparison_tables(results), *cost_tables(results))
    _write(output / f"{TABLES}.md", "\n".join(to_markdown(each) for each in tables))
    for each in tables:
        _write(output / f"{TABLES}-{each.name}.csv", to_csv(each))
        _write(output / f"{TABLES}-{each.name}.json", to_json(each))


def _draw_panels(folder: Path, found: Found, results: Results, restore: Restore, protocol: Protocol) -> None:
    """Pictures of every set: the best, the median and the worst."""
    from anyir.evaluation.figures import set_panels

    make_folder(folder)
    name = str(results.weights["name"])
    for (evaluated, pairs), result in zip(found.sets, results.sets, strict=True):
        content = set_panels(result, pairs, evaluated, restore, protocol, name, ".jpg")
        write_atomically(folder / f"{name}-{evaluated.name}.jpg", content)


def _draw_charts(folder: Path, own: Results, results: Sequence[Results]) -> None:
    """What can be drawn from results alone."""
    from anyir.evaluation.figures import size_comparisons
    from anyir.evaluation.gain_figure import gain_figure
    from anyir.evaluation.size_figure import size_figure

    write_atomically(folder / "gain.png", gain_figure(own, ".png"))
    if comparisons := size_comparisons(results):
        write_atomically(folder / "size.png", size_figure(comparisons, ".png"))
