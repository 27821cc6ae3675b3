"""Decoded pixels to upright arrays, also those of 16 bits per colour sample, of which Pillow holds only eight.

Pillow's decoders undo compression and filters of 16-bit colour in full; only their last step drops one of the two
bytes of each sample. Which one, its raw mode says: "16B" keeps the first, "16L" the second. So the picture is decoded
twice, by the decoders that every other picture goes through, and the halves are put together. docs/formats.md says
what else there is, and why this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from anyir.picture.orientation import stored_view, turns

SIXTEEN_BIT_GREY: Final = frozenset({"I;16", "I;16B", "I;16L"})
"""Pillow's modes of greyscale of 16 bits, which it holds in full."""

_CONVERT: Final = {"1": "L", "La": "LA", "PA": "RGBA", "YCbCr": "RGB"}
_BAND_PIXELS: Final = 1 << 20

_BYTE_ORDERS: Final = {"B": "BL", "L": "LB", "N": "LB" if sys.byteorder == "little" else "BL"}
_HALVES: Final = {
    f"{name};16{order}": tuple(f"{name.upper()};16{half}" for half in halves)
    for name in ("RGB", "RGBA", "RGBa")
    for order, halves in _BYTE_ORDERS.items()
}
"""Raw mode → the raw modes that give the high and the low bytes, of premultiplied colour as it is stored."""
_GREY_AND_ALPHA: Final = (
    "LA;16B"  # four bytes a pixel, as many as RGBA of 8 bits: one decoding gives them all
)
_PREMULTIPLIED: Final = "RGBa"

_Rows: TypeAlias = Callable[[int, int], NDArray[Any]]


def raw_mode(image: ImageFile) -> str:
    """How the file stores its samples, in Pillow's words; "" where the decoder alone knows.

    ``image`` must not be loaded yet.
    """
    if not image.tile:
        return ""
    args = image.tile[0].args
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def is_deep_colour(image: ImageFile) -> bool:
    """Whether an opened, not yet loaded image has 16-bit samples that :func:`decode_deep` gives in full."""
    return raw_mode(image) in _HALVES or raw_mode(image) == _GREY_AND_ALPHA


def decode_deep(image: ImageFile, reopen: Callable[[], ImageFile]) -> NDArray[np.uint16]:
    """The samples of an :func:`is_deep_colour` image: (H, W, C), C = 2 for grey and alpha, 3 RGB, 4 RGBA.

    Args:
        image: opened, not loaded; loaded afterwards.
        reopen: opens the same file anew.

    Returns:
        Colours not premultiplied. Rows and columns as Pillow turns them: upright for TIFF, else as stored.
    """
    mode = raw_mode(image)
    if mode == _GREY_AND_ALPHA:
        _load_as(image, "RGBA")
        samples = np.empty((image.height, image.width, 2), np.uint16)
        for rows in _bands(image):
            samples[rows] = _bytes_of(image, rows).view(">u2")
        return samples
    high, low = _HALVES[mode]
    samples = _low_bytes(reopen, low)
    _load_as(image, high)
    for rows in _bands(image):
        samples[rows] |= _bytes_of(image, rows).astype(np.uint16) << 8
        if mode.startswith(_PREMULTIPLIED):
            _divide_by_alpha(samples[rows])
    return samples


def _low_bytes(reopen: Callable[[], ImageFile], mode: str) -> NDArray[np.uint16]:
    """In a function of its own, so that Pillow's image is gone before the high bytes need another."""
    with reopen() as image:
        _load_as(image, mode)
        samples = np.empty((image.height, image.width, len(image.getbands())), np.uint16)
        for rows in _bands(image):
            samples[rows] = _bytes_of(image, rows)
        return samples


def _load_as(image: ImageFile, mode: str) -> None:
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
        for tile in image.tile
    ]
    image.load()


def _bands(image: Image.Image) -> Generator[slice]:
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield slice(top, min(top + rows, image.height))


def _bytes_of(image: Image.Image, rows: slice) -> NDArray[np.uint8]:
    """Some rows of a loaded image (h, W, channels), contiguous."""
    return np.ascontiguousarray(image.crop((0, rows.start, image.width, rows.stop)))


def _divide_by_alpha(samples: NDArray[np.uint16]) -> None:
    """Premultiplied colours to plain ones, in place; alpha stays, and where it is 0 there is no colour."""
    alpha = samples[..., 3:].astype(np.uint32)
    colours = samples[..., :3] * np.uint32(65535) + alpha // 2  # at most 65535² + 32767, below 2³²
    colours //= np.maximum(alpha, 1)
    samples[..., :3] = np.where(alpha == 0, 0, np.minimum(colours, 65535))


def upright_deep(
    samples: NDArray[np.uint16], transparent: int | tuple[int, ...] | None, orientation: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """:func:`decode_deep`'s samples as pixels (H, W, 3) and alpha (H, W) or None, upright."""
    height, width, channels = samples.shape
    opaque = channels == 3 and transparent is None
    if opaque and orientation == 1:
        return samples, None
    return _fill(
        lambda top, bottom: samples[top:bottom],
        (width, height),
        np.dtype(np.uint16),
        opaque,
        transparent,
        orientation,
    )


def upright_arrays(
    image: Image.Image, transparent: int | tuple[int, ...] | None, orientation: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """A loaded image's pixels (H, W, 3) and alpha (H, W) or None, upright.

    Goes by bands of rows, to need no second array. ``transparent`` is the grey level or colour that a PNG
    declares transparent.
    """
    mode = _CONVERT.get(image.mode, image.mode)
    if mode == "P":
        mode = "RGBA" if image.has_transparency_data else "RGB"
    width = image.width

    def rows(top: int, bottom: int) -> NDArray[Any]:
        band = image.crop((0, top, width, bottom))
        samples = np.asarray(band if band.mode == mode else band.convert(mode))
        return samples.reshape(bottom - top, width, -1)

    dtype = np.dtype(np.uint16 if image.mode in SIXTEEN_BIT_GREY else np.uint8)
    opaque = mode not in ("LA", "RGBA") and transparent is None
    return _fill(rows, image.size, dtype, opaque, transparent, orientation)


def _fill(
    rows_of: _Rows,
    size: tuple[int, int],
    dtype: np.dtype[Any],
    opaque: bool,
    transparent: int | tuple[int, ...] | None,
    orientation: int,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """New arrays filled from stored rows (h, W, 1 to 4 channels), turned upright on the way."""
    width, height = size
    shape = (width, height) if turns(orientation) else (height, width)
    pixels = np.empty((*shape, 3), dtype)
    alpha = None if opaque else np.empty(shape, dtype)
    stored_pixels = stored_view(pixels, orientation)
    stored_alpha = None if alpha is None else stored_view(alpha, orientation)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        samples = rows_of(top, bottom)
        colours = samples[..., :3] if samples.shape[2] >= 3 else samples[..., :1]
        stored_pixels[top:bottom] = colours
        if stored_alpha is None:
            continue
        if transparent is not None:
            same = (colours == np.asarray(transparent)).all(axis=2)
            stored_alpha[top:bottom] = np.where(same, 0, np.iinfo(dtype).max)
        else:
            stored_alpha[top:bottom] = samples[..., -1]
    return pixels, alpha
