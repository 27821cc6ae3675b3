"""What a file asks for against what it holds, seen before a decoder gives it memory and time.

Each limit and its test stand in docs/safety.md.
"""

from __future__ import annotations

from typing import IO, Any, Final

from anyir.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture
from anyir.picture.containers import PngFacts, jpeg_scans, png_inflated, png_pixel_bytes
from anyir.picture.limits import MAX_INFLATED, MAX_SCANS, MAX_TILE_PIXELS

_MAX_DEFLATE_RATIO: Final = 1032  # two bits are the least that a repeat of 258 bytes takes (RFC 1951)
_PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 0x011C, 0x0142, 0x0143
_SEPARATE: Final = 2


def check_before_opening(file: IO[bytes], kind: str, name: str) -> None:
    """Refuse a PNG of countless texts, which Pillow inflates where they are compressed, and a JPEG of countless scans.

    Raises:
        PictureTooLarge: the texts.
        UnsupportedPicture: the scans.
    """
    if kind == "png" and png_inflated(file) > MAX_INFLATED:
        raise PictureTooLarge(
            f"{name}: has more than {MAX_INFLATED} texts and profiles that may be compressed; save it without them"
        )
    if kind == "jpeg" and jpeg_scans(file) > MAX_SCANS:
        raise UnsupportedPicture(
            f"{name}: has more than {MAX_SCANS} scans, which would take out of all proportion to decode; "
            "save it as a new JPEG"
        )


def check_tiles(image: Any, name: str) -> None:  # noqa: ANN401 - TIFF only
    """Refuse a TIFF of tiles far larger than its picture, each of which its decoder would fill.

    Raises:
        PictureTooLarge: the message names both sizes.
    """
    sides = [max(numbers(image.tag_v2.get(tag, 0))) for tag in (_TILE_WIDTH, _TILE_HEIGHT)]
    if sides[0] * sides[1] > max(MAX_TILE_PIXELS, 4 * image.height * image.width):
        raise PictureTooLarge(
            f"{name}: its tiles of {sides[0]}×{sides[1]} are far larger than its {image.width}×{image.height} "
            "pixels; save it in strips or smaller tiles"
        )


def check_enough_data(file: IO[bytes], png: PngFacts, name: str) -> None:
    """Refuse a PNG that states more pixels than its data can hold, before memory is allocated for them.

    Raises:
        UnreadablePicture: the message names the size that it states.
    """
    stated, position = png.sample_bytes, file.tell()
    if stated > _MAX_DEFLATE_RATIO * png_pixel_bytes(file):
        raise UnreadablePicture(
            f"{name}: damaged or truncated PNG (too little data for {png.width}×{png.height} pixels); "
            "get the file again"
        )
    file.seek(position)


def check_enough_parts(image: Any, name: str) -> None:  # noqa: ANN401 - TIFF only, not loaded
    """Refuse a TIFF that lists too few strips or tiles for its pixels: Pillow would leave the others black.

    Raises:
        UnreadablePicture: the message names the size that it states.
    """
    if any(part.codec_name == "libtiff" for part in image.tile):
        return  # which checks that itself
    boxes = [part.extents for part in image.tile]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    planes = len(image.getbands()) if has_separate_planes(image) else 1
    if covered < image.height * image.width * planes:
        raise UnreadablePicture(
            f"{name}: damaged or truncated TIFF (too few strips or tiles for {image.width}×{image.height} pixels); "
            "get the file again"
        )


def has_separate_planes(image: Any) -> bool:  # noqa: ANN401 - TIFF only
    """Whether a TIFF keeps each channel in strips or tiles of its own."""
    return image.tag_v2.get(_PLANAR) == _SEPARATE


def numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """The values of a tag that may have one or several."""
    return value if isinstance(value, tuple) else (value,)
