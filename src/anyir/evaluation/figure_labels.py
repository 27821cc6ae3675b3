"""Names beside the points of a chart, so placed that none covers another, a point or the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, cos, hypot, radians, sin
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from anyir.evaluation.figure_style import SMALL

DISTANCES_POINTS: Final = (5, 8, 12, 17, 23, 30, 38, 48, 60, 75)
"""From a point to its name, nearest first."""

ANGLES_DEGREES: Final = (0, 180, 90, 270, 45, 315, 135, 225)
"""Where a name may stand, best first: to the right, where one reads on."""

LEADER_POINTS: Final = 10
"""Beyond this distance a line leads from the point to its name."""


@dataclass(frozen=True)
class PointLabel:
    """A name to be placed.

    Attributes:
        x: of its point, in data units.
        y: of its point, in data units.
        text: one line.
        bold: for what the chart is about.
    """

    x: float
    y: float
    text: str
    bold: bool = False


def place_labels(
    axes: Axes, labels: Sequence[PointLabel], avoid: Sequence[tuple[float, float]] = (), size: float = SMALL
) -> list[Annotation]:
    """Write each name at the nearest free place to its point; earlier ones choose first.

    The layout of the figure must be final: limits set, every other text there, the layout engine off. Where no place
    is free, the name stands where it covers least.

    Args:
        axes: of the points.
        labels: the names.
        avoid: further points, (x, y) in data units, that no name may cover.
        size: of the type, points.

    Returns:
        The texts, in the order of ``labels``.
    """
    pixels = axes.figure.dpi / 72
    points: Any = axes.transData.transform([*((label.x, label.y) for label in labels), *avoid])
    taken = [_around(float(x), float(y), 4 * pixels, 4 * pixels) for x, y in points]
    taken += [text.get_window_extent() for text in axes.texts if text.get_visible()]
    placed: list[Annotation] = []
    for label, (x, y) in zip(labels, points[: len(labels)], strict=True):
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            fontweight="bold" if label.bold else "normal",
        )
        text.set_in_layout(False)
        extent = text.get_window_extent()
        place = _best_place((float(x), float(y)), points, extent, axes.bbox, taken, pixels)
        text.set_position((place.dx / pixels, place.dy / pixels))
        taken += [place.box, *place.leader]
        if place.leader:
            tip = place.leader[-1]
            _draw_leader(axes, (float(x), float(y)), ((tip.x0 + tip.x1) / 2, (tip.y0 + tip.y1) / 2))
        placed.append(text)
    return placed


@dataclass(frozen=True)
class _Place:
    """Where a name may stand: its middle's offset from the point, its box, and boxes along its line; pixels."""

    dx: float
    dy: float
    box: Bbox
    leader: tuple[Bbox, ...]


def _places(x: float, y: float, extent: Bbox, pixels: float) -> Iterator[_Place]:
    for distance in DISTANCES_POINTS:
        for angle in ANGLES_DEGREES:
            right, up = cos(radians(angle)), sin(radians(angle))
            dx = right * (distance * pixels + extent.width / 2)
            dy = up * (distance * pixels + extent.height / 2)
            box = _around(x + dx, y + dy, extent.width / 2 + pixels, extent.height / 2 + pixels)
            yield _Place(dx, dy, box, _leader(x, y, box, pixels) if distance > LEADER_POINTS else ())


def _leader(x: float, y: float, box: Bbox, pixels: float) -> tuple[Bbox, ...]:
    """Boxes along the line from a point to the nearest point of a name's box, without the marker's surroundings."""
    end_x, end_y = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
    length = hypot(end_x - x, end_y - y)
    steps = range(2, ceil(length / (2 * pixels)) + 1)
    places = [min(2 * pixels * step / length, 1.0) for step in steps]
    return tuple(_around(x + (end_x - x) * part, y + (end_y - y) * part, pixels, pixels) for part in places)


def _best_place(
    point: tuple[float, float],
    points: Sequence[tuple[float, float]],
    extent: Bbox,
    inside: Bbox,
    taken: Sequence[Bbox],
    pixels: float,
) -> _Place:
    """The first place that covers nothing and cannot be taken for another point's; else the one that covers least."""
    best, least = None, float("inf")
    for place in _places(*point, extent, pixels):
        covered = sum(_overlap(place.box, other) for other in taken)
        covered += place.box.width * place.box.height - _overlap(place.box, inside)
        # A line through a name is as bad as a name upon it.
        covered += sum(_overlap(part, other) for part in place.leader for other in taken)
        if not place.leader:
            nearest = min(_gap(place.box, x, y) for x, y in points)
            covered += _gap(place.box, *point) - nearest
        if covered == 0:
            return place
        if covered < least:
            best, least = place, covered
    assert best is not None, "there are places"
    return best


def _gap(box: Bbox, x: float, y: float) -> float:
    """From a point to the nearest point of a box, pixels."""
    return hypot(max(box.x0 - x, x - box.x1, 0.0), max(box.y0 - y, y - box.y1, 0.0))


def _overlap(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share, square pixels."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)


def _around(x: float, y: float, half_width: float, half_height: float) -> Bbox:
    return Bbox.from_extents(x - half_width, y - half_height, x + half_width, y + half_height)


def _draw_leader(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A thin line between two places given in pixels."""
    ends: Any = axes.transData.inverted().transform([start, end])
    axes.plot(ends[:, 0], ends[:, 1], color="0.55", linewidth=0.6, zorder=1, scalex=False, scaley=False)
