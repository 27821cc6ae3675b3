"""Degradations as pure functions: a batch of clean images in, a batch of degraded ones out.

Images are (N, 3, H, W) float tensors in [0, 1], on any device; results have the same shape and range. A strength is
one number for the batch or a tensor of N numbers, one an image. Randomness comes from a ``torch.Generator`` on the
images' device, so the same generator state gives the same result. Nothing here waits for the device: numbers are
written on it, not copied to it, and none are read back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from anyir.errors import ShapeMismatch
from anyir.picture import LUMA

GREY_LEVELS: Final = 255.0
DISPLAY_GAMMA: Final = 2.2
"""Exponent between displayed values and light, used wherever light is added up."""

_GRAIN_RADIUS: Final = 3


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeMismatch(f"a degradation takes (N, 3, H, W) images, not {tuple(images.shape)}")


def _per_image(value: float | Tensor, images: Tensor) -> Tensor:
    """One number, or N numbers, as (N, 1, 1, 1) on the images' device."""
    if isinstance(value, Tensor):
        tensor = value.to(images.device, images.dtype)
    else:
        tensor = torch.full((), value, dtype=images.dtype, device=images.device)
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != len(images)):
        raise ShapeMismatch(
            f"strengths of shape {tuple(tensor.shape)} for {len(images)} images: give 1 or N numbers"
        )
    return tensor.reshape(-1, 1, 1, 1)


