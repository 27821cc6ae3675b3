"""Mutated files: whatever the bytes, a picture or a typed error in one line, and no warning."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import features

from anyir.errors import AnyirError, PictureError
from anyir.picture import Metadata, Picture, encode, read

KINDS = [
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "LA", {}),
    ("TIFF", "P", {"compression": "tiff_adobe_deflate"}),
]
MUTANTS = 60


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    mutant = bytearray(data)
    # headers and directories lie at either end, and that is where parsers break
    for _ in range(int(rng.integers(1, 6))):
        reach = min(len(mutant), 400)
        at = (
            int(rng.integers(0, reach))
            if rng.random() < 0.5
            else len(mutant) - 1 - int(rng.integers(0, reach))
        )
        choice = rng.random()
        if choice < 0.6:
            mutant[at] = int(rng.integers(0, 256))
        elif choice < 0.8:
            mutant[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][
                int(rng.integers(0, 3))
            ]
        elif choice < 0.9:
            del mutant[at : at + int(rng.integers(1, 20))]
        else:
            mutant[at:at] = rng.bytes(int(rng.integers(1, 20)))
        if not mutant:
            return b""
    return bytes(mutant)


def with_true_checksums(png: bytes) -> bytes:
    """Correct the checksum of every chunk, or no mutant would get past it."""
    repaired, at = bytearray(png), 8
    while at + 12 <= len(repaired):
        end = at + 8 + int.from_bytes(repaired[at : at + 4], "big")
        if end + 4 > len(repaired):
            break
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(repaired[at + 4 : end]))
        at = end + 4
    return bytes(repaired)


@pytest.mark.parametrize(("format", "mode", "options"), KINDS)
def test_mutated_files_give_a_picture_or_a_typed_error(
    make_file, make_exif, rng, format, mode, options, capfd
):
    metadata = Metadata(icc=rng.bytes(300), exif=make_exif(1), xmp=b"<x/>", dpi=(72, 72))
    picture = read(make_file(format, mode, **options))
    if mode == "P":  # we write no palettes
        data = make_file(format, mode, icc_profile=metadata.icc, dpi=metadata.dpi, **options)
    else:
        coding = {key: getattr(picture.metadata, key) for key in ("webp_lossless", "tiff_compression")}
        data = encode(replace(picture, metadata=replace(metadata, **coding)))
    try_mutants(data, format, rng)
    if format != "TIFF":  # libtiff writes remarks of its own to stderr, which Pillow gives no way to stop
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_mutated_files_of_sixteen_bits_too(make_exif, rng, format, grey, alpha):
    pixels = rng.integers(0, 65536, (13, 17, 3), dtype=np.uint16)
    metadata = Metadata(icc=rng.bytes(300), exif=make_exif(1), xmp=b"<x/>", dpi=(72, 72))
    picture = Picture(pixels, pixels[..., 0] if alpha else None, format.lower(), grey, metadata)
    try_mutants(encode(picture), format, rng)


@pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow reads no AVIF")
def test_mutated_avif_too(make_file, rng):
    try_mutants(make_file("AVIF", "RGBA", xmp=b"<x/>"), "AVIF", rng)


def try_mutants(data, format, rng):
    outcomes = {"picture": 0, "error": 0}
    for _ in range(MUTANTS):
        mutant = mutate(data, rng)
        mutant = with_true_checksums(mutant) if format == "PNG" else mutant
        try:
            picture = read(mutant, max_pixels=1_000_000)
        except PictureError as error:
            assert str(error) and "\n" not in str(error)
            outcomes["error"] += 1
            continue
        outcomes["picture"] += 1
        try:
            encode(picture)
            encode(picture, "tiff")
        except AnyirError as error:
            assert "\n" not in str(error)
    assert min(outcomes.values()) > 0, "a mutation that never fails, or never passes, tests nothing"
