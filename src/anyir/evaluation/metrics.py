"""PSNR and SSIM as restoration papers compute them: scikit-image, RGB, floats in [0, 1]."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from anyir.errors import ShapeMismatch

SSIM_WINDOW: Final = 7
"""Side in pixels of the uniform window: scikit-image's default, which this family of papers uses."""

GAUSSIAN_WINDOW: Final = 11
"""Side in pixels of the Gaussian window (σ = 1.5) of Wang et al., "Image quality assessment" (2004)."""


def psnr(restored: NDArray[np.floating], clean: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels and channels together; infinite for equal images.

    Args:
        restored: (H, W, C) floats in [0, 1], not rounded to 8 bits.
        clean: the same shape and range.

    Raises:
        ShapeMismatch: the shapes differ or are not (H, W, C).
    """
    _check(restored, clean)
    if np.array_equal(restored, clean):
        return math.inf  # scikit-image gets there too, but warns of a division by zero
    return float(peak_signal_noise_ratio(clean, restored, data_range=1.0))


def ssim(restored: NDArray[np.floating], clean: NDArray[np.floating], *, gaussian: bool = False) -> float:
    """Structural similarity in [-1, 1]: mean over channels, uniform 7×7 window; 1 for equal images.

    Args:
        restored: (H, W, C) floats in [0, 1], at least as large as the window, not rounded to 8 bits.
        clean: the same shape and range.
        gaussian: the 11×11 Gaussian window of Wang et al. instead, with their divisor of the variances.

    Raises:
        ShapeMismatch: the shapes differ, are not (H, W, C), or are smaller than the window.
    """
    _check(restored, clean)
    side = GAUSSIAN_WINDOW if gaussian else SSIM_WINDOW
    if min(clean.shape[:2]) < side:
        raise ShapeMismatch(
            f"SSIM needs at least {side}×{side} pixels, got {clean.shape[1]}×{clean.shape[0]}"
        )
    # With the Gaussian, scikit-image takes the window's side from σ and a truncation at 3.5 σ: 11 pixels.
    window: dict[str, Any] = (
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        if gaussian
        else {"win_size": SSIM_WINDOW}
    )
    # Annotated because the function's return type is a union over options that are not used here.
    value: Any = structural_similarity(clean, restored, channel_axis=-1, data_range=1.0, **window)
    return float(value)


def _check(restored: NDArray[np.floating], clean: NDArray[np.floating]) -> None:
    if restored.shape != clean.shape or clean.ndim != 3:
        raise ShapeMismatch(
            f"a metric compares two (H, W, C) images of equal shape, got {restored.shape} and {clean.shape}"
        )
    for name, image in (("restored", restored), ("clean", clean)):
        if not np.issubdtype(image.dtype, np.floating):
            raise ShapeMismatch(f"a metric takes floats in [0, 1]; the {name} image is {image.dtype}")
