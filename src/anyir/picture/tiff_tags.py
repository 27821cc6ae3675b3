"""EXIF inside TIFF, where it is no block of its own but part of the directory that describes the pixels."""

from __future__ import annotations

import struct
from typing import Final

from PIL import ExifTags, Image

from anyir.picture.notes import IPTC_TAG
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
_WIDTH, _BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = (
    0x0100,
    0x0102,
    0x0106,
    0x0115,
    0x0152,
)
_RGB: Final = 2
_PLAIN_ALPHA: Final = 2
_HEADER_BYTES: Final = 8
_ENTRY_BYTES: Final = 12


def exif_of_tiff(image: Image.Image) -> bytes | None:
    """Descriptive tags, EXIF and GPS of an opened TIFF as a block of their own, without prefix, or None."""
    block = _descriptive(image.getexif())
    return block.tobytes()[len(EXIF_PREFIX) :] if _has_content(block) else None


def tags_for_tiff(exif: bytes | None, xmp: bytes | None, iptc: bytes | None) -> tuple[Image.Exif, Image.Exif]:
    """EXIF, XMP and IPTC as what a TIFF's own directory is to hold, and the directories beside it.

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
    if iptc is not None:
        block[IPTC_TAG] = iptc
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
    return _with_directory(
        extended, [*_entries(extended, old, order), *_entries(extended, len(tiff), order)], order
    )


def split_columns(tiff: bytes, width: int, channels: int) -> bytes:
    """A TIFF of one 16-bit channel with ``width · channels`` columns, told anew as one of so many channels.

    The samples lie in the same order either way. Three channels are RGB; a fourth is alpha, not premultiplied.
    Source: TIFF 6.0, sections 6 and 18.
    """
    if channels == 1:
        return tiff
    order = "<" if tiff.startswith(b"II") else ">"
    tiff += bytes(len(tiff) % 2)
    (old,) = struct.unpack_from(order + "I", tiff, 4)

    def long(tag: int, value: int) -> bytes:
        return struct.pack(order + "HHII", tag, 4, 1, value)

    def short(tag: int, value: int) -> bytes:
        return struct.pack(order + "HHIHH", tag, 3, 1, value, 0)

    bits = struct.pack(order + "HHII", _BITS_PER_SAMPLE, 3, channels, len(tiff))
    new = [long(_WIDTH, width), bits, short(_PHOTOMETRIC, _RGB), short(_SAMPLES_PER_PIXEL, channels)]
    if channels == 4:
        new.append(short(_EXTRA_SAMPLES, _PLAIN_ALPHA))
    replaced = {_tag(entry, order) for entry in new}
    kept = [entry for entry in _entries(tiff, old, order) if _tag(entry, order) not in replaced]
    return _with_directory(tiff + struct.pack(order + "H", 16) * channels, [*kept, *new], order)


def _with_directory(tiff: bytes, entries: list[bytes], order: str) -> bytes:
    """A TIFF of even length with a new first directory behind all else."""
    directory = struct.pack(order + "H", len(entries)), *sorted(entries, key=lambda entry: _tag(entry, order))
    start = struct.pack(order + "I", len(tiff))
    return b"".join((tiff[:4], start, memoryview(tiff)[8:], *directory, bytes(4)))


def _tag(entry: bytes, order: str) -> int:
    (tag,) = struct.unpack_from(order + "H", entry)
    return tag


def _entries(tiff: bytes, directory: int, order: str) -> list[bytes]:
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    first = directory + 2
    return [tiff[at : at + _ENTRY_BYTES] for at in range(first, first + _ENTRY_BYTES * count, _ENTRY_BYTES)]


class _Text(str):
    """A text that is written as the bytes it was read from: Pillow reads Latin-1, and writes "?" for all but ASCII.

    So UTF-8, which most programs write in spite of the standard, comes back as it was.
    """

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1", "replace")


def _kept(value: object) -> object:
    return _Text(value) if isinstance(value, str) else value


def _descriptive(source: Image.Exif) -> Image.Exif:
    block = Image.Exif()
    for tag in source:
        if tag in _DESCRIPTIVE:
            block[tag] = _kept(source[tag])
    for pointer in _POINTERS:
        if pointer in source:
            values = {
                tag: _kept(value)
                for tag, value in source.get_ifd(pointer).items()
                if tag != _INTEROPERABILITY
            }
            if values:
                block[pointer] = values  # Pillow puts a directory's offset in its place when it writes
    return block


def _has_content(block: Image.Exif) -> bool:
    return any(True for _ in block)
