from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from anyir.errors import ShapeMismatch, UsageError
from anyir.evaluation.panels import Panel, choose_windows
from anyir.evaluation.panels_figure import _draw, panels_figure
from anyir.picture import read_image


def panel(name: str = "one", height: int = 32, width: int = 48, input_psnr: float | None = 20.0) -> Panel:
    clean = np.random.default_rng(len(name)).random((height, width, 3))
    return Panel(name, "median gain of 3", clean * 0.5, clean * 0.9, clean, input_psnr, 18.5)


LANDSCAPE, UPRIGHT = panel(), panel("upright", 48, 32)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_each_column_shows_its_image_whole_and_in_both_windows():
    axes = _draw("rain", [LANDSCAPE]).axes
    error = np.abs(LANDSCAPE.restored - LANDSCAPE.clean).mean(axis=2)
    images = (LANDSCAPE.degraded, LANDSCAPE.restored, LANDSCAPE.clean, error * 10)
    windows = choose_windows(LANDSCAPE)
    for place, image in enumerate(images):
        shown = [each.images[0].get_array() for each in axes[3 * place : 3 * place + 3]]
        wanted = [image, *(window.of(image) for window in windows)]
        for got, want in zip(shown, wanted, strict=True):
            np.testing.assert_allclose(got, np.clip(want, 0, 1), atol=1e-6)


def test_whole_pictures_keep_their_proportions_and_bear_the_windows():
    for example in (LANDSCAPE, UPRIGHT):
        whole, first, second = _draw("rain", [example]).axes[:3]
        height, width = example.clean.shape[:2]
        assert whole.bbox.height / whole.bbox.width == pytest.approx(height / width)
        for zoom in (first, second):
            assert zoom.bbox.height == pytest.approx(zoom.bbox.width)
        places = {(frame.get_y() + 0.5, frame.get_x() + 0.5, frame.get_width()) for frame in whole.patches}
        assert places == {(window.top, window.left, window.side) for window in choose_windows(example)}


def test_psnr_gain_and_the_reason_are_written():
    found = texts(_draw("rain", [LANDSCAPE, replace(UPRIGHT, input_psnr=18.0)]))
    assert {"20.00 dB", "18.50 dB (−1.50)", "18.50 dB (+0.50)", "median gain of 3: one"} <= {*found}
    assert {"the clean picture itself", "18.50 dB"} <= {*texts(_draw("t", [panel(input_psnr=None)]))}


def test_all_examples_share_one_stated_scale_of_error():
    bad = replace(UPRIGHT, restored=1 - UPRIGHT.clean)  # errors of up to 1
    figure = _draw("rain", [LANDSCAPE, bad])
    assert "error × 1" in texts(figure) and "error × 10" in texts(_draw("rain", [LANDSCAPE]))
    shown = figure.axes[9].images[0].get_array()
    np.testing.assert_allclose(shown, np.abs(LANDSCAPE.restored - LANDSCAPE.clean).mean(axis=2), atol=1e-6)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["0", "1 or more"]
    assert any("1 times amplified in all examples" in " ".join(text.split()) for text in texts(figure))


def test_no_text_or_picture_covers_another_and_none_is_cut_off():
    figure = _draw("Rain100L, restored by anyir-s", [LANDSCAPE, UPRIGHT, panel("wide", 16, 64)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.texts] + [axes.bbox for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    boxes += [label.get_window_extent() for label in figure.axes[-1].get_xticklabels()]
    for box in boxes:
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0 and box.y1 <= figure.bbox.y1


def test_a_jpeg_is_as_wide_as_a_page_and_the_same_bytes_each_time(tmp_path):
    content = panels_figure("rain", [LANDSCAPE], ".jpg")
    assert content == panels_figure("rain", [LANDSCAPE], ".jpg")
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_image(tmp_path / "a.jpg").shape[1:] == (1260, 3)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match=r"'\.gif'; choose \.jpg"):
        panels_figure("rain", [LANDSCAPE], ".gif")
    with pytest.raises(UsageError, match="at least one"):
        panels_figure("rain", [], ".jpg")
    with pytest.raises(ShapeMismatch, match="one: the restored image"):
        panels_figure("rain", [replace(LANDSCAPE, restored=UPRIGHT.restored)], ".jpg")
