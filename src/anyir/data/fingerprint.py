"""What a picture looks like, in half a kilobyte: so that no test picture is trained on under another name.

The idea is that of perceptual hashes (Zauner, "Implementation and benchmarking of perceptual image hash functions",
2010): low frequencies of the brightness survive saving, scaling and degradation. Their signed square roots are kept
in place of bare signs, which rain and clipping flip wherever a frequency is weak.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch
from anyir.picture import LUMA, read_image

ALIKE: Final = 0.57
"""Cosine of two descriptors from which pictures are taken for the same: the middle of a measured gap.

Copies of 240 of the collected pictures: as JPEG 90 less a row or column, mirrored or not, ≥ 0.990; half size ≥ 0.999;
WebP 80 ≥ 0.984; gamma 0.8 and 1.25 ≥ 0.978; 0.85 times as bright ≥ 0.999; 1.15 times (clipped) ≥ 0.906; noise of
σ = 25 ≥ 0.918; the rainy pictures of Rain100L with their clean ones ≥ 0.668, the next 0.813; noisy PolyU crops with
their clean ones ≥ 0.968. Different pictures: at most 0.476 over all pairs of 1,526 pictures that are not of one scene,
and at most 0.428 of a training and a test picture. One scene taken twice by an unmoved camera is alike whatever the
exposure (LOL-v1 has such scenes on both sides: ≥ 0.886), and so are neighbouring frames of a slow film.
"""

PLAIN_LEVELS: Final = 0.5
"""Structure, in 8-bit levels, below which a picture is plain: an even colour, a smooth sky, near black.

Structure is the root mean square of what is left of the brightness without its best quadratic surface. The darkest of
the collected pictures (LOL-v1, mean 2) has 1.0. What is left of a plain picture is noise and rounding, which
says nothing: with a plain picture on either side, colours must be equal instead (:data:`SAME_LEVELS`).
"""

SAME_LEVELS: Final = 2.0
"""Largest distance, in 8-bit levels, of mean colour and coarse brightness at which a plain picture is the same.

