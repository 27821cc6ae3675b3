import math

import pytest
import torch

from anyir.training.losses import ENOUGH, LOSSES, batch_loss, l1, psnr


def images(*errors):
    clean = torch.rand((len(errors), 3, 8, 8), generator=torch.Generator().manual_seed(0))
    return clean + torch.tensor(errors)[:, None, None, None], clean


def test_values():
    restored, clean = images(0.1, 0.01)
    assert l1(restored, clean).tolist() == pytest.approx([0.1, 0.01], rel=1e-4)
    expected = [math.log(0.01 + ENOUGH) / 2, math.log(0.0001 + ENOUGH) / 2]
    assert psnr(restored, clean).tolist() == pytest.approx(expected, rel=1e-4)
    assert batch_loss("l1", 0.0, restored, clean, clean) == pytest.approx(0.055, rel=1e-4)


def test_psnr_counts_a_decibel_the_same_on_an_easy_and_on_a_hard_image():
    better = 10 ** (-1 / 20)  # one dB
    before, after = images(0.4, 0.1), images(0.4 * better, 0.1 * better)
    hard, easy = (psnr(*before) - psnr(*after)).tolist()
    assert easy == pytest.approx(hard, rel=0.05)
    hard, easy = (l1(*before) - l1(*after)).tolist()
    assert easy < 0.3 * hard


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_image_has_a_finite_loss_and_gradient(name):
    clean = torch.rand(2, 3, 8, 8)
    restored = clean.clone().requires_grad_()
    loss = batch_loss(name, 3.0, restored, clean, clean)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(restored.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_is_followed_by_its_share_and_only_where_it_betters_the_image(name):
    """Three images: the teacher betters one, spoils one, and leaves one as it was."""
    loss = LOSSES[name]
    (degraded, clean), (taught, _) = images(0.2, 0.2, 0.2), images(0.1, 0.4, 0.2)
    restored = images(0.3, 0.1, 0.1)[0].requires_grad_()
    result = batch_loss(name, 0.0, restored, clean, degraded, taught, 0.25)
    own, teachers = loss(restored, clean).tolist(), loss(restored, taught).tolist()
    expected = (0.75 * own[0] + 0.25 * teachers[0] + own[1] + own[2]) / 3
    assert float(result.detach()) == pytest.approx(expected, rel=1e-5)
    harmed = batch_loss(
        name, 2.0, restored, clean, degraded, taught, 1.0
    )  # harm is judged by the clean image
    spoilt = own[0] - float(loss(degraded, clean)[0])
    assert float(harmed.detach()) == pytest.approx((teachers[0] + 2 * spoilt + own[1] + own[2]) / 3, rel=1e-5)
    lost = taught.clone()
    lost[1] = float("nan")
    assert batch_loss(name, 2.0, restored, clean, degraded, lost, 1.0) == harmed
    (gradient,) = torch.autograd.grad(batch_loss(name, 2.0, restored, clean, degraded, lost, 1.0), restored)
    assert torch.isfinite(gradient).all() and gradient.abs().sum((1, 2, 3)).min() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_is_not_followed_by_whom_it_has_nothing_to_teach(name):
    """Two images that the teacher betters: one is restored worse than by the teacher, one better."""
    loss = LOSSES[name]
    (degraded, clean), (taught, _), (restored, _) = images(0.3, 0.3), images(0.1, 0.1), images(0.2, 0.04)
    own, teachers = loss(restored, clean), loss(restored, taught)
    expected = float(teachers[0] + own[1]) / 2
    assert batch_loss(name, 0.0, restored, clean, degraded, taught, 1.0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_is_not_followed_where_it_misses_the_mean_colour(name):
    """Three images that the teacher betters: with noise left; one a little too bright, one too dark in one colour."""
    loss = LOSSES[name]
    clean = torch.full((3, 3, 16, 16), 0.5)
    degraded, restored = clean - 0.3, clean - 0.25
    noise = 0.1 * torch.where(torch.arange(16) % 2 == 0, 1.0, -1.0)
    taught = clean + noise
    taught[1] += 0.01
    taught[2, 1] -= 0.05
    own, teachers = loss(restored, clean), loss(restored, taught)

    def result(*tolerance):
        return batch_loss(name, 0.0, restored, clean, degraded, taught, 1.0, *tolerance)

    assert result() == pytest.approx(float(teachers.mean()), rel=1e-5)
    assert result(0.02) == pytest.approx(float(teachers[0] + teachers[1] + own[2]) / 3, rel=1e-5)
    assert result(0.005) == pytest.approx(float(teachers[0] + own[1] + own[2]) / 3, rel=1e-5)
    expected = result(0.02)
    taught[2] = float("nan")
    assert result(0.02) == expected


@pytest.mark.parametrize("name", LOSSES)
def test_harm_weighs_more_than_gain(name):
    """Two images, of which one comes back better than it went in and one worse, each by as much."""
    (degraded, clean), (restored, _) = images(0.2, 0.2), images(0.1, 0.4)
    plain = batch_loss(name, 0.0, restored, clean, degraded)
    spoilt = (LOSSES[name](restored, clean) - LOSSES[name](degraded, clean))[1]
    assert spoilt > 0
    assert batch_loss(name, 3.0, restored, clean, degraded) == pytest.approx(float(plain + 3 * spoilt / 2))
    nothing_spoilt = images(0.1, 0.1)[0]
    without, with_harm = (batch_loss(name, harm, nothing_spoilt, clean, degraded) for harm in (0.0, 3.0))
    assert without == with_harm
