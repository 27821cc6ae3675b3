"""``anyir evaluate``: weights against the standard test sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from anyir.apps.extras import require_extra
from anyir.apps.options import repeating_command, tile_size
from anyir.errors import DataError, OutputError, UsageError
from anyir.files import make_folder

if TYPE_CHECKING:
    from anyir.data.layouts import Example
    from anyir.evaluation.protocol import Protocol, Restore
    from anyir.evaluation.results import ImageResult, Results, SetResult
    from anyir.evaluation.sets import EvaluationSet
    from anyir.inference.engine import Device
    from anyir.inference.tiles import TileSize

    OnImage = Callable[[ImageResult], None]
    OnSet = Callable[[SetResult], None]

IDENTITY: Final = "identity"
RESULT_FILES: Final = ("results.json", "results.md")


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder of the test sets, or one above 'test'.")
    ],
    weights: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="What to evaluate; 'identity': the degraded input itself."),
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
        typer.Option("-o", "--output", metavar="OUT", help="Folder for the results."),
    ] = None,
    tile: Annotated[str, typer.Option(metavar="auto|N", help="Side of a tile in pixels.")] = "auto",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to run the network.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    noise_rounding: Annotated[
        str, typer.Option(metavar="round|truncate", help="How noisy values become 8-bit; papers truncate.")
    ] = "round",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")] = False,
) -> None:
    """Measure PSNR and SSIM on the standard test sets, by the protocol of the papers."""
    require_extra("train", ("skimage",), "evaluate")
    from anyir.evaluation.protocol import conventions
    from anyir.evaluation.report import table
    from anyir.evaluation.results import Results, library_versions
    from anyir.evaluation.sets import select_sets

    protocol = _protocol(seed, noise_rounding)
    side = tile_size(tile)
    found, absent = _find(data, select_sets(suite, only or ()))
    if output is not None:
        _prepare(output, overwrite)
    restore, about, ran = _restore_function(weights, device, side, threads)
    sets = _evaluate_all(found, restore, protocol)
    results = Results(
        command=repeating_command(
            "evaluate",
            {
                "--weights": weights,
                "--data": data,
                "--suite": suite,
                "--set": only,
                "--tile": tile,
                "--device": device,
                "--threads": threads,
                "--seed": seed,
                "--noise-rounding": noise_rounding,
                "-o": output,
            },
        ),
        weights=about,
        settings={
            "suite": suite,
            "tile": tile,
            "device": device,
            "threads": threads,
            "provider": ran,
            "seed": seed,
        },
        conventions=conventions(protocol),
        versions=library_versions(),
        sets=sets,
        absent=absent,
    )
    if output is not None:
        _write(results, output)
    print("\n".join(table(results)))


def _protocol(seed: int, noise_rounding: str) -> Protocol:
    from anyir.evaluation.protocol import NoiseRounding, Protocol

    try:
        return Protocol(seed, NoiseRounding(noise_rounding))
    except ValueError:
        raise UsageError(f"--noise-rounding {noise_rounding!r}: must be 'round' or 'truncate'") from None


def _prepare(output: Path, overwrite: bool) -> None:
    """Make the folder and look for older results: before the work, not after it."""
    existing = [output / name for name in RESULT_FILES if os.path.lexists(output / name)]
    if existing and not overwrite:
        raise OutputError(f"{existing[0]} exists already; give --overwrite or another folder")
    make_folder(output)


def _find(
    data: Path, selected: Sequence[EvaluationSet]
) -> tuple[list[tuple[EvaluationSet, tuple[Example, ...]]], dict[str, str]]:
    from anyir.evaluation.sets import find_pairs, whereabouts

    found: list[tuple[EvaluationSet, tuple[Example, ...]]] = []
    absent: dict[str, str] = {}
    for each in selected:
        pairs = find_pairs(data, each)
        if pairs is None:
            absent[each.name] = whereabouts(each)
        else:
            found.append((each, pairs))
    if not found:
        looked_for = "; ".join(f"{name} in {where}" for name, where in absent.items())
        raise DataError(f"{data} holds none of the sets asked for; looked for {looked_for}")
    return found, absent


def _restore_function(
    weights: str, device: str, tile: TileSize, threads: int | None
) -> tuple[Restore, dict[str, str | None], str | None]:
    """What is evaluated, what its results file says of it, and the provider that runs it."""
    if weights == IDENTITY:
        return lambda image: image, {"name": IDENTITY, "sha256": None}, None
    from anyir.inference import Restorer, resolve

    file = resolve(weights)
    device = cast("Device", device)  # Restorer checks it, at run time too
    restorer = Restorer(file.path, device=device, tile=tile, threads=threads)
    return restorer, {"name": file.name, "sha256": _sha256(file.path)}, restorer.provider


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _evaluate_all(
    found: Sequence[tuple[EvaluationSet, tuple[Example, ...]]], restore: Restore, protocol: Protocol
) -> tuple[SetResult, ...]:
    from anyir.evaluation.protocol import evaluate_set

    results: list[SetResult] = []
    with _progress(sum(len(pairs) for _, pairs in found)) as (begin, on_image, end):
        for each, pairs in found:
            begin(each.title)
            results.append(evaluate_set(pairs, each, restore, protocol, on_image))
            end(results[-1])
    return tuple(results)


@contextmanager
def _progress(total: int) -> Generator[tuple[Callable[[str], None], OnImage, OnSet]]:
    """A bar where a terminal shows it, and a line for each set; on the error stream, not among the table.

    Yields: what to call with a set's title before it, after each image, and with a set's result.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda title: bar.update(task, description=title),
            lambda image: bar.advance(task),
            lambda result: console.print(_line(result), markup=False, highlight=False, soft_wrap=True),
        )


def _line(result: SetResult) -> str:
    before = "" if result.input_psnr is None else f"{result.input_psnr:.2f} → "
    pictures = f"{len(result.images)} picture{'s' if len(result.images) > 1 else ''}"
    return f"{result.title}: {before}{result.psnr:.2f} dB, {pictures}, {result.seconds:.1f} s"


def _write(results: Results, output: Path) -> None:
    from anyir.evaluation.report import markdown
    from anyir.evaluation.results import to_json
    from anyir.files import write_atomically

    for name, text in zip(RESULT_FILES, (to_json(results), markdown(results)), strict=True):
        write_atomically(output / name, text.encode())
