from __future__ import annotations

import numpy as np
import pytest

from anyir.evaluation.metrics import psnr, ssim
from anyir.evaluation.variants import VARIANTS, luma, measured, rounded


@pytest.mark.parametrize(
    ("colour", "expected"), [((0, 0, 0), 16), ((1, 1, 1), 235), ((1, 0, 0), 81.481), ((0, 0, 1), 40.966)]
)
def test_luma_is_matlabs(colour, expected):
    assert luma(np.array([[colour]], np.float32)) * 255 == pytest.approx(expected, abs=1e-3)


def test_an_error_in_blue_hardly_counts_on_y():
    clean = np.full((16, 16, 3), 0.5, np.float32)
    restored = clean.copy()
    restored[..., 2] += 0.1
    scores = measured(restored, clean)
    assert scores["y"].psnr == pytest.approx(20 - 20 * np.log10(24.966 / 255), abs=1e-3)
    assert scores["gaussian"].psnr == psnr(restored, clean) == pytest.approx(20 + 10 * np.log10(3), abs=1e-3)


def test_rounding_and_truncating_do_what_they_say():
    clean = np.full((16, 16, 3), 100 / 255, np.float32)
    scores = measured(clean + np.float32(0.7 / 255), clean)
    assert scores["rounded"].psnr == pytest.approx(20 * np.log10(255), abs=1e-3)  # a whole grey level
    assert scores["truncated"].psnr > 90 or np.isinf(scores["truncated"].psnr)
    assert rounded(np.float32([0.5, 1])).tolist() == pytest.approx([128 / 255, 1])


def test_the_gaussian_window_is_that_of_wang_et_al():
    """One window fits, in each channel: weighted moments, the variances divided by the sum of the weights."""
    restored, clean = np.random.default_rng(3).random((2, 11, 11, 3))
    axis = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(axis, axis) / axis.sum() ** 2
    values = []
    for channel in range(3):
        a, b = restored[..., channel], clean[..., channel]
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (weights * a**2).sum() - mean_a**2, (weights * b**2).sum() - mean_b**2
        covariance = (weights * a * b).sum() - mean_a * mean_b
        luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        values.append(luminance * (2 * covariance + 0.03**2) / (var_a + var_b + 0.03**2))
    assert ssim(restored, clean, gaussian=True) == pytest.approx(np.mean(values), abs=1e-6)
    assert ssim(restored, clean, gaussian=True) != pytest.approx(ssim(restored, clean), abs=1e-4)


def test_every_variant_has_words_and_only_the_noise_is_restored_anew():
    assert [name for name, variant in VARIANTS.items() if variant.measure is None] == ["other-noise"]
    assert all(variant.words and variant.title for variant in VARIANTS.values())
