"""A benchmark as Markdown, to read, and as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from anyir.evaluation.benchmark import REFERENCE, Benchmark, PhotoTiming, Timing
from anyir.evaluation.tables import NONE, aligned, escaped

FORMAT: Final = 1
"""Of the JSON form; to be raised when a reader of the old layout would misunderstand the new one."""

MEMORY_ALLOWANCE: Final = 500_000_000
"""Bytes that restoring a photograph may take, beside twice its decoded size."""

_HOW: Final = (
    "Every measurement in a process of its own; the ways take turns, round by round. Best and median are over all runs "
    "of all rounds; the middle half of the runs lies between the two values given. Faster: by the shortest runs, "
    f"against {REFERENCE} on the same batch. Of the matrix product: operations of the network a second, as published "
    "(twice the multiply-accumulates at 224×224, scaled by area), as a share of what a large matrix product reaches on "
    "this machine; a form that computes the same with fewer operations gets the credit. Memory: the largest during "
    "the measurement less what was taken when the libraries had been loaded. On CUDA: device memory of "
    "PyTorch, whose pictures are on the device already, while ONNX Runtime is given them on the host. Difference: the "
    "largest between results and those of the reference, for the same weights."
)
_PHOTOS: Final = (
    "From JPEG to JPEG, with tiles and guard, as `anyir restore` does it, but for its report and manifest; made-up "
    "pictures. µs per pixel: restoring, without reading and writing, in the shortest of the runs. First tile: seconds "
    "from the start of the process until the first tile was restored. Peak memory is that of the whole process, "
    "libraries included; allowed are twice the decoded picture and 500 MB."
)


def to_markdown(benchmark: Benchmark) -> str:
    """Tables of the ways and of the photographs, how they were measured, and with what."""
    settings = benchmark.settings
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in benchmark.matrix_rates.items())
    threads = settings["threads"]
    machine = f"{settings['processor'] or 'unknown processor'}, {threads} thread{'' if threads == 1 else 's'}"
    versions = ", ".join(f"{name} {version}" for name, version in settings["versions"].items())
    parts = [f"# Speed: {escaped(settings['weights']['name'])} on {escaped(machine)}"]
    if benchmark.timings:
        parts += ["\n".join(aligned(_ways(benchmark))), *_notes(benchmark.timings), _HOW]
    parts += [f"{escaped(each)}." for each in benchmark.failures]
    if benchmark.photos:
        parts += ["## Whole photographs", "\n".join(aligned(_photos(benchmark.photos))), _PHOTOS]
    parts.append(
        f"Matrix product here: {rates}. {settings['rounds']} rounds. {versions}; {settings['date']}."
    )
    parts.append(f"```sh\n{settings['command']}\n```")
    return "\n\n".join(parts) + "\n"


def to_json(benchmark: Benchmark) -> str:
    """Everything, every run's seconds among it."""

    def timing(each: Timing) -> dict[str, Any]:
        way = {key: value for key, value in asdict(each.case.way).items() if key != "path"}
        low, high = each.middle or (None, None)
        return {
            **way,
            "size": each.case.size,
            "batch": each.case.batch,
            "provider": each.provider,
            "best_seconds": each.best,
            "median_seconds": each.median,
            "quartiles_seconds": [low, high],
            "speedup": benchmark.speedup(each),
            "matrix_share": benchmark.share(each),
            "peak_bytes": each.peak_bytes,
            "difference": each.difference,
            "error": each.error,
            "rounds_seconds": [[round(run, 6) for run in turn] for turn in each.rounds],
        }

    content = {
        "anyir_benchmark": FORMAT,
        "settings": dict(benchmark.settings),
        "matrix_operations_per_second": dict(benchmark.matrix_rates),
        "timings": [timing(each) for each in benchmark.timings],
        "photos": [asdict(each) for each in benchmark.photos],
        "failures": list(benchmark.failures),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _ways(benchmark: Benchmark) -> list[list[str]]:
    lines = [
        [
            "way",
            "batch",
            "best, ms",
            "median, ms",
            "middle half, ms",
            "µs per pixel",
            "faster",
            "of the matrix product",
            "memory, MB",
            "difference",
        ]
    ]
    for each in benchmark.timings:
        case = each.case
        name = [escaped(case.way.name), f"{case.batch} × {case.size}×{case.size}"]
        if each.best is None or each.median is None:
            lines.append([*name, *[NONE] * 8])
            continue
        speedup, share = benchmark.speedup(each), benchmark.share(each)
        middle = each.middle
        lines.append(
            [
                *name,
                _milliseconds(each.best),
                _milliseconds(each.median),
                NONE if middle is None else " to ".join(map(_milliseconds, middle)),
                f"{each.best / case.pixels * 1e6:.2f}",
                NONE if speedup is None else f"{speedup:.2f}×",
                NONE if share is None else f"{share:.0%}",
                NONE if each.peak_bytes is None else f"{each.peak_bytes / 1e6:.0f}",
                NONE if each.difference is None else f"{each.difference:.1g}",
            ]
        )
    return lines


def _notes(timings: Sequence[Timing]) -> list[str]:
    failed = dict.fromkeys(
        f"{escaped(each.case.way.name)} at {each.case.size}: {escaped(each.error)}."
        for each in timings
        if each.error
    )
    providers = dict.fromkeys(
        f"{escaped(each.case.way.name)}: {escaped(each.provider)}" for each in timings if each.provider
    )
    return [*failed, *([f"Ran on: {'; '.join(providers)}."] if providers else [])]


def _photos(photos: Sequence[PhotoTiming]) -> list[list[str]]:
    heading = [
        "photograph",
        "runs",
        "tiles",
        "reading, s",
        "restoring, s",
        "writing, s",
        "µs per pixel",
        "first tile, s",
    ]
    lines = [[*heading, "peak memory, MB", "allowed, MB"]]
    for each in photos:
        allowed = 2 * each.decoded_bytes + MEMORY_ALLOWANCE
        lines.append(
            [
                f"{each.pixels / 1e6:.1f} MP, {each.width}×{each.height}",
                str(each.runs),
                str(each.tiles),
                f"{each.read_seconds:.2f}",
                f"{each.restore_seconds:.1f}",
                f"{each.write_seconds:.2f}",
                f"{each.restore_seconds / each.pixels * 1e6:.2f}",
                f"{each.first_seconds:.2f}",
                NONE if each.peak_bytes is None else f"{each.peak_bytes / 1e6:.0f}",
                f"{allowed / 1e6:.0f}",
            ]
        )
    return lines


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"
