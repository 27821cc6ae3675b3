from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from anyir.evaluation.figure_labels import PointLabel, place_labels


def axes_of(points):
    figure = Figure(figsize=(4, 3))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.scatter(*zip(*points, strict=True))
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    figure.draw_without_rendering()
    return axes


def extents(texts):
    return [Text.get_window_extent(text) for text in texts]


CROWD = [(5, 5), (5.2, 5.1), (5.4, 4.9), (5, 5.3), (5.3, 5.4), (5.6, 5.2), (4.8, 4.7), (9.8, 9.8)]


@pytest.mark.parametrize("points", [CROWD, CROWD[::-1], [(5, 5)] * 4])
def test_names_in_a_crowd_cover_neither_each_other_nor_a_point_nor_the_edge(points):
    axes = axes_of(points)
    texts = place_labels(axes, [PointLabel(x, y, f"method {x:g} {y:g}") for x, y in points])
    boxes = extents(texts)
    assert [text.get_text() for text in texts] == [f"method {x:g} {y:g}" for x, y in points]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for box in boxes:
        assert not any(box.contains(*axes.transData.transform(point)) for point in points)
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y1 >= box.y1


def test_a_lone_name_stands_to_the_right_of_its_point_without_a_line():
    axes = axes_of([(5, 5)])
    (box,) = extents(place_labels(axes, [PointLabel(5, 5, "alone")]))
    x, y = axes.transData.transform((5, 5))
    assert 0 < box.x0 - x < 12 and box.y0 < y < box.y1
    assert not axes.lines


def test_points_and_texts_that_are_there_are_kept_clear():
    axes = axes_of([(5, 5), (6, 5)])
    there = axes.text(3, 4.9, "already here")
    (box,) = extents(place_labels(axes, [PointLabel(5, 5, "a long name of a picture")], avoid=[(6, 5)]))
    assert not box.contains(*axes.transData.transform((6, 5)))
    assert not box.overlaps(there.get_window_extent())


def test_a_line_leads_to_a_name_that_stands_far_and_crosses_no_other():
    axes = axes_of(CROWD)
    texts = place_labels(axes, [PointLabel(x, y, f"method {x:g} {y:g}") for x, y in CROWD])
    assert axes.lines
    boxes = extents(texts)
    for line in axes.lines:
        (x0, y0), (x1, y1) = axes.transData.transform(line.get_xydata())
        along = [(x0 + (x1 - x0) * part / 50, y0 + (y1 - y0) * part / 50) for part in range(15, 50)]
        crossed = {place for place, box in enumerate(boxes) for point in along if box.contains(*point)}
        assert len(crossed) <= 1  # its own, at most


def test_where_there_is_no_room_names_still_appear():
    axes = axes_of([(5, 5)])
    labels = [PointLabel(5, 5, "a name that is far longer than the chart that it stands in is wide " * 2)]
    assert len(place_labels(axes, labels)) == 1
