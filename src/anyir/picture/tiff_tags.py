"""EXIF inside TIFF, where it is no block of its own but part of the directory that describes the pixels."""

from __future__ import annotations

import struct
from typing import Final

from PIL import ExifTags, Image

from anyir.picture.orientation import EXIF_PREFIX

_DESCRIPTIVE: Final = frozenset(
    {
        0x010D,  # document name
        0x010E,  # image description
        0x010F,  # make
        0x0110,  # model
        0x011D,  # page name
        0x0131,  # software
        0x0132,  # date and time
        0x013B,  # artist
        0x013C,  # host computer
        0x4746,  # rating
        0x4749,  # rating in per cent
        0x8298,  # copyright
        *range(0x9C9B, 0x9CA0),  # title, comment, author, keywords, subject as Windows writes them
    }
)
"""Tags of the first directory that say something about the picture. All others describe how the pixels are
stored (size, strips, compression, orientation, palette): carried into another file they would garble it."""

_POINTERS: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_INTEROPERABILITY: Final = 0xA005  # an offset that is true in the old file only
_XMP: Final = 0x02BC
_HEADER_BYTES: Final = 8
_ENTRY_BYTES: Final = 12


def exif_of_tiff(image: Image.Image) -> bytes | None:
    """Descriptive tags, EXIF and GPS of an opened TIFF as a block of their own, without prefix, or None."""
    block = _descriptive(image.getexif())
    return block.tobytes()[len(EXIF_PREFIX) :] if _has_content(block) else None


def tags_for_tiff(exif: bytes | None, xmp: bytes | None) -> tuple[Image.Exif, Image.Exif]:
    """EXIF and XMP as what a TIFF's own directory is to hold, and the directories beside it.

    The second goes to :func:`append_directories`: Pillow's compressing writer cannot write sub-directories.
    """
    source = Image.Exif()
    if exif is not None:
        source.load(exif)
    block = _descriptive(source)
    beside = Image.Exif()
    for pointer in _POINTERS:
        if pointer in block:
            beside[pointer] = block[pointer]
            del block[pointer]
    if xmp is not None:
        block[_XMP] = xmp
    return block, beside


def append_directories(tiff: bytes, beside: Image.Exif) -> bytes:
    """A one-page TIFF with EXIF and GPS directories added at its end. Source: TIFF 6.0, section 2.

    The first directory is repeated behind them with the pointers among its entries; the header points there.
    """
    if not _has_content(beside):
        return tiff
    order = "<" if tiff.startswith(b"II") else ">"
    beside.endian = order
    tiff += bytes(len(tiff) % 2)  # directories begin at even offsets
    (old,) = struct.unpack_from(order + "I", tiff, 4)
    extended = tiff + beside.tobytes(len(tiff))[len(EXIF_PREFIX) + _HEADER_BYTES :]
    extended += bytes(len(extended) % 2)
    entries = sorted(
        (*_entries(extended, old, order), *_entries(extended, len(tiff), order)),
        key=lambda entry: struct.unpack_from(order + "H", entry),
    )
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return extended[:4] + struct.pack(order + "I", len(extended)) + extended[8:] + directory


def _entries(tiff: bytes, directory: int, order: str) -> list[bytes]:
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    first = directory + 2
    return [tiff[at : at + _ENTRY_BYTES] for at in range(first, first + _ENTRY_BYTES * count, _ENTRY_BYTES)]


def _descriptive(source: Image.Exif) -> Image.Exif:
    block = Image.Exif()
    for tag in source:
        if tag in _DESCRIPTIVE:
            block[tag] = source[tag]
    for pointer in _POINTERS:
        if pointer in source:
            values = {
                tag: value for tag, value in source.get_ifd(pointer).items() if tag != _INTEROPERABILITY
            }
            if values:
                block[pointer] = values  # Pillow puts a directory's offset in its place when it writes
    return block


def _has_content(block: Image.Exif) -> bool:
    return any(True for _ in block)
