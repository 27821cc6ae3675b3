"""Arrays to picture files: the format's best keeping of what was read, whole or not at all."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from anyir.errors import OutputError, PictureTooLarge, ShapeMismatch, UnsupportedPicture, reason, shown
from anyir.files import write_atomically
from anyir.picture.limits import FORMATS, MAX_SIDE, SUFFIXES
from anyir.picture.notes import add_png_texts, comment_segments, iptc_segment
from anyir.picture.orientation import EXIF_PREFIX
from anyir.picture.pillow import PILLOW_ERRORS, on_our_terms
from anyir.picture.png_writing import with_samples
from anyir.picture.tiff_tags import append_directories, split_columns, tags_for_tiff
from anyir.picture.types import Metadata, Picture

_LOSSY_QUALITY: Final = 95
_COARSEST_QUALITY: Final = 90
_FULL_CHROMA: Final = 0
_TIFF_COMPRESSIONS: Final = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"})
_TIFF_DEFAULT: Final = "tiff_adobe_deflate"
_XMP_KEYWORD: Final = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"  # uncompressed, no language, no translation
_SHOWN_AS_SRGB: Final = frozenset((primaries, transfer) for primaries in (1, 2) for transfer in (1, 2, 6, 13))
"""Primaries and transfer, by ITU-T H.273, that programs show like sRGB: those of BT.709, or none stated, with the curve
of sRGB or of video."""
_ICC_GREY: Final = b"GRAY"
_LUMA: Final = (
    19_595,
    38_470,
    7_471,
)  # ITU-R 601-2 in 65536ths, as Pillow has it for 8 bits: grey stays exact


def encode(picture: Picture, format: str | None = None, *, name: str = "the picture") -> bytes:
    """A picture as the bytes of a file, by default in the format it was read from; errors call it ``name``.

    JPEG to JPEG keeps colour subsampling and the quantisation tables, but for steps coarser than quality 90 has:
    those would put back the very artefacts that were restored. Anything else to JPEG is quality 95, 4:4:4.
    WebP is lossless if the picture was a lossless WebP, else quality 95. TIFF keeps a lossless compression,
    else takes deflate. Alpha is exact in every format that has it. PNG and TIFF hold 16 bits per sample.

    Raises:
        UnsupportedPicture: the format cannot hold the picture: transparency, 16 bits, size, a grey profile,
            colours that only numbers tell from sRGB.
        OutputError: an unknown format, or metadata that the format cannot carry.
    """
    return _encode(picture, picture.format if format is None else format, name)


def write(picture: Picture, path: Path | str, *, overwrite: bool = False) -> None:
    """Write a picture; the suffix names the format. The file appears whole or not at all.

    Raises:
        UnsupportedPicture: as :func:`encode`.
        OutputError: an unknown suffix, a file that exists already (without ``overwrite``), a refusing disk.
    """
    path = Path(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{shown(path)}: no format has the suffix {shown(path.suffix)!r}; use {', '.join(SUFFIXES)}"
        )
    write_atomically(path, lambda: _encode(picture, kind, shown(path)), overwrite=overwrite)


def write_image(image: NDArray[np.uint8], path: Path | str, *, overwrite: bool = False) -> None:
    """Write an (H, W, 3) uint8 RGB image without metadata.

    Raises:
        ShapeMismatch: if the image is not (H, W, 3) uint8.
        OutputError: as :func:`write`.
    """
    if getattr(image, "dtype", None) != np.uint8:
        raise ShapeMismatch("an image to write must be (H, W, 3) uint8")
    write(Picture(image), path, overwrite=overwrite)


def as_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What a JPEG file of ``quality``, 1 to 95, with 4:2:0 chrominance shows of an (H, W, 3) uint8 RGB image.

    Raises:
        ShapeMismatch: if the image is not (H, W, 3) uint8.
    """
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ShapeMismatch("an image to compress must be (H, W, 3) uint8")
    buffer = io.BytesIO()
    with on_our_terms():
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
        with Image.open(buffer, formats=["JPEG"]) as compressed:
            return np.asarray(compressed)


