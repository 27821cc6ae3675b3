"""A benchmark as a small chart: a bar for each way, shorter is better."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anyir.errors import UsageError
from anyir.evaluation.benchmark import Benchmark, Timing
from anyir.evaluation.figure_style import SMALL, WIDTH, file_content

OURS: Final = "#d55e00"
OTHERS: Final = "0.65"
"""Vermilion and grey, which print without colours tells apart too."""

OUR_ENGINE: Final = "onnx"


def benchmark_figure(benchmark: Benchmark, suffix: str) -> bytes:
    """The figure as a file's content, the same for the same numbers.

    A chart for each batch, from zero: the bar is the shortest run, the thin line reaches to the median, and the label
    says the time and how many times as fast as the reference that is.

    Args:
        benchmark: with at least one way that was measured.
        suffix: of the file, which says the format: one of :data:`~anyir.evaluation.figure_style.CHART_FORMATS`.

    Raises:
        UsageError: the format is another, or nothing was measured.
    """
    return file_content(lambda: _draw(benchmark), suffix)


def _draw(benchmark: Benchmark) -> Figure:
    by_batch: dict[tuple[int, int], list[Timing]] = {}
    for each in benchmark.timings:
        if each.best is not None:
            by_batch.setdefault((each.case.batch, each.case.size), []).append(each)
    if not by_batch:
        raise UsageError("a chart of speed needs at least one way that was measured")
    heights = [len(each) + 1.6 for each in by_batch.values()]
    figure = Figure(figsize=(WIDTH, 0.24 * sum(heights) + 0.2), layout="constrained")
    charts = figure.subplots(len(by_batch), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, ((batch, size), timings) in zip(charts, by_batch.items(), strict=True):
        title = f"{size}×{size}" if batch == 1 else f"{batch} images of {size}×{size}"
        axes.set_title(title, fontsize=9, loc="left")
        _draw_bars(axes, benchmark, timings)
    charts[-1].set_xlabel(
        "seconds: the shortest run, and a line to the median; shorter is better", fontsize=SMALL
    )
    return figure


def _draw_bars(axes: Axes, benchmark: Benchmark, timings: list[Timing]) -> None:
    places = range(len(timings))
    best = [each.best or 0.0 for each in timings]
    medians = [each.median or 0.0 for each in timings]
    colours = [OURS if each.case.way.engine == OUR_ENGINE else OTHERS for each in timings]
    axes.barh(places, best, color=colours, height=0.7)
    axes.hlines(places, best, medians, color="0.2", linewidth=1)
    for place, each in enumerate(timings):
        speedup = benchmark.speedup(each)
        faster = "" if speedup is None else f", {speedup:.2f}×"
        text = f"  {best[place]:.3g} s{faster}"
        axes.text(max(best[place], medians[place]), place, text, va="center", fontsize=SMALL)
    axes.set_yticks(places, [each.case.way.name for each in timings], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(medians) * 1.25)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
