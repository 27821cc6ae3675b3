"""Damaged pictures, each following from a seed and its number alone: what tools/fuzz_read.py reads."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image, features

from anyir.picture import Metadata, Picture, encode
from anyir.picture.notes import PngText, iptc_segment

SIZES: Final = ((48, 40), (600, 400))
"""Width and height of what is damaged; of four files one is large."""

SUFFIXES: Final = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif", "avif": ".avif"}

FIELDS: Final = {
    "jpeg": (re.compile(rb"\xff[\xc0-\xfe]"), 0, 12),
    "png": (re.compile(rb"IHDR|PLTE|tRNS|iCCP|eXIf|[iz]TXt|pHYs|IDAT|IEND"), -4, 17),
    "webp": (re.compile(rb"RIFF|VP8[ LX]|ALPH|ICCP|EXIF|XMP "), 0, 18),
    "tiff": (re.compile(rb"(?s).[\x01\x87][\x01-\x0c]\0"), 0, 12),
    "avif": (re.compile(rb"ftyp|meta|pitm|iloc|infe|ipco|ispe|pixi|av1C|colr|irot|ipma|auxC|mdat"), -4, 20),
}
"""Format → what marks a place full of lengths, counts and sizes, and where it begins and ends beside that."""

EXTREMES: Final = (0, 1, 2, 255, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Source:
    """A sound file to be damaged."""

    kind: str
    format: str
    data: bytes


@cache
def make_sources() -> dict[str, tuple[Source, Source]]:
    """Kind → a small file and a large one, the same in every run of the same libraries."""
    kinds: dict[str, list[Source]] = {}
    for size in SIZES:
        pixels = _pattern(*size)
        for kind, data in _encoded(pixels).items():
            kinds.setdefault(kind, []).append(Source(kind, kind.split()[0], data))
    return {kind: (small, large) for kind, (small, large) in kinds.items()}


def _pattern(width: int, height: int) -> np.ndarray:
    """Waves, an edge and a little noise (H, W, 4), uint16: enough for every part of a decoder to have work."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([0.5 + 0.4 * np.sin(x / (5 + 3 * c) + y / (9 - c)) for c in range(4)], axis=-1)
    waves[height // 3 :, width // 2 :, :3] *= 0.3
    noise = np.random.default_rng(1).normal(0, 0.01, waves.shape)
    return np.round((waves + noise).clip(0, 1) * 65535).astype(np.uint16)


def _encoded(deep: np.ndarray) -> dict[str, bytes]:
    """Kind → the same picture as a file of that kind. A kind's first word is its format."""
    exif = Image.Exif()
    exif.update({0x010F: "Anycam", 0x0112: 6, 0x011A: 72.0, 0x011B: 72.0, 0x0128: 2})
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    exif.get_ifd(0x8769).update({0x927C: b"maker's note " * 9})
    notes: dict[str, Any] = {"exif": exif, "icc_profile": b"profile " * 40, "xmp": b"<x:xmpmeta/>"}
    caption = b"\x1c\x02\x78\x00\x07caption" * 9
    rgba = Image.fromarray((deep >> 8).astype(np.uint8))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")

    def saved(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's options
        buffer = io.BytesIO()
        image.save(buffer, format, **{**notes, **options})
        return buffer.getvalue()

    def sixteen(format: str, compression: str | None = None) -> bytes:
        metadata = Metadata(
            icc=notes["icc_profile"],
            xmp=notes["xmp"],
            iptc=caption,
            png_texts=(PngText("Title", "of a text " * 200), PngText("Author", "me", "en", "author")),
            tiff_compression=compression,
        )
        alpha = np.ascontiguousarray(deep[..., 3])
        return encode(Picture(deep[..., :3].copy(), alpha, format, metadata=metadata))

    kinds = {
        "jpeg baseline": saved(rgb, "JPEG", quality=85),
        "jpeg progressive": saved(rgb, "JPEG", quality=85, progressive=True),
        "jpeg grey": saved(grey, "JPEG", quality=85, comment=b"a comment " * 9, extra=iptc_segment(caption)),
        "png 8 bits": saved(rgba, "PNG", compress_level=1),
        "png 16 bits": sixteen("png"),
        "png palette": saved(rgb.quantize(200, Image.Quantize.FASTOCTREE), "PNG", transparency=3),
        "png interlaced": _interlaced(np.asarray(rgb)),
        "webp lossy": saved(rgb, "WEBP", method=0),
        "webp lossless": saved(rgb, "WEBP", lossless=True, method=0),
        "webp alpha": saved(rgba, "WEBP", method=0),
    }
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        name = compression.rpartition("_")[2]
        kinds[f"tiff {name}, 8 bits"] = saved(rgba, "TIFF", compression=compression)
        kinds[f"tiff {name}, 16 bits"] = sixteen("tiff", compression)
    if features.check("avif"):
        kinds["avif"] = saved(rgba, "AVIF", speed=10)
    return kinds


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _interlaced(pixels: np.ndarray) -> bytes:
    """A PNG in seven passes, which Pillow reads but does not write. Source: ISO/IEC 15948, section 8.2."""
    height, width, _ = pixels.shape
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, right in passes for row in pixels[top::down, left::right]
    )
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


@dataclass(frozen=True)
class Mutant:
    """A damaged file: the kind that it was, its suffix, which may lie, and its bytes."""

    kind: str
    suffix: str
    data: bytes


def mutant(number: int, seed: int, sources: dict[str, tuple[Source, Source]]) -> Mutant:
    """The file of that number: it depends on nothing but the arguments."""
    random = np.random.default_rng([seed, number])
    every = list(sources.values())
    source = every[random.integers(len(every))][int(random.random() < 0.25)]
    other = every[random.integers(len(every))][0].data
    data = bytearray(source.data)
    ways, odds = zip(*WAYS.values(), strict=True)
    for _ in range(1 if random.random() < 0.7 else int(random.integers(2, 5))):
        ways[random.choice(len(ways), p=np.divide(odds, sum(odds)))](data, random, source.format, other)
    if source.format == "png" and random.random() < 0.7:  # else most would go no further than a checksum
        _repair_checksums(data)
    suffixes = list(SUFFIXES.values())
    lies = random.random() < 0.2
    suffix = suffixes[random.integers(len(suffixes))] if lies else SUFFIXES[source.format]
    return Mutant(source.kind, suffix, bytes(data))


def _somewhere(data: bytearray, random: np.random.Generator) -> int:
    """A place in the file: as often as not near its beginning, where headers are."""
    reach = min(len(data), 600) if random.random() < 0.5 else len(data)
    return int(random.integers(0, max(reach, 1)))


def _flip_bits(data: bytearray, random: np.random.Generator, _: str, __: bytes) -> None:
    for _number in range(random.integers(1, 5) if data else 0):
        data[_somewhere(data, random)] ^= 1 << int(random.integers(8))


def _overwrite_a_run(data: bytearray, random: np.random.Generator, _: str, __: bytes) -> None:
    at, length = _somewhere(data, random), int(random.integers(1, 65))
    run = (b"\0" * length, b"\xff" * length, random.bytes(length))[random.integers(3)]
    data[at : at + length] = run[: max(0, len(data) - at)]


def _truncate(data: bytearray, random: np.random.Generator, _: str, __: bytes) -> None:
    del data[_somewhere(data, random) :]


def _swap_header(data: bytearray, random: np.random.Generator, _: str, other: bytes) -> None:
    length = int(random.choice((4, 8, 16, 64, 256)))
    data[:length] = other[:length]


def _edit_field(data: bytearray, random: np.random.Generator, format: str, _: bytes) -> None:
    marks, begin, end = FIELDS[format]
    places = [match.start() for match in marks.finditer(data)] or [0]
    at = max(0, places[random.integers(len(places))] + int(random.integers(begin, end)))
    width = int(random.choice((1, 2, 4)))
    value = (
        EXTREMES[random.integers(len(EXTREMES))] if random.random() < 0.7 else int(random.integers(1 << 32))
    )
    order = "big" if random.random() < 0.5 else "little"
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)[: max(0, len(data) - at)]


