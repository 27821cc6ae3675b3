"""A picture: what a file shows and what it carries besides."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch, UsageError
from anyir.picture.limits import FORMATS
from anyir.picture.notes import PngText

Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples at a file's own depth: 8 bits in [0, 255] or 16 bits in [0, 65535]."""

LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma, by ITU-R BT.601; their sum is 1."""


@dataclass(frozen=True)
class Metadata:
    """What travels with the pixels from one file to the next, unseen by the restoration.

    Attributes:
        icc: the colour profile, byte for byte.
        exif: the EXIF block as a TIFF structure (without the ``Exif`` prefix of some formats), byte for byte
            but for two things: its orientation is 1, because the pixels are upright, and its thumbnail is
            unlinked, because that shows the old pixels the old way up. Of a TIFF, where it is no block, what
            describes the picture, tag by tag.
        xmp: the XMP packet, byte for byte but for its orientation, which is 1.
        iptc: the IPTC records of a JPEG or TIFF (caption, place, rights), byte for byte.
        comments: a JPEG's comments, byte for byte and in their order.
        png_texts: of a PNG, besides its XMP.
        dpi: dots per inch, horizontal and vertical.
        jpeg_tables: quantisation tables of the first one to three components (64 values each, row by row).
        jpeg_subsampling: 0, 1 or 2 for 4:4:4, 4:2:2 or 4:2:0; None where it is not known or does not apply.
        png_colour: the PNG chunks (name, data) that say what the sample values mean: cHRM, cICP, gAMA, sRGB.
        webp_lossless: the file was a lossless WebP.
        tiff_compression: Pillow's name of the TIFF file's compression.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    comments: tuple[bytes, ...] = ()
    png_texts: tuple[PngText, ...] = ()
    dpi: tuple[float, float] | None = None
    jpeg_tables: tuple[tuple[int, ...], ...] | None = None
    jpeg_subsampling: int | None = None
    png_colour: tuple[tuple[bytes, bytes], ...] = ()
    webp_lossless: bool = False
    tiff_compression: str | None = None

    def stripped(self) -> Metadata:
        """Without EXIF, XMP, IPTC, comments and texts, which tell of place, time, camera and people.

        All that the pixels need stays.
        """
        return replace(self, exif=None, xmp=None, iptc=None, comments=(), png_texts=())


@dataclass(frozen=True, eq=False)
class Picture:
    """The content of a picture file, upright.

    Attributes:
        pixels: (H, W, 3) RGB at the file's own depth, uint8 or uint16; EXIF orientation already applied.
        alpha: (H, W) of the same type, or None. Never restored, never changed.
        format: "jpeg", "png", "webp" or "tiff": what it was read from, or PNG where that is not written (AVIF, HEIC).
        grey: the file was greyscale: three equal channels here, one when written where the format can.
        metadata: everything else that is kept.

    Raises:
        ShapeMismatch: if an array is not of the shape or type above.
        UsageError: for a format of another name.
    """

    pixels: Samples
    alpha: Samples | None = None
    format: str = "png"
    grey: bool = False
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        _check_array("pixels", self.pixels)
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ShapeMismatch(f"pixels must be (H, W, 3) with H and W of at least 1, not {shape}")
        if self.alpha is not None:
            _check_array("alpha", self.alpha)
            if self.alpha.shape != shape[:2] or self.alpha.dtype != dtype:
                raise ShapeMismatch(
                    f"alpha must be {shape[:2]} {dtype} as the pixels are, "
                    f"not {self.alpha.shape} {self.alpha.dtype}"
                )
        if self.format not in FORMATS:
            raise UsageError(f"unknown picture format {self.format!r}; known formats: {', '.join(FORMATS)}")

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def depth(self) -> int:
        """Bits per sample: 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    def with_pixels(self, pixels: Samples) -> Picture:
        """The same picture with other pixels of the same shape and type; alpha and metadata stay.

        Raises:
            ShapeMismatch: if shape or type differ.
        """
        _check_array("pixels", pixels)
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ShapeMismatch(
                f"new pixels must be {self.pixels.shape} {self.pixels.dtype} as the old ones are, "
                f"not {pixels.shape} {pixels.dtype}"
            )
        return replace(self, pixels=pixels)

    def stripped(self) -> Picture:
        """The same picture with :meth:`Metadata.stripped` metadata."""
        return replace(self, metadata=self.metadata.stripped())


def _check_array(key: str, value: Any) -> None:  # noqa: ANN401 - the type is what is being checked
    if not isinstance(value, np.ndarray):
        raise ShapeMismatch(f"{key} must be a numpy array, not {type(value).__name__}")
    if value.dtype not in (np.uint8, np.uint16):
        raise ShapeMismatch(f"{key} must be uint8 or uint16, not {value.dtype}")