Made-up skies of 60 rows, as JPEG 90 less a row, are 1.0 to 1.4 away. A change of brightness is not let through.
"""

_SIDE: Final = 32
_FREQUENCIES: Final = 16
_LUMA: Final = np.array(LUMA, np.float32)
_BLOCK: Final = 1 << 23  # similarities held at a time: 32 MiB
_ODD: Final = np.tile(np.arange(_FREQUENCIES) % 2 == 1, _FREQUENCIES)
"""Frequencies that change sign when a picture is mirrored."""

Floats = NDArray[np.float32]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Fingerprint:
    """What a picture looks like; equal for equal pixels.

    Attributes:
        brightness: 16 × 16 float16 little-endian, row by row: the lowest frequencies (DCT-II) of the brightness scaled
            to 32 × 32, in 8-bit levels; the first is the mean.
        colour: mean red, green and blue, in [0, 255].
    """

    brightness: bytes
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Match(Generic[K]):
    """Two pictures that look the same.

    Attributes:
        ours: key of one.
        theirs: key of the other.
        similarity: in [0, 1]; 1 for equal pictures.
    """

    ours: K
    theirs: K
    similarity: float


@lru_cache(maxsize=256)
def _frequencies(length: int) -> Floats:
    """(16, length): from a line of pixels to the lowest frequencies of its 32 area means."""
    edges = np.arange(_SIDE + 1) * length / _SIDE
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    means = np.maximum(covered, 0) * _SIDE / length
    k = np.arange(_FREQUENCIES)[:, None]
    waves = np.cos(np.pi * k * (np.arange(_SIDE) + 0.5) / _SIDE) * np.where(k == 0, 1, np.sqrt(2)) / _SIDE
    return (waves @ means).astype(np.float32)


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of an (H, W, 3) uint8 RGB image, of any size.

    Raises:
        ShapeMismatch: if the image is not (H, W, 3) uint8 with H and W of at least 1.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ShapeMismatch(f"a fingerprint is of an (H, W, 3) uint8 image, not {image.shape} {image.dtype}")
    height, width, _ = image.shape
    rows = _frequencies(height) @ image.reshape(height, width * 3).astype(np.float32)
    rows = rows.reshape(_FREQUENCIES, width, 3)
    brightness = (rows @ _LUMA) @ _frequencies(width).T
    red, green, blue = (
        float(c) for c in rows[0].mean(axis=0)
    )  # the lowest frequency is the mean of the rows
    return Fingerprint(brightness.astype("<f2").tobytes(), (red, green, blue))


def fingerprint_files(files: Iterable[Path]) -> dict[Path, Fingerprint]:
    """Fingerprints of picture files.

    Raises:
        UnreadablePicture: a file is damaged or no picture; the message names it. Other errors as ``read_image``.
    """
    return {path: fingerprint(read_image(path)) for path in files}


def _surfaces() -> Floats:
    """(256, 6): an orthonormal basis of the frequencies of quadratic surfaces."""
    x = np.linspace(-1, 1, _SIDE)[None]
    y = x.T
    surfaces = [np.broadcast_to(s, (_SIDE, _SIDE)) for s in (x**0, x, y, x * x, x * y, y * y)]
    to_frequencies = _frequencies(_SIDE)
    low = [(to_frequencies @ s.astype(np.float32) @ to_frequencies.T).reshape(-1) for s in surfaces]
    return np.linalg.qr(np.stack(low, axis=1))[0].astype(np.float32)


class _Looks:
    """Fingerprints as rows to compare: unit descriptors, and colours for where there is too little to describe."""

    def __init__(self, prints: Sequence[Fingerprint]) -> None:
        count = len(prints)
        low = np.frombuffer(b"".join(p.brightness for p in prints), "<f2").astype(np.float32)
        low = low.reshape(count, _FREQUENCIES**2)
        surfaces = _surfaces()
        structure = low - (low @ surfaces) @ surfaces.T
        self.plain = np.linalg.norm(structure, axis=1) < PLAIN_LEVELS
        roots = np.sign(structure) * np.sqrt(np.abs(structure))
        length = np.linalg.norm(roots, axis=1, keepdims=True)
        roots /= np.maximum(length, 1e-6)
        self.even, self.odd = roots[:, ~_ODD], roots[:, _ODD]
        colours = np.array([p.colour for p in prints], np.float32).reshape(count, 3) / np.sqrt(np.float32(3))
        self.even_levels = np.concatenate((colours, low[:, ~_ODD][:, 1:]), axis=1)
        self.odd_levels = low[:, _ODD]

    def similarity(self, rows: slice, other: _Looks) -> Floats:
        """Similarity of some rows to all of the other's, the better of as it is and mirrored; (n, m).

        Mirroring changes the sign of the odd frequencies' share alone, so that its absolute value is the better one.
        """
        similarity = self.even[rows] @ other.even.T
        similarity += np.abs(self.odd[rows] @ other.odd.T)
        plain = self.plain[rows]
        similarity[plain] = self._evenness(np.flatnonzero(plain) + rows.start, other, slice(None))
        similarity[:, other.plain] = self._evenness(rows, other, other.plain)
        return similarity

    def _evenness(
        self, rows: slice | NDArray[np.intp], other: _Looks, columns: slice | NDArray[np.bool_]
    ) -> Floats:
        """1 less the distance in levels / 255 where that is small, else 0."""
        even, odd = self.even_levels[rows], self.odd_levels[rows]
        even_other, odd_other = other.even_levels[columns], other.odd_levels[columns]
        product = even @ even_other.T + np.abs(odd @ odd_other.T)
        squares = (even**2).sum(1) + (odd**2).sum(1)
        squares_other = (even_other**2).sum(1) + (odd_other**2).sum(1)
        distance = np.sqrt(np.maximum(squares[:, None] + squares_other - 2 * product, 0))
        return np.where(distance <= SAME_LEVELS, 1 - distance / 255, 0).astype(np.float32)


def _alike(ours: _Looks, theirs: _Looks) -> Generator[tuple[int, int, float]]:
    """Row numbers and similarity of all pairs that are alike, in ascending order."""
    step = max(1, _BLOCK // max(len(theirs.plain), 1))
    for start in range(0, len(ours.plain), step):
        similarity = ours.similarity(slice(start, start + step), theirs)
        for row, column in np.argwhere(similarity >= ALIKE).tolist():
            yield start + row, column, min(float(similarity[row, column]), 1.0)


def find_alike(ours: Mapping[K, Fingerprint], theirs: Mapping[K, Fingerprint]) -> list[Match[K]]:
    """All pairs, one picture of each collection, that look the same: copies, also mirrored or degraded ones.

    Not found: crops of more than a few percent, turned pictures, plain pictures (:data:`PLAIN_LEVELS`) made brighter.

    Returns:
        Matches sorted by our and then their key, as text; the same whatever order the collections are in.
    """
    our_keys, their_keys = sorted(ours, key=str), sorted(theirs, key=str)
    our_looks, their_looks = _Looks([ours[k] for k in our_keys]), _Looks([theirs[k] for k in their_keys])
    return [Match(our_keys[i], their_keys[j], s) for i, j, s in _alike(our_looks, their_looks)]


def find_duplicates(pictures: Mapping[K, Fingerprint]) -> list[Match[K]]:
    """All pairs within one collection that look the same, each once with the first key first; sorted as above."""
    keys = sorted(pictures, key=str)
    looks = _Looks([pictures[k] for k in keys])
    return [Match(keys[i], keys[j], s) for i, j, s in _alike(looks, looks) if i < j]
