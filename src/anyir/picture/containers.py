"""Facts in a file's first bytes that Pillow does not tell, or tells too late.

Sources: PNG (ISO/IEC 15948), sections 5 and 11; the WebP container specification (RFC 9649); JPEG (ITU-T T.81), B.2.3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator
from dataclasses import dataclass
from typing import IO, Final

_SIGNATURES: Final = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
}
_FOREIGN: Final = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"%PDF": "PDF",
    b"FUJIFILMCCD-RAW": "camera raw",
}
_BRANDS: Final = {b"avif": "avif", b"avis": "avif", b"heic": "heif", b"heix": "heif", b"mif1": "heif"}
_FOREIGN_BRANDS: Final = {b"crx ": "camera raw"}
_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_COLOUR_CHUNKS: Final = (b"cHRM", b"cICP", b"gAMA", b"sRGB")
_PNG_COLOUR_CHUNK_BYTES: Final = 32  # the longest of them, cHRM

_PNG_COMPRESSED: Final = (b"iCCP", b"iTXt", b"zTXt")

_JPEG_SCAN: Final = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e]")
"""A scan's marker and its header's length, for one to four components. Compressed data never look so."""
_PIECE: Final = 1 << 20

_PNG_TEXTS_THAT_TURN: Final = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # keywords of text chunks


def sniff(head: bytes) -> str | None:
    """The format that a file's first 16 bytes announce, or None: "jpeg", "png", "webp", "tiff", "avif", "heif"."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return next((name for signature, name in _SIGNATURES.items() if head.startswith(signature)), None)


def sniff_foreign(head: bytes) -> str | None:
    """The name of a well-known picture format that is not handled here, for a message that helps."""
    if head[4:8] == b"ftyp":
        return _FOREIGN_BRANDS.get(head[8:12])
    return next((name for signature, name in _FOREIGN.items() if head.startswith(signature)), None)


def jpeg_scans(file: IO[bytes]) -> int:
    """How many scans a JPEG has at most: those of a thumbnail or a second picture in the file count too.

    The bytes are searched, not parsed, so that no decoder can see a scan that is not counted.
    """
    file.seek(0)
    scans, end = 0, b""
    while piece := file.read(_PIECE):
        scans += len(_JPEG_SCAN.findall(end + piece))
        end = piece[-3:]
    return scans


@dataclass(frozen=True)
class PngFacts:
    """What a PNG says before its pixels.

    Attributes:
        height: in pixels; 0 if the header is damaged.
        width: likewise.
        bits: bits per sample, or per palette index.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        colour: chunks (name, data) that give the sample values their meaning.
    """

    height: int
    width: int
    bits: int
    colour_type: int
    colour: tuple[tuple[bytes, bytes], ...]

    @property
    def sample_bytes(self) -> int:
        """Bytes that the samples take when they are decompressed, at least: row filters and padding not counted."""
        return self.height * self.width * self.bits * _PNG_CHANNELS.get(self.colour_type, 0) // 8


def png_chunks(file: IO[bytes]) -> Generator[tuple[bytes, int, int]]:
    """Name, place of the data and their length of every chunk of a PNG up to its end.

    The file stands at the data, and may be moved meanwhile. A chunk that is cut short has the length that it states.
    """
    at = file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            return
        yield name, at + 8, length
        at = file.seek(at + length + 12)


def png_facts(file: IO[bytes]) -> PngFacts:
    """Read a PNG's header and colour chunks, as far as they go: a damaged file is for Pillow to judge."""
    height = width = bits = colour_type = 0
    colour: list[tuple[bytes, bytes]] = []
    for name, _, length in png_chunks(file):
        if name == b"IDAT":
            break
        wanted = name == b"IHDR" or (name in _PNG_COLOUR_CHUNKS and length <= _PNG_COLOUR_CHUNK_BYTES)
        data = file.read(min(length, 64)) if wanted else b""
        if name == b"IHDR" and len(data) >= 10:
            width, height, bits, colour_type = struct.unpack_from(">IIBB", data)
        elif wanted:
            colour.append((name, data))
    return PngFacts(height, width, bits, colour_type, tuple(colour))


def png_pixel_bytes(file: IO[bytes]) -> int:
    """Bytes of compressed pixels that a PNG really has, whatever its chunks say of their length."""
    size = file.seek(0, 2)
    return sum(min(length, size - start) for name, start, length in png_chunks(file) if name == b"IDAT")


def png_inflated(file: IO[bytes]) -> int:
    """How many chunks besides its pixels a PNG has that may be compressed."""
    return sum(name in _PNG_COMPRESSED for name, _, _ in png_chunks(file))


def png_turns_late(file: IO[bytes]) -> bool:
    """Whether a PNG has metadata after its pixels that may say which way up it is."""
    after_pixels = False
    for name, _, length in png_chunks(file):
        data = file.read(min(length, 32)) if after_pixels else b""
        if after_pixels and (name == b"eXIf" or data.startswith(_PNG_TEXTS_THAT_TURN)):
            return True
        after_pixels = after_pixels or name == b"IDAT"
    return False


@dataclass(frozen=True)
class WebpFacts:
    """What a WebP says before its pixels: canvas size in pixels (0 if not found), whether lossless."""

    height: int
    width: int
    lossless: bool


def webp_facts(file: IO[bytes]) -> WebpFacts:
    """Read a WebP's chunk headers, as far as they go: a damaged file is for Pillow to judge."""
    file.seek(12)
    height = width = 0
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        data = file.read(min(length, 10))
        if name == b"VP8X" and len(data) == 10:
            width, height = 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
        elif name == b"VP8L" and len(data) >= 5:
            size = int.from_bytes(data[1:5], "little")
            return WebpFacts(height or 1 + (size >> 14 & 0x3FFF), width or 1 + (size & 0x3FFF), lossless=True)
        elif name == b"VP8 " and len(data) == 10:
            lossy_width, lossy_height = struct.unpack("<HH", data[6:10])
            return WebpFacts(height or lossy_height & 0x3FFF, width or lossy_width & 0x3FFF, lossless=False)
        file.seek(length - len(data) + length % 2, 1)
    return WebpFacts(height, width, lossless=False)
