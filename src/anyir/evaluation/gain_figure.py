"""What restoration gained on every picture against how good the picture was: where it helps and where it harms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anyir.errors import UsageError
from anyir.evaluation.figure_labels import PointLabel, place_labels
from anyir.evaluation.figure_style import SMALL, TASK_STYLES, WIDTH, file_content
from anyir.evaluation.results import Results, SetResult

WORST: Final = 3
"""Harmed pictures that are named."""

LEGEND_COLUMNS: Final = 3

HARM: Final = "0.9"
"""Grey of the region below zero."""


@dataclass(frozen=True)
class Gain:
    """One picture.

    Attributes:
        task: its degradation.
        set_title: of its set.
        name: within its set.
        before: PSNR of the degraded picture, dB.
        gain: PSNR of the restored one less that, dB; below zero where restoration did harm.
    """

    task: str
    set_title: str
    name: str
    before: float
    gain: float


def gains(result: SetResult) -> tuple[Gain, ...]:
    """Of each picture of a set; none of a set whose input is the clean picture, which cannot gain."""
    return tuple(
        Gain(
            result.task,
            result.title,
            image.name,
            image.degraded.psnr,
            image.restored.psnr - image.degraded.psnr,
        )
        for image in result.images
        if image.degraded is not None
    )


def most_harmed(found: Sequence[Gain], number: int = WORST) -> tuple[Gain, ...]:
    """The pictures that lost most, worst first; fewer than ``number`` where fewer lost anything."""
    harmed = [each for each in found if each.gain < 0]
    return tuple(sorted(harmed, key=lambda each: (each.gain, each.set_title, each.name))[:number])


def gain_figure(results: Results, suffix: str) -> bytes:
    """The figure as a file's content, the same for the same numbers.

    A point is a picture; its marker says the task, the legend how many pictures of each set were harmed. Clean
    pictures have no PSNR before: a strip at the side shows how they come back.

    Args:
        results: of one evaluation.
        suffix: of the file, which says the format: one of :data:`~anyir.evaluation.figure_style.CHART_FORMATS`.

    Raises:
        UsageError: the format is another, the results hold no degraded picture, or a task is not one of
            :data:`~anyir.evaluation.figure_style.TASK_STYLES`.
    """
    return file_content(lambda: _draw(results), suffix)


def _draw(results: Results) -> Figure:
    degraded = [each for each in results.sets if each.input_psnr is not None]
    clean = [image.restored.psnr for each in results.sets if each.input_psnr is None for image in each.images]
    if not degraded:
        raise UsageError(
            "the results hold no degraded picture, and only those can gain; evaluate another suite"
        )
    if unknown := {each.task for each in degraded} - TASK_STYLES.keys():
        raise UsageError(f"no marker for the task {min(unknown)!r}; known: {', '.join(TASK_STYLES)}")
    by_task = {task: [each for each in degraded if each.task == task] for task in TASK_STYLES}
    by_task = {task: sets for task, sets in by_task.items() if sets}
    found = [gain for sets in by_task.values() for each in sets for gain in gains(each)]
    figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    if clean:
        axes, strip = figure.subplots(1, 2, width_ratios=(9, 1))
        _draw_clean(strip, clean)
    else:
        axes = figure.subplots()
    _draw_points(axes, found)
    figure.suptitle(
        f"Gain on each of {len(found)} pictures, {results.weights['name']}", x=0.01, ha="left", fontsize=10
    )
    _add_legend(figure, by_task)
    figure.set_layout_engine("none")  # names are placed in the layout as it is now
    names = [PointLabel(each.before, each.gain, _named(each)) for each in most_harmed(found)]
    place_labels(axes, names, avoid=[(each.before, each.gain) for each in found])
    return figure


def _draw_points(axes: Axes, found: Sequence[Gain]) -> None:
    for task, (colour, marker) in TASK_STYLES.items():
        points = [each for each in found if each.task == task]
        axes.scatter(
            [each.before for each in points],
            [each.gain for each in points],
            s=13,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0.3,
            edgecolors="white",
            label=task,
            zorder=2,
        )
    highest, lowest = max(each.gain for each in found), min(each.gain for each in found)
    span = max(highest, 0) - min(lowest, 0) or 1.0
    # There is always a region of harm to see, with a line in it for how many were harmed and one for each name.
    bottom = min(lowest, 0) - (0.08 + 0.06 * len(most_harmed(found))) * span
    axes.set_ylim(bottom, max(highest, 0) + 0.06 * span)
    axes.margins(x=0.05)
    axes.axhspan(bottom, 0, color=HARM, linewidth=0, zorder=0)
    axes.axhline(0, color="0.2", linewidth=0.9, zorder=1)
    harmed = sum(each.gain < 0 for each in found)
    axes.text(
        0.01,
        0.015,
        f"harm: {harmed} of {len(found)} pictures" if harmed else f"harm: none of {len(found)} pictures",
        transform=axes.transAxes,
        fontsize=8,
        style="italic",
    )
    axes.set_xlabel("PSNR of the degraded picture (dB)")
    axes.set_ylabel("gain: restored less degraded (dB)")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_clean(axes: Axes, values: Sequence[float]) -> None:
    """PSNR of clean pictures that were restored, with an axis of its own: as a gain it would be minus infinity."""
    colour, marker = TASK_STYLES["clean"]
    ranked = sorted(values)
    spread = [(rank * 0.618) % 1 for rank in range(len(ranked))]  # side by side, not upon each other
    axes.scatter(spread, ranked, s=13, c=colour, marker=marker, alpha=0.75, linewidths=0)
    axes.set_xlim(-0.6, 1.6)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel(f"{len(ranked)} clean pictures: PSNR after restoring (dB)")
    axes.spines[["top", "left"]].set_visible(False)


def _add_legend(figure: Figure, by_task: Mapping[str, Sequence[SetResult]]) -> None:
    """Below the axes, in as many columns as the figure is wide enough for; the layout is computed then."""
    for columns in range(min(LEGEND_COLUMNS, len(by_task)), 0, -1):
        legend = figure.legend(
            handles=_legend_entries(by_task, columns),
            loc="outside lower left",
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            title="Pictures that were harmed, of all pictures of the set",
            title_fontsize=SMALL,
            alignment="left",
            labelspacing=0.3,
        )
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().x1 <= figure.bbox.x1:
            return
        legend.remove()


def _legend_entries(by_task: Mapping[str, Sequence[SetResult]], columns: int) -> list[Line2D]:
    """A line for each task and one for each of its sets, so filled up with empty ones that no task is split.

    A legend is filled column by column, all equally long.
    """
    filled: list[list[Line2D]] = [[] for _ in range(columns)]
    for task, sets in by_task.items():
        colour, marker = TASK_STYLES[task]
        shortest = min(filled, key=len)
        shortest.append(_entry(task, colour, marker))
        shortest += [_entry(f"{each.title}: {_harmed(each)} of {len(each.images)}") for each in sets]
    longest = max(map(len, filled))
    return [entry for column in filled for entry in (*column, *[_entry("")] * (longest - len(column)))]


def _entry(label: str, colour: str = "none", marker: str = "") -> Line2D:
    return Line2D(
        [], [], linestyle="none", color=colour, marker=marker, markersize=5, markeredgewidth=0, label=label
    )


def _harmed(result: SetResult) -> int:
    return sum(each.gain < 0 for each in gains(result))


def _named(gain: Gain) -> str:
    """The set is known by the marker: with its title, names of frames would be as long as the axis."""
    return f"{gain.name}: −{-gain.gain:.2f} dB"
