import math

import pytest
import torch

from anyir.training.losses import ENOUGH, LOSSES, l1, psnr


def images(*errors):
    clean = torch.rand((len(errors), 3, 8, 8), generator=torch.Generator().manual_seed(0))
    return clean + torch.tensor(errors)[:, None, None, None], clean


def test_values():
    restored, clean = images(0.1, 0.01)
    assert l1(restored, clean) == pytest.approx(0.055, rel=1e-4)
    expected = (math.log(0.01 + ENOUGH) + math.log(0.0001 + ENOUGH)) / 4
    assert psnr(restored, clean) == pytest.approx(expected, rel=1e-4)


def test_psnr_counts_a_decibel_the_same_on_an_easy_and_on_a_hard_image():
    better = 10 ** (-1 / 20)  # one dB
    base = psnr(*images(0.4, 0.1))
    easy, hard = base - psnr(*images(0.4, 0.1 * better)), base - psnr(*images(0.4 * better, 0.1))
    assert easy == pytest.approx(float(hard), rel=0.05)
    assert l1(*images(0.4, 0.1 * better)) > l1(*images(0.4 * better, 0.1))


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_image_has_a_finite_loss_and_gradient(name):
    clean = torch.rand(2, 3, 8, 8)
    restored = clean.clone().requires_grad_()
    loss = LOSSES[name](restored, clean)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(restored.grad).all()
