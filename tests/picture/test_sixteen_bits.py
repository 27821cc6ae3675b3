"""Sixteen bits in, sixteen bits out. Files are made and judged by hand or by tifffile, never by the code under test."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import ImageFile

from anyir.errors import PictureError, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from anyir.picture import Metadata, Picture, encode, read, read_image, read_size

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
"""Adam7: first row, first column, steps down and across (PNG, section 8.2)."""


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int, height: int, channels: int, interlaced: bool = False) -> bytes:
    facts = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", facts)


def png(samples: np.ndarray, *before: bytes, interlaced: bool = False) -> bytes:
    """A 16-bit PNG without filters; ``before``: chunks before the pixels."""
    height, width, channels = samples.shape
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in PASSES] if interlaced else [samples]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return header(width, height, channels, interlaced) + b"".join(before) + pixels + chunk(b"IEND", b"")


def decoded_png(data: bytes) -> np.ndarray:
    """A PNG's 16-bit samples (H, W, C), its filters undone byte by byte as the standard has it (section 9)."""
    at, pixels, facts = 8, b"", b""
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert zlib.crc32(name + content) == struct.unpack_from(">I", data, at + 8 + length)[0]
        pixels += content if name == b"IDAT" else b""
        facts = content if name == b"IHDR" else facts
        at += length + 12
    width, height, bits, colour_type, *rest = struct.unpack(">IIBBBBB", facts)
    assert (bits, rest) == (16, [0, 0, 0])
    channels = {number: count for count, number in COLOUR_TYPES.items()}[colour_type]
    step, raw = 2 * channels, zlib.decompress(pixels)
    rows, above = [], bytes(step * width)
    for y in range(height):
        kind, *row = raw[y * (step * width + 1) : (y + 1) * (step * width + 1)]
        for x in range(len(row)):
            a = row[x - step] if x >= step else 0
            b, c = above[x], above[x - step] if x >= step else 0
            p = a + b - c
            paeth = min((a, b, c), key=lambda value, p=p: abs(p - value))
            row[x] = row[x] + (0, a, b, (a + b) // 2, paeth)[kind] & 255
        above = bytes(row)
        rows.append(above)
    return np.frombuffer(b"".join(rows), ">u2").reshape(height, width, channels).astype(np.uint16)


def tiff(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    extra = {"extrasamples": ["unassalpha"]} if samples.shape[-1] == 4 else {}
    tifffile.imwrite(file, samples, photometric="rgb", **(extra | options))
    return file.getvalue()


@pytest.fixture
def noise(rng):
    """noise(C) → (13, 17, C) samples of 16 bits."""
    return lambda channels: rng.integers(0, 65536, (13, 17, channels), dtype=np.uint16)


@pytest.fixture
def gradient():
    """(9, 80, 3): every channel in steps of a few 65535ths, among which 8 bits see hardly any difference."""
    ramp = 20_000 + np.arange(9 * 80, dtype=np.uint16).reshape(9, 80)
    return np.stack([ramp, ramp + np.uint16(7), np.uint16(40_000) - ramp // 2], axis=2)


# --- read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_bit_of_a_png_is_read(noise, channels, interlaced):
    samples = noise(channels)
    picture = read(png(samples, interlaced=interlaced))
    colours, alpha = (samples[..., :3], 3) if channels > 2 else (np.repeat(samples[..., :1], 3, axis=2), 1)
    assert picture.depth == 16 and picture.grey == (channels < 3)
    assert np.array_equal(picture.pixels, colours)
    if channels in (2, 4):
        assert picture.alpha is not None and np.array_equal(picture.alpha, samples[..., alpha])
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("coding", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_bit_of_a_tiff_is_read(noise, channels, byteorder, coding, tile):
    samples = noise(channels)
    picture = read(tiff(samples, byteorder=byteorder, tile=tile, **coding))
    assert picture.depth == 16 and not picture.grey
    assert np.array_equal(picture.pixels, samples[..., :3])
    assert channels == 3 or (picture.alpha is not None and np.array_equal(picture.alpha, samples[..., 3]))


def test_premultiplied_colours_become_plain_and_alpha_keeps_every_bit():
    stored = np.array(
        [[[30_000, 0, 257, 30_000], [1, 100, 32_768, 32_768], [5, 6, 7, 0], [9, 9, 9, 8]]], np.uint16
    )
    picture = read(tiff(stored, extrasamples=["assocalpha"]))
    assert picture.pixels[0].tolist() == [
        [65_535, 0, 561],  # 257 · 65535 / 30000 = 561.4
        [2, 200, 65_535],  # 65535 / 32768 = 1.99997
        [0, 0, 0],  # nothing is seen of it
        [65_535, 65_535, 65_535],  # brighter than white: the file errs
    ]
    assert picture.alpha is not None and picture.alpha.tolist() == [[30_000, 32_768, 0, 8]]
    again = read(encode(picture))
    assert np.array_equal(again.pixels, picture.pixels) and np.array_equal(again.alpha, picture.alpha)


def test_a_transparent_colour_is_compared_in_all_its_bits():
    pixels = np.array([[[1, 256, 65_535], [1, 257, 65_535], [0, 256, 65_535]]], np.uint16)
    picture = read(png(pixels, chunk(b"tRNS", struct.pack(">HHH", 1, 256, 65_535))))
    assert picture.alpha is not None and picture.alpha.tolist() == [[0, 65_535, 65_535]]
    assert np.array_equal(picture.pixels, pixels), "the colour underneath stays"
    grey = read(png(pixels[..., 1:2], chunk(b"tRNS", struct.pack(">H", 257))))
    assert grey.grey and grey.alpha is not None and grey.alpha.tolist() == [[65_535, 0, 65_535]]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_orientation_turns_a_png_once(noise, make_exif, channels):
    samples = noise(channels)
    picture = read(png(samples, chunk(b"eXIf", make_exif(6, thumbnail=False))))
    upright = np.rot90(samples, -1)  # 6: turn the stored picture clockwise
    assert np.array_equal(picture.pixels[..., 0], upright[..., 0])
    assert channels == 3 or np.array_equal(picture.alpha, upright[..., -1])
    again = read(encode(picture))
    assert np.array_equal(again.pixels, picture.pixels) and again.metadata.exif == make_exif(
        1, thumbnail=False
    )


@pytest.mark.parametrize("coding", [{}, {"compression": "zlib"}])
def test_orientation_turns_a_tiff_once(noise, coding):
    samples = noise(3)
    picture = read(tiff(samples, extratags=[(0x0112, 3, 1, 8, True)], **coding))
    assert np.array_equal(picture.pixels, np.rot90(samples, 1))  # 8: turn it counter-clockwise
    assert np.array_equal(read(encode(picture)).pixels, picture.pixels)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_peak_memory_is_below_twice_the_pixels(tmp_path, peak_memory_of_reading, format):
    pixels = np.zeros((2500, 3000, 3), np.uint16)
    pixels[..., 1] = np.arange(3000)
    path = tmp_path / "big"
    path.write_bytes(encode(Picture(pixels), format))
    assert peak_memory_of_reading(path) < 43 + 29 + 20  # MiB: ours, Pillow's four bytes a pixel, and a band


# --- refused ------------------------------------------------------------------------------------------


def test_colour_in_separate_planes_is_refused(noise):
    planes = np.moveaxis(noise(3), 2, 0)
    for coding in ({}, {"compression": "zlib"}):
        with pytest.raises(UnsupportedPicture, match=r"separate planes.*interleaved"):
            read(tiff(planes, planarconfig="separate", **coding))


def test_where_eight_bits_are_needed_sixteen_are_refused(noise):
    for data in (png(noise(3)), png(noise(2)), tiff(noise(4))):
        for reader in (read_image, read_size):
            with pytest.raises(UnsupportedPicture, match="16 bits per sample"):
                reader(data)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    with pytest.raises(PictureTooLarge, match="megapixels"):
        read(header(60_000, 60_000, 4) + pixels + chunk(b"IEND", b""))
    # within the limit of pixels, but a promise of 1.2 GB that so few bytes cannot keep
    with pytest.raises(UnreadablePicture, match="too little data for 14000×14000"):
        read(header(14_000, 14_000, 3) + pixels + chunk(b"IEND", b""))
    # a chunk that says it is long enough, in a file that ends
    lying = struct.pack(">I", 0x7FFF_0000) + b"IDAT" + bytes(1000)
    with pytest.raises(UnreadablePicture, match="too little data"):
        read(header(14_000, 14_000, 3) + lying)


def test_the_densest_pixels_there_can_be_are_not_taken_for_a_bomb():
    black = np.zeros((600, 700, 4), np.uint16)
    data = png(black)
    assert len(data) < black.nbytes / 900, "near the limit of what deflate can do"
    assert not read(data).pixels.any()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_never_half_a_picture(noise, share):
    for data in (png(noise(3)), png(noise(2)), tiff(noise(4), compression="zlib")):
        with pytest.raises(PictureError):
            read(data[: int(len(data) * share)])


# --- written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("smooth", [False, True])
def test_every_bit_of_a_png_is_written(noise, gradient, smooth, grey, alpha):
    colours = gradient if smooth else noise(3)
    colours = np.repeat(colours[..., :1], 3, axis=2) if grey else colours
    opacity = np.ascontiguousarray(colours[::-1, ::-1, 0]) if alpha else None
    data = encode(Picture(colours, opacity, "png", grey=grey))
    expected = [colours[..., :1] if grey else colours, *([] if opacity is None else [opacity[..., None]])]
    assert np.array_equal(decoded_png(data), np.concatenate(expected, axis=2))


def test_a_png_of_many_bands_is_written_whole_and_small():
    ramp = np.arange(1100 * 300, dtype=np.uint32).reshape(1100, 300)
    pixels = np.stack([ramp % 65_521, ramp // 7 % 65_521, ramp // 31], axis=2).astype(np.uint16)
    data = encode(Picture(pixels))
    assert np.array_equal(read(data).pixels, pixels)
    assert len(data) < pixels.nbytes / 20, "unfiltered, deflate finds little in it"


@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate", "packbits", "tiff_lzw"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_every_bit_of_a_tiff_is_written(noise, grey, alpha, compression):
    colours = np.repeat(noise(1), 3, axis=2) if grey else noise(3)
    opacity = noise(1)[..., 0] if alpha else None
    metadata = Metadata(tiff_compression=compression)
    picture = Picture(colours, opacity, "tiff", grey=grey, metadata=metadata)
    again = read(encode(picture))
    assert np.array_equal(again.pixels, colours) and again.metadata.tiff_compression == compression
    assert opacity is None or np.array_equal(again.alpha, opacity)
    assert again.grey == (grey and not alpha)
    with tifffile.TiffFile(io.BytesIO(encode(picture))) as file:
        (page,) = file.pages
        assert page.bitspersample == 16 and page.photometric.name == (
            "RGB" if alpha or not grey else "MINISBLACK"
        )
        assert page.extrasamples == ((2,) if alpha else ())
        if compression != "tiff_lzw":  # which tifffile needs another package for
            expected = colours[..., 0] if grey and not alpha else colours
            assert np.array_equal(page.asarray(), np.dstack((expected, opacity)) if alpha else expected)


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("grey", [False, True])
def test_what_travels_with_the_pixels_comes_back(noise, make_exif, format, grey):
    metadata = Metadata(
        icc=bytes(range(256)) * 9, exif=make_exif(1, thumbnail=False), xmp=b"<x/>", dpi=(300.0, 150.0)
    )
    picture = Picture(np.repeat(noise(1), 3, axis=2) if grey else noise(3), None, format, grey=grey)
    kept = read(encode(replace(picture, metadata=metadata))).metadata
    assert (kept.icc, kept.xmp) == (metadata.icc, metadata.xmp)
    assert kept.dpi == pytest.approx((300, 150), abs=0.02)
    assert kept.exif is not None and b"Anycam" in kept.exif
    assert format == "tiff" or kept.exif == metadata.exif


def test_colour_chunks_stay_before_the_pixels(noise):
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    data = encode(read(png(noise(3), gamma)))
    assert 0 < data.index(gamma) < data.index(b"IDAT")
