"""Which figures an evaluation draws: from results alone, and from pictures that are restored once more to be shown."""

from __future__ import annotations

from collections.abc import Sequence

from anyir.data.layouts import Example
from anyir.evaluation.comparison import row_names
from anyir.evaluation.models import known_model
from anyir.evaluation.panels import Panel, pick_pictures
from anyir.evaluation.panels_figure import panels_figure
from anyir.evaluation.protocol import Protocol, Restore, degraded_and_clean
from anyir.evaluation.published import FIVE, THREE, PublishedRow, PublishedTable
from anyir.evaluation.results import Results, SetResult
from anyir.evaluation.sets import SETS, EvaluationSet
from anyir.evaluation.size_figure import Comparison, Method, comparable_psnr

_MILLION = 1e6


def size_comparisons(results: Sequence[Results]) -> tuple[Comparison, ...]:
    """Charts of quality against parameters: one for each published column that ours can stand in, and for averages.

    A column's published numbers are those of networks for five degradations where the paper has them, else for three.
    An average is drawn only where every one of its sets was measured, whole and official.

    Args:
        results: of one or several models. Those of unknown size, and the identity, are left out.
    """
    charts: list[Comparison] = []
    shown: set[str] = set()
    for table in (FIVE, THREE):
        for sets in (*((name,) for name in table.sets if name not in shown), table.sets):
            ours = _ours(results, sets)
            if ours:
                charts.append(Comparison(_title(table, sets), _published(table, sets), ours))
                shown |= set(sets)
    return tuple(charts)


def set_panels(
    result: SetResult,
    pairs: Sequence[Example],
    evaluated: EvaluationSet,
    restore: Restore,
    protocol: Protocol,
    weights: str,
    suffix: str,
) -> bytes:
    """The best, the median and the worst picture of a set, as a figure.

    Args:
        result: what the set scored.
        pairs: its pictures.
        evaluated: the set.
        restore: what was evaluated.
        protocol: by which it was.
        weights: what to call it.
        suffix: of the file, which says the format.

    Raises:
        UsageError: no such format.
        DataError, PictureError: as :func:`anyir.evaluation.protocol.degraded_and_clean`.
    """
    by_name = {pair.name: pair for pair in pairs}
    panels: list[Panel] = []
    for pick in pick_pictures(result):
        degraded, clean = degraded_and_clean(by_name[pick.image.name], evaluated, protocol)
        before = pick.image.degraded
        panels.append(
            Panel(
                name=pick.image.name,
                why=pick.label,
                degraded=degraded,
                restored=restore(degraded).clip(0, 1),
                clean=clean,
                input_psnr=None if before is None else before.psnr,
                psnr=pick.image.restored.psnr,
            )
        )
    return panels_figure(f"{result.title}, restored by {weights}", panels, suffix)


def _ours(results: Sequence[Results], sets: Sequence[str]) -> tuple[Method, ...]:
    ours: list[Method] = []
    for each, name in zip(results, row_names(results), strict=True):
        psnr, model = comparable_psnr(each, sets), known_model(each)
        if psnr is not None and model is not None and model.parameters:
            ours.append(Method(name, model.parameters / _MILLION, psnr))
    return tuple(ours)


def _published(table: PublishedTable, sets: Sequence[str]) -> tuple[Method, ...]:
    methods = ((row, _psnr(table, row, sets)) for row in table.rows)
    return tuple(
        Method(row.method, row.parameters_millions, psnr) for row, psnr in methods if psnr is not None
    )


def _psnr(table: PublishedTable, row: PublishedRow, sets: Sequence[str]) -> float | None:
    """Of a method in one column, or its printed average where all are wanted."""
    mean = row.average if len(sets) > 1 else row.means[table.sets.index(sets[0])]
    return None if mean is None else mean.psnr


def _title(table: PublishedTable, sets: Sequence[str]) -> str:
    what = "Average" if len(sets) > 1 else SETS[sets[0]].title
    return f"{what}, {table.name} tasks"
