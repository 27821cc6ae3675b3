from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile, PngImagePlugin

from anyir.errors import PictureError, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from anyir.picture import MAX_PIXELS, read, read_image, read_labels, read_size


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand, for kinds that Pillow cannot write."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + png_chunk(b"IEND", b"")


EXACT = [
    ("PNG", "1"),
    ("PNG", "L"),
    ("PNG", "LA"),
    ("PNG", "P"),
    ("PNG", "RGB"),
    ("PNG", "RGBA"),
    ("TIFF", "1"),
    ("TIFF", "L"),
    ("TIFF", "LA"),
    ("TIFF", "P"),
    ("TIFF", "PA"),
    ("TIFF", "RGB"),
    ("TIFF", "RGBA"),
    ("JPEG", "L"),
    ("JPEG", "RGB"),
    ("WEBP", "RGB"),
    ("WEBP", "RGBA"),
]


@pytest.mark.parametrize(("format", "mode"), EXACT)
def test_every_mode_becomes_rgb_and_alpha_as_pillow_decodes_them(make_file, format, mode):
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    data = make_file(format, mode, **options)
    picture = read(data)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGBA"))
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels, expected[..., :3])
    if mode in ("LA", "PA", "RGBA"):
        assert picture.alpha is not None and np.array_equal(picture.alpha, expected[..., 3])
    else:
        assert picture.alpha is None
    assert picture.grey == (mode in ("1", "L", "LA"))
    assert (picture.format, picture.height, picture.width, picture.depth) == (format.lower(), 13, 17, 8)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_every_bit(format):
    stored = np.arange(13 * 17, dtype=np.uint16).reshape(13, 17) * 293
    picture = read(encoded(Image.fromarray(stored), format))
    assert picture.depth == 16 and picture.grey
    assert all(np.array_equal(picture.pixels[..., channel], stored) for channel in range(3))


def test_big_endian_tiff_of_sixteen_bits_is_not_byte_swapped():
    stored = np.array([[1, 256], [513, 65535]], np.uint16)
    directory = [
        (256, 3, 1, 2 << 16),
        (257, 3, 1, 2 << 16),
        (258, 3, 1, 16 << 16),
        (259, 3, 1, 1 << 16),
        (262, 3, 1, 1 << 16),
        (273, 4, 1, 8),
        (277, 3, 1, 1 << 16),
        (278, 3, 1, 2 << 16),
        (279, 4, 1, 8),
    ]
    entries = b"".join(struct.pack(">HHII", *entry) for entry in directory)
    data = b"MM\0*" + struct.pack(">I", 16) + stored.astype(">u2").tobytes()
    data += struct.pack(">H", len(directory)) + entries + struct.pack(">I", 0)
    assert np.array_equal(read(data).pixels[..., 0], stored)


def test_palette_with_partial_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    picture = read(encoded(image, "PNG", transparency=bytes([255, 0, 128])))
    assert picture.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert picture.alpha is not None and picture.alpha.tolist() == [[255, 0, 128]]


@pytest.mark.parametrize(
    ("mode", "colours", "transparent"),
    [
        ("L", [7, 8, 7], 7),
        ("RGB", [(1, 2, 3), (1, 2, 4), (1, 2, 3)], (1, 2, 3)),
        ("1", [1, 0, 1], 1),
    ],
)
def test_a_colour_declared_transparent_becomes_alpha(mode, colours, transparent):
    image = Image.new(mode, (3, 1))
    image.putdata(colours)
    picture = read(encoded(image, "PNG", transparency=transparent))
    assert picture.alpha is not None and picture.alpha.tolist() == [[0, 255, 0]]
    assert len(np.unique(picture.pixels.reshape(-1, 3), axis=0)) == 2, "the colour underneath stays"


@pytest.mark.parametrize(("bits", "levels"), [(2, [0, 85, 170, 255]), (4, [0, 17, 34, 51])])
def test_transparent_level_of_few_bits_is_compared_before_stretching(bits, levels):
    packed = int("".join(f"{value:0{bits}b}" for value in range(4)), 2).to_bytes(bits * 4 // 8, "big")
    data = raw_png(4, 1, bits, 0, b"\0" + packed, png_chunk(b"tRNS", struct.pack(">H", 2)))
    picture = read(data)
    assert picture.pixels[0, :, 0].tolist() == levels
    assert picture.alpha is not None and picture.alpha.tolist() == [[255, 255, 0, 255]]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2000, 1100)])
