"""How bright dark pictures come out, and how much that hangs on how dark they were.

A picture's error after restoration has a part that one factor on all its values would take away. What is left when that
factor is the best one is not about brightness.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anyir.data.catalogue import Row
from anyir.data.crops import centre
from anyir.errors import DataError, WeightsError
from anyir.evaluation.metrics import psnr
from anyir.evaluation.protocol import PSNR_CAP, Restore
from anyir.evaluation.tables import aligned
from anyir.picture import read_image

MULTIPLE: Final = 8
"""To which pictures are cut, so that nothing need be padded."""


@dataclass(frozen=True)
class Exposed:
    """One dark picture at one gain.

    Attributes:
        name: of the clean picture.
        gain: by which the dark picture's grey levels were multiplied.
        degraded_psnr: dB, before restoration.
        restored_psnr: dB.
        scaled_psnr: dB, of the restored picture times the factor that is best for it, not clipped.
        restored_mean: of the restored picture, in [0, 1].
        clean_mean: what it should be.
    """

    name: str
    gain: float
    degraded_psnr: float
    restored_psnr: float
    scaled_psnr: float
    restored_mean: float
    clean_mean: float


def study_exposures(pairs: Iterable[Row], restore: Restore, gains: Sequence[float]) -> tuple[Exposed, ...]:
    """Restore every dark picture at every gain, whole.

    Args:
        pairs: dark and clean pictures.
        restore: what is studied. It gets images whose sides are multiples of 8.
        gains: factors on the dark picture's grey levels, which are then rounded and clipped as a file would hold them.

    Raises:
        DataError: a pair has no dark picture, or its pictures differ in size; the message names the file.
        PictureError: a file is damaged; the message names it.
        WeightsError: what is made of a picture is not finite; the message names the picture.
    """
    return tuple(exposed for pair in pairs for exposed in _one(pair, restore, gains))


def _one(pair: Row, restore: Restore, gains: Sequence[float]) -> list[Exposed]:
    if pair.degraded is None:
        raise DataError(f"{pair.clean}: it has no dark picture beside it; add one, or leave it out")
    dark, clean = (read_image(each) for each in (pair.degraded, pair.clean))
    if dark.shape != clean.shape:
        raise DataError(f"{pair.degraded}: its size is not that of {pair.clean}; leave the pair out")
    dark, clean = centre(dark, MULTIPLE), centre(clean, MULTIPLE)
    target = np.float32(clean) / np.float32(255)
    exposures: list[Exposed] = []
    for gain in gains:
        degraded = np.float32(np.clip(np.rint(dark * gain), 0, 255)) / np.float32(255)
        restored = np.clip(restore(degraded), 0, 1)
        if not np.isfinite(restored).all():
            raise WeightsError(f"{pair.degraded}: what these weights make of it is not finite; use others")
        scaled = restored * _best_factor(restored, target)
        scores = (min(psnr(each, target), PSNR_CAP) for each in (degraded, restored, scaled))
        means = (float(each.mean()) for each in (restored, target))
        exposures.append(Exposed(pair.scene, gain, *scores, *means))
    return exposures


def _best_factor(restored: NDArray[np.float32], clean: NDArray[np.float32]) -> np.float32:
    """The factor of the least mean squared error; 1 for black."""
    power = np.square(restored, dtype=np.float64).sum()
    product = np.multiply(restored, clean, dtype=np.float64).sum()
    return np.float32(product / power if power > 0 else 1.0)


def markdown(studies: Mapping[str, Sequence[Exposed]]) -> str:
    """A table to read: a row for each of the weights, a column for each gain, and what is not about brightness."""
    gains = sorted({each.gain for study in studies.values() for each in study})
    lines = [
        [
            "PSNR in dB",
            *(f"× {gain:g}" for gain in gains),
            "mean",
            "at the best brightness",
            "brightness off by",
        ]
    ]
    degraded = next(iter(studies.values()))
    for name, study, what in (
        ("degraded", degraded, "degraded_psnr"),
        *((name, study, "restored_psnr") for name, study in studies.items()),
    ):
        scores = [fmean(getattr(each, what) for each in study if each.gain == gain) for gain in gains]
        about_brightness = ["", ""]
        if what == "restored_psnr":
            off = fmean(abs(each.restored_mean - each.clean_mean) for each in study)
            about_brightness = [f"{fmean(each.scaled_psnr for each in study):.2f}", f"{off:.3f}"]
        lines.append([name, *(f"{score:.2f}" for score in scores), f"{fmean(scores):.2f}", *about_brightness])
    pictures = len({each.name for each in degraded})
    note = (
        f"{pictures} whole pictures, their grey levels multiplied. At the best brightness: each restored picture times "
        "the one factor that suits it best, a mean over all gains. Brightness off by: how far a restored "
        "picture's mean is from the clean one's, on a scale from 0 to 1, a mean over all of them."
    )
    return "\n".join((*aligned(lines), "", note)) + "\n"


def to_json(studies: Mapping[str, Sequence[Exposed]], about: Mapping[str, Any]) -> str:
    """Every picture at every gain, for programs."""
    rounded = {
        name: [
            {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(each).items()
            }
            for each in study
        ]
        for name, study in studies.items()
    }
    return json.dumps({**about, "studies": rounded}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
