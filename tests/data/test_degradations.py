import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from anyir.data.degradations import (
    BROAD_RAIN,
    HEAVY_RAIN,
    LIGHT_RAIN,
    add_gaussian_noise,
    add_grain,
    add_haze,
    add_layer,
    add_rain,
    add_sensor_noise,
    blur,
    compress_jpeg,
    convolve,
    estimate_haze,
    expose,
    line_kernels,
    quantise,
    rain_layer,
    smooth_fields,
    trajectory_kernels,
    turn,
)
from anyir.errors import ShapeMismatch


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def grey(level, n=1, size=64):
    return torch.full((n, 3, size, size), level)


DEGRADE = {
    "gaussian": lambda x, g: add_gaussian_noise(x, 25, g),
    "sensor": lambda x, g: add_sensor_noise(x, 0.01, 3, g),
    "grain": lambda x, g: add_grain(x, 25, g, own=0.3, width=0.7),
    "rain": lambda x, g: add_rain(x, g),
    "heavy rain": lambda x, g: add_rain(x, g, HEAVY_RAIN),
    "broad rain": lambda x, g: add_rain(x, g, BROAD_RAIN),
    "haze": lambda x, g: add_haze(x, smooth_fields(x, g), 1.5, torch.full((len(x), 3), 0.9)),
    "blur": lambda x, g: blur(x, trajectory_kernels(torch.full((len(x),), 9.0), 17, g)),
    "expose": lambda x, g: expose(x, 0.1, 1.2),
    "jpeg": lambda x, g: compress_jpeg(x, 30),
}


@pytest.mark.parametrize("name", DEGRADE)
def test_keeps_shape_and_range_leaves_its_input_alone_and_repeats_with_the_generator(name):
    clean = torch.rand((3, 3, 40, 56), generator=seeded(9))
    before = clean.clone()
    first, again, other = (DEGRADE[name](clean, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == clean.shape and first.min() >= 0 and first.max() <= 1
    assert torch.equal(clean, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, clean)
    if name not in ("expose", "jpeg"):
        assert not torch.equal(first, other)


@pytest.mark.parametrize("name", DEGRADE)
def test_refuses_what_is_not_a_batch_of_rgb_images(name):
    with pytest.raises(ShapeMismatch):
        DEGRADE[name](torch.rand(3, 40, 56), seeded())


def test_gaussian_noise_has_the_deviation_asked_for_image_by_image():
    noisy = add_gaussian_noise(grey(0.5, 2, 256), torch.tensor([10.0, 30.0]), seeded())
    deviation = (noisy - 0.5).flatten(1).std(1) * 255
    assert deviation[0] == pytest.approx(10, rel=0.01) and deviation[1] == pytest.approx(30, rel=0.01)


def test_a_wrong_number_of_strengths_is_an_error():
    with pytest.raises(ShapeMismatch, match="2 images"):
        add_gaussian_noise(grey(0.5, 2), torch.tensor([1.0, 2.0, 3.0]), seeded())


def test_truncation_darkens_by_half_a_grey_level_and_rounding_does_not():
    noisy = add_gaussian_noise(grey(0.5, 1, 256), 25, seeded())
    assert (quantise(noisy) - noisy).mean() * 255 == pytest.approx(0, abs=0.01)
    assert (quantise(noisy, truncate=True) - noisy).mean() * 255 == pytest.approx(-0.5, abs=0.01)


def test_sensor_noise_grows_with_the_signal():
    shot, read = 0.01, 3.0
    for level in (0.25, 0.75):
        noisy = add_sensor_noise(grey(level, 1, 256), shot, read, seeded())
        expected = math.sqrt(shot * level + (read / 255) ** 2)
        assert (noisy - level).std() == pytest.approx(expected, rel=0.04)


def correlation(a, b):
    return float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])


def test_grain_keeps_its_deviation_and_is_as_grey_and_as_coarse_as_asked_for():
    own, width = torch.tensor([0.0, 0.0, 0.3, 1.0]), torch.tensor([0.0, 0.8, 0.8, 0.0])
    noise = add_grain(
        grey(0.5, 4, 256), torch.tensor([5.0, 20.0, 20.0, 20.0]), seeded(), own=own, width=width
    )
    noise = (noise - 0.5) * 255
    assert noise.std((1, 2, 3)).tolist() == pytest.approx([5, 20, 20, 20], rel=0.04)
    assert torch.equal(noise[:2, 0], noise[:2, 1]) and torch.equal(noise[:2, 0], noise[:2, 2])
    for image, shared in ((2, 0.7), (3, 0.0)):
        assert correlation(noise[image, 0], noise[image, 2]) == pytest.approx(shared, abs=0.03)
    # A Gaussian with itself: what lies a pixel apart correlates by exp(-1 / 4 width²).
    for image, beside in ((0, 0.0), (1, math.exp(-1 / (4 * 0.8**2))), (2, math.exp(-1 / (4 * 0.8**2)))):
        across = correlation(noise[image, :, :, 1:], noise[image, :, :, :-1])
        along = correlation(noise[image, :, 1:], noise[image, :, :-1])
        assert across == pytest.approx(beside, abs=0.02) and along == pytest.approx(beside, abs=0.02)


