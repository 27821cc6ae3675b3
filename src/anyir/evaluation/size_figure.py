"""Quality against size: methods by their parameters and PSNR, as Fig. 1b of the paper (arXiv 2407.13372)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anyir.errors import UsageError
from anyir.evaluation.comparison import fills_column
from anyir.evaluation.figure_labels import PointLabel, place_labels
from anyir.evaluation.figure_style import WIDTH, file_content
from anyir.evaluation.results import Results

PUBLISHED: Final = "0.35"
OURS: Final = "#d55e00"
"""Vermilion, beside greys; the star tells it apart in print without colours."""

_TICKS: Final = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
_ACROSS: Final = 2


@dataclass(frozen=True)
class Method:
    """One point.

    Attributes:
        name: for its label.
        parameters_millions: its size; None where it was not published.
        psnr: dB.
    """

    name: str
    parameters_millions: float | None
    psnr: float


@dataclass(frozen=True)
class Comparison:
    """One chart: what was measured on the same pictures.

    Attributes:
        title: what was measured.
        published: methods with the numbers of their papers.
        ours: methods measured here, on the very pictures of the published ones; see :func:`comparable_psnr`. Empty
            where there are none.
    """

    title: str
    published: tuple[Method, ...]
    ours: tuple[Method, ...] = ()


def comparable_psnr(results: Results, sets: Sequence[str]) -> float | None:
    """The mean of sets' mean PSNR, dB; None unless each was evaluated on its official pictures, all of them.

    Args:
        results: of one evaluation.
        sets: names, as in :data:`anyir.evaluation.sets.SETS`; one for a column of a table, all for its average.

    Raises:
        UsageError: ``sets`` is empty.
    """
    if not sets:
        raise UsageError("a mean needs at least one set")
    official = {each.name: each.psnr for each in results.sets if fills_column(each)}
    return fmean(official[name] for name in sets) if all(name in official for name in sets) else None


def size_figure(comparisons: Sequence[Comparison], suffix: str) -> bytes:
    """The figure as a file's content, the same for the same numbers: a chart for each comparison.

    Parameters are on a logarithmic axis, the same for all charts; methods of unknown size stand left of it. PSNR has
    an axis of its own in each chart, and none begins at zero.

    Args:
        comparisons: at least one, each with at least one method.
        suffix: of the file, which says the format: one of :data:`~anyir.evaluation.figure_style.CHART_FORMATS`.

    Raises:
        UsageError: the format is another, there is nothing to draw, or a size is not above zero.
    """
    return file_content(lambda: _draw(comparisons), suffix)


def _draw(comparisons: Sequence[Comparison]) -> Figure:
    if not comparisons or not all(each.published or each.ours for each in comparisons):
        raise UsageError("a chart of quality against size needs at least one method")
    sizes = [
        method.parameters_millions
        for each in comparisons
        for method in (*each.published, *each.ours)
        if method.parameters_millions is not None
    ]
    if any(size <= 0 for size in sizes):
        raise UsageError(
            "the number of parameters must be above zero, in millions; give None where it is unknown"
        )
    low, high = (min(sizes), max(sizes)) if sizes else (1.0, 10.0)
    across = min(_ACROSS, len(comparisons))
    down = ceil(len(comparisons) / across)
    figure = Figure(figsize=(WIDTH, 0.45 + 2.75 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[len(comparisons) :]:
        axes.remove()
    for axes, comparison in zip(grid, comparisons, strict=False):
        _draw_chart(axes, comparison, low, high)
    figure.legend(
        handles=_legend_entries(comparisons), loc="outside upper left", ncols=2, frameon=False, fontsize=8
    )
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # names are placed in the layout as it is now
    for axes, comparison in zip(grid, comparisons, strict=False):
        _label(axes, comparison, low)
    return figure


def _draw_chart(axes: Axes, comparison: Comparison, low: float, high: float) -> None:
    axes.set_xscale("log")
    for methods, colour, marker, size in (
        (comparison.published, PUBLISHED, "o", 22),
        (comparison.ours, OURS, "*", 110),
    ):
        places = [_place(method, low) for method in methods]
        axes.scatter(
            places,
            [method.psnr for method in methods],
            s=size,
            c=colour,
            marker=marker,
            linewidths=0,
            zorder=3,
        )
    methods = (*comparison.published, *comparison.ours)
    unknown = any(method.parameters_millions is None for method in methods)
    ticks = [tick for tick in _TICKS if low / 1.01 <= tick <= high * 1.01]
    axes.set_xticks(
        [*([_unknown(low)] if unknown else []), *ticks],
        [*(["?"] if unknown else []), *(f"{tick:g}" for tick in ticks)],
    )
    axes.set_xticks([], minor=True)
    axes.set_xlim((_unknown(low) if unknown else low) / 1.6, high * 2.2)
    if unknown:
        axes.axvspan(axes.get_xlim()[0], _unknown(low) * 1.35, color="0.94", linewidth=0, zorder=0)
    lowest, highest = min(method.psnr for method in methods), max(method.psnr for method in methods)
    room = 0.12 * (highest - lowest) or 0.5
    axes.set_ylim(lowest - room, highest + room)
    axes.grid(color="0.9", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(comparison.title, loc="left", fontsize=9)
    axes.set_xlabel(
        "parameters (millions; ?: not published)" if unknown else "parameters (millions)", fontsize=8
    )
    axes.set_ylabel("PSNR (dB)", fontsize=8)
    axes.tick_params(labelsize=8)


def _label(axes: Axes, comparison: Comparison, low: float) -> None:
    ours = [PointLabel(_place(each, low), each.psnr, each.name, bold=True) for each in comparison.ours]
    published = [PointLabel(_place(each, low), each.psnr, each.name) for each in comparison.published]
    published.sort(key=lambda label: -label.x)  # names stand to the right, where the last have least room
    place_labels(axes, [*ours, *published])


def _place(method: Method, low: float) -> float:
    return _unknown(low) if method.parameters_millions is None else method.parameters_millions


def _unknown(low: float) -> float:
    """Where methods of unknown size stand: clearly below the smallest."""
    return low / 2.2


def _legend_entries(comparisons: Sequence[Comparison]) -> list[Line2D]:
    entries = [("o", 4.5, PUBLISHED, "published"), ("*", 9.0, OURS, "measured here, on the same pictures")]
    shown = [any(each.published for each in comparisons), any(each.ours for each in comparisons)]
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            markersize=size,
            color=colour,
            markeredgewidth=0,
            label=label,
        )
        for (marker, size, colour, label), any_of_it in zip(entries, shown, strict=True)
        if any_of_it
    ]
