"""Picture files to arrays, with everything that is worth keeping. Pillow decodes; this module judges."""

from __future__ import annotations

import io
import math
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from anyir.errors import PictureError, PictureTooLarge, UnreadablePicture, UnsupportedPicture, reason, shown
from anyir.picture.containers import png_facts, png_turns_late, sniff, sniff_foreign, webp_facts
from anyir.picture.heif import READ_ONLY, heif_facts, open_heif
from anyir.picture.limits import MAX_PIXELS, MAX_TEXT_CHUNK, MAX_TEXTS, check_pixels
from anyir.picture.notes import comments_of, iptc_of, png_texts_of
from anyir.picture.orientation import make_upright, turns
from anyir.picture.pillow import PILLOW_ERRORS, on_our_terms
from anyir.picture.pixels import (
    SIXTEEN_BIT_GREY,
    decode_deep,
    is_deep_colour,
    upright_arrays,
    upright_deep,
)
from anyir.picture.proportion import (
    check_before_opening,
    check_enough_data,
    check_enough_parts,
    check_tiles,
    has_separate_planes,
    numbers,
)
from anyir.picture.tiff_tags import exif_of_tiff
from anyir.picture.types import Metadata, Picture

_GREY_MODES: Final = SIXTEEN_BIT_GREY | {"1", "L", "LA", "La"}
_MODES: Final = _GREY_MODES | {"P", "PA", "RGB", "RGBA", "YCbCr"}
_SEVERAL: Final = {"TIFF": ("has several pages", "page"), "HEIF": ("holds several pictures", "one")}
_COLOUR_SPACES: Final = {"CMYK": "CMYK", "LAB": "L*a*b*", "F": "floating-point", "I": "32-bit or signed"}
_SUBSAMPLINGS: Final[dict[tuple[int, ...], int]] = {
    (1, 1, 1, 1, 1, 1): 0,
    (2, 1, 1, 1, 1, 1): 1,
    (2, 2, 1, 1, 1, 1): 2,
}
_MAX_DPI: Final = 65_535  # what a JPEG can state; 1 is what Pillow makes up for a TIFF that states nothing

_TIFF_PHOTOMETRIC, _TIFF_BITS, _TIFF_EXTRA_SAMPLES, _TIFF_ORIENTATION = 0x0106, 0x0102, 0x0152, 0x0112
_TIFF_XMP: Final = "xmp of anyir"
"""Key of a TIFF's XMP in its information, hidden from Pillow."""


