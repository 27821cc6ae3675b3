from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.text import Annotation, Text

from anyir.errors import UsageError
from anyir.evaluation.gain_figure import _draw, gain_figure, gains, most_harmed
from anyir.evaluation.results import ImageResult, Results, Score, SetResult, load_results
from anyir.inference import default_name


def image(name: str, before: float | None, after: float) -> ImageResult:
    return ImageResult(name, 32, 32, None if before is None else Score(before, 0.5), Score(after, 0.9), 0.1)


RAIN = SetResult(
    "rain100l",
    "Rain100L",
    "derain",
    True,
    5,
    (image("1", 20, 30), image("2", 22, 21), image("3", 24, 19), image("4", 25, 25), image("5", 22.5, 21)),
)
LOW = SetResult("lolv1", "LOL-v1 eval15", "lowlight", True, 1, (image("9", 8, 5),))
CLEAN = SetResult("clean", "Clean", "clean", True, 2, (image("a", None, 40), image("b", None, 35)))


def results(*sets: SetResult) -> Results:
    return Results("anyir evaluate", {"name": "x", "sha256": None}, {}, {}, {}, sets, {})


def test_a_gain_is_restored_less_degraded_and_clean_pictures_have_none():
    assert [(each.before, each.gain) for each in gains(RAIN)][:3] == [(20, 10), (22, -1), (24, -5)]
    assert gains(CLEAN) == ()


def test_the_most_harmed_are_those_that_lost_most_and_an_unchanged_one_is_not_harmed():
    found = [*gains(RAIN), *gains(LOW)]
    assert [each.name for each in most_harmed(found)] == ["3", "9", "5"]
    assert [each.name for each in most_harmed(found, 9)] == ["3", "9", "5", "2"]


def test_points_stand_where_the_numbers_say_and_below_zero_is_shaded():
    axes = _draw(results(RAIN, LOW)).axes[0]
    points = {tuple(point) for drawn in axes.collections for point in drawn.get_offsets().tolist()}
    assert points == {
        (20, 10),
        (22, -1),
        (24, -5),
        (25, 0),
        (22.5, -1.5),
        (8, -3),
    }
    (shade,) = axes.patches
    assert (shade.get_y(), shade.get_y() + shade.get_height()) == (axes.get_ylim()[0], 0)
    assert axes.get_ylim()[0] < -5
    assert "harm: 4 of 6 pictures" in {text.get_text() for text in axes.texts}


def test_the_legend_counts_the_harmed_of_each_set_below_its_task():
    (legend,) = _draw(results(LOW, RAIN)).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "derain", "Rain100L: 3 of 5", "lowlight", "LOL-v1 eval15: 1 of 1",
    ]  # fmt: skip


def test_the_three_most_harmed_are_named_and_no_text_covers_another():
    figure = _draw(results(RAIN, LOW, CLEAN))
    axes = figure.axes[0]
    named = [text for text in axes.texts if isinstance(text, Annotation)]
    assert [text.get_text() for text in named] == [
        "3: −5.00 dB", "9: −3.00 dB", "5: −1.50 dB",
    ]  # fmt: skip
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1
    assert legend.y1 <= axes.xaxis.label.get_window_extent().y0


def test_no_name_covers_another_in_the_figure_of_what_is_shipped():
    """Its gains are large and its losses small: they lie close together, with other pictures beside them."""
    shipped = load_results(Path(__file__).resolve().parents[2] / "results" / default_name() / "results.json")
    figure = _draw(shipped)
    axes = figure.axes[0]
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1  # three columns would be wider


def test_clean_pictures_have_a_strip_of_their_own():
    _, strip = _draw(results(RAIN, CLEAN)).axes
    assert sorted(strip.collections[0].get_offsets()[:, 1].tolist()) == [35, 40]
    assert strip.get_ylabel().startswith("2 clean pictures")
    assert len(_draw(results(RAIN)).axes) == 1


def test_one_picture_that_gained_is_enough():
    (axes,) = _draw(results(replace(RAIN, images=RAIN.images[:1]))).axes
    assert [text.get_text() for text in axes.texts] == ["harm: none of 1 pictures"]
    assert axes.get_ylim()[0] < 0 < 10 < axes.get_ylim()[1]


def test_the_same_results_give_the_same_bytes():
    assert gain_figure(results(RAIN, CLEAN), ".svg") == gain_figure(results(RAIN, CLEAN), ".svg")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match=r"'\.jpg'; choose"):
        gain_figure(results(RAIN), ".jpg")
    with pytest.raises(UsageError, match="no degraded picture"):
        gain_figure(results(CLEAN), ".svg")
    with pytest.raises(UsageError, match="'desnow'; known: denoise"):
        gain_figure(results(replace(RAIN, task="desnow")), ".svg")
