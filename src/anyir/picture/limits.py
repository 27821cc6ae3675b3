"""What this package reads and writes, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from anyir.errors import PictureTooLarge

MAX_PIXELS: Final = 200_000_000
"""Default limit on height × width: above every camera's picture, below what exhausts a machine's memory."""

MAX_TEXT_CHUNK: Final = 1 << 20
"""Bytes to which one compressed text or colour profile of a PNG may inflate."""

MAX_TEXTS: Final = 8 << 20
"""Characters in all the texts of a PNG together; each takes up to four bytes."""

MAX_INFLATED: Final = 250
"""Chunks of a PNG that may be compressed texts or profiles. Not all count among its texts, but all are inflated."""

MAX_SCANS: Final = 100
"""Scans of a JPEG. Programs write about ten; each goes over the whole picture, whatever few bytes it takes."""

MAX_TILE_PIXELS: Final = 2048 * 2048
"""Pixels of a TIFF's tile that is larger than four times its picture: a decoder fills it whole."""

SUFFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".jpg": "jpeg",
        ".jpeg": "jpeg",
        ".jpe": "jpeg",
        ".jfif": "jpeg",
        ".png": "png",
        ".webp": "webp",
        ".tif": "tiff",
        ".tiff": "tiff",
    }
)
"""File name suffix (lower case, with its dot) → format."""

READABLE_SUFFIXES: Final = frozenset({*SUFFIXES, ".avif", ".heic", ".heif"})
"""File name suffixes of pictures that are read, be they written or not."""

DEFAULT_SUFFIX: Final[Mapping[str, str]] = MappingProxyType(
    {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif"}
)
"""Format → the suffix to give to a new file."""

FORMATS: Final = tuple(DEFAULT_SUFFIX)

DATA_SUFFIXES: Final = frozenset({*SUFFIXES, ".bmp"})
"""File name suffixes of pictures in data sets, which :func:`anyir.picture.read_image` reads."""

MAX_SIDE: Final[Mapping[str, int]] = MappingProxyType({"jpeg": 65_500, "webp": 16_383})
"""Format → the longest side that its encoder can write, in pixels."""


def check_pixels(height: int, width: int, max_pixels: int, name: str) -> None:
    """Refuse a picture of more than ``max_pixels`` pixels.

    Raises:
        PictureTooLarge: the message names the picture, its size and the limit.
    """
    if height * width > max_pixels:
        raise PictureTooLarge(
            f"{name}: {width}×{height} is {height * width / 1e6:.1f} megapixels, over the limit of "
            f"{max_pixels / 1e6:.1f}; scale it down or cut it into parts"
        )
