"""The protocol: how a test picture becomes a number. :func:`conventions` names them all.

It is the protocol of AirNet, PromptIR and AnyIR, whose numbers it must be comparable with, but for two things
that their code leaves to chance or does by accident: noise does not depend on the order of files, and noisy
values are rounded to 8 bits where theirs are truncated (``NoiseRounding.TRUNCATE`` does as they do).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anyir.data.crops import centre
from anyir.data.layouts import Example
from anyir.errors import DataError, ShapeMismatch
from anyir.evaluation.journal import Journal
from anyir.evaluation.metrics import psnr, ssim
from anyir.evaluation.results import RESAMPLINGS, ImageResult, Score, SetResult
from anyir.evaluation.sets import EvaluationSet
from anyir.evaluation.variants import VARIANTS, measured
from anyir.files import utf8
from anyir.picture import LUMA, as_jpeg, read_image

Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What is evaluated: (H, W, 3) RGB in [0, 1] → the same shape, not rounded. A :class:`Restorer` is one."""

CROP_MULTIPLE: Final = 16
PSNR_CAP: Final = 100.0
"""dB. Equal images have an infinite PSNR, which neither JSON nor a mean can hold, so values stop here,
at an error of 1/400 of a grey level. Only clean pictures that come back unchanged reach it."""


class NoiseRounding(str, Enum):
    """How noisy grey levels become 8-bit ones."""

    ROUND = "round"
    TRUNCATE = "truncate"
    """Towards zero, as the public code of this family does: 0.47 grey levels darker on average."""

    @property
    def other(self) -> NoiseRounding:
        """The one that this is not."""
        return NoiseRounding.ROUND if self is NoiseRounding.TRUNCATE else NoiseRounding.TRUNCATE


@dataclass(frozen=True)
class Protocol:
    """What may be chosen.

    Attributes:
        seed: of the noise.
        noise_rounding: how noisy values become 8-bit ones.
        variants: whether every picture is also scored under other papers' conventions
            (:data:`anyir.evaluation.variants.VARIANTS`).
    """

    seed: int = 0
    noise_rounding: NoiseRounding = NoiseRounding.ROUND
    variants: bool = False


def conventions(protocol: Protocol) -> dict[str, str]:
    """Every convention behind the numbers, in words, for the results file."""
    scored = {"variants": ", ".join(VARIANTS)} if protocol.variants else {}
    return {
        "order": "files sorted by name",
        "crop": f"centre, to multiples of {CROP_MULTIPLE} pixels",
        "colour": "RGB, data range 1",
        "output": "clipped to [0, 1], not rounded to 8 bits",
        "psnr": f"mean of per-image values, over RGB, each at most {PSNR_CAP:g} dB",
        "ssim": "mean of per-image values, scikit-image, uniform 7×7 window, channel axis last",
        "interval": f"95 % of {RESAMPLINGS} bootstrap means over images, percentiles, seed 0",
        "noise": (
            "clip(x + σ·randn, 0, 255) on 8-bit grey levels after the crop, then "
            f"{protocol.noise_rounding.value} to 8 bits; one generator each (seed {protocol.seed}, name, σ)"
        ),
        "black and white": "luma of ITU-R BT.601, rounded to 8 bits; the three channels share one noise",
        "jpeg": "libjpeg's scale of quality, chrominance 4:2:0, after the crop",
        **scored,
    }


def crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The centre of an (H, W, C) image, with height and width the next lower multiples of 16.

    Where an odd number of rows or columns goes, the extra one goes at the bottom or right, as in AirNet's and
    PromptIR's ``crop_img``.

    Raises:
        ShapeMismatch: the image is smaller than 16×16.
    """
    height, width = image.shape[:2]
    if min(height, width) < CROP_MULTIPLE:
        raise ShapeMismatch(f"a test picture must be at least 16×16 pixels, got {width}×{height}")
    return centre(image, CROP_MULTIPLE)


def noise_generator(seed: int, name: str, sigma_255: float) -> np.random.Generator:
    """The generator for one picture at one σ: the same whatever else is evaluated, and in whatever order."""
    digest = hashlib.sha256(utf8(f"{seed}\n{name}\n{sigma_255:g}")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def add_noise(
    clean: NDArray[np.uint8], sigma_255: float, generator: np.random.Generator, rounding: NoiseRounding
) -> NDArray[np.uint8]:
    """Gaussian noise of ``sigma_255`` grey levels (standard deviation), clipped, back in 8 bits."""
    noisy = np.clip(clean + sigma_255 * generator.standard_normal(clean.shape), 0, 255)
    if rounding is NoiseRounding.ROUND:
        noisy = np.rint(noisy)
    return noisy.astype(np.uint8)


def black_and_white(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB → (H, W, 1): luma of ITU-R BT.601, rounded."""
    return np.rint(image @ np.array(LUMA))[..., None].astype(np.uint8)


