from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from anyir.errors import ShapeMismatch
from anyir.evaluation.metrics import psnr, ssim

C1 = 0.01**2


def constant(value: float, height: int = 16, width: int = 16) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.float32)


def test_psnr_of_a_constant_error_of_a_tenth_is_20_db():
    assert psnr(constant(0.6), constant(0.5)) == pytest.approx(20.0, abs=1e-4)


def test_psnr_takes_all_channels_together_and_not_the_mean_of_theirs():
    restored = constant(0.5)
    restored[..., 0] += 0.3  # MSE 0.09 in one channel of three: 0.03
    assert psnr(restored, constant(0.5)) == pytest.approx(-10 * math.log10(0.03), abs=1e-4)


def test_psnr_sees_errors_below_a_grey_level():
    assert psnr(constant(0.5 + 0.1 / 255), constant(0.5)) == pytest.approx(20 * math.log10(2550), abs=0.01)


def test_psnr_is_scikit_images():
    generator = np.random.default_rng(1)
    restored, clean = generator.random((2, 20, 30, 3), dtype=np.float32)
    assert psnr(restored, clean) == peak_signal_noise_ratio(clean, restored, data_range=1)


def test_equal_images():
    image = np.random.default_rng(2).random((16, 16, 3), dtype=np.float32)
    assert psnr(image, image.copy()) == math.inf
    assert ssim(image, image.copy()) == pytest.approx(1.0, abs=1e-6)


def test_ssim_of_constant_images_is_its_luminance_term():
    # Without variance the structure term is C2/C2: what remains is (2ab + C1) / (a² + b² + C1).
    expected = (2 * 0.5 * 0.25 + C1) / (0.5**2 + 0.25**2 + C1)
    assert ssim(constant(0.25), constant(0.5)) == pytest.approx(expected, abs=1e-4)


def test_ssim_window_is_uniform_7_by_7_with_sample_variance():
    # One window fits, in each channel: its centre is the only pixel that scikit-image averages over.
    restored, clean = np.random.default_rng(3).random((2, 7, 7, 3))
    c2 = 0.03**2
    values = []
    for channel in range(3):
        a, b = restored[..., channel].ravel(), clean[..., channel].ravel()
        covariance = np.cov(a, b)
        luminance = (2 * a.mean() * b.mean() + C1) / (a.mean() ** 2 + b.mean() ** 2 + C1)
        structure = (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2)
        values.append(luminance * structure)
    assert ssim(restored, clean) == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_shapes_are_checked(metric):
    with pytest.raises(ShapeMismatch, match=r"\(16, 16, 3\) and \(16, 8, 3\)"):
        metric(constant(0), constant(0, width=8))
    with pytest.raises(ShapeMismatch, match="H, W, C"):
        metric(constant(0)[..., 0], constant(0)[..., 0])


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_8_bit_images_are_refused(metric):
    with pytest.raises(ShapeMismatch, match="uint8"):
        metric(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))


def test_ssim_of_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ShapeMismatch, match="9×6"):
        ssim(constant(0, 6, 9), constant(0, 6, 9))
