"""What restoring costs, beside Tables 4 and 7 of the paper (arXiv 2407.13372): size, work, memory, time.

Published memory and times are of an A100 GPU. They stand in the same tables, marked as such; to compare methods, run
them on one machine and give the results of all of them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anyir.evaluation.comparison import is_whole, row_names
from anyir.evaluation.models import known_model
from anyir.evaluation.published import COMPLEXITY, COMPLEXITY_SOURCE, TIMES, TIMES_SOURCE
from anyir.evaluation.results import EvaluatedModel, Results, SetResult
from anyir.evaluation.sets import SETS
from anyir.evaluation.tables import Column, Row, Table

_ELSEWHERE: Final = (
    "Measured elsewhere, on other hardware (an A100 GPU): memory and time are not to be compared with ours."
)
_MEMORY: Final = (
    "Peak memory here: of a process of its own, the largest resident memory (VmHWM of Linux) up to the end of one "
    "inference on the CPU, less what was resident before the engine was made, which the libraries were already."
)
_COUNTS: Final = (
    "All at 224×224 pixels. Of a model that anyir did not export, parameters are the elements of its file's "
    "initialisers, and multiply-accumulates are not counted."
)
_TIMES: Final = (
    "Seconds that restoring all pictures of a set took, reading and scoring not included. Published denoising times "
    "stand under σ = 25: the pictures are the same at every σ."
)

_COMPLEXITY_COLUMNS: Final = (
    Column("gpu_memory_mb", "GPU memory, MB"),
    Column("peak_memory_mb", "peak memory here, MB"),
    Column("parameters_millions", "parameters, M"),
    Column("macs_224_billions", "multiply-accumulates, G"),
    Column("file_mb", "weight file, MB"),
)


def cost_tables(results: Sequence[Results]) -> tuple[Table, Table]:
    """Complexity at 224×224, and seconds for whole test sets.

    Args:
        results: of one or several models; those of the identity cost nothing and have no rows.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`anyir.evaluation.models.known_model`.
    """
    return complexity_table(results), times_table(results)


def complexity_table(results: Sequence[Results]) -> Table:
    """Table 4 of the paper with rows for what was evaluated; see :func:`cost_tables`."""
    published = (
        Row(
            each.method,
            "published",
            COMPLEXITY_SOURCE,
            (each.gpu_memory_mb, None, each.parameters_millions, each.macs_billions, None),
            notes=(_ELSEWHERE,),
        )
        for each in COMPLEXITY
    )
    measured = (
        Row(name, "measured", each.source, _complexity(known_model(each)), notes=(machine_line(each),))
        for each, name in _models(results)
    )
    return Table(
        name="complexity",
        title="Memory, parameters and work at 224×224",
        source=COMPLEXITY_SOURCE,
        columns=_COMPLEXITY_COLUMNS,
        rows=(*published, *measured),
        notes=(_COUNTS, _MEMORY),
    )


def times_table(results: Sequence[Results]) -> Table:
    """Table 7 of the paper with rows for what was evaluated; see :func:`cost_tables`."""
    models = _models(results)
    wanted = {name for each in TIMES for name in each.seconds}
    wanted |= {each.name for model, _ in models for each in model.sets if _seconds(each) is not None}
    names = [name for name in SETS if name in wanted]
    published = (
        Row(
            each.method,
            "published",
            TIMES_SOURCE,
            tuple(each.seconds.get(name) for name in names),
            notes=(_ELSEWHERE,),
        )
        for each in TIMES
    )
    measured: list[Row] = []
    for each, row_name in models:
        seconds = {found.name: _seconds(found) for found in each.sets}
        notes = (machine_line(each), *_part_notes(each))
        measured.append(
            Row(row_name, "measured", each.source, tuple(seconds.get(name) for name in names), notes=notes)
        )
    return Table(
        name="times",
        title="Seconds for whole test sets",
        source=TIMES_SOURCE,
        columns=tuple(Column(f"{name}_seconds", SETS[name].title) for name in names),
        rows=(*published, *measured),
        notes=(_TIMES,),
    )


def machine_line(results: Results) -> str:
    """Where results were measured: processor, threads, provider, tile, guard and quality, as far as they are known."""
    settings = results.settings
    threads = settings.get("threads") or settings.get("cores")
    parts = [
        str(settings.get("processor") or "processor not recorded"),
        "threads not recorded" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}",
        *([str(settings["provider"])] if settings.get("provider") else []),
        *([f"tile {settings['tile']}"] if settings.get("tile") else []),
        *(["without the guard"] if settings.get("guard") is False else []),
        *(["four mirror images each"] if settings.get("quality") == "best" else []),
    ]
    return f"Measured by us: {', '.join(parts)}."


def _models(results: Sequence[Results]) -> list[tuple[Results, str]]:
    """What has a cost, with the name of its row."""
    named = zip(results, row_names(results), strict=True)
    return [(each, name) for each, name in named if not each.is_input]


def _complexity(model: EvaluatedModel | None) -> tuple[float | None, ...]:
    if model is None:
        return (None,) * len(_COMPLEXITY_COLUMNS)
    return (
        None,
        _scaled(model.peak_memory_224_bytes, 1e6),
        _scaled(model.parameters, 1e6),
        _scaled(model.macs_224, 1e9),
        _scaled(model.size_bytes, 1e6),
    )


def _scaled(value: int | None, unit: float) -> float | None:
    return value / unit if value else None


def _seconds(result: SetResult) -> float | None:
    """Of a whole set; None for a part of one, and where nothing ran."""
    known = result.name in SETS and is_whole(result)
    return result.seconds if known and result.seconds > 0 else None


def _part_notes(results: Results) -> list[str]:
    parts = [
        f"{each.title}, {len(each.images)} of {each.expected} pictures: {each.seconds:.1f} s"
        for each in results.sets
        if len(each.images) != each.expected
    ]
    return [f"Parts of sets, which have no figure: {'; '.join(parts)}."] if parts else []
