from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anyir.data.layouts import Example
from anyir.evaluation.figures import set_panels, size_comparisons
from anyir.evaluation.protocol import Protocol, evaluate_set
from anyir.evaluation.published import FIVE, THREE
from anyir.evaluation.results import EvaluatedModel, ImageResult, Results, Score, SetResult
from anyir.evaluation.sets import SETS
from anyir.evaluation.size_figure import _draw
from anyir.picture import write_image


def whole(name: str, psnr: float) -> SetResult:
    expected = SETS[name].expected
    images = tuple(
        ImageResult(str(n), 16, 16, Score(20, 0.5), Score(psnr, 0.9), 0.1) for n in range(expected)
    )
    return SetResult(name, SETS[name].title, SETS[name].task, True, expected, images)


def results(*sets: SetResult, name: str = "mine", parameters: int | None = 2_500_000) -> Results:
    return Results(
        command="anyir evaluate",
        weights={"name": name, "sha256": "ab" * 32},
        settings={},
        conventions={},
        versions={},
        sets=sets,
        absent={},
        model=EvaluatedModel(parameters, None, None, None, None),
    )


def test_a_chart_for_each_column_that_ours_stands_in():
    charts = size_comparisons([results(whole("rain100l", 33), whole("cbsd68-15", 32))])
    assert [chart.title for chart in charts] == [
        "Rain100L, five tasks",
        "CBSD68 σ = 15, three tasks",
    ]
    (ours,) = charts[0].ours
    assert (ours.name, ours.parameters_millions, ours.psnr) == ("mine", 2.5, 33)
    published = {method.name: method for method in charts[0].published}
    assert published["AnyIR"].psnr == 36.91 and published["IDR"].parameters_millions == 15
    assert {method.name: method.psnr for method in charts[1].published}["PromptIR"] == 33.98


def test_an_average_only_of_all_its_sets_and_nothing_of_parts():
    names = ("sots-outdoor", "rain100l", "cbsd68-25", "gopro", "lolv1")
    sets = [whole(name, 30 + n) for n, name in enumerate(names)]
    charts = size_comparisons([results(*sets)])
    assert [chart.ours[0].psnr for chart in charts if chart.title.startswith("Average")] == [32]
    published = {m.name: m.psnr for m in charts[-1].published}
    assert charts[-1].title == "Average, five tasks" and published["AnyIR"] == 29.65
    part = replace(sets[1], official=False)
    assert not any(
        chart.title.startswith(("Average", "Rain100L"))
        for chart in size_comparisons([results(sets[0], part, *sets[2:])])
    )
    assert size_comparisons([results(part)]) == ()


def test_no_title_is_cut_off():
    charts = size_comparisons([results(*(whole(name, 30) for name in (*FIVE.sets, *THREE.sets)))])
    figure = _draw(charts)
    figure.canvas.draw()
    for axes in figure.axes:
        title = axes._left_title.get_window_extent()
        assert title.width and title.x1 <= min(figure.bbox.x1, axes.get_window_extent().x1 + 5)


def test_several_models_share_a_chart_and_those_without_a_size_are_left_out():
    rain = whole("rain100l", 33)
    (chart,) = size_comparisons(
        [results(rain), results(rain, name="peer"), results(rain, name="foreign", parameters=None)]
    )
    assert [method.name for method in chart.ours] == ["mine", "peer"]


def test_panels_show_what_was_scored(tmp_path):
    clean = np.random.default_rng(0).integers(60, 190, (48, 64, 3), dtype=np.uint8)
    pairs = []
    for number in (1, 2):
        for part, levels in (("degraded", clean + np.uint8(20 * number)), ("clean", clean)):
            write_image(levels, tmp_path / f"{number}-{part}.png")
        pairs.append(
            Example(
                f"{number}",
                f"{number}",
                tmp_path / f"{number}-clean.png",
                tmp_path / f"{number}-degraded.png",
            )
        )
    seen = []

    def restore(image):
        seen.append(float(image.mean()))
        return image - np.float32(0.1)

    result = evaluate_set(pairs, SETS["rain100l"], restore, Protocol())
    scored = list(seen)
    figure = set_panels(result, pairs, SETS["rain100l"], restore, Protocol(), "mine", ".jpg")
    assert figure[:2] == b"\xff\xd8" and sorted(seen[2:]) == pytest.approx(sorted(scored))
