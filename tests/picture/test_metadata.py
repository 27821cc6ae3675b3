"""What travels with the pixels, through every format and from each to each."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from anyir.picture import FORMATS, Metadata, Picture, encode, read

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>Gro\xc3\x9fe Stra\xc3\x9fe</dc:title></x:xmpmeta>'
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(range(256)) * 300


@pytest.fixture
def carrying(rng, make_exif):
    """A picture that carries everything."""
    metadata = Metadata(icc=ICC, exif=make_exif(1, thumbnail=False), xmp=XMP, dpi=(300.0, 150.0))
    return Picture(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), metadata=metadata)


@pytest.mark.parametrize("format", FORMATS)
def test_profile_xmp_and_dpi_come_back(carrying, format):
    kept = read(encode(carrying, format)).metadata
    assert kept.icc == ICC, "77 KB: more than one JPEG segment"
    assert kept.xmp == XMP
    if format != "webp":  # which has no place for it
        assert kept.dpi == pytest.approx((300, 150), abs=0.02)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_comes_back(carrying, make_exif, format, order):
    exif = make_exif(1, order, thumbnail=False)
    kept = read(
        encode(replace(carrying, metadata=replace(carrying.metadata, exif=exif)), format)
    ).metadata.exif
    assert kept is not None
    if format != "tiff":
        assert kept == exif, "byte for byte"
    parsed = Image.Exif()
    parsed.load(kept)
    assert parsed[0x010F] == "Anycam"
    assert parsed.get_ifd(0x8769)[0x829A] == pytest.approx(1 / 250)
    assert parsed.get_ifd(0x8769)[0x927C].startswith(b"NOTE\x00\x01\x02opaque")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("size", [(30, 20), (31, 21)])
def test_exif_and_gps_in_tiff_of_every_compression_twice_over(rng, make_exif, compression, size):
    exif = Image.Exif()
    exif.load(make_exif(1))
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.5)}
    width, height = size
    picture = Picture(
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        format="tiff",
        metadata=Metadata(exif=exif.tobytes()[6:], icc=ICC, tiff_compression=compression, dpi=(72, 72)),
    )
    for _ in range(2):
        data = encode(picture)
        again = read(data)
        assert np.array_equal(again.pixels, picture.pixels)
        assert again.metadata.tiff_compression == compression and again.metadata.icc == ICC
        picture = again
    parsed = opened_exif(data)
    assert parsed.get_ifd(0x8825)[1] == "N" and parsed.get_ifd(0x8825)[2] == (52, 31, 12.5)
    assert parsed.get_ifd(0x8769)[0x829A] == pytest.approx(1 / 250)
    tags = [tag for tag, *_ in directory(data)]
    assert tags == sorted(set(tags)), "a TIFF directory is sorted and has no entry twice"


def opened_exif(data: bytes) -> Image.Exif:
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif()


def directory(tiff: bytes) -> list[tuple[int, ...]]:
    (at,) = struct.unpack_from("<I", tiff, 4)
    assert at % 2 == 0
    (count,) = struct.unpack_from("<H", tiff, at)
    return [struct.unpack_from("<HHII", tiff, at + 2 + 12 * i) for i in range(count)]


def test_exif_that_states_a_size_does_not_garble_a_tiff(rng):
    exif = Image.Exif()  # phones write the size of the picture as taken into the first directory
    exif[0x0100], exif[0x0101], exif[0x0102], exif[0x0103], exif[0x0112] = 4000, 3000, (8, 8, 8), 6, 1
    exif[0x010F] = "Anycam"
    picture = Picture(
        rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), metadata=Metadata(exif=exif.tobytes()[6:])
    )
    again = read(encode(picture, "tiff"))
    assert np.array_equal(again.pixels, picture.pixels)
    assert opened_exif(encode(again, "jpeg"))[0x010F] == "Anycam"


def test_exif_of_a_tiff_says_nothing_about_how_its_pixels_were_stored(make_file):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description", 6
    picture = read(make_file("TIFF", "RGB", exif=exif, compression="tiff_lzw"))
    parsed = Image.Exif()
    parsed.load(picture.metadata.exif or b"")
    assert dict(parsed) == {0x010E: "a description"}
    assert read(make_file("TIFF", "RGB")).metadata.exif is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_only_orientation_and_thumbnail_of_exif_change(make_file, make_exif, format, order):
    original = make_exif(8, order)
    kept = read(make_file(format, "RGB", exif=b"Exif\0\0" + original)).metadata.exif
    assert kept is not None
    turned = struct.pack(order + "HHIH", 0x0112, 3, 1, 8)
    expected = bytearray(original.replace(turned, struct.pack(order + "HHIH", 0x0112, 3, 1, 1)))
    next_directory = 8 + 2 + 12 * 3
    assert expected[next_directory : next_directory + 4] != bytes(4)
    expected[next_directory : next_directory + 4] = bytes(4)
    assert kept == expected


def test_a_file_without_metadata_gets_none(make_file):
    for format in ("PNG", "WEBP", "TIFF"):
        metadata = read(encode(read(make_file(format, "RGB")))).metadata
        assert (metadata.icc, metadata.exif, metadata.xmp, metadata.dpi) == (None, None, None, None)


def test_colour_chunks_of_a_png_come_back(make_file):
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    chunks.add(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    chunks.add(b"cICP", bytes([9, 16, 0, 1]))
    data = make_file("PNG", "RGB", pnginfo=chunks)
    picture = read(data)
    assert dict(picture.metadata.png_colour) == {
        b"gAMA": struct.pack(">I", 100_000),
        b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
        b"cICP": bytes([9, 16, 0, 1]),
    }
    assert read(encode(picture)).metadata.png_colour == picture.metadata.png_colour
    with Image.open(io.BytesIO(encode(picture))) as image:
        assert image.info["gamma"] == 1.0


def test_png_exif_behind_the_pixels_is_found(make_file, make_exif):
    data = make_file("PNG", "RGB")
    chunk = b"eXIf" + make_exif(6)
    end = len(data) - 12
    late = (
        data[:end]
        + struct.pack(">I", len(chunk) - 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + data[end:]
    )
    picture = read(late)
    assert (picture.height, picture.width) == (17, 13) and picture.metadata.exif is not None


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9)])
def test_absurd_dpi_is_not_carried(make_file, dpi):
    assert read(make_file("TIFF", "RGB", dpi=dpi)).metadata.dpi is None


def test_dpi_turns_with_the_picture(make_file):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(make_file("JPEG", "RGB", dpi=(300, 150), exif=exif)).metadata.dpi == (150, 300)
