"""Results beside the published ones: Tables 1, 2 and 3 of the paper (arXiv 2407.13372) with rows of our own.

A column is filled from the published test set only, and only from all of it; whatever else was measured for the same
degradation is told in a note, outside of the column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from anyir.evaluation.models import known_model
from anyir.evaluation.published import DEVIATIONS, TABLES, PublishedRow, PublishedTable
from anyir.evaluation.results import Results, SetResult
from anyir.evaluation.sets import SETS
from anyir.evaluation.tables import Column, Row, Table

_PSNR_DECIMALS, _SSIM_DECIMALS = 2, 3  # as published
_GENERAL: Final = (
    "Figures are means over pictures, PSNR in dB and SSIM on RGB; published ones are as printed in the papers and were "
    "not measured again. An average is given where every column is filled."
)
_SINGLE: Final = (
    "Published rows are of networks that were each trained on one degradation. A measured row is of one network; its "
    "note says what that was trained on."
)


def comparison_tables(results: Sequence[Results]) -> tuple[Table, ...]:
    """The paper's tables for three degradations, for five, and for one at a time, each with these results in it.

    A table none of whose test sets was evaluated is left out.

    Args:
        results: of one or several models; those of the identity make rows of the degraded input.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`anyir.evaluation.models.known_model`.
    """
    evaluated = {result.name for each in results for result in each.sets}
    return tuple(comparison_table(each, results) for each in TABLES if evaluated & set(each.sets))


def comparison_table(published: PublishedTable, results: Sequence[Results]) -> Table:
    """One published table with these results in it; see :func:`comparison_tables`."""
    names = row_names(results)
    measured = [_measured_row(published, each, name) for each, name in zip(results, names, strict=True)]
    inputs = [row for row in measured if row.origin == "input"]
    return Table(
        name=published.name,
        title=f"{published.title}: PSNR / SSIM",
        source=published.source,
        columns=_columns(published),
        rows=(
            *inputs,
            *(_published_row(published, row) for row in published.rows),
            *(row for row in measured if row.origin == "measured"),
        ),
        notes=(_GENERAL, *_notes(published)),
    )


def row_names(results: Sequence[Results]) -> tuple[str, ...]:
    """A name for each: that of its weights, with the beginning of their SHA-256 where several share one.

    The same weights may be there several times, with the guard of ``anyir restore`` and without, and as self-ensemble.
    """
    guarded = {each.weights["sha256"] for each in results if each.settings.get("guard")}
    names = [
        f"{each.weights['name']}"
        f"{', self-ensemble' if each.settings.get('quality') == 'best' else ''}"
        f"{', no guard' if each.settings.get('guard') is False and each.weights['sha256'] in guarded else ''}"
        for each in results
    ]
    shared = Counter(names)
    return tuple(
        f"{name} {sha256[:8]}" if shared[name] > 1 and (sha256 := each.weights["sha256"]) else name
        for name, each in zip(names, results, strict=True)
    )


def is_whole(result: SetResult) -> bool:
    """Whether all pictures of the set are there: as many as it says that it has, and as we know that it has."""
    return len(result.images) == result.expected == SETS[result.name].expected


def _has_average(published: PublishedTable) -> bool:
    return any(row.average is not None for row in published.rows)


def _columns(published: PublishedTable) -> tuple[Column, ...]:
    average = [("average", "average")] if _has_average(published) else []
    of_sets = (
        column
        for name, title in (*((name, SETS[name].title) for name in published.sets), *average)
        for column in (
            Column(f"{name}_psnr_db", title, _PSNR_DECIMALS, ranked=True),
            Column(f"{name}_ssim", title, _SSIM_DECIMALS, ranked=True),
        )
    )
    return Column("parameters_millions", "parameters, M"), *of_sets


def _published_row(published: PublishedTable, row: PublishedRow) -> Row:
    means = (*row.means, row.average) if _has_average(published) else row.means
    pairs = [(None, None) if mean is None else (mean.psnr, mean.ssim) for mean in means]
    values = (row.parameters_millions, *(value for pair in pairs for value in pair))
    elsewhere = row.source != published.source
    return Row(
        row.method,
        "published",
        row.source,
        values,
        notes=(f"Not in {published.source}: figures from {row.source}.",) if elsewhere else (),
    )


def _notes(published: PublishedTable) -> tuple[str, ...]:
    different = [
        f"{method} ({measure.upper()} {mean:g})"
        for (table, method, measure), mean in DEVIATIONS.items()
        if table == published.name
    ]
    deviating = f"Where a printed average is not the mean of its columns, that is: {', '.join(different)}."
    return (*([deviating] if different else []), *([] if _has_average(published) else [_SINGLE]))


def _measured_row(published: PublishedTable, results: Results, name: str) -> Row:
    found = {each.name: each for each in results.sets}
    columns = [each if fills_column(each := found.get(set_name)) else None for set_name in published.sets]
    filled = [each for each in columns if each is not None]
    pairs = [(None, None) if each is None else (each.psnr, each.ssim) for each in columns]
    if _has_average(published):
        pairs.append(_average(filled) if len(filled) == len(columns) else (None, None))
    is_input = results.is_input
    model = known_model(results)
    parameters = None if model is None or model.parameters is None else model.parameters / 1e6
    intervals = {f"{each.name}_psnr_db": each.psnr_interval for each in filled}
    return Row(
        method="degraded input" if is_input else name,
        origin="input" if is_input else "measured",
        source=results.source,
        values=(parameters, *(value for pair in pairs for value in pair)),
        intervals={column: bounds for column, bounds in intervals.items() if bounds is not None},
        notes=(
            *([] if is_input else [_training_note(None if model is None else model.trained_on)]),
            *_noise_notes(results, filled),
            *_empty_notes(published, results, filled),
        ),
    )


def _average(sets: Sequence[SetResult]) -> tuple[float, float]:
    """PSNR and SSIM, every set counting the same, as in the paper."""
    return fmean(each.psnr for each in sets), fmean(each.ssim for each in sets)


def fills_column(result: SetResult | None) -> bool:
    """Whether a set may stand in a column beside published figures."""
    return result is not None and result.official and SETS[result.name].official and is_whole(result)


def _training_note(trained_on: str | None) -> str:
    if trained_on is None:
        return "Measured by us. What it was trained on is not known."
    return f"Measured by us. Trained on: {trained_on}."


def _noise_notes(results: Results, filled: Sequence[SetResult]) -> list[str]:
    noise = results.conventions.get("noise")
    if noise is None or not any(SETS[each.name].sigma_255 for each in filled):
        return []
    return [f"Noise: {noise}. The public code behind the published figures truncates to 8 bits."]


def _empty_notes(published: PublishedTable, results: Results, filled: Sequence[SetResult]) -> list[str]:
    """What there was in place of the sets whose columns are empty."""
    empty = [name for name in published.sets if name not in {each.name for each in filled}]
    reasons = [f"{SETS[name].title} ({_why_empty(name, published, results)})" for name in empty]
    return [f"Columns left empty: {'; '.join(reasons)}."] if reasons else []


def _why_empty(name: str, published: PublishedTable, results: Results) -> str:
    own = [each for each in results.sets if each.name == name]
    others = [
        each
        for each in results.sets
        if each.task == SETS[name].task and not each.official and each.name not in published.sets
    ]
    what = (
        "not the published set as a whole"
        if own
        else "not found"
        if name in results.absent
        else "not measured"
    )
    gave = [
        f"{each.title}: {each.psnr:.{_PSNR_DECIMALS}f} / {each.ssim:.{_SSIM_DECIMALS}f} over {_pictures(each)}"
        for each in (*own, *others)
    ]
    return f"{what}; outside of the column, {', '.join(gave)}" if gave else what


def _pictures(result: SetResult) -> str:
    count = len(result.images)
    if count != result.expected:
        return f"{count} of {result.expected} pictures"
    return f"{count} picture{'' if count == 1 else 's'}"
