from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from anyir.errors import OutputError, ShapeMismatch, UnsupportedPicture
from anyir.picture import (
    DEFAULT_SUFFIX,
    FORMATS,
    SUFFIXES,
    Metadata,
    Picture,
    as_jpeg,
    encode,
    read,
    read_image,
    write,
    write_image,
)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture
def colour(rng):
    return Picture(rng.integers(0, 256, (21, 34, 3), dtype=np.uint8))


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_lossless_formats_give_back_every_sample(rng, format, alpha, grey):
    pixels = rng.integers(0, 256, (21, 34, 1 if grey else 3), dtype=np.uint8)
    picture = Picture(
        np.repeat(pixels, 3, axis=2) if grey else pixels,
        rng.integers(0, 256, (21, 34), dtype=np.uint8) if alpha else None,
        format,
        grey=grey,
    )
    data = encode(picture)
    assert opened(data).mode == ("L" if grey else "RGB") + ("A" if alpha else "") and opened(data).format
    again = read(data)
    assert np.array_equal(again.pixels, picture.pixels) and again.grey == grey
    assert (again.alpha is None) == (not alpha)
    assert picture.alpha is None or np.array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bit_grey_is_written_whole(format):
    stored = np.arange(0, 65536, 257 // 4, dtype=np.uint16)[:1000].reshape(25, 40)
    picture = Picture(np.repeat(stored[..., None], 3, axis=2), None, format, grey=True)
    assert np.array_equal(np.asarray(opened(encode(picture))).astype(np.uint16), stored)


def test_grey_whose_channels_were_restored_apart_is_their_luma():
    picture = Picture(np.full((4, 4, 3), (100, 200, 50), np.uint8), grey=True)
    expected = round(0.299 * 100 + 0.587 * 200 + 0.114 * 50)
    assert np.asarray(opened(encode(picture))).tolist() == [[expected] * 4] * 4
    deep = Picture(np.full((4, 4, 3), (10000, 20000, 5000), np.uint16), grey=True)
    assert abs(int(np.asarray(opened(encode(deep)))[0, 0]) - (2990 + 11740 + 570)) <= 1


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_keeps_alpha_exactly_and_colours_if_it_was_lossless(make_file, lossless):
    original = read(make_file("WEBP", "RGBA", lossless=lossless, exact=True))
    assert original.metadata.webp_lossless == lossless
    data = encode(original)
    assert (b"VP8L" in data) == lossless
    again = read(data)
    assert np.array_equal(again.alpha, original.alpha)
    assert np.array_equal(again.pixels, original.pixels) == lossless


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [90, 98])
def test_jpeg_to_jpeg_keeps_tables_and_subsampling(make_file, quality, subsampling):
    data = make_file("JPEG", "RGB", size=(40, 32), quality=quality, subsampling=subsampling)
    before, after = opened(data), opened(encode(read(data)))
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_coarse_jpeg_does_not_coarsen_what_was_restored(make_file, mode):
    coarse = read(
        make_file("JPEG", mode, size=(40, 32), quality=10, **({} if mode == "L" else {"subsampling": 2}))
    )
    after = opened(encode(coarse))
    assert after.quantization == opened(make_file("JPEG", mode, quality=90)).quantization
    assert mode == "L" or JpegImagePlugin.get_sampling(after) == 2


def test_grey_jpeg_keeps_its_table_and_stays_grey(make_file):
    data = make_file("JPEG", "L", quality=93)
    after = opened(encode(read(data)))
    assert after.mode == "L" and after.quantization == opened(data).quantization


