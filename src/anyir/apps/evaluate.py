"""``anyir evaluate``: weights against the standard test sets."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from anyir.apps.console import Interrupted
from anyir.apps.extras import require_extra
from anyir.apps.options import tile_size
from anyir.errors import OutputError, UsageError
from anyir.files import make_folder

if TYPE_CHECKING:
    from anyir.evaluation.journal import Journal
    from anyir.evaluation.protocol import Protocol, Restore
    from anyir.evaluation.results import ImageResult, Results, SetResult
    from anyir.evaluation.run import Found, Listener
    from anyir.evaluation.sets import EvaluationSet
    from anyir.inference.engine import Device
    from anyir.inference.tiles import TileSize

IDENTITY: Final = "identity"
RESULT_FILES: Final = ("results.json", "results.md")
UNFINISHED: Final = "unfinished.jsonl"


@dataclass(frozen=True)
class _Contender:
    """What is evaluated.

    Attributes:
        weights: "name" and "sha256", for the results file.
        restore: degraded → restored image.
        provider: what really runs it; None for the identity.
    """

    weights: Mapping[str, str | None]
    restore: Restore
    provider: str | None


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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")] = False,
) -> None:
    """Measure PSNR and SSIM on the standard test sets, by the protocol of the papers."""
    require_extra("train", ("skimage",), "evaluate")
    from anyir.evaluation.protocol import conventions
    from anyir.evaluation.report import table, variants_table
    from anyir.evaluation.results import Results, library_versions
    from anyir.evaluation.run import find_sets
    from anyir.evaluation.sets import select_sets

    protocol = _protocol(seed, noise_rounding, variants)
    side = tile_size(tile)
    found = find_sets(data, select_sets(suite, only or ()))
    if output is not None:
        _prepare(output, overwrite)
    contender = _contender(weights, engine, device, side, threads)
    settings: dict[str, str | int | None] = {
        "suite": suite,
        "engine": engine,
        "tile": tile,
        "device": device,
        "threads": threads,
        "provider": contender.provider,
        "seed": seed,
    }
    words, versions = conventions(protocol), library_versions()
    about = {
        "weights": dict(contender.weights),
        "settings": settings,
        "conventions": words,
        "variants": variants,
        "versions": versions,
    }
    with _journal(output, about) as journal:
        sets = _evaluate(found, contender.restore, protocol, journal)
        results = Results(
            command=_command(
                {
                    "--weights": weights,
                    "--data": data,
                    "--suite": suite,
                    "--set": only,
                    "--engine": engine,
                    "--tile": tile,
                    "--device": device,
                    "--threads": threads,
                    "--seed": seed,
                    "--noise-rounding": noise_rounding,
                    "--conventions": variants,
                    "-o": output,
                }
            ),
            weights=contender.weights,
            settings=settings,
            conventions=words,
            versions=versions,
            sets=sets,
            absent=found.absent,
        )
        if output is not None:
            _write(results, output)
    print("\n".join(table(results)))
    if variants:
        print("\n" + "\n".join(variants_table(results)))


def _protocol(seed: int, noise_rounding: str, variants: bool) -> Protocol:
    from anyir.evaluation.protocol import NoiseRounding, Protocol

    try:
        return Protocol(seed, NoiseRounding(noise_rounding), variants)
    except ValueError:
        raise UsageError(f"--noise-rounding {noise_rounding!r}: must be 'round' or 'truncate'") from None


def _prepare(output: Path, overwrite: bool) -> None:
    """Make the folder and look for older results: before the work, not after it."""
    existing = [output / name for name in RESULT_FILES if os.path.lexists(output / name)]
    if existing and not overwrite:
        raise OutputError(f"{existing[0]} exists already; give --overwrite or another folder")
    make_folder(output)
    if overwrite:
        (output / UNFINISHED).unlink(missing_ok=True)


def _contender(weights: str, engine: str, device: str, tile: TileSize, threads: int | None) -> _Contender:
    """What is evaluated.

    Raises:
        UsageError, WeightsError, EngineUnavailable: as the engines'.
    """
    if engine not in ("auto", "onnx", "torch"):
        raise UsageError(f"--engine {engine!r}: must be 'auto', 'onnx' or 'torch'")
    if weights == IDENTITY:
        return _Contender({"name": IDENTITY, "sha256": None}, lambda image: image, None)
    from anyir.inference import Restorer, resolve

    if engine == "torch" or (engine == "auto" and weights.lower().endswith(".safetensors")):
        from anyir.inference import default_name
        from anyir.model.checkpoint import find_checkpoint
        from anyir.model.engine import TorchEngine

        path = find_checkpoint(default_name() if weights == "default" else weights)
        runs = TorchEngine(path, cast("Device", device), threads)
        restorer = Restorer(path.stem, tile=tile, engine=runs)
    else:
        file = resolve(weights)
        path = file.path
        restorer = Restorer(
            path if file.facts is None else file.name,
            device=cast("Device", device),
            tile=tile,
            threads=threads,
        )
    return _Contender({"name": restorer.name, "sha256": _sha256(path)}, restorer, restorer.provider)


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _journal(output: Path | None, about: Mapping[str, object]) -> Generator[Journal | None]:
    """The journal in OUT, gone once everything is written; kept with what is done where something stops us."""
    if output is None:
        yield None
        return
    from anyir.evaluation.journal import Journal

    journal = Journal(output / UNFINISHED, about)
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


def _command(options: Mapping[str, object]) -> str:
    """The command that repeats this evaluation: options without a value are left out, lists repeat theirs."""
    words = ["anyir", "evaluate"]
    for option, value in options.items():
        values: Sequence[object] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        for each in values:
            if isinstance(each, bool):
                words += [option] if each else []
            elif each is not None:
                words += [option, str(each)]
    return shlex.join(words)


def _write(results: Results, output: Path) -> None:
    from anyir.evaluation.report import markdown
    from anyir.evaluation.results import to_json
    from anyir.files import write_atomically

    for name, text in zip(RESULT_FILES, (to_json(results), markdown(results)), strict=True):
        write_atomically(output / name, text.encode())