def evaluate_set(
    pairs: Sequence[Example],
    evaluated: EvaluationSet,
    restore: Restore,
    protocol: Protocol,
    on_image: Callable[[ImageResult], None] | None = None,
    journal: Journal | None = None,
) -> SetResult:
    """Restore and score every picture of a set, in the order given.

    Args:
        pairs: as :func:`anyir.evaluation.sets.find_pairs` returns them; not empty.
        evaluated: the set they belong to.
        restore: what is evaluated. One that returns its very argument (the identity) is scored once.
        protocol: seed and rounding of noise.
        on_image: called after each picture.
        journal: of an evaluation that was interrupted: what it holds is not done again, what is done is added.

    Raises:
        OutputError: the journal cannot be written.
        DataError: a pair differs in size, or a picture is too small; the message names the file.
        PictureError: a picture cannot be read.
    """
    images: list[ImageResult] = []
    for pair in pairs:
        known = None if journal is None else journal.find(evaluated.name, pair)
        image = known or _evaluate_image(pair, evaluated, restore, protocol)
        if journal is not None and known is None:
            journal.add(evaluated.name, pair, image)
        images.append(image)
        if on_image is not None:
            on_image(images[-1])
    return SetResult(
        name=evaluated.name,
        title=evaluated.title,
        task=evaluated.task,
        official=evaluated.official and len(pairs) == evaluated.expected,
        expected=evaluated.expected,
        images=tuple(images),
    )


def _evaluate_image(
    pair: Example, evaluated: EvaluationSet, restore: Restore, protocol: Protocol
) -> ImageResult:
    degraded, clean = degraded_and_clean(pair, evaluated, protocol)

    started = perf_counter()
    restored = restore(degraded)
    seconds = perf_counter() - started

    if restored is degraded:
        seconds = 0.0

    degraded_score = None if evaluated.task == "clean" else _score(degraded, clean)
    if restored is degraded and degraded_score is not None:
        restored_score = degraded_score
    else:
        restored_score = _score(np.clip(restored, 0, 1), clean)
    variants = _variants(np.clip(restored, 0, 1), clean) if protocol.variants else {}
    if protocol.variants and evaluated.sigma_255 is not None:
        other = replace(protocol, noise_rounding=protocol.noise_rounding.other)
        degraded = degraded_and_clean(pair, evaluated, other)[0]
        variants["other-noise"] = _score(np.clip(restore(degraded), 0, 1), clean)
    height, width = clean.shape[:2]
    return ImageResult(pair.name, height, width, degraded_score, restored_score, seconds, variants)


def degraded_and_clean(
    pair: Example, evaluated: EvaluationSet, protocol: Protocol
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The images that a picture's numbers are about: what is restored, and what the result is compared with.

    Args:
        pair: one of those that :func:`anyir.evaluation.sets.find_pairs` returns.
        evaluated: the set it belongs to; says whether noise is added, in black and white or not, and of what
            quality a JPEG it becomes.
        protocol: seed and rounding of noise.

    Returns:
        The degraded and the clean image, cropped, (H, W, 3) RGB in [0, 1].

    Raises:
        DataError: the two differ in size, or the picture is too small; the message names the file.
        PictureError: a picture cannot be read.
    """
    clean, degraded = _load(pair)
    if evaluated.black_and_white:
        clean, degraded = black_and_white(clean), black_and_white(degraded)
    if evaluated.sigma_255 is not None:
        generator = noise_generator(protocol.seed, pair.name, evaluated.sigma_255)
        degraded = add_noise(clean, evaluated.sigma_255, generator, protocol.noise_rounding)
    if evaluated.jpeg_quality is not None:
        degraded = as_jpeg(degraded, evaluated.jpeg_quality)
    return _to_unit(degraded), _to_unit(clean)


def _load(pair: Example) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Clean and degraded image, cropped; twice the clean one where the degraded one is made from it."""
    clean = read_image(pair.clean)
    degraded = clean if pair.degraded is None else read_image(pair.degraded)
    if clean.shape != degraded.shape:
        sizes = [f"{image.shape[1]}×{image.shape[0]}" for image in (degraded, clean)]
        raise DataError(f"{pair.degraded} is {sizes[0]} but its clean partner {pair.clean} is {sizes[1]}")
    try:
        return crop(clean), crop(degraded)
    except ShapeMismatch as error:
        raise DataError(f"{pair.clean}: {error}") from error


def _to_unit(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) or, in black and white, (H, W, 1) 8-bit levels → (H, W, 3) in [0, 1]."""
    unit = np.divide(levels, 255, dtype=np.float32)
    return unit if unit.shape[2] == 3 else np.repeat(unit, 3, axis=2)


def _score(image: NDArray[np.float32], clean: NDArray[np.float32]) -> Score:
    return _capped(Score(psnr(image, clean), ssim(image, clean)))


def _variants(restored: NDArray[np.float32], clean: NDArray[np.float32]) -> dict[str, Score]:
    return {name: _capped(score) for name, score in measured(restored, clean).items()}


def _capped(score: Score) -> Score:
    return replace(score, psnr=min(score.psnr, PSNR_CAP))
