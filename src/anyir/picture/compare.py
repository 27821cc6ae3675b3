"""Pictures of the difference that a restoration makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch
from anyir.picture.types import Samples


def side_by_side(before: Samples, after: Samples) -> Samples:
    """Before on the left, after on the right: two (H, W, 3) images of one type → (H, 2W, 3).

    Raises:
        ShapeMismatch: if the two differ in shape or type, or are not (H, W, 3).
    """
    if before.shape != after.shape or before.dtype != after.dtype or before.ndim != 3 or before.shape[2] != 3:
        raise ShapeMismatch(
            f"a comparison needs two (H, W, 3) images alike, not {before.shape} {before.dtype} "
            f"and {after.shape} {after.dtype}"
        )
    both: tuple[NDArray[np.generic], NDArray[np.generic]] = (before, after)
    return np.concatenate(both, axis=1)  # pyright: ignore[reportReturnType]