@pytest.mark.parametrize(("orientation", "expected"), [(1, 1), (3, 1), (6, 0)])
def test_colour_halved_across_is_not_halved_again_when_turned(make_file, orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = make_file("JPEG", "RGB", size=(40, 32), subsampling=1, exif=exif)
    assert JpegImagePlugin.get_sampling(opened(encode(read(data)))) == expected


def test_unusual_tables_of_a_jpeg_are_kept_by_component(make_file):
    tables = [[1 + i // 32 for i in range(64)], [1 + i % 3 for i in range(64)]]
    data = make_file("JPEG", "RGB", size=(40, 32), qtables=tables, subsampling=0)
    assert opened(encode(read(data))).quantization == opened(data).quantization == dict(enumerate(tables))
    one = make_file("JPEG", "RGB", size=(40, 32), qtables=tables[:1], subsampling=0)
    assert opened(encode(read(one))).quantization[0] == tables[0]


def test_anything_else_to_jpeg_is_quality_95_without_subsampling(colour):
    image = opened(encode(colour, "jpeg"))
    reference = io.BytesIO()
    Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=95)
    assert image.quantization == opened(reference.getvalue()).quantization
    assert JpegImagePlugin.get_sampling(image) == 0


@pytest.mark.parametrize(
    ("compression", "kept"),
    [
        ("tiff_lzw", "tiff_lzw"),
        ("tiff_adobe_deflate", "tiff_adobe_deflate"),
        ("packbits", "packbits"),
        (None, "raw"),
        ("jpeg", "tiff_adobe_deflate"),
    ],
)
def test_tiff_keeps_a_lossless_compression(make_file, compression, kept):
    data = make_file("TIFF", "RGB", compression=compression)
    assert opened(encode(read(data))).info["compression"] == kept


def test_written_formats_follow_the_suffix(tmp_path, colour):
    for suffix, format in SUFFIXES.items():
        path = tmp_path / f"picture{suffix.upper()}"
        write(colour, path)
        with Image.open(path) as image:
            assert image.format == format.upper()
    assert {SUFFIXES[DEFAULT_SUFFIX[format]] for format in FORMATS} == set(FORMATS)


@pytest.mark.parametrize("name", ["picture", "picture.gif", "picture.png.txt", ".png"])
def test_an_unknown_suffix_is_refused(tmp_path, colour, name):
    with pytest.raises(OutputError, match=r"suffix.*\.png"):
        write(colour, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


GREY_PROFILE = bytes(16) + b"GRAY" + bytes(108)


@pytest.mark.parametrize(
    ("picture", "format", "word"),
    [
        (Picture(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)), "jpeg", "transparency.*PNG"),
        (Picture(np.zeros((2, 2, 3), np.uint16), grey=True), "jpeg", "16 bits.*PNG"),
        (Picture(np.zeros((2, 2, 3), np.uint16), grey=True), "webp", "16 bits.*PNG"),
        (Picture(np.zeros((2, 2, 3), np.uint16)), "jpeg", "16 bits.*PNG or TIFF"),
        (
            Picture(
                np.zeros((2, 2, 3), np.uint16),
                np.zeros((2, 2), np.uint16),
                grey=True,
                metadata=Metadata(icc=GREY_PROFILE),
            ),
            "tiff",
            "grey colour profile.*PNG",
        ),
        (Picture(np.zeros((1, 16_384, 3), np.uint8)), "webp", "16383.*PNG"),
        (Picture(np.zeros((65_501, 1, 3), np.uint8)), "jpeg", "65500.*PNG"),
        (
            Picture(np.zeros((2, 2, 3), np.uint8), grey=True, metadata=Metadata(icc=GREY_PROFILE)),
            "webp",
            "grey.*PNG",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_refused_not_dropped(tmp_path, picture, format, word):
    with pytest.raises(UnsupportedPicture, match=word):
        encode(picture, format)
    path = tmp_path / f"out{DEFAULT_SUFFIX[format]}"
    with pytest.raises(UnsupportedPicture, match="out"):
        write(picture, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [Metadata(xmp=b"x" * 70_000), Metadata(comments=(b"", b"c" * 65_534))])
def test_metadata_too_long_for_jpeg_is_refused_not_dropped(colour, metadata):
    long = replace(colour, metadata=metadata)
    with pytest.raises(OutputError, match="another format"):
        encode(long, "jpeg")
    kept = read(encode(long, "png"))
    assert kept.metadata.xmp == metadata.xmp and np.array_equal(kept.pixels, long.pixels)


def test_an_unknown_format_is_refused(colour):
    with pytest.raises(OutputError, match="'gif'"):
        encode(colour, "gif")


def test_images_that_are_views_are_written_as_they_look(tmp_path, rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)[::-1, ::2]
    write_image(image, tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), image)
    picture = Picture(image, image[..., 0])
    assert np.array_equal(read(encode(picture)).alpha, image[..., 0])


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), [[[0, 0, 0]]]]
)
def test_write_image_takes_rgb_bytes_only(tmp_path, image):
    with pytest.raises(ShapeMismatch):
        write_image(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_as_jpeg_is_what_a_file_of_that_quality_shows(tmp_path, rng):
    image = rng.integers(0, 256, (20, 33, 3), dtype=np.uint8)
    for quality in (30, 90):
        Image.fromarray(image).save(tmp_path / "a.jpg", quality=quality, subsampling="4:2:0")
        assert np.array_equal(as_jpeg(image, quality), read_image(tmp_path / "a.jpg"))
    for other in (image / 255, image[..., 0], image[..., :2]):
        with pytest.raises(ShapeMismatch, match="to compress"):
            as_jpeg(other, 30)