def _uniform(shape: tuple[int, ...], low: float, high: float, images: Tensor, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(
        shape, generator=generator, device=images.device, dtype=images.dtype
    )


def quantise(images: Tensor, *, truncate: bool = False) -> Tensor:
    """Clip to [0, 1] and keep 256 grey levels, as an 8-bit file would.

    ``truncate`` drops fractions instead of rounding, as the public code of this family does when it adds noise: a
    bias of −0.47 grey levels against rounding.
    """
    levels = images.clamp(0, 1) * GREY_LEVELS
    return (levels.floor() if truncate else levels.round()) / GREY_LEVELS


def add_gaussian_noise(clean: Tensor, sigma_255: float | Tensor, generator: Generator) -> Tensor:
    """Add white Gaussian noise of standard deviation ``sigma_255`` (in 8-bit grey levels), clipped to [0, 1]."""
    _check_images(clean)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    return (clean + noise * (_per_image(sigma_255, clean) / GREY_LEVELS)).clamp(0, 1)


def add_sensor_noise(
    clean: Tensor, shot: float | Tensor, read_255: float | Tensor, generator: Generator
) -> Tensor:
    """Add signal-dependent noise: variance = shot · signal + read² of displayed values, slightly correlated.

    ``shot`` is the variance at full signal (0.0005 for a good exposure, 0.02 for a bad one); ``read_255`` the noise
    in the dark in 8-bit grey levels. Heteroscedastic Gaussian model of Foi et al., "Practical Poissonian-Gaussian
    noise modeling and fitting for single-image raw-data" (2008).
    """
    _check_images(clean)
    variance = _per_image(shot, clean) * clean + (_per_image(read_255, clean) / GREY_LEVELS) ** 2
    noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    # A demosaiced picture's noise is correlated over neighbours. With these weights the variance stays 1 (to 2 %).
    noise = 1.5 * F.avg_pool2d(F.pad(noise, (0, 1, 0, 1), mode="replicate"), 2, stride=1) + 0.4 * noise
    return (clean + noise * variance.sqrt()).clamp(0, 1)


def add_grain(
    clean: Tensor,
    sigma_255: float | Tensor,
    generator: Generator,
    *,
    own: float | Tensor = 0.0,
    width: float | Tensor = 0.0,
) -> Tensor:
    """Add Gaussian noise that the channels share, as film shows it, and a camera that has smoothed colours only.

    Args:
        clean: (N, 3, H, W).
        sigma_255: standard deviation in each channel, in 8-bit grey levels.
        generator: on the images' device.
        own: share of the variance that each channel has to itself: 0 is grey noise, 1 as of :func:`add_gaussian_noise`.
        width: standard deviation, in pixels up to 1, of the spot that each grain makes; 0 is white noise.
    """
    _check_images(clean)
    n, _, rows, columns = clean.shape
    shape = (n, 4, rows + 2 * _GRAIN_RADIUS, columns + 2 * _GRAIN_RADIUS)
    noise = torch.randn(shape, generator=generator, device=clean.device, dtype=clean.dtype)
    share = _per_image(own, clean)
    noise = (1 - share).sqrt() * noise[:, :1] + share.sqrt() * noise[:, 1:]
    places = torch.arange(-_GRAIN_RADIUS, _GRAIN_RADIUS + 1, device=clean.device, dtype=clean.dtype)
    spots = torch.exp(-0.5 * (places / _per_image(width, clean)[:, 0].clamp_min(0.1)) ** 2).expand(n, -1, -1)
    spots = spots.mT * spots  # (N, K, K); with squares that add up to 1, white noise keeps its variance
    grain = _convolve_inside(noise, spots / spots.square().sum((1, 2), keepdim=True).sqrt())
    return (clean + grain * (_per_image(sigma_255, clean) / GREY_LEVELS)).clamp(0, 1)


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Filter each image with a kernel of its own, borders reflected.

    Args:
        images: (N, C, H, W).
        kernels: (N, K, K), K odd and K // 2 less than H and W.

    Through the Fourier transform: the cost hardly depends on K, and it is one batched call on any device.
    """
    n, _, height, width = images.shape
    if (
        kernels.ndim != 3
        or len(kernels) != n
        or kernels.shape[1] != kernels.shape[2]
        or kernels.shape[1] % 2 == 0
    ):
        raise ShapeMismatch(f"{n} images need kernels (N, K, K) with K odd, not {tuple(kernels.shape)}")
    radius = kernels.shape[-1] // 2
    if radius >= min(height, width):
        raise ShapeMismatch(f"a kernel of side {kernels.shape[-1]} does not fit images of {height}×{width}")
    return _convolve_inside(F.pad(images, (radius, radius, radius, radius), mode="reflect"), kernels)


def _convolve_inside(images: Tensor, kernels: Tensor) -> Tensor:
    """The part of the convolution that needs no border: (N, C, H, W) → (N, C, H − K + 1, W − K + 1)."""
    size = (images.shape[-2], images.shape[-1])
    lost = kernels.shape[-1] - 1
    spectrum = torch.fft.rfft2(images) * torch.fft.rfft2(kernels, s=size)[:, None]
    return torch.fft.irfft2(spectrum, s=size)[..., lost:, lost:].contiguous()


_SHARPEST: Final = 0.4
"""Standard deviation of the thinnest line that a camera shows, in pixels: each gathers light over its whole width."""


def line_kernels(lengths: Tensor, angles: Tensor, widths: Tensor, side: int) -> Tensor:
    """Soft straight lines through the centre, each of sum 1: the trace of something that moves at constant speed.

    No thinner than a camera shows it, so that a slanted one is even along its way and not dotted.

    Args:
        lengths: (N,) in pixels.
        angles: (N,) in radians from the vertical.
        widths: (N,) standard deviation across the line before a camera sees it, in pixels.
        side: K, odd.

    Returns:
        (N, K, K) kernels.
    """
    axis = torch.arange(side, device=lengths.device, dtype=lengths.dtype) - side // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    sine, cosine = torch.sin(angles)[:, None, None], torch.cos(angles)[:, None, None]
    along, across = y * cosine + x * sine, x * cosine - y * sine
    inside = torch.sigmoid((lengths[:, None, None] / 2 - along.abs()) * 2)
    kernels = inside * torch.exp(-0.5 * across.square() / (widths[:, None, None].square() + _SHARPEST**2))
    return kernels / kernels.sum((1, 2), keepdim=True)


def trajectory_kernels(extents: Tensor, side: int, generator: Generator, *, points: int = 48) -> Tensor:
    """Random camera-shake trajectories as blur kernels, each of sum 1.

    A point moves with a velocity that drifts; the kernel is the time that it spends over each pixel, as in Boracchi
    and Foi, "Modeling the performance of image restoration from motion blur" (2012), with a smoother walk. Its centre
    is where the point is at half-time: the sharp image is that of the middle of the exposure, as it is where frames
    are averaged.

    Args:
        extents: (N,) longest side of the trajectory's bounding box, in pixels.
        side: K, odd; a trajectory that would reach further than K // 2 from its middle is made smaller.
        generator: on the device of ``extents``.
        points: moments at which the trajectory is sampled.

    Returns:
        (N, K, K) kernels.
    """
    if extents.ndim != 1 or not extents.is_floating_point():
        raise ShapeMismatch(f"extents must be (N,) floats, not {tuple(extents.shape)} {extents.dtype}")
    n, device, dtype = len(extents), extents.device, extents.dtype
    heading = torch.rand((n, 1), generator=generator, device=device, dtype=dtype) * math.tau
    turn = torch.randn((n, points), generator=generator, device=device, dtype=dtype)
    wildness = torch.rand((n, 1), generator=generator, device=device, dtype=dtype) ** 2
    heading = heading + wildness * turn.cumsum(1) * 0.35
    path = torch.stack((heading.sin(), heading.cos()), dim=2).cumsum(1)
    path = path - path[:, points // 2, None]
    longest = (path.amax(1) - path.amin(1)).amax(1).clamp_min(1e-6)
    furthest = path.abs().amax((1, 2)).clamp_min(1e-6)
    scale = torch.minimum(extents / longest, (side // 2) / furthest)
    path = path * scale[:, None, None] + side // 2
    # Bilinear splat: weight of pixel p at point c is tri(p − c) in each direction.
    axis = torch.arange(side, device=device, dtype=dtype)
    weights = (1 - (path[..., None] - axis).abs()).clamp_min(0)
    kernels = torch.einsum("npy,npx->nyx", weights[:, :, 0], weights[:, :, 1])
    return kernels / kernels.sum((1, 2), keepdim=True)


def blur(clean: Tensor, kernels: Tensor) -> Tensor:
    """Blur each image with its kernel, adding up light rather than displayed values. Shapes as :func:`convolve`."""
    _check_images(clean)
    light = convolve(clean.clamp(0, 1) ** DISPLAY_GAMMA, kernels)
    return light.clamp(0, 1) ** (1 / DISPLAY_GAMMA)


@dataclass(frozen=True)
class RainShower:
    """Ranges from which the look of one image's rain is drawn.

    Attributes:
        angle: largest slant from the vertical, in radians.
        length: of a streak, in pixels.
        width: standard deviation across a streak before a camera sees it, in pixels.
        density: streaks started per pixel.
        brightness: peak a typical streak adds, in [0, 1].
        veil: haze of distant drops, an even grey added to the image, in [0, 1].
        side: of the square that holds a streak, in pixels: odd, and above the greatest length.

    Raises:
        ValueError: ``side`` is not.
    """

    angle: float = 0.8
    length: tuple[float, float] = (8.0, 44.0)
    width: tuple[float, float] = (0.4, 1.4)
    density: tuple[float, float] = (0.0006, 0.012)
    brightness: tuple[float, float] = (0.08, 0.6)
    veil: tuple[float, float] = (0.0, 0.0)
    side: int = 49

    def __post_init__(self) -> None:
        if self.side % 2 == 0 or self.side <= self.length[1]:
            raise ValueError(
                f"side {self.side}: must be odd, and above the greatest length, {self.length[1]:g}"
            )


LIGHT_RAIN: Final = RainShower()
"""Streaks alone. A faint veil looks like a dull picture: to learn from one darkens what lies between the streaks."""
HEAVY_RAIN: Final = RainShower(
    length=(10.0, 48.0), width=(0.5, 2.0), density=(0.006, 0.02), brightness=(0.06, 0.25), veil=(0.0, 0.15)
)
BROAD_RAIN: Final = RainShower(
    angle=0.7,
    length=(20.0, 64.0),
    width=(1.0, 3.2),
    density=(0.0004, 0.003),
    brightness=(0.06, 0.5),
    side=69,
)
"""Few, long and broad streaks: drops near the camera. Measured on three of the synthetic training pairs (13 to 15)."""


def rain_layer(images: Tensor, generator: Generator, shower: RainShower) -> Tensor:
    """The light that streaks of rain add to each image: (N, 1, H, W), not negative.

    One direction an image, two populations of drops (near: long and broad; far: short and fine), each a sparse
    field of impulses of random brightness smeared along the direction of fall.
    """
    n, _, height, width = images.shape
    margin = shower.side // 2
    angle = _uniform((n,), -shower.angle, shower.angle, images, generator)
    # Far drops look shorter and finer than near ones by the ratio of their distances.
    nearness = (1.0, 0.6)
    layers: list[Tensor] = []
    for near in nearness:
        length = _uniform((n,), *shower.length, images, generator) * near
        spread = _uniform((n,), *shower.width, images, generator) * near
        density = _log_uniform(n, shower.density, images, generator) / near
        peak = _log_uniform(n, shower.brightness, images, generator) * near
        shape = (n, 1, height + 2 * margin, width + 2 * margin)
        chance = torch.rand(shape, generator=generator, device=images.device, dtype=images.dtype)
        # What lies under the threshold is again uniform: it serves as the brightness of the drop.
        threshold = density[:, None, None, None]
        drops = torch.where(chance < threshold, 0.3 + 0.7 * chance / threshold, 0.0)
        jitter = angle + _uniform((n,), -0.04, 0.04, images, generator)
        kernels = line_kernels(length, jitter, spread, shower.side)
        kernels = kernels / kernels.amax((1, 2), keepdim=True)
        streaks = _convolve_inside(drops, kernels)
        layers.append(streaks.clamp(0, 1.5) * peak[:, None, None, None])
    return torch.stack(layers).sum(0)


def _log_uniform(n: int, bounds: tuple[float, float], images: Tensor, generator: Generator) -> Tensor:
    return torch.exp(_uniform((n,), math.log(bounds[0]), math.log(bounds[1]), images, generator))


def add_rain(
    clean: Tensor, generator: Generator, shower: RainShower = LIGHT_RAIN, *, strength: float | Tensor = 1.0
) -> Tensor:
    """Add streaks of rain, and, where the shower has one, the grey veil of drops too far to be seen one by one.

    The additive composition (observed = background + streaks) of Yang et al., "Deep joint rain detection and removal
    from a single image" (2017); what exceeds white is clipped, as in a camera. ``strength`` scales the added light.
    """
    _check_images(clean)
    n = len(clean)
    layer = rain_layer(clean, generator, shower)
    # Half of those that may have a veil have none: rain on a clear day.
    veil = (_uniform((n,), -shower.veil[1], shower.veil[1], clean, generator)).clamp_min(shower.veil[0])
    return add_layer(clean, (layer + veil[:, None, None, None]).expand_as(clean), strength)


def turn(images: Tensor, angles: Tensor, scales: Tensor) -> Tensor:
    """Turn each image around its centre and enlarge it, bilinear; what comes from outside is the mirror image.

    Args:
        images: (N, C, H, W).
        angles: (N,) in radians.
        scales: (N,) above 0: 1.2 makes everything larger by a fifth.

    Raises:
        ShapeMismatch: angles or scales are not one an image.
    """
    n, _, height, width = images.shape
    if angles.shape != (n,) or scales.shape != (n,):
        raise ShapeMismatch(
            f"{n} images take (N,) angles and scales, not {tuple(angles.shape)} and {tuple(scales.shape)}"
        )
    sine, cosine = torch.sin(angles) / scales, torch.cos(angles) / scales
    zero = torch.zeros_like(sine)
    # Coordinates run from -1 to 1 over each side, hence the ratio of the sides where they meet.
    rows = (cosine, -sine * (height / width), zero, sine * (width / height), cosine, zero)
    grid = F.affine_grid(torch.stack(rows, dim=1).reshape(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def add_layer(clean: Tensor, layer: Tensor, strength: float | Tensor = 1.0) -> Tensor:
    """Add a layer of light, such as the streaks of another picture's rain: ``clean + strength · layer``, clipped.

    The additive composition of :func:`add_rain`.

    Raises:
        ShapeMismatch: the layer is not (N, 3, H, W) as the images are.
    """
    _check_images(clean)
    if layer.shape != clean.shape:
        raise ShapeMismatch(f"a layer of shape {tuple(layer.shape)} for images of {tuple(clean.shape)}")
    return (clean + _per_image(strength, clean) * layer).clamp(0, 1)


def smooth_fields(images: Tensor, generator: Generator, *, cells: int = 4) -> Tensor:
    """Smooth random fields, one an image: (N, 1, H, W) in [0, 1], varying over about 1/``cells`` of the side."""
    _check_images(images)
    n, _, height, width = images.shape
    coarse = torch.rand((n, 1, cells, cells), generator=generator, device=images.device, dtype=images.dtype)
    return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)


def add_haze(clean: Tensor, depth: Tensor, beta: float | Tensor, airlight: Tensor) -> Tensor:
    """Atmospheric scattering: ``clean · t + airlight · (1 − t)`` with ``t = exp(−beta · depth)``.

    Koschmieder's law as He et al., "Single image haze removal using dark channel prior" (2009), eq. (1), use it.

    Args:
        clean: (N, 3, H, W).
        depth: (N, 1, H, W), 0 near to 1 far.
        beta: scattering over the whole depth; 0.3 is a light mist, 3 a dense fog.
        airlight: (N, 3) colour of the haze in [0, 1].
    """
    _check_images(clean)
    if depth.shape != (len(clean), 1, *clean.shape[2:]) or airlight.shape != (len(clean), 3):
        raise ShapeMismatch(
            f"haze over {tuple(clean.shape)} needs depth (N, 1, H, W) and airlight (N, 3), "
            f"not {tuple(depth.shape)} and {tuple(airlight.shape)}"
        )
    transmission = torch.exp(-_per_image(beta, clean) * depth)
    return (clean * transmission + airlight[:, :, None, None] * (1 - transmission)).clamp(0, 1)


def estimate_haze(clean: Tensor, hazy: Tensor) -> tuple[Tensor, Tensor]:
    """Solve the scattering equation of :func:`add_haze` for a pair: what its haze was, if its airlight was grey.

    Of two channels, ``hazy − clean`` is (1 − t) times their distances from the airlight, which gives the airlight by
    least squares over all pixels and pairs of channels; then the transmission of each pixel is one over its three
    channels. Where a pixel has the airlight's colour nothing can be told, and it takes the mean of those around it,
    or of the image.

    Args:
        clean: (N, 3, H, W), H and W at least 16.
        hazy: the same.

    Returns:
        Transmission (N, 1, H, W) in [0.02, 1], and airlight (N,) in [0.5, 1].

    Raises:
        ShapeMismatch: the two differ, or are smaller.
    """
    _check_images(clean)
    if hazy.shape != clean.shape or min(clean.shape[2:]) < 16:
        raise ShapeMismatch(
            f"hazy images of {tuple(hazy.shape)} for clean ones of {tuple(clean.shape)}: "
            "they must be alike, and 16 pixels high and wide at least"
        )
    gained = hazy - clean
    other, other_gained = clean.roll(1, 1), gained.roll(1, 1)
    difference = gained - other_gained
    above = (difference * (gained * other - other_gained * clean)).sum((1, 2, 3))
    airlight = (above / (difference**2).sum((1, 2, 3)).clamp_min(1e-6)).clamp(0.5, 1)
    light = airlight[:, None, None, None]
    above = ((hazy - light) * (clean - light)).sum(1, keepdim=True)
    below = ((clean - light) ** 2).sum(1, keepdim=True)

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(values, (15, 15, 15, 15), mode="reflect"), 31, stride=1)

    known = 1e-3  # a distance of 5 grey levels a channel, squared and summed
    overall = above.sum((2, 3), keepdim=True) / below.sum((2, 3), keepdim=True).clamp_min(1e-6)
    around = (mean(above) + known * overall) / (mean(below) + known)
    return ((above + known * around) / (below + known)).clamp(0.02, 1), airlight


def expose(images: Tensor, exposure: float | Tensor, gamma: float | Tensor = 1.0) -> Tensor:
    """Multiply light by ``exposure``: 0.05 is about four stops down, 2 a stop up. What exceeds white is clipped.

    ``gamma`` above 1 bends the curve further down in the shadows, as a camera's tone curve does.
    """
    _check_images(images)
    light = images.clamp(0, 1) ** DISPLAY_GAMMA * _per_image(exposure, images)
    return (light ** (_per_image(gamma, images) / DISPLAY_GAMMA)).clamp(0, 1)


# Annex K of the JPEG standard (ITU-T T.81), the tables that quality 50 stands for.
_LUMINANCE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMINANCE: Final = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), (99,) * 8, (99,) * 8, (99,) * 8, (99,) * 8,
)  # fmt: skip
_RGB_TO_YCC: Final = (
    LUMA,
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


@cache  # copying a table to an accelerator, and inverting one there, would wait for all that is queued on it
def _constant(
    table: tuple[tuple[float, ...], ...], device: torch.device, dtype: torch.dtype, *, inverse: bool = False
) -> Tensor:
    """A table, or its inverse, as a tensor; not to be written to."""
    tensor = torch.tensor(table, dtype=dtype)
    return (torch.linalg.inv(tensor) if inverse else tensor).to(device)


def _quantise_blocks(plane: Tensor, tables: Tensor, dct: Tensor) -> Tensor:
    """8×8 cosine transform, quantisation and back: plane (N, H, W) in grey levels around 0, tables (N, 8, 8)."""
    n, height, width = plane.shape
    blocks = plane.reshape(n, height // 8, 8, width // 8, 8)
    coefficients = torch.einsum("ui,nbicj,vj->nbcuv", dct, blocks, dct)
    steps = tables[:, None, None]
    coefficients = (coefficients / steps).round() * steps
    return torch.einsum("ui,nbcuv,vj->nbicj", dct, coefficients, dct).reshape(n, height, width)


def compress_jpeg(clean: Tensor, quality: float | Tensor) -> Tensor:
    """What JPEG compression at ``quality`` (1 to 100, libjpeg's scale) with 4:2:0 chrominance leaves of each image.

    Transform, quantisation and chrominance halving are the standard's; entropy coding, which loses nothing, is left
    out, so this runs batched on any device.
    """
    _check_images(clean)
    n, _, height, width = clean.shape
    device, dtype = clean.device, clean.dtype
    padded = F.pad(clean, (0, -width % 16, 0, -height % 16), mode="replicate")
    matrix = _constant(_RGB_TO_YCC, device, dtype)
    planes = torch.einsum("dc,nchw->ndhw", matrix, quantise(padded) * GREY_LEVELS)
    level = _per_image(quality, clean).reshape(-1).clamp(1, 100).expand(n)
    scale = torch.where(level < 50, 5000 / level, 200 - 2 * level)[:, None, None]

    def tables(base: tuple[tuple[int, ...], ...]) -> Tensor:
        return ((_constant(base, device, dtype) * scale + 50) / 100).floor().clamp(1, 255)

    k = torch.arange(8, device=device, dtype=dtype)
    dct = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    dct[0] /= math.sqrt(2)
    to_rgb = _constant(_RGB_TO_YCC, device, dtype, inverse=True)
    luminance = _quantise_blocks(planes[:, 0] - 128, tables(_LUMINANCE), dct) + 128
    halved = F.avg_pool2d(planes[:, 1:], 2).flatten(0, 1)
    chrominance_tables = tables(_CHROMINANCE).repeat_interleave(2, dim=0)
    chrominance = _quantise_blocks(halved, chrominance_tables, dct).unflatten(0, (n, 2))
    # Bilinear is what libjpeg calls fancy upsampling: weights 3/4 and 1/4.
    chrominance = F.interpolate(chrominance, scale_factor=2.0, mode="bilinear", align_corners=False)
    decoded = torch.einsum("dc,nchw->ndhw", to_rgb, torch.cat((luminance[:, None], chrominance), dim=1))
    return quantise(decoded / GREY_LEVELS)[..., :height, :width]
