from __future__ import annotations

import numpy as np
import pytest

from anyir.errors import ShapeMismatch
from anyir.picture import side_by_side


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_before_is_left_and_after_is_right(dtype):
    before, after = np.full((2, 3, 3), 5, dtype), np.full((2, 3, 3), 200, dtype)
    both = side_by_side(before, after)
    assert both.dtype == dtype
    assert both[..., 0].tolist() == [[5, 5, 5, 200, 200, 200]] * 2


@pytest.mark.parametrize("after", [np.zeros((2, 4, 3), np.uint8), np.zeros((2, 3, 3), np.uint16)])
def test_unlike_images_are_refused(after):
    with pytest.raises(ShapeMismatch, match="alike"):
        side_by_side(np.zeros((2, 3, 3), np.uint8), after)
    with pytest.raises(ShapeMismatch, match="alike"):
        side_by_side(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8))
