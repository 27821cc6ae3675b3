from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.text import Annotation, Text

from anyir.errors import UsageError
from anyir.evaluation.results import ImageResult, Results, Score, SetResult
from anyir.evaluation.sets import SETS
from anyir.evaluation.size_figure import Comparison, Method, _draw, comparable_psnr, size_figure

DENOISE = Comparison(
    "CBSD68 σ = 25",
    (
        Method("BRDNet", None, 29.76),
        Method("LPNet", None, 24.77),
        Method("FDGAN", None, 28.81),
        Method("DL", 2, 30.41),
        Method("MPRNet", 16, 30.89),
        Method("AirNet", 9, 31.26),
        Method("PromptIR", 36, 31.31),
        Method("AnyIR", 6, 31.29),
    ),
    (Method("anyir-s", 0.99, 29.53),),
)
AVERAGE = Comparison(
    "average of five",
    (
        Method("NAFNet", 17, 27.76),
        Method("DGUNet", 17, 28.32),
        Method("SwinIR", 1, 25.04),
        Method("Restormer", 26, 27.60),
        Method("TransWeather", 38, 25.22),
        Method("TAPE", 1, 25.09),
        Method("IDR", 15, 28.34),
    ),
)


def result(name: str, psnr: float, official: bool = True) -> SetResult:
    image = ImageResult("1", 32, 32, Score(20, 0.5), Score(psnr, 0.9), 0.1)
    expected = SETS[name].expected
    return SetResult(name, name, "derain", official, expected, (image,) * expected)


def results(*sets: SetResult) -> Results:
    return Results("anyir evaluate", {"name": "x", "sha256": None}, {}, {}, {}, sets, {})


def test_a_partial_set_is_never_averaged_into_a_claim():
    whole = results(result("rain100l", 30), result("lolv1", 20), result("haze-partial", 40, official=False))
    assert comparable_psnr(whole, ["rain100l"]) == 30
    assert comparable_psnr(whole, ["rain100l", "lolv1"]) == 25
    assert comparable_psnr(whole, ["rain100l", "haze-partial"]) is None
    assert comparable_psnr(whole, ["rain100l", "gopro"]) is None
    part = replace(whole.sets[0], expected=1, images=whole.sets[0].images[:1])  # whatever its file says
    assert comparable_psnr(results(part), ["rain100l"]) is None
    with pytest.raises(UsageError, match="at least one set"):
        comparable_psnr(whole, [])


def test_points_stand_at_their_size_and_unknown_sizes_left_of_all():
    axes = _draw([DENOISE]).axes[0]
    published, ours = (drawn.get_offsets().tolist() for drawn in axes.collections[:2])
    assert axes.get_xscale() == "log"
    assert published[3:] == [[2, 30.41], [16, 30.89], [9, 31.26], [36, 31.31], [6, 31.29]]
    assert ours == [[0.99, 29.53]]
    assert len({x for x, _ in published[:3]}) == 1 and published[0][0] < 0.99 / 2
    assert [label.get_text() for label in axes.get_xticklabels()] == ["?", "1", "2", "5", "10", "20"]
    assert "?: not published" in axes.get_xlabel()


def test_each_method_is_named_once_and_no_name_covers_another_or_a_point():
    figure = _draw([DENOISE, AVERAGE])
    for axes, comparison in zip(figure.axes, (DENOISE, AVERAGE), strict=True):
        methods = (*comparison.ours, *comparison.published)
        texts = [text for text in axes.texts if isinstance(text, Annotation)]
        assert sorted(text.get_text() for text in texts) == sorted(method.name for method in methods)
        boxes = [Text.get_window_extent(text) for text in texts]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        points = axes.transData.transform([text.xy for text in texts])
        assert not any(box.contains(*point) for box in boxes for point in points)
        assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)


def test_without_a_number_of_ours_none_is_shown():
    figure = _draw([AVERAGE])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published"]
    assert "?" not in [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(_draw([DENOISE]).legends[0].get_texts()) == 2


def test_three_comparisons_leave_no_empty_chart():
    titles = [axes.get_title("left") for axes in _draw([DENOISE, AVERAGE, DENOISE]).axes]
    assert titles == ["CBSD68 σ = 25", "average of five", "CBSD68 σ = 25"]


def test_one_method_of_unknown_size_is_enough():
    assert size_figure([Comparison("t", (Method("a", None, 30),))], ".svg").startswith(b"<?xml")


def test_the_same_numbers_give_the_same_bytes():
    assert size_figure([DENOISE], ".pdf") == size_figure([DENOISE], ".pdf")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match=r"'\.jpg'; choose"):
        size_figure([DENOISE], ".jpg")
    for nothing in ([], [DENOISE, Comparison("t", ())]):
        with pytest.raises(UsageError, match="at least one method"):
            size_figure(nothing, ".svg")
    with pytest.raises(UsageError, match="above zero"):
        size_figure([replace(AVERAGE, ours=(Method("a", 0, 30),))], ".svg")
