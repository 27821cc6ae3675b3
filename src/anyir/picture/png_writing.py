"""PNG files of 16 bits per sample, which Pillow writes of greyscale only.

Pillow still writes all the metadata, around a single pixel; here that pixel is replaced.
Source: PNG (ISO/IEC 15948), sections 5 (chunks), 9 (filters) and 12.8 (choice of filter).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Generator
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGNATURE_BYTES: Final = 8
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels
_BAND_BYTES: Final = 1 << 20
_COMPRESSION: Final = 6


def with_samples(png: bytes, samples: NDArray[np.uint16]) -> bytes:
    """A PNG with the metadata of another and these samples (H, W, C): C = 1 grey, 2 with alpha, 3 RGB, 4 RGBA."""
    height, width, channels = samples.shape
    written = io.BytesIO()
    written.write(png[:_SIGNATURE_BYTES])
    for name, data in _chunks(png):
        if name == b"IHDR":
            data = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
        if name != b"IDAT":
            written.write(_chunk(name, data))
            continue
        for part in _compressed(samples):
            written.write(_chunk(name, part))
    return written.getvalue()


def _chunks(png: bytes) -> Generator[tuple[bytes, bytes]]:
    at = _SIGNATURE_BYTES
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        yield name, png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _compressed(samples: NDArray[np.uint16]) -> Generator[bytes]:
    """The filtered and compressed rows, in parts: a chunk of all of them could be too long for its length field."""
    height, width, channels = samples.shape
    step = 2 * channels
    above = np.zeros(step * width, np.uint8)
    compressor = zlib.compressobj(_COMPRESSION)
    rows_at_once = max(1, _BAND_BYTES // (step * width))
    for top in range(0, height, rows_at_once):
        band = samples[top : top + rows_at_once].astype(">u2", order="C")
        rows = band.view(np.uint8).reshape(len(band), -1)
        part = compressor.compress(_filtered(rows, above, step).tobytes())
        above = rows[-1]
        if part:
            yield part
    yield compressor.flush()


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Rows of bytes (n, B) as filter type and filtered bytes (n, 1 + B), each by the filter that leaves least.

    Args:
        rows: as they are to come back.
        above: (B,) bytes of the row above the first.
        step: bytes of a pixel, the distance to the neighbour on the left.
    """
    up = np.concatenate((above[None], rows[:-1]))
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:], corner[:, step:] = rows[:, :-step], up[:, :-step]
    average = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    guesses = (np.zeros_like(rows), left, up, average, _paeth(left, up, corner))
    best = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    least = np.full(len(rows), np.inf)
    for kind, guess in enumerate(guesses):  # in the order of the standard's numbers
        rest = rows - guess
        size = np.minimum(rest, 0 - rest).sum(axis=1, dtype=np.float64)  # bytes as signed numbers, absolute
        better = size < least
        least[better] = size[better]
        best[better, 0], best[better, 1:] = kind, rest[better]
    return best


def _paeth(left: NDArray[np.uint8], up: NDArray[np.uint8], corner: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of the three neighbours the one nearest to left + up − corner; in doubt the one named first."""
    to_left = np.abs(up.astype(np.int16) - corner)
    to_up = np.abs(left.astype(np.int16) - corner)
    to_corner = np.abs(left.astype(np.int16) + up - 2 * corner.astype(np.int16))
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