def test_convolve_equals_direct_convolution_with_reflected_borders():
    images = torch.rand((2, 3, 20, 24), generator=seeded())
    kernels = torch.rand((2, 7, 7), generator=seeded(1))
    direct = torch.stack(
        [
            F.conv2d(F.pad(image[:, None], (3, 3, 3, 3), mode="reflect"), kernel.flip(0, 1)[None, None])[:, 0]
            for image, kernel in zip(images, kernels, strict=True)
        ]
    )
    assert torch.allclose(convolve(images, kernels), direct, atol=1e-5)


@pytest.mark.parametrize("kernels", [torch.ones(2, 7, 7), torch.ones(1, 4, 4), torch.ones(1, 41, 41)])
def test_convolve_refuses_kernels_that_do_not_fit(kernels):
    with pytest.raises(ShapeMismatch):
        convolve(torch.rand(1, 3, 20, 20), kernels)


@pytest.mark.parametrize("width", [0.1, 0.24, 0.6])
def test_a_slanted_line_is_even_along_its_way_however_thin(width):
    (kernel,) = line_kernels(torch.tensor([40.0]), torch.tensor([0.3]), torch.tensor([width]), 49)
    rows = kernel.sum(1)[10:-10]
    assert rows.max() < 1.2 * rows.min()


def test_a_line_kernel_lies_along_its_angle():
    upright, level = line_kernels(
        torch.tensor([15.0, 15.0]), torch.tensor([0.0, math.pi / 2]), torch.full((2,), 0.5), 21
    )
    assert upright.sum() == pytest.approx(1, abs=1e-5)
    assert upright[:, 10].sum() > 0.6 and upright[10, :].sum() < 0.15
    assert torch.allclose(upright, level.T, atol=1e-6)


@pytest.mark.parametrize("extent", [4.0, 12.0])
def test_a_trajectory_has_the_extent_asked_for(extent):
    kernels = trajectory_kernels(torch.full((8,), extent), 25, seeded())
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(8))
    sides = torch.stack([(kernels.sum(axis) > 0).sum(1) for axis in (1, 2)]).amax(0)
    assert ((sides - (extent + 1)).abs() <= 1).all()


def test_a_trajectory_is_made_smaller_until_it_fits():
    kernels = trajectory_kernels(torch.full((64,), 50.0), 25, seeded())
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(64))
    from_centre = (torch.arange(25) - 12).abs()
    reach = torch.stack([((kernels.sum(axis) > 1e-4) * from_centre).amax(1) for axis in (1, 2)]).amax(0)
    assert ((reach - 12).abs() <= 1).all()


def test_a_trajectory_is_in_the_centre_at_half_time():
    kernels = trajectory_kernels(torch.full((64,), 12.0), 25, seeded(), points=49)
    assert (kernels[:, 12, 12] >= 0.99 / 49).all()


def test_blur_adds_light_not_displayed_values():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::2] = 1
    kernel = torch.zeros(1, 3, 3)
    kernel[0, 1] = torch.tensor([0.25, 0.5, 0.25])
    assert blur(stripes, kernel)[0, 0, 16, 16] == pytest.approx(0.5 ** (1 / 2.2), abs=1e-4)


def test_rain_only_adds_light_the_same_to_all_channels():
    layer = rain_layer(grey(0.2, 4), seeded(), HEAVY_RAIN)
    assert layer.shape == (4, 1, 64, 64) and layer.min() >= -1e-5 and layer.max() > 0.05
    rainy = add_rain(grey(0.2, 4), seeded())
    assert (rainy >= 0.2 - 1e-5).all() and torch.equal(rainy[:, 0], rainy[:, 2])
    assert torch.equal(add_rain(grey(0.2), seeded(), strength=0.0), grey(0.2))


