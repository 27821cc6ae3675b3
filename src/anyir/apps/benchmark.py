"""``anyir benchmark``: how fast a network runs here, and what whole photographs take."""

from __future__ import annotations

import datetime
import platform
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from anyir.apps.console import Interrupted, say, write_text
from anyir.apps.options import repeating_command
from anyir.errors import OutputError, UsageError
from anyir.files import check_folder

if TYPE_CHECKING:
    from anyir.evaluation.benchmark import Benchmark, Case, Way
    from anyir.inference.weights import WeightsFile

NAME: Final = "benchmark"
SIZES: Final = (256, 1024)


def benchmark(
    weights: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Weights of anyir, or an ONNX file.")
    ] = "default",
    sizes: Annotated[
        list[int] | None,
        typer.Option("--size", metavar="N", help="Side of the images in pixels (repeatable); 256 and 1024."),
    ] = None,
    batches: Annotated[
        list[int] | None, typer.Option("--batch", metavar="N", help="Images at once (repeatable); 1.")
    ] = None,
    peers: Annotated[
        list[Path] | None,
        typer.Option("--peer", metavar="OTHER.onnx", help="Measure this restorer too (repeatable)."),
    ] = None,
    photos: Annotated[
        list[float] | None,
        typer.Option(
            "--photo", metavar="MEGAPIXELS", help="Restore a whole photograph of this size too (repeatable)."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each way has.")] = 5,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Where all of them run.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Folder for benchmark.json, .md and .png."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results in OUT.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not say what is being measured.")] = False,
) -> None:
    """Measure speed and memory: PyTorch, the exported model and peers, in turns; keep the machine idle meanwhile."""
    from anyir.evaluation.benchmark import check_sizes, run_benchmark
    from anyir.evaluation.benchmark_report import to_markdown
    from anyir.inference import resolve, usable_cores

    if device not in ("cpu", "cuda"):  # what each way would take by itself would not be comparable
        raise UsageError(f"--device {device!r}: must be cpu or cuda")
    chosen_sizes, chosen_batches = sizes or list(SIZES), batches or [1]
    check_sizes(chosen_sizes, chosen_batches, photos or [])
    if output is not None:
        check_folder(output)
        if not overwrite:
            _refuse_to_replace(output)
    file = resolve(weights)
    ways = _ways(file, peers or [], device, quiet=quiet)
    options = {
        "--weights": weights,
        "--size": chosen_sizes,
        "--batch": chosen_batches,
        "--peer": [str(peer) for peer in peers or []],
        "--photo": [f"{each:g}" for each in photos or []],
        "--rounds": rounds,
        "--device": device,
        "--threads": threads,
        "-o": output,
    }
    try:
        found = run_benchmark(
            _cases(ways, chosen_sizes, chosen_batches),
            weights=str(file.path) if file.facts is None else file.name,
            megapixels=photos or [],
            rounds=rounds,
            device=device,
            threads=threads or usable_cores(),
            settings={
                **_about(file, threads or usable_cores()),
                "rounds": rounds,
                "device": device,
                "command": repeating_command(NAME, options),
            },
            on_step=None if quiet else lambda done, total, what: say(f"{done + 1}/{total} {what}"),
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was written: run the same command again") from None
    print(to_markdown(found), end="")
    if output is not None:
        _write(found, output)
    if found.failures or any(each.error for each in found.timings):
        raise typer.Exit(1)


def _ways(file: WeightsFile, peers: list[Path], device: str, *, quiet: bool) -> list[Way]:
    """What can be measured here, the reference first."""
    from anyir.evaluation.benchmark import REFERENCE, Way
    from anyir.inference import OnnxEngine

    header = OnnxEngine(file.path, "cpu", 1).header
    macs = file.facts.macs_224 if file.facts is not None else header.get("macs_224")
    ways: list[Way] = []
    checkpoint = _checkpoint(file)
    if checkpoint is None and not quiet:
        say(
            "without PyTorch's times: they need the extra 'train' (pip install 'anyir[train]') and the checkpoint "
            "beside the ONNX file, of its name"
        )
    if checkpoint is not None:
        path = str(checkpoint)
        ways += [
            Way(REFERENCE, "torch", path, macs),
            Way("PyTorch, channels last", "torch", path, macs, channels_last=True),
        ]
        if device == "cuda":
            half = Way("PyTorch, bf16", "torch", path, macs, channels_last=True, precision="bfloat16")
            ways += [
                half,
                Way("PyTorch, bf16, compiled", "torch", path, macs, True, "bfloat16", compiled=True),
            ]
    ways.append(Way("exported, ONNX Runtime", "onnx", str(file.path), macs))
    for peer in peers:
        OnnxEngine(peer, "cpu", 1)  # says at once what is wrong with it
        ways.append(Way(peer.name, "onnx", str(peer)))
    names = [way.name for way in ways]
    if len(set(names)) < len(names):
        raise UsageError(
            "two peers have the same file name; rename one, so that the table can tell them apart"
        )
    return ways


def _checkpoint(file: WeightsFile) -> Path | None:
    """The checkpoint of the same weights, where it is there and PyTorch is installed."""
    path = file.path.with_suffix(".safetensors")
    installed = all(find_spec(module) is not None for module in ("torch", "safetensors"))
    return path if installed and path.is_file() else None


def _cases(ways: list[Way], sizes: list[int], batches: list[int]) -> list[Case]:
    from anyir.evaluation.benchmark import Case

    return [Case(way, size, batch) for size in sizes for batch in batches for way in ways]


def _about(file: WeightsFile, threads: int) -> dict[str, Any]:
    """Machine, versions, weights and date."""
    from anyir.evaluation.machine import library_version, machine

    libraries = [name for name in ("anyir", "numpy", "onnxruntime", "torch") if find_spec(name) is not None]
    return {
        "weights": {"name": file.name, "sha256": file.sha256()},
        **machine(),
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in libraries},
        },
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _refuse_to_replace(output: Path) -> None:
    for suffix in (".json", ".md", ".png"):
        path = output / f"{NAME}{suffix}"
        if path.exists():
            raise OutputError(f"{path} exists already; choose another folder, or allow it with --overwrite")


def _write(found: Benchmark, output: Path) -> None:
    from anyir.evaluation.benchmark_report import to_json, to_markdown
    from anyir.files import write_atomically

    write_text(output / f"{NAME}.json", to_json(found))
    write_text(output / f"{NAME}.md", to_markdown(found))
    if find_spec("matplotlib") is not None and any(each.best is not None for each in found.timings):
        from anyir.evaluation.benchmark_figure import benchmark_figure

        write_atomically(output / f"{NAME}.png", benchmark_figure(found, ".png"))
    else:
        (output / f"{NAME}.png").unlink(missing_ok=True)  # of an earlier run, which it would belie
