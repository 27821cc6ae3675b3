"""Training samples a task before and after a recipe's weights, as a figure: Fig. 6 of the paper for any data."""

from __future__ import annotations

from typing import Final

from matplotlib.figure import Figure

from anyir.evaluation.figure_style import WIDTH, file_content
from anyir.training.stats import RecipeStats

BEFORE: Final = "#9ecae1"
AFTER: Final = "#08519c"
"""A light and a dark blue: told apart by anyone, and in print without colours."""


def stats_figure(stats: RecipeStats, suffix: str) -> bytes:
    """The figure as a file's content, the same for the same numbers.

    Args:
        stats: the numbers.
        suffix: of the file, which says the format: one of :data:`anyir.evaluation.figure_style.CHART_FORMATS`.

    Raises:
        UsageError: the format is another.
    """
    return file_content(lambda: _draw(stats), suffix)


def _draw(stats: RecipeStats) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.1 + 0.46 * len(stats.tasks)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(stats.tasks))
    before, after = [task.before for task in stats.tasks], [task.after for task in stats.tasks]
    after_title = "an epoch" if stats.by_epoch else "by the mixture's shares"
    for values, offset, colour, title in (
        (before, -0.19, BEFORE, f"before: {stats.before:,}, one for each example"),
        (after, 0.19, AFTER, f"after: {stats.after:,.0f} {after_title}"),
    ):
        bars = axes.barh([place + offset for place in places], values, height=0.36, color=colour, label=title)
        shares = (task.share for task in stats.tasks)
        labels = (
            [f"{value:,}" if value else "none" for value in before]
            if offset < 0
            else [
                f"{value:,.0f}  ({share:.1%})" if value else ""
                for value, share in zip(after, shares, strict=True)
            ]
        )
        axes.bar_label(bars, labels=labels, padding=3, fontsize=8)
    axes.set_yticks(list(places), [task.task for task in stats.tasks])
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.set_xlim(0, 1.22 * max(*before, *after, 1))  # room for the numbers, which make an axis needless
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("0.7")
    axes.set_title(f"Training samples a task, recipe {stats.recipe}", loc="left", fontsize=10, pad=22)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False, ncols=2, fontsize=8
    )
    return figure