def _double_a_block(data: bytearray, random: np.random.Generator, _: str, __: bytes) -> None:
    at, length = _somewhere(data, random), int(random.integers(1, 2000))
    data[at:at] = data[at : at + length] * int(random.integers(1, 9))


def _cut_a_block(data: bytearray, random: np.random.Generator, _: str, __: bytes) -> None:
    at = _somewhere(data, random)
    del data[at : at + int(random.integers(1, 200))]


def _take_a_block(data: bytearray, random: np.random.Generator, _: str, other: bytes) -> None:
    at, start, length = (
        _somewhere(data, random),
        int(random.integers(len(other))),
        int(random.integers(1, 400)),
    )
    data[at : at + length] = other[start : start + length]


WAYS: Final[dict[str, tuple[Callable[[bytearray, np.random.Generator, str, bytes], None], int]]] = {
    "bits flipped": (_flip_bits, 3),
    "a run overwritten": (_overwrite_a_run, 2),
    "truncated": (_truncate, 1),
    "another file's header": (_swap_header, 1),
    "a length, count or marker edited": (_edit_field, 6),
    "a block repeated": (_double_a_block, 1),
    "a block cut out": (_cut_a_block, 1),
    "a block of another file": (_take_a_block, 1),
}
"""Name → how it is done, and how often."""


def _repair_checksums(png: bytearray) -> None:
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            return
        png[end : end + 4] = struct.pack(">I", zlib.crc32(png[at + 4 : end]))
        at = end + 4
