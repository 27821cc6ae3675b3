"""The self-ensemble: the mean of what a network makes of a picture and of its mirror images.

Source: Lim et al., "Enhanced deep residual networks for single image super-resolution" (2017), who call it geometric
self-ensemble and take eight images. Here it is four: turned by a quarter, rain would fall sideways, which the network
does not take for rain.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from anyir.errors import UsageError
from anyir.inference.engine import Engine

Quality: TypeAlias = Literal["standard", "best"]
"""Of a restoration: "standard" runs the network once, "best" on four mirror images, of which it is the mean."""

FLIPS: Final = ((), (3,), (2,), (2, 3))
"""Axes of a batch (N, 3, H, W) that are reversed: not at all, across, down, both."""


class SelfEnsemble:
    """An engine that runs another on a batch and its mirror images, and gives the mean.

    Args:
        engine: the other.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine

    @property
    def provider(self) -> str:
        """What really runs the network."""
        return self._engine.provider

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1], sides as the other engine wants them → the mean of its results, not clipped."""
        total = np.zeros_like(batch)
        for axes in FLIPS:
            restored = self._engine(np.flip(batch, axes).copy())  # its own: an engine may work in place
            if restored.shape != batch.shape:
                return restored  # not a restorer, as whoever called will find
            total += np.flip(restored, axes)
        total /= len(FLIPS)
        return total


def check_quality(quality: str) -> Quality:
    """Return ``quality`` if there is such a one.

    Raises:
        UsageError: if there is not.
    """
    for known in get_args(Quality):
        if quality == known:
            return known
    raise UsageError(
        f"quality = {quality!r}: must be 'standard', or 'best' for the mean of four mirror images"
    )
