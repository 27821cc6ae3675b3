from dataclasses import replace

import numpy as np
import pytest

from anyir.errors import ShapeMismatch
from anyir.evaluation.panels import (
    Panel,
    Window,
    absolute_error,
    amplification,
    check_panel,
    choose_windows,
    pick_pictures,
)
from anyir.evaluation.results import ImageResult, Score, SetResult


def image(name: str, before: float | None, after: float) -> ImageResult:
    return ImageResult(name, 32, 32, None if before is None else Score(before, 0.5), Score(after, 0.9), 0.1)


def picked(*images: ImageResult) -> list[tuple[str, str]]:
    found = pick_pictures(SetResult("s", "S", "derain", True, len(images), images))
    return [(pick.label, pick.image.name) for pick in found]


def test_best_median_and_worst_are_by_gain_not_by_psnr():
    images = (
        image("a", 30, 29),
        image("b", 10, 20),
        image("c", 20, 25),
        image("d", 20, 26),
        image("e", 5, 6),
    )
    assert picked(*images) == [
        ("largest gain of 5", "b"), ("median gain of 5", "c"), ("smallest gain of 5", "a"),
    ]  # fmt: skip


def test_of_an_even_number_the_median_is_the_lower_middle_one_and_equal_ones_go_by_name():
    images = (image("d", 20, 21), image("c", 20, 23), image("b", 20, 23), image("a", 20, 24))
    assert [name for _, name in picked(*images)] == ["a", "c", "d"]


def test_small_sets_show_no_picture_twice():
    assert picked(image("a", 20, 22)) == [("the only picture", "a")]
    assert picked(image("a", 20, 22), image("b", 20, 25)) == [
        ("largest gain of 2", "b"), ("smallest gain of 2", "a"),
    ]  # fmt: skip


def test_clean_pictures_are_ordered_by_what_comes_back():
    assert picked(image("a", None, 30), image("b", None, 50), image("c", None, 40)) == [
        ("largest PSNR of 3", "b"), ("median PSNR of 3", "c"), ("smallest PSNR of 3", "a"),
    ]  # fmt: skip


def panel(height: int = 48, width: int = 64, seed: int = 0) -> Panel:
    """Fine detail at the lower right; damage everywhere; the restored picture fails at the upper left."""
    generator = np.random.default_rng(seed)
    clean = np.full((height, width, 3), 0.5)
    clean[-12:, -12:] = generator.random((12, 12, 3))
    restored = clean.copy()
    restored[:12, :12] = 1.0
    return Panel("p", "why", clean * 0.8, restored, clean, 20.0, 25.0)


def test_the_first_window_is_where_there_is_damage_and_detail_the_second_where_restoration_fails():
    assert choose_windows(panel()) == (Window(36, 51, 12), Window(0, 0, 12))
    # On the grid of 3 pixels, 51 is the last left edge inside a width of 64.


def test_the_first_window_does_not_depend_on_the_restored_picture():
    made = panel()
    elsewhere = made.clean.copy()
    elsewhere[-12:, -12:] = 0.0
    other = replace(made, restored=elsewhere)
    assert choose_windows(other)[0] == choose_windows(made)[0]


def test_a_failure_upon_the_first_window_sends_the_second_elsewhere():
    made = panel()
    failed = made.clean.copy()
    failed[-12:, -12:] = 1 - failed[-12:, -12:]
    first, second = choose_windows(replace(made, restored=failed))
    assert not first.overlaps(second)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (61, 16), (48, 64)])
def test_windows_are_inside_apart_and_the_same_each_time(height, width):
    made = panel(height, width)
    windows = choose_windows(made)
    assert windows == choose_windows(made)
    assert not windows[0].overlaps(windows[1])
    for window in windows:
        assert window.side == min(height, width) // 4
        assert window.of(made.clean).shape == (window.side, window.side, 3)


def test_in_a_clean_picture_the_first_window_is_where_the_detail_is():
    made = panel()
    assert choose_windows(replace(made, degraded=made.clean))[0] == Window(36, 51, 12)


def test_windows_that_touch_do_not_overlap():
    assert not Window(0, 0, 4).overlaps(Window(0, 4, 4))
    assert Window(0, 0, 4).overlaps(Window(3, 3, 4))


def test_the_error_is_the_mean_over_channels_of_the_clipped_picture():
    clean = np.full((16, 16, 3), 0.5)
    restored = clean + np.array([0.1, -0.2, 3.0])
    assert absolute_error(restored, clean) == pytest.approx((0.1 + 0.2 + 0.5) / 3)


@pytest.mark.parametrize(
    ("level", "factor"), [(0.0, 20), (0.04, 20), (0.06, 10), (0.3, 2), (0.6, 1), (1.0, 1)]
)
def test_one_factor_fits_the_largest_errors(level, factor):
    errors = [np.full((20, 20), level, np.float32), np.zeros((20, 20), np.float32)]
    assert amplification(errors) == factor


def test_a_few_large_errors_do_not_hide_the_others():
    error = np.full((20, 20), 0.09, np.float32)
    error[0, :16] = 1.0  # 4 %
    assert amplification([error]) == 10
    error[1, :8] = 1.0  # 6 %
    assert amplification([error]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"restored": np.zeros((48, 63, 3))}, "the restored image is float64 of"),
        ({"degraded": np.zeros((48, 64, 3), np.uint8)}, "the degraded image is uint8"),
        ({"clean": np.zeros((48, 64))}, r"at least 16×16 pixels, got \(48, 64\)"),
        ({"clean": np.zeros((15, 64, 3))}, "at least 16×16"),
    ],
)
def test_images_that_do_not_belong_together_are_refused(change, message):
    check_panel(panel())
    with pytest.raises(ShapeMismatch, match=f"p: .*{message}"):
        check_panel(replace(panel(), **change))
