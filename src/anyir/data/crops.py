"""The centre of a picture, cut to sizes that networks and the papers' protocol want."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def centre(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """The centre of an (H, W, C) image, its sides cut to multiples of ``multiple``; the odd row goes at the end."""
    height, width = image.shape[:2]
    top, left = height % multiple // 2, width % multiple // 2
    new_height, new_width = centre_size(height, width, multiple)
    return image[top : top + new_height, left : left + new_width]


def centre_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """(height, width) of what :func:`centre` makes of such an image."""
    return height - height % multiple, width - width % multiple