def read(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a JPEG, PNG, WebP, TIFF or AVIF picture; HEIC too with the extra ``[heif]``.

    Samples of 16 bits stay 16 bits. Palettes and transparent colours become RGB and alpha, one bit becomes eight,
    premultiplied alpha becomes plain. Of a JPEG that holds several pictures (MPO: stereo twin, gain map) the first is
    read.

    Args:
        source: a path, or the bytes of a file.
        max_pixels: limit on height × width, checked before any pixel is decoded.

    Returns:
        The picture, upright. Peak memory is about the decoded pixels twice.

    Raises:
        UnreadablePicture: missing, a folder, empty, truncated, damaged, or no picture.
        UnsupportedPicture: a sound picture of a kind that would lose something here: animated or of several
            pages, CMYK or L*a*b*, neither 8 nor 16 bits, floating-point, another format.
        PictureTooLarge: more pixels than ``max_pixels``, or what a small file would inflate to besides: texts, tiles.
    """
    with _opened(source) as (file, name):
        kind = _identify(file, name)
        with _decoding(name, kind, max_pixels), _header(file, name, kind, max_pixels) as image:
            return _to_picture(image, file, kind, name)


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture's colours alone, for data sets: (H, W, 3) uint8 RGB, upright; alpha is left out.

    Also takes BMP, as which data sets are published (the Waterloo Exploration Database) but photographs hardly ever.

    Raises:
        PictureError: as :func:`read`; also UnsupportedPicture for 16 bits per sample.
    """
    with _opened(source) as (file, name):
        if file.read(2) == b"BM":
            with _decoding(name, "bmp", max_pixels), _header(file, name, "bmp", max_pixels) as image:
                return np.asarray(image.convert("RGB"))
    pixels = read(source, max_pixels=max_pixels).pixels
    if pixels.dtype != np.uint8:
        raise _too_deep(_name_of(source))
    return pixels.astype(np.uint8, copy=False)


def read_size(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """The (height, width) of what :func:`read_image` would return, by the file's header.

    No pixel is decoded, and damage to them goes unseen; but for a PNG that says after its pixels which way up it is.

    Raises:
        PictureError: as :func:`read_image`, as far as the header shows it.
    """
    with _opened(source) as (file, name):
        if file.read(2) == b"BM":
            with _decoding(name, "bmp", max_pixels), _header(file, name, "bmp", max_pixels) as image:
                return image.height, image.width
        file.seek(0)
        kind = _identify(file, name)
        with _decoding(name, kind, max_pixels), _header(file, name, kind, max_pixels) as image:
            _refuse_lossy_kinds(image, name, _stated_bits(file, kind))
            if image.mode in SIXTEEN_BIT_GREY or is_deep_colour(image):
                raise _too_deep(name)
            if kind == "png" and png_turns_late(file):
                picture = _to_picture(image, file, kind, name)
                return picture.height, picture.width
            stated = _stated_orientation(image)
            orientation, _, _ = make_upright(_exif_of(image, kind), _xmp_of(image), stated)
            height, width = image.height, image.width
            return (width, height) if turns(orientation) and stated is None else (height, width)


@contextmanager
def _header(file: IO[bytes], name: str, kind: str, max_pixels: int) -> Generator[ImageFile]:
    """The file opened by Pillow and found small enough, its pixels not yet decoded."""
    if kind == "webp":  # its decoder allocates the canvas on opening, so ask the file first
        facts = webp_facts(file)
        check_pixels(facts.height, facts.width, max_pixels, name)
    check_before_opening(file, kind, name)
    with open_heif(file, kind, name) if kind in READ_ONLY else _open_by_pillow(file, kind) as image:
        check_pixels(image.height, image.width, max_pixels, name)
        if kind == "tiff":
            check_tiles(image, name)
        yield image


def _too_deep(name: str) -> UnsupportedPicture:
    return UnsupportedPicture(f"{name}: 16 bits per sample where 8 are needed; convert it to 8 bits")


def read_labels(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a label map, a greyscale or palette PNG of up to 8 bits: (H, W) uint8 of the stored numbers.

    Raises:
        PictureError: as :func:`read`; also UnsupportedPicture for any other format, for colour or for alpha.
    """
    with _opened(source) as (file, name):
        kind = _identify(file, name)
        with _decoding(name, kind, max_pixels):
            facts = png_facts(file) if kind == "png" else None
            if facts is None or facts.colour_type not in (0, 3) or facts.bits > 8:
                raise UnsupportedPicture(
                    f"{name}: not a label map; write it as a greyscale or palette PNG of 8 bits"
                )
            with _header(file, name, kind, max_pixels) as image:
                check_enough_data(file, facts, name)
                image.load()
                labels = np.asarray(image).astype(np.uint8)
    # Pillow stretches 2- and 4-bit greys to 0..255; a label is the number that was stored
    stretch = 255 // (2**facts.bits - 1) if facts.colour_type == 0 and facts.bits in (2, 4) else 1
    return labels // np.uint8(stretch)


def _name_of(source: Path | str | bytes) -> str:
    return "the picture given as bytes" if isinstance(source, bytes) else shown(source)


@contextmanager
def _opened(source: Path | str | bytes) -> Generator[tuple[IO[bytes], str]]:
    """The source as an open file and its name for messages."""
    name = _name_of(source)
    if isinstance(source, bytes):
        yield io.BytesIO(source), name
        return
    try:
        kind = Path(source).stat().st_mode
        if stat.S_ISDIR(kind):
            raise UnreadablePicture(f"{name}: is a folder, not a picture; name a file in it")
        if not stat.S_ISREG(kind):  # opening a pipe or a device could wait for ever
            raise UnreadablePicture(f"{name}: is not a regular file; copy the picture to one")
        file = Path(source).open("rb")
    except FileNotFoundError:
        raise UnreadablePicture(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        what = error.strerror if isinstance(error, OSError) else None
        raise UnreadablePicture(f"{name}: cannot be opened ({what or reason(error)})") from error
    with file:
        yield file, name


def _identify(file: IO[bytes], name: str) -> str:
    try:
        head = file.read(16)
    except OSError as error:
        raise UnreadablePicture(f"{name}: cannot be read ({error.strerror or reason(error)})") from error
    kind = sniff(head)
    if kind is not None:
        return kind
    if not head:
        raise UnreadablePicture(f"{name}: is empty (0 bytes); get the file again")
    foreign = sniff_foreign(head)
    if foreign is not None:
        raise UnsupportedPicture(f"{name}: is a {foreign} file; convert it to PNG, JPEG, WebP or TIFF first")
    raise UnreadablePicture(
        f"{name}: is not a picture, whatever its name says; expected JPEG, PNG, WebP, TIFF, AVIF or HEIC"
    )


@contextmanager
def _decoding(name: str, kind: str, max_pixels: int) -> Generator[None]:
    """Turn whatever a decoder raises into one of our errors."""
    try:
        with on_our_terms(max_pixels):
            yield
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureTooLarge(
            f"{name}: far over the limit of {max_pixels / 1e6:.1f} megapixels; scale it down or cut it up"
        ) from None
    except MemoryError:
        raise PictureTooLarge(f"{name}: too large for this machine's free memory; scale it down") from None
    except Image.UnidentifiedImageError as error:
        raise UnreadablePicture(
            f"{name}: starts like a {kind.upper()} but is damaged or of an unknown kind; get the file again"
        ) from error
    except PILLOW_ERRORS as error:
        if "MAX_TEXT_" in str(error):  # Pillow's names for the limits that we set it
            raise PictureTooLarge(
                f"{name}: its texts or colour profile inflate beyond the limit of {MAX_TEXT_CHUNK >> 20} MiB each, "
                f"{MAX_TEXTS >> 20} in all; save it without them"
            ) from None
        raise UnreadablePicture(
            f"{name}: damaged or truncated {kind.upper()} ({reason(error)}); get the file again"
        ) from error


def _to_picture(image: ImageFile, file: IO[bytes], kind: str, name: str) -> Picture:
    png = png_facts(file) if kind == "png" else None
    colour = png.colour if png is not None else heif_facts(file).cicp if kind in READ_ONLY else ()
    _refuse_lossy_kinds(image, name, _stated_bits(file, kind))
    lossless = kind == "webp" and webp_facts(file).lossless
    file.seek(0)
    info: dict[Any, Any] = image.info
    # a palette's transparency is Pillow's to apply; that of a grey level or a colour is ours, below
    transparent = None if image.mode == "P" else info.pop("transparency", None)
    if image.mode == "L" and png is not None and png.bits in (2, 4) and isinstance(transparent, int):
        transparent *= 255 // (
            2**png.bits - 1
        )  # Pillow stretches the pixels but not the colour to compare them with
    if image.mode == "1" and transparent is not None:
        transparent = 255 if transparent else 0  # older releases of Pillow leave it unstretched
    if png is not None:
        check_enough_data(file, png, name)
    if kind == "tiff":
        check_enough_parts(image, name)
    stated = _stated_orientation(image)
    samples = decode_deep(image, lambda: _open_by_pillow(file, kind)) if is_deep_colour(image) else None
    image.load()  # after this, EXIF that follows the pixels is known too
    orientation, exif, xmp = make_upright(_exif_of(image, kind), _xmp_of(image), stated)
    dpi = _dpi(info.get("dpi"), orientation)
    if stated is not None:
        orientation = 1  # Pillow has turned it
    if samples is None:
        grey = image.mode in _GREY_MODES
        pixels, alpha = upright_arrays(image, transparent, orientation)
    else:
        grey = samples.shape[2] == 2
        pixels, alpha = upright_deep(samples, transparent, orientation)
    tables, subsampling = _jpeg_coding(image) if kind == "jpeg" else (None, None)
    metadata = Metadata(
        icc=_bytes_or_none(info.get("icc_profile")),
        exif=exif,
        xmp=xmp,
        iptc=iptc_of(image, kind),
        comments=comments_of(image) if kind == "jpeg" else (),
        png_texts=png_texts_of(image, file) if kind == "png" else (),
        dpi=dpi,
        jpeg_tables=tables,
        # 4:2:2 halves the colour across; on its side it would halve it down, which no encoder setting does
        jpeg_subsampling=0 if subsampling == 1 and turns(orientation) else subsampling,
        png_colour=colour,
        webp_lossless=lossless,
        tiff_compression=str(info["compression"]) if kind == "tiff" else None,
    )
    return Picture(pixels, alpha, "png" if kind in READ_ONLY else kind, grey, metadata)


def _open_by_pillow(file: IO[bytes], kind: str) -> ImageFile:
    file.seek(0)
    image = Image.open(file, formats=[kind.upper()])
    # Pillow would turn the pixels by it, and then cut its words out of it.
    if kind == "tiff" and "xmp" in image.info:
        image.info[_TIFF_XMP] = image.info.pop("xmp")
    return image


def _stated_bits(file: IO[bytes], kind: str) -> int:
    """Bits per sample by the file's own word, where Pillow does not tell; 0 where it does."""
    if kind == "png":
        return png_facts(file).bits
    return heif_facts(file).bits if kind in READ_ONLY else 0


def _refuse_lossy_kinds(image: ImageFile, name: str, stated_bits: int) -> None:
    """Refuse what Pillow would reduce without a word, and what has no place in a Picture."""

    def refuse(what: str, remedy: str) -> UnsupportedPicture:
        return UnsupportedPicture(f"{name}: {what}; {remedy}")

    frames = getattr(image, "is_animated", False) and image.format != "MPO"
    if frames:
        what, part = _SEVERAL.get(image.format or "", ("is animated", "frame"))
        raise refuse(what, f"save the {part} you want as a picture of its own")
    if image.mode not in _MODES:
        space = _COLOUR_SPACES.get(image.mode, image.mode)
        raise refuse(f"has {space} samples", "convert it to RGB or greyscale of 8 bits first")
    bits, extra, inverted, separate = (max(stated_bits, image.info.get("bit_depth", 0)),), (), False, False
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits, extra = numbers(tags.get(_TIFF_BITS, 1)), numbers(tags.get(_TIFF_EXTRA_SAMPLES, ()))
        inverted = tags.get(_TIFF_PHOTOMETRIC) == 0
        separate = has_separate_planes(image)
    if image.mode in SIXTEEN_BIT_GREY:
        if max(bits) != 16 or inverted:
            raise refuse(f"greyscale of an unusual kind ({max(bits)} bits)", "convert it to 8 bits first")
    elif max(bits) == 16 and separate:
        raise refuse("has 16-bit colour in separate planes", "save it with interleaved channels first")
    elif max(bits) > 8 and not is_deep_colour(image):
        raise refuse(f"has {max(bits)} bits per colour sample", "convert it to 8 bits per sample first")
    if 0 in extra:
        raise refuse("has extra channels of no stated meaning", "flatten it to RGB or RGBA first")


def _exif_of(image: Image.Image, kind: str) -> bytes | None:
    """The EXIF block as the file holds it; of a TIFF, which Pillow has turned upright itself, the rest."""
    if kind == "tiff":
        return exif_of_tiff(image)
    exif = _bytes_or_none(image.info.get("exif"))
    profile = image.info.get("Raw profile type exif")
    if exif is None and isinstance(profile, str):  # how ImageMagick wrote it before PNG had a chunk for it
        try:
            return bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return None
    return exif


def _xmp_of(image: Image.Image) -> bytes | None:
    return _bytes_or_none(image.info.get("xmp", image.info.get(_TIFF_XMP)))


def _stated_orientation(image: Image.Image) -> int | None:
    """The orientation in a TIFF's own directory, by which Pillow turns it as it loads; None for other files."""
    stated = getattr(image, "tag_v2", {}).get(_TIFF_ORIENTATION)
    return next((number for number in range(1, 9) if number == stated), None)  # it may be a fraction, as 6/1


def _bytes_or_none(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None


def _dpi(value: Any, orientation: int) -> tuple[float, float] | None:  # noqa: ANN401 - Pillow's info holds anything
    try:
        across, down = (float(v) for v in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(v) and 1 < v <= _MAX_DPI for v in (across, down)):
        return None
    return (down, across) if turns(orientation) else (across, down)


def _jpeg_coding(image: Any) -> tuple[tuple[tuple[int, ...], ...] | None, int | None]:  # noqa: ANN401 - JPEG only
    """Quantisation tables by component, without repeats at the end, and subsampling if it has a number."""
    tables = [image.quantization.get(component[3]) for component in image.layer]
    if not tables or any(table is None for table in tables):
        return None, None
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()
    factors = tuple(factor for component in image.layer for factor in component[1:3])
    return tuple(tuple(table) for table in tables), _SUBSAMPLINGS.get(factors)
