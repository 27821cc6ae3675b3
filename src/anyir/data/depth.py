"""Plausible depth from label maps, for haze that thickens with distance.

Depth runs from 0 (at the lens) to 1 (the horizon and the sky). Nothing here is measured: a human segmentation says
which pixels belong together, a street label says what they are, and the picture's rows say how far away the ground
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

SKY_ROWS: Final = 0.12
"""A segment that ends above this share of the height counts as far as the sky."""

STREET_DEPTHS: Final[Mapping[int, float]] = {
    0: 1.0,  # sky
    1: 0.55,  # building
    2: 0.35,  # pole
    5: 0.6,  # tree
    6: 0.4,  # sign
    7: 0.45,  # fence
    8: 0.3,  # car
    9: 0.3,  # pedestrian
    10: 0.3,  # bicyclist
}
"""Typical depth of what stands upright, by CamVid label; the ground (road 3, pavement 4) follows its rows."""

_GROUND: Final = (3, 4)


def _ground_ramp(height: int, horizon: float) -> NDArray[np.float32]:
    """Depth of flat ground in each row, (H, 1): 1 at the horizon (a share of the height), 1/distance below it."""
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    below = np.clip((rows - horizon) / (1 - horizon), 0.0, 1.0)
    return (0.12 / (0.12 + below) * (1 - below))[:, None].astype(np.float32)


def depth_from_segments(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Depth of a human segmentation (H, W), as (H, W) uint8 with 255 farthest.

    Each segment stands at one distance, given by where it touches the ground: its lowest rows. Segments at the top
    of the picture are sky or far away.
    """
    height, _ = labels.shape
    ramp = 1 - np.arange(height, dtype=np.float32)[:, None] / max(height - 1, 1)
    depth = np.broadcast_to(ramp, labels.shape).copy()
    for label in np.unique(labels):
        inside = labels == label
        rows = np.nonzero(inside.any(axis=1))[0]
        foot = float(np.quantile(np.nonzero(inside)[0], 0.95)) / height
        reaches_top = rows[0] == 0 and float(np.nonzero(inside)[0].mean()) / height < 0.35
        standing = 1.0 if reaches_top or foot < SKY_ROWS else 1.0 - foot
        # Mostly the segment's own distance, partly the ramp of its rows: upright things are even, ground is not.
        depth[inside] = 0.7 * standing + 0.3 * depth[inside]
    return np.rint(np.clip(depth, 0, 1) * 255).astype(np.uint8)


def depth_from_street(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Depth of a street label map (H, W), as (H, W) uint8 with 255 farthest.

    Ground recedes towards the horizon, taken as the highest row of road; upright things stand at typical depths;
    what has no label follows the ground's rows.
    """
    height, _ = labels.shape
    is_ground = np.isin(labels, _GROUND)
    ground_rows = np.nonzero(is_ground.any(axis=1))[0]
    horizon = float(ground_rows[0]) / height if len(ground_rows) else 0.5
    depth = np.broadcast_to(_ground_ramp(height, min(horizon, 0.9)), labels.shape).copy()
    for label, typical in STREET_DEPTHS.items():
        depth[labels == label] = typical
    return np.rint(np.clip(depth, 0, 1) * 255).astype(np.uint8)