def test_rain_streaks_are_longer_than_wide():
    layer = rain_layer(grey(0.0, 16, 128), seeded(), HEAVY_RAIN)
    down = (layer[..., 1:, :] - layer[..., :-1, :]).square().mean()
    across = (layer[..., :, 1:] - layer[..., :, :-1]).square().mean()
    assert across > 2 * down  # drops fall: brightness changes slowly along their way


@pytest.mark.parametrize("shower", [LIGHT_RAIN, BROAD_RAIN])
def test_streaks_leave_what_lies_between_them_as_it_was(shower):
    gained = add_rain(grey(0.2, 32, 160), seeded(), shower) - 0.2
    assert gained.flatten(1).quantile(0.02, dim=1).max() < 1 / 255


@pytest.mark.parametrize("wrong", [{"side": 50}, {"side": 43}, {"length": (8.0, 60.0)}])
def test_a_streak_must_fit_its_square(wrong):
    with pytest.raises(ValueError, match="must be odd, and above the greatest length"):
        replace(LIGHT_RAIN, **wrong)


def test_broad_streaks_are_broader_and_longer_than_those_of_light_rain():
    def extent(shower, axis):
        """Pixels down (2) or across (3) at which streaks that fall straight are half like themselves."""
        layer = rain_layer(grey(0.0, 32, 160), seeded(), replace(shower, angle=0.0))
        layer = layer - layer.mean((2, 3), keepdim=True)
        spectrum = torch.fft.rfft2(layer).abs().square()
        likeness = torch.fft.irfft2(spectrum, s=layer.shape[2:])[:, 0]
        line = likeness[:, :60, 0] if axis == 2 else likeness[:, 0, :60]
        return float((line / line[:, :1] > 0.5).float().cumprod(1).sum(1).mean())

    assert extent(BROAD_RAIN, 2) > 1.3 * extent(LIGHT_RAIN, 2)
    assert extent(BROAD_RAIN, 3) > 1.3 * extent(LIGHT_RAIN, 3)


def test_turning_is_exact_by_quarters_and_leaves_an_image_alone_at_none():
    images = torch.rand((3, 3, 24, 24), generator=seeded())
    turned = turn(images, torch.tensor([0.0, math.pi / 2, math.pi]), torch.ones(3))
    assert torch.allclose(turned[0], images[0], atol=1e-5)
    assert torch.allclose(turned[1], images[1].rot90(1, (1, 2)), atol=1e-5)
    assert torch.allclose(turned[2], images[2].flip(1, 2), atol=1e-5)


@pytest.mark.parametrize("degrees", [20, -35])
def test_turning_keeps_angles_in_an_image_that_is_not_square(degrees):
    image = torch.zeros((1, 1, 80, 160))
    image[..., 20:60, 79:81] = 1.0
    angle = math.radians(degrees)
    turned = turn(image, torch.tensor([angle]), torch.ones(1))[0, 0]
    y, x = (axis.double() - side for axis, side in zip(turned.nonzero().T, (39.5, 79.5), strict=True))
    weight = turned[turned > 0].double()
    leaning = torch.atan2((weight * x * y).sum(), (weight * y * y).sum()).item()
    assert leaning == pytest.approx(angle, abs=0.03)
    assert turned.sum() == pytest.approx(80, rel=0.02)


def test_enlarging_enlarges_and_what_comes_from_outside_is_mirrored():
    image = torch.zeros((1, 1, 64, 64))
    image[..., 24:40, 24:40] = 1.0
    grown, shrunk = turn(image.expand(2, 1, 64, 64), torch.zeros(2), torch.tensor([1.5, 0.5]))
    assert grown.sum() == pytest.approx(256 * 2.25, rel=0.03)
    assert shrunk[:, 16:48, 16:48].sum() == pytest.approx(256 / 4, rel=0.03)
    assert turn(torch.ones((1, 3, 32, 48)), torch.tensor([0.4]), torch.tensor([0.7])).min() > 0.999
    with pytest.raises(ShapeMismatch, match="angles and scales"):
        turn(image, torch.zeros(2), torch.ones(1))


def test_a_layer_adds_light_by_its_strength_up_to_white():
    layer = torch.rand((2, 3, 16, 16), generator=seeded()) / 2
    rained = add_layer(grey(0.4, 2, 16), layer, torch.tensor([1.0, 0.5]))
    assert torch.allclose(rained[0], 0.4 + layer[0]) and torch.allclose(rained[1], 0.4 + layer[1] / 2)
    assert add_layer(grey(0.9, 2, 16), layer, 2.0).max() == 1
    with pytest.raises(ShapeMismatch, match="a layer of shape"):
        add_layer(grey(0.4, 2, 16), layer[:1])