def _encode(picture: Picture, kind: str, name: str) -> bytes:
    if kind not in FORMATS:
        raise OutputError(f"{name}: unknown picture format {kind!r}; known formats: {', '.join(FORMATS)}")
    check_fits(picture, kind, name=name)
    try:
        with on_our_terms():
            if picture.depth == 16:
                return _encode_deep(picture, kind)
            image = _to_pillow(picture, kind)
            return _tiff(image, picture.metadata) if kind == "tiff" else _saved(image, picture, kind)
    except MemoryError:
        raise PictureTooLarge(f"{name}: too large for this machine's free memory; scale it down") from None
    except PILLOW_ERRORS as error:
        raise OutputError(
            f"{name}: cannot be written as {kind.upper()} ({reason(error)}); try another format"
        ) from error


def check_fits(picture: Picture, kind: str, *, name: str) -> None:
    """Refuse what the format would drop or reduce.

    Args:
        picture: to be encoded.
        kind: of :data:`FORMATS`.
        name: of the file, for the message.

    Raises:
        UnsupportedPicture: something would be; the message says what can hold it.
    """
    label = kind.upper()
    if kind == "jpeg" and picture.alpha is not None:
        raise UnsupportedPicture(f"{name}: JPEG cannot hold its transparency; write PNG, WebP or TIFF")
    if picture.depth == 16 and kind not in ("png", "tiff"):
        raise UnsupportedPicture(f"{name}: {label} cannot hold its 16 bits per sample; write PNG or TIFF")
    longest = max(picture.height, picture.width)
    if longest > MAX_SIDE.get(kind, longest):
        raise UnsupportedPicture(
            f"{name}: {label} holds sides of at most {MAX_SIDE[kind]} pixels, not {longest}; write PNG"
        )
    icc = picture.metadata.icc
    cicp = dict(picture.metadata.png_colour).get(b"cICP", b"")[:2]
    if icc is None and kind != "png" and len(cicp) == 2 and tuple(cicp) not in _SHOWN_AS_SRGB:
        raise UnsupportedPicture(
            f"{name}: {label} cannot say by numbers what its colours mean (primaries {cicp[0]}, transfer {cicp[1]}); "
            "write PNG"
        )
    if icc is not None and icc[16:20] == _ICC_GREY:
        if kind == "webp":
            raise UnsupportedPicture(
                f"{name}: WebP has no greyscale for its grey colour profile; write PNG or TIFF"
            )
        if kind == "tiff" and picture.depth == 16 and picture.alpha is not None:
            raise UnsupportedPicture(
                f"{name}: a TIFF of 16 bits with transparency is RGB, against its grey colour profile; write PNG"
            )


def _to_pillow(picture: Picture, kind: str) -> Image.Image:
    grey = picture.grey and kind != "webp"
    image = Image.fromarray(np.ascontiguousarray(picture.pixels))
    if grey:
        image = image.convert("L")
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return image


def _saved(image: Image.Image, picture: Picture, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind.upper(), **_options(picture, kind))
    return buffer.getvalue()


def _encode_deep(picture: Picture, kind: str) -> bytes:
    """A PNG or TIFF of 16 bits per sample: Pillow writes the metadata, and what it cannot write is put in."""
    grey_and_alpha = picture.grey and picture.alpha is not None
    # greyscale with alpha is sound in TIFF too, but few readers take it at this depth, and Pillow is none of them
    samples = _deep_samples(picture, grey=picture.grey and not (kind == "tiff" and grey_and_alpha))
    height, width, channels = samples.shape
    if kind == "png":
        pixel = Image.new("L" if channels < 3 else "RGB", (1, 1))
        return with_samples(_saved(pixel, picture, kind), samples)
    in_a_row = Image.fromarray(samples.reshape(height, width * channels))
    return split_columns(_tiff(in_a_row, picture.metadata), width, channels)