def test_any_size_and_more_than_one_band_of_rows(size):
    width, height = size
    ramp = (np.arange(width * height, dtype=np.uint32) * 2654435761 >> 24).astype(np.uint8)
    stored = np.stack([ramp, ramp[::-1], ramp // 2], axis=1).reshape(height, width, 3)
    assert np.array_equal(read(encoded(Image.fromarray(stored), "PNG", compress_level=1)).pixels, stored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_is_applied_once(format, orientation):
    # corners as stored: A B / C D; as EXIF 2.32 (4.6.4 A) wants them seen
    seen = {1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB", 5: "ACBD", 6: "CADB", 7: "DBCA", 8: "BDAC"}[
        orientation
    ]
    level = {"A": 0, "B": 80, "C": 160, "D": 240}
    stored = np.zeros((16, 32, 3), np.uint8)
    for name, (y, x) in {"A": (0, 0), "B": (0, 16), "C": (8, 0), "D": (8, 16)}.items():
        stored[y : y + 8, x : x + 16] = level[name]
    options = {"lossless": True} if format == "WEBP" else {"quality": 95} if format == "JPEG" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(encoded(Image.fromarray(stored), format, exif=exif, **options))
    assert picture.pixels.shape == ((32, 16, 3) if orientation >= 5 else (16, 32, 3))
    corners = picture.pixels[[0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert np.abs(corners.astype(int) - [level[name] for name in seen]).max() <= (
        2 if format == "JPEG" else 0
    )
    kept = Image.Exif()
    kept.load(picture.metadata.exif or b"")
    assert kept.get(0x0112, 1) == 1


def test_orientation_turns_alpha_with_the_pixels(rng):
    stored = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read(encoded(Image.fromarray(stored), "PNG", exif=exif))
    upright = np.rot90(stored, -1)  # 6: turn the stored picture clockwise
    assert np.array_equal(picture.pixels, upright[..., :3])
    assert picture.alpha is not None and np.array_equal(picture.alpha, upright[..., 3])


def test_orientation_that_only_xmp_states_is_applied_and_reset():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="kept"/></x:xmpmeta>'
    picture = read(encoded(Image.new("RGB", (8, 4)), "JPEG", xmp=xmp))
    assert (picture.height, picture.width) == (8, 4)
    assert picture.metadata.xmp == xmp.replace(b'"6"', b'"1"')


def test_exif_decides_over_xmp_and_both_are_reset(make_exif):
    xmp = b"<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description>"
    data = encoded(Image.new("RGB", (8, 4)), "JPEG", xmp=xmp, exif=b"Exif\0\0" + make_exif(3))
    picture = read(data)
    assert (picture.height, picture.width) == (4, 8)
    assert picture.metadata.xmp == xmp.replace(b">6<", b">1<")


@pytest.mark.parametrize(
    "words", ['tiff:Orientation="6"', "tiff:Orientation='6'", 'tiff:Orientation = "6"', "tiff:Make='a'"]
)
@pytest.mark.parametrize("tag", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiffs_own_orientation_decides_over_xmp_and_either_turns_it_once(rng, words, tag, depth):
    stored = rng.integers(0, 1 << depth, (4, 8, 3), dtype=f"uint{depth}")
    xmp = f"<rdf:Description {words}/>".encode()
    tags = [(0x02BC, 1, len(xmp), xmp, True)]
    if tag is not None:
        tags.append((0x0112, 3, 1, tag, True))
    data = io.BytesIO()
    tifffile.imwrite(
        data,
        stored,
        photometric="rgb",
        metadata=None,
        extratags=tags,
        resolution=(300, 150),
        resolutionunit=2,
    )
    turned = {1: 0, 3: 2, 6: -1, 8: 1}[tag or (6 if "Orientation" in words else 1)]
    picture = read(data.getvalue())
    assert np.array_equal(picture.pixels, np.rot90(stored, turned))
    assert picture.metadata.xmp == xmp.replace(b"6", b"1")
    assert picture.metadata.dpi == pytest.approx((150, 300) if turned in (1, -1) else (300, 150))
    if depth == 8:
        assert read_size(data.getvalue()) == picture.pixels.shape[:2]


def test_exif_that_imagemagick_wrote_into_a_text_chunk(make_exif):
    blob = b"Exif\0\0" + make_exif(6)
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Raw profile type exif", f"\nexif\n{len(blob):8}\n{blob.hex()}\n")
    picture = read(encoded(Image.new("RGB", (8, 4)), "PNG", pnginfo=chunks))
    assert (picture.height, picture.width) == (8, 4)


def test_a_jpeg_of_several_pictures_gives_its_first():
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 200))
    picture = read(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert picture.format == "jpeg"
    assert picture.pixels[4, 4, 0] > 150 > picture.pixels[4, 4, 2]


# --- refused ------------------------------------------------------------------------------------------


def animation(format: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 90, 180)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:])


UNSUPPORTED = {
    "CMYK JPEG": (lambda: encoded(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
    "CMYK TIFF": (lambda: encoded(Image.new("CMYK", (8, 8)), "TIFF"), "CMYK"),
    "L*a*b* TIFF": (lambda: encoded(Image.new("LAB", (8, 8)), "TIFF"), r"L\*a\*b\*"),
    "floating-point TIFF": (lambda: encoded(Image.new("F", (8, 8)), "TIFF"), "floating-point"),
    "32-bit TIFF": (lambda: encoded(Image.new("I", (8, 8)), "TIFF"), "32-bit"),
    "TIFF with an unnamed channel": (lambda: encoded(Image.new("RGBX", (8, 8)), "TIFF"), "extra channels"),
    "animated PNG": (lambda: animation("PNG"), "animated"),
    "animated WebP": (lambda: animation("WEBP"), "animated"),
    "TIFF of several pages": (lambda: animation("TIFF"), "several pages"),
    "GIF": (lambda: encoded(Image.new("L", (8, 8)), "GIF"), "GIF"),
    "BMP": (lambda: encoded(Image.new("L", (8, 8)), "BMP"), "BMP"),
    "camera raw": (lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
    "animated AVIF": (lambda: animation("AVIF"), "animated"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_would_lose_something_is_refused_with_a_remedy(tmp_path, kind):
    make, word = UNSUPPORTED[kind]
    path = tmp_path / "picture.bin"
    path.write_bytes(make())
    with pytest.raises(UnsupportedPicture, match=word) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and "; " in message and "\n" not in message


def truncated_at(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_truncated_file_is_never_half_a_picture(make_file, format, share):
    compression = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    data = make_file(format, "RGB", size=(60, 50), **compression)
    with pytest.raises(UnreadablePicture):
        read(truncated_at(data, share))


def test_a_truncated_raw_tiff_is_never_half_a_picture(tmp_path, make_file):
    # its directory lies before the pixels, so that it opens; padding it with zeros would be easy and wrong
    width, height = 16, 16
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 122), (277, 3, 1, 1), (278, 3, 1, height), (279, 4, 1, width * height)]
    directory = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    data = b"II*\0" + struct.pack("<I", 8) + directory + bytes(range(256))
    path = tmp_path / "raw.tif"
    path.write_bytes(data)
    assert read(path).pixels[15, 15, 0] == 255
    path.write_bytes(data[:-100])
    with pytest.raises(UnreadablePicture):
        read(path)


def test_truncated_stays_refused_where_another_library_told_pillow_to_load_it(make_file, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnreadablePicture):
        read(truncated_at(make_file("JPEG", "RGB", size=(60, 50)), 0.7))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True, "their setting is theirs again"


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("empty.jpg", b"", "empty"),
        ("letter.png", b"Dear all,\nthis is text.\n", "not a picture"),
        ("short.png", b"\x89PNG", "not a picture"),
        ("header.png", b"\x89PNG\r\n\x1a\n", "PNG"),
        ("header.jpg", b"\xff\xd8\xff\xe0", "JPEG"),
        ("header.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        ("header.tif", b"II*\0\x08\0\0\0", "TIFF"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line(tmp_path, name, content, word):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadablePicture, match=word) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_path_folder_pipe_and_odd_names(tmp_path):
    with pytest.raises(UnreadablePicture, match="no such file"):
        read(tmp_path / "missing.png")
    with pytest.raises(UnreadablePicture, match="folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadablePicture, match="regular file"):
        read(tmp_path / "pipe.png")
    with pytest.raises(UnreadablePicture, match="cannot be opened"):
        read("null\0byte.png")
    (tmp_path / "two\nlines.png").write_bytes(b"text")
    with pytest.raises(UnreadablePicture) as caught:
        read(tmp_path / "two\nlines.png")
    assert "\n" not in str(caught.value) and r"two\nlines.png" in str(caught.value)


def test_the_format_is_the_content_not_the_suffix(tmp_path, make_file):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(make_file("PNG", "RGB"))
    assert read(path).format == "png"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".eps", ".pdf", ".ico"])
def test_of_all_that_pillow_can_open_only_our_formats_are_tried(tmp_path, monkeypatch, suffix):
    """EPS is the worst of the others: Pillow hands it to Ghostscript, which runs what is in it."""
    Image.init()
    ours = {"JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF"}
    assert {"EPS", "GIF", "ICNS", "PSD", "FLI"} < Image.OPEN.keys() - ours

    def opened(*_):
        raise AssertionError("a decoder that has no business here")

    for name in Image.OPEN.keys() - ours:
        monkeypatch.setitem(Image.OPEN, name, (opened, opened))
    path = tmp_path / f"picture{suffix}"
    for head in (
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"\xc5\xd0\xd3\xc6",
        b"GIF89a",
        b"8BPS\0\1",
        b"\0\0\1\0",
        b"P6 9 9 255",
    ):
        path.write_bytes(head.ljust(200, b"\0"))
        with pytest.raises((UnreadablePicture, UnsupportedPicture)):
            read(path)


# --- limits ------------------------------------------------------------------------------------------


def bomb(format: str) -> bytes:
    """A few bytes that announce 60,000 × 60,000 pixels (WebP: 16,383 × 16,383, the most it can)."""
    if format == "PNG":
        return raw_png(60_000, 60_000, 8, 2, bytes(100))
    if format == "WEBP":
        data = bytearray(encoded(Image.new("RGB", (8, 8)), "WEBP"))
        data[26:30] = struct.pack("<HH", 16_383, 16_383)
        return bytes(data)
    if format == "JPEG":
        data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
        return bytes(data)
    data = bytearray(encoded(Image.new("L", (8, 8)), "TIFF"))
    for tag in (256, 257):
        at = data.index(struct.pack("<HHI", tag, 4 if struct.pack("<HHI", tag, 4, 1) in data else 3, 1))
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 60_000)
    return bytes(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_bomb_is_refused_before_decoding(format):
    with pytest.raises(PictureTooLarge, match="megapixels"):
        read(bomb(format))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_limit_is_exact(make_file, format):
    data = make_file(format, "RGB", size=(20, 10))
    assert read(data, max_pixels=200).width == 20
    with pytest.raises(PictureTooLarge, match="20×10"):
        read(data, max_pixels=199)


def test_pictures_that_pillow_would_warn_about_are_read_up_to_our_limit(monkeypatch, make_file):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    assert MAX_PIXELS > 178_956_970, "Pillow's own limit for an error"
    for format in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert read(make_file(format, "RGB", size=(20, 10))).width == 20
    assert Image.MAX_IMAGE_PIXELS == 60, "their setting is theirs again"


def test_remarks_of_pillow_stay_inside_and_our_filters_do_not_stay():
    before = list(warnings.filters)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0"  # points outside of itself
    picture = read(encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif))
    assert picture.metadata.exif == exif[6:], "what cannot be parsed is carried as it is"
    assert warnings.filters == before


def test_many_threads_read_and_leave_pillow_as_it_was(make_file, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data, before, failures = make_file("PNG", "RGB", size=(64, 64)), list(warnings.filters), []

    def work() -> None:
        try:
            for _ in range(20):
                assert read(data).width == 64
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Image.MAX_IMAGE_PIXELS == 1000 and warnings.filters == before


def test_peak_memory_of_a_large_jpeg_on_its_side_is_about_twice_its_pixels(tmp_path, peak_memory_of_reading):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(tmp_path / "big.jpg", exif=exif)
    peak = peak_memory_of_reading(tmp_path / "big.jpg")
    assert peak < 36 + 48 + 20  # MB: ours, Pillow's four bytes a pixel, and a band


# --- conveniences ------------------------------------------------------------------------------------------


def test_read_image_gives_three_channels_whatever_the_file(tmp_path, make_file):
    for mode in ("L", "LA", "RGB", "RGBA"):
        (tmp_path / "a.png").write_bytes(make_file("PNG", mode))
        image = read_image(tmp_path / "a.png")
        assert image.shape == (13, 17, 3) and image.dtype == np.uint8
    with pytest.raises(UnsupportedPicture, match="8 bits"):
        read_image(make_file("PNG", "I;16"))


def test_labels_are_the_stored_numbers(tmp_path):
    labels = np.array([[0, 3, 11], [200, 1, 2]], np.uint8)
    assert np.array_equal(read_labels(encoded(Image.fromarray(labels), "PNG")), labels)
    indices = Image.fromarray(labels % 12).convert("P")
    indices.putdata((labels % 12).ravel().tolist())
    indices.putpalette([value for index in range(12) for value in (index * 9, 255 - index, 7)])
    path = tmp_path / "labels.png"
    path.write_bytes(encoded(indices, "PNG"))
    assert np.array_equal(read_labels(path), labels % 12), "the index, not the colour"
    assert read_labels(raw_png(4, 1, 4, 0, b"\0\x01\x2f")).tolist() == [[0, 1, 2, 15]]
    assert read_labels(raw_png(8, 1, 1, 0, b"\0\x81")).tolist() == [[1, 0, 0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize(("format", "mode"), [("PNG", "RGB"), ("PNG", "LA"), ("PNG", "I;16"), ("JPEG", "L")])
def test_what_is_no_label_map_is_refused(make_file, format, mode):
    with pytest.raises(UnsupportedPicture, match="label map"):
        read_labels(make_file(format, mode))


def test_an_error_is_always_a_picture_error():
    with pytest.raises(PictureError):
        read(Path("nowhere") / "at_all.png")


def test_data_sets_may_be_bmp_but_photographs_may_not(tmp_path):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    assert np.array_equal(read_image(tmp_path / "a.bmp"), pixels)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.bmp")
    assert np.array_equal(read_image(tmp_path / "grey.bmp"), np.repeat(pixels[..., :1], 3, axis=2))
    with pytest.raises(UnsupportedPicture, match="BMP"):
        read(tmp_path / "a.bmp")
    (tmp_path / "cut.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:60])
    with pytest.raises(UnreadablePicture, match=r"cut\.bmp: damaged or truncated BMP"):
        read_image(tmp_path / "cut.bmp")
    with pytest.raises(PictureTooLarge):
        read_image(tmp_path / "a.bmp", max_pixels=34)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 5, 6, 8])
def test_the_size_is_known_without_decoding_and_upright(make_file, make_exif, format, orientation):
    exif = make_exif(orientation, thumbnail=False)
    if format == "JPEG":
        exif = b"Exif\0\0" + exif
    if format == "TIFF":
        exif = Image.Exif()
        exif[0x0112] = orientation or 1
    data = make_file(format, "RGB", size=(17, 13), exif=exif)
    assert read_size(data) == read_image(data).shape[:2]
    assert read_size(data) == ((17, 13) if (orientation or 1) >= 5 else (13, 17))


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_the_size_of_a_bmp(make_file, mode):
    assert read_size(make_file("BMP", mode, size=(17, 13))) == (13, 17)


@pytest.mark.parametrize("late", [False, True])
def test_a_png_may_say_after_its_pixels_which_way_up_it_is(make_exif, late):
    exif = png_chunk(b"eXIf", make_exif(6, thumbnail=False))
    data = raw_png(3, 2, 8, 0, b"\0\1\2\3" * 2, *([] if late else [exif]))
    end = len(data) - 12
    data = data[:end] + (exif if late else png_chunk(b"tEXt", b"Comment\0none")) + data[end:]
    assert read_size(data) == read_image(data).shape[:2] == (3, 2)


def test_the_size_needs_no_sound_pixels(make_file):
    data = make_file("JPEG", "RGB", size=(640, 480))
    assert read_size(data[: len(data) // 4]) == (480, 640)
    with pytest.raises(UnreadablePicture):
        read_image(data[: len(data) // 4])


def test_the_size_of_what_read_image_would_refuse(make_file, tmp_path):
    with pytest.raises(UnreadablePicture, match=r"nothing\.png: no such file"):
        read_size(tmp_path / "nothing.png")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadablePicture, match=r"empty\.jpg: is empty"):
        read_size(tmp_path / "empty.jpg")
    (tmp_path / "cut.png").write_bytes(make_file("PNG", "RGB")[:20])
    with pytest.raises(UnreadablePicture, match=r"cut\.png"):
        read_size(tmp_path / "cut.png")
    with pytest.raises(UnsupportedPicture, match="16 bits per sample"):
        read_size(make_file("PNG", "I;16"))
    with pytest.raises(UnsupportedPicture, match="CMYK"):
        read_size(make_file("JPEG", "CMYK"))
    for format in ("PNG", "WEBP", "BMP"):
        with pytest.raises(PictureTooLarge):
            read_size(make_file(format, "RGB"), max_pixels=17 * 13 - 1)


# --- what damaged files taught (tools/fuzz_read.py) ----------------------------------------------------


def bare_tiff(width: int, height: int, rows_per_strip: int, strips: list[int], planes: int = 1) -> bytes:
    """An uncompressed TIFF of 8 bits whose strips, 16 bytes each of what they are told, lie behind one another."""
    bits = [(258, 3, 1, 8)] if planes == 1 else [(258, 3, 3, 0)]
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        *bits,
        (259, 3, 1, 1),
        (262, 3, 1, 1 if planes == 1 else 2),
    ]
    entries += [
        (273, 4, len(strips), 0),
        (277, 3, 1, planes),
        (278, 4, 1, rows_per_strip),
        (279, 4, len(strips), 0),
    ]
    entries += [(284, 3, 1, 2 if planes > 1 else 1)]
    values = 8 + 2 + 12 * len(entries) + 4
    pixels = values + 8 * len(strips) + 8
    offsets = [pixels + 16 * number for number in range(len(strips))]
    packed = b""
    for tag, kind, count, value in entries:
        if tag == 273:
            value = values if count > 1 else offsets[0]
        if tag == 279:
            value = values + 4 * len(strips) if count > 1 else 16
        if tag == 258 and planes > 1:
            value = values + 8 * len(strips)
        packed += struct.pack("<HHII", tag, kind, count, value)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)
    head += struct.pack(f"<{len(strips)}I", *offsets) + struct.pack(f"<{len(strips)}I", *[16] * len(strips))
    return head + struct.pack("<4H", 8, 8, 8, 0) + b"".join(bytes([level]) * 16 for level in strips)


def test_a_tiff_that_lists_too_few_strips_is_not_read_as_black_below_them():
    assert read(bare_tiff(4, 8, 4, [10, 20])).pixels[:, 0, 0].tolist() == [10] * 4 + [20] * 4
    for height in (9, 12, 1 << 20):
        with pytest.raises(UnreadablePicture, match=rf"too few strips or tiles for 4×{height} pixels"):
            read(bare_tiff(4, height, 4, [10, 20]))


def test_a_tiff_of_separate_planes_needs_strips_for_each():
    assert read(bare_tiff(4, 4, 4, [10, 20, 30], planes=3)).pixels[3, 3].tolist() == [10, 20, 30]
    with pytest.raises(UnreadablePicture, match="too few strips"):
        read(bare_tiff(4, 4, 4, [10, 20], planes=3))
