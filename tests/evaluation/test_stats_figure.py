from pathlib import Path

import pytest

from anyir.errors import UsageError
from anyir.evaluation.stats_figure import _draw, stats_figure
from anyir.picture import read_image
from anyir.training.stats import RecipeStats, TaskStats

STATS = RecipeStats(
    "mine",
    Path("data"),
    True,
    (
        TaskStats("derain", {"rain_train_l": 200}, 120, 200, 24000.0, 0.25),
        TaskStats("dehaze", {"ots": 72000}, 1, 72000, 72000.0, 0.75),
        TaskStats("deblur", {"gopro_train": 0}, 5, 0, 0.0, 0.0),
    ),
)


def test_the_bars_are_as_long_as_their_numbers_and_bear_them():
    axes = _draw(STATS).axes[0]
    before, after = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert (before, after) == ([200, 72000, 0], [24000, 72000, 0])
    assert [text.get_text() for text in axes.texts] == [
        "200", "72,000", "none", "24,000  (25.0%)", "72,000  (75.0%)", "",
    ]  # fmt: skip
    assert [label.get_text() for label in axes.get_yticklabels()] == ["derain", "dehaze", "deblur"]


def test_nothing_is_cut_off():
    figure = _draw(STATS)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    edge = figure.bbox.x1
    drawn = [*axes.texts, axes.get_legend(), axes.title, *axes.get_yticklabels()]
    assert max(each.get_window_extent().x1 for each in drawn) <= edge
    assert min(each.get_window_extent().x0 for each in drawn) >= 0


def test_a_png_is_wide_enough_for_print_and_grows_with_the_tasks(tmp_path):
    (tmp_path / "a.png").write_bytes(stats_figure(STATS, ".PNG"))
    image = read_image(tmp_path / "a.png")
    assert image.shape == (496, 1260, 3)
    assert len({tuple(pixel) for pixel in image.reshape(-1, 3)[::7]}) > 10


@pytest.mark.parametrize(("suffix", "head"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_vector_formats_are_the_same_bytes_each_time(suffix, head):
    content = stats_figure(STATS, suffix)
    assert content.startswith(head) and content == stats_figure(STATS, suffix)


def test_another_format_is_refused():
    with pytest.raises(UsageError, match=r"'\.gif'; choose \.png, \.svg, \.pdf"):
        stats_figure(STATS, ".gif")