def test_haze_follows_the_scattering_equation():
    clean = torch.rand((1, 3, 4, 4), generator=seeded())
    depth = torch.linspace(0, 1, 16).reshape(1, 1, 4, 4)
    airlight = torch.tensor([[0.8, 0.9, 1.0]])
    hazy = add_haze(clean, depth, 2.0, airlight)
    assert torch.equal(hazy[..., 0, 0], clean[..., 0, 0])
    t = math.exp(-2.0)
    assert torch.allclose(hazy[0, :, 3, 3], clean[0, :, 3, 3] * t + airlight[0] * (1 - t))
    with pytest.raises(ShapeMismatch, match="depth"):
        add_haze(clean, depth[:, 0], 2.0, airlight)


def test_the_haze_of_a_pair_is_found_again_whatever_its_airlight():
    clean = smooth_fields(grey(0.0, 9, 64), seeded(3), cells=16).reshape(3, 3, 64, 64)  # colourful
    depth, airlight = smooth_fields(clean, seeded(4)), torch.tensor([0.7, 0.85, 1.0])
    hazy = quantise(add_haze(clean, depth, 1.2, airlight[:, None].expand(3, 3)))
    transmission, found = estimate_haze(clean, hazy)
    assert torch.allclose(found, airlight, atol=0.01)
    assert (transmission - torch.exp(-1.2 * depth)).abs().mean() < 0.01
    again = add_haze(clean, -transmission.log(), 1.0, found[:, None].expand(3, 3))
    assert (again - hazy).abs().max() * 255 < 3


def test_haze_over_what_has_its_colour_is_as_deep_as_around_it():
    clean = smooth_fields(grey(0.0, 3, 64), seeded(3), cells=16).reshape(1, 3, 64, 64) * 0.8
    clean[..., 24:40, 24:40] = 1.0  # a white wall under white haze: nothing is seen of the haze
    hazy = quantise(add_haze(clean, torch.full((1, 1, 64, 64), 1.0), 0.7, torch.ones((1, 3))))
    transmission, _ = estimate_haze(clean, hazy)
    assert transmission[..., 26:38, 26:38].sub(math.exp(-0.7)).abs().max() < 0.05
    white = torch.ones((1, 3, 32, 32))
    assert all(torch.isfinite(each).all() for each in estimate_haze(white, white))
    with pytest.raises(ShapeMismatch, match="hazy images"):
        estimate_haze(clean, hazy[..., :32])
    with pytest.raises(ShapeMismatch, match="16 pixels high and wide"):
        estimate_haze(clean[..., :15], hazy[..., :15])


def test_a_stop_halves_or_doubles_the_light_and_white_is_clipped():
    assert expose(grey(0.8), 0.5)[0, 0, 0, 0] == pytest.approx((0.8**2.2 / 2) ** (1 / 2.2), abs=1e-6)
    assert torch.allclose(expose(grey(0.8), 1.0), grey(0.8))
    assert expose(grey(0.4), 2.0)[0, 0, 0, 0] == pytest.approx((0.4**2.2 * 2) ** (1 / 2.2), abs=1e-6)
    assert torch.equal(expose(grey(0.8), 2.0), torch.ones_like(grey(0.8)))


def smooth_picture():
    y, x = np.mgrid[0:96, 0:112]
    image = np.stack([128 + 100 * np.sin(x / 7 + y / (5 + c)) for c in range(3)], -1)
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 92])
def test_jpeg_leaves_what_libjpeg_leaves(quality):
    image = smooth_picture()
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2)
    theirs = np.asarray(Image.open(file)).astype(float)
    ours = compress_jpeg(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, quality)
    ours = ours[0].permute(1, 2, 0).numpy() * 255
    loss = np.square(theirs - image).mean()
    assert np.square(ours - image).mean() == pytest.approx(loss, rel=0.1)
    # Not bit for bit: libjpeg rounds its transform and its colours to integers on the way.
    assert np.square(ours - theirs).mean() < 0.15 * loss + 0.5


def test_jpeg_quality_is_per_image():
    clean = (torch.from_numpy(smooth_picture()).permute(2, 0, 1)[None] / 255).repeat(2, 1, 1, 1)
    low, high = compress_jpeg(clean, torch.tensor([10.0, 95.0]))
    assert (low - clean[0]).square().mean() > 4 * (high - clean[0]).square().mean()
