"""The same restored pictures under other papers' conventions: why two numbers for one model differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anyir.evaluation.metrics import psnr, ssim
from anyir.evaluation.results import Score

Measure = Callable[[NDArray[np.float32], NDArray[np.float32]], Score]
"""From a restored and a clean image, (H, W, 3) in [0, 1], to their score."""

_GREY_LEVELS: Final = 255
_LUMA: Final = np.array([65.481, 128.553, 24.966]) / _GREY_LEVELS
_LUMA_BLACK: Final = 16 / _GREY_LEVELS


@dataclass(frozen=True)
class Variant:
    """A convention that differs from the protocol's in one thing.

    Attributes:
        title: for a table's head.
        words: what it is, for the notes.
        measure: the score under it; None where the degraded picture itself is another, and is restored anew.
    """

    title: str
    words: str
    measure: Measure | None


def luma(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Y of BT.601 as MATLAB's ``rgb2ycbcr`` gives it: (H, W, 3) in [0, 1] → (H, W, 1) in [16 / 255, 235 / 255]."""
    return (_LUMA_BLACK + image @ _LUMA)[..., None]


def rounded(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """The nearest of 8-bit levels."""
    return np.divide(np.rint(image * _GREY_LEVELS), _GREY_LEVELS, dtype=np.float32)


def _truncated(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(np.floor(image * np.float32(_GREY_LEVELS)), _GREY_LEVELS, dtype=np.float32)


def _both(restored: NDArray[np.floating], clean: NDArray[np.floating], *, gaussian: bool = False) -> Score:
    return Score(psnr(restored, clean), ssim(restored, clean, gaussian=gaussian))


VARIANTS: Final[Mapping[str, Variant]] = {
    "y": Variant(
        "on Y",
        "PSNR and SSIM on the luma of BT.601 (16 to 235) alone, as papers on rain do",
        lambda restored, clean: _both(luma(restored), luma(clean)),
    ),
    "rounded": Variant(
        "8 bits, rounded",
        "the output rounded to 8 bits, as a file would hold it",
        lambda restored, clean: _both(rounded(restored), clean),
    ),
    "truncated": Variant(
        "8 bits, truncated",
        "the output cut off to 8 bits, as a careless conversion does",
        lambda restored, clean: _both(_truncated(restored), clean),
    ),
    "gaussian": Variant(
        "Gaussian SSIM",
        "SSIM with the Gaussian window (σ 1.5, 11×11) of Wang et al. (2004); PSNR is the same",
        lambda restored, clean: _both(restored, clean, gaussian=True),
    ),
    "y-gaussian": Variant(
        "on Y, Gaussian, rounded",
        "all three: the usual MATLAB script of papers on rain",
        lambda restored, clean: _both(luma(rounded(restored)), luma(clean), gaussian=True),
    ),
    "other-noise": Variant(
        "noise rounded otherwise",
        "noisy values cut off to 8 bits instead of rounded (or rounded, where this protocol cuts off), restored anew",
        None,
    ),
}
"""What is compared, in the order of the table."""


def measured(restored: NDArray[np.float32], clean: NDArray[np.float32]) -> dict[str, Score]:
    """The score under every variant that only measures differently."""
    return {
        name: variant.measure(restored, clean)
        for name, variant in VARIANTS.items()
        if variant.measure is not None
    }