def _deep_samples(picture: Picture, *, grey: bool) -> NDArray[np.uint16]:
    """The picture's samples (H, W, C) as a file of 1 to 4 channels stores them, contiguous."""
    colours = picture.pixels.astype(np.uint16, copy=False)
    if grey:
        weighted = sum(colours[..., c].astype(np.uint32) * np.uint32(_LUMA[c]) for c in range(3))
        colours = ((weighted + np.uint32(1 << 15)) >> np.uint32(16)).astype(np.uint16)[..., None]
    if picture.alpha is not None:
        colours = np.concatenate((colours, picture.alpha[..., None].astype(np.uint16)), axis=2)
    return np.ascontiguousarray(colours)


def _tiff(image: Image.Image, metadata: Metadata) -> bytes:
    tags, beside = tags_for_tiff(metadata.exif, metadata.xmp, metadata.iptc)
    options: dict[str, Any] = {"exif": tags, "compression": metadata.tiff_compression}
    if metadata.tiff_compression not in _TIFF_COMPRESSIONS:
        options["compression"] = _TIFF_DEFAULT
    if metadata.icc is not None:
        options["icc_profile"] = metadata.icc
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    buffer = io.BytesIO()
    image.save(buffer, format="TIFF", **options)
    return append_directories(buffer.getvalue(), beside)


def _options(picture: Picture, kind: str) -> dict[str, Any]:
    """What to tell Pillow's JPEG, PNG or WebP encoder: the metadata in its own way, and how to compress."""
    metadata = picture.metadata
    options: dict[str, Any] = {}
    if metadata.icc is not None:
        options["icc_profile"] = metadata.icc
    if metadata.dpi is not None and kind != "webp":
        options["dpi"] = metadata.dpi
    if metadata.exif is not None:
        options["exif"] = EXIF_PREFIX + metadata.exif
    if kind == "png":
        options["pnginfo"] = _png_chunks(metadata)
        return options
    if metadata.xmp is not None:
        options["xmp"] = metadata.xmp
    if kind == "webp":
        return options | _webp_coding(metadata)
    options["extra"] = iptc_segment(metadata.iptc or b"") + comment_segments(metadata.comments)
    return options | _jpeg_coding(metadata, grey=picture.grey)


def _png_chunks(metadata: Metadata) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for name, data in metadata.png_colour:
        chunks.add(name, data)
    if metadata.xmp is not None:
        chunks.add(b"iTXt", _XMP_KEYWORD + metadata.xmp)
    add_png_texts(chunks, metadata.png_texts, len(metadata.xmp or b""))
    return chunks


def _webp_coding(metadata: Metadata) -> dict[str, Any]:
    """Lossless or not; ``exact`` keeps the colours under full transparency, quality 100 keeps alpha."""
    quality = 75 if metadata.webp_lossless else _LOSSY_QUALITY  # of a lossless file: effort, not fidelity
    return {"lossless": metadata.webp_lossless, "quality": quality, "alpha_quality": 100, "exact": True}


def _jpeg_coding(metadata: Metadata, *, grey: bool) -> dict[str, Any]:
    if metadata.jpeg_tables is None:
        return {"quality": _LOSSY_QUALITY, "subsampling": _FULL_CHROMA}
    kept = metadata.jpeg_tables[:1] if grey else metadata.jpeg_tables
    coarsest = _coarsest_tables()
    tables = [np.minimum(table, coarsest[min(index, 1)]).tolist() for index, table in enumerate(kept)]
    subsampling = _FULL_CHROMA if metadata.jpeg_subsampling is None else metadata.jpeg_subsampling
    return {"qtables": tables, "subsampling": subsampling}


@cache
def _coarsest_tables() -> tuple[list[int], list[int]]:
    """The standard's tables for brightness and colour at :data:`_COARSEST_QUALITY`, as the encoder scales them."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="JPEG", quality=_COARSEST_QUALITY)
    with Image.open(buffer, formats=["JPEG"]) as image:
        tables: dict[int, list[int]] = getattr(image, "quantization")  # noqa: B009 - of JPEG images only
        return tables[0], tables[1]
