"""Small files that would take memory or time out of all proportion: each is refused, and it is said for what."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import PIL
import pytest
from PIL import Image, PngImagePlugin

from anyir.errors import PictureError, PictureTooLarge, UnsupportedPicture
from anyir.picture import read, read_image, read_labels, read_size
from anyir.picture.limits import MAX_INFLATED, MAX_SCANS, MAX_TEXT_CHUNK, MAX_TEXTS

needs_pillow_13 = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="older releases read tags that overlap one by one"
)
FOUR_BYTES = "\U0001f600".encode()
"""One character that makes Python hold every other of its text in four bytes too."""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*before, after=()):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x80"))
    return b"\x89PNG\r\n\x1a\n" + b"".join((header, *before, pixels, *after, chunk(b"IEND", b"")))


def text(kind, size, number=0):
    """A text chunk that inflates to ``size`` bytes."""
    keyword = b"key %d\0" % number
    content = zlib.compress(FOUR_BYTES.ljust(size, b"a"), 9)
    return {
        b"zTXt": lambda: chunk(b"zTXt", keyword + b"\0" + content),
        b"iTXt": lambda: chunk(b"iTXt", keyword + b"\1\0\0\0" + content),
        b"iCCP": lambda: chunk(b"iCCP", keyword + b"\0" + content),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "late"),
    [(b"zTXt", False), (b"zTXt", True), (b"iTXt", False), (b"iTXt", True), (b"iCCP", False)],
)
def test_a_text_that_inflates_hugely_is_refused_by_name(kind, late):
    bomb = text(kind, 16 * MAX_TEXT_CHUNK)
    assert len(bomb) < 20_000
    with pytest.raises(
        PictureTooLarge, match=r"texts or colour profile inflate beyond .*1 MiB each, 8 in all"
    ):
        read(png(after=[bomb]) if late else png(bomb))
    just = text(kind, MAX_TEXT_CHUNK)
    assert read(png(after=[just]) if late else png(just)).width == 1


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_many_texts_count_together(kind):
    few = [text(kind, MAX_TEXT_CHUNK - 8, number) for number in range(MAX_TEXTS // MAX_TEXT_CHUNK)]
    assert read(png(*few)).width == 1
    with pytest.raises(PictureTooLarge, match="8 in all"):
        read(png(*few, text(kind, MAX_TEXT_CHUNK - 8, 99)))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_texts_that_do_not_count_are_not_inflated_without_end(kind):
    """What has no keyword or is not UTF-8 is dropped by Pillow, but not before it has inflated it."""
    content = zlib.compress(b"\xff" * 1000)
    dropped = chunk(kind, b"\0\0" + content if kind == b"zTXt" else b"key\0\1\0\0\0" + content)
    assert read(png(*[dropped] * MAX_INFLATED)).width == 1
    for function in (read, read_image, read_size, read_labels):
        with pytest.raises(PictureTooLarge, match="more than 250 texts and profiles that may be compressed"):
            function(png(*[dropped] * MAX_INFLATED, after=[dropped]))


def test_texts_that_are_not_compressed_are_not_said_to_be():
    plain = chunk(b"iTXt", b"key\0\0\0\0\0words")
    with pytest.raises(
        PictureTooLarge, match=r"more than 250 texts and profiles that may be compressed; save"
    ):
        read(png(*[plain] * (MAX_INFLATED + 1)))


def test_the_texts_that_are_allowed_take_little_memory(tmp_path, peak_memory_of_reading):
    """A character beyond 16 bits makes Python take four bytes for each."""
    path = tmp_path / "texts.png"
    path.write_bytes(png(*(text(b"iTXt", MAX_TEXT_CHUNK, number) for number in range(8))))
    assert path.stat().st_size < 12_000
    assert 4 * 8 < peak_memory_of_reading(path) < 4 * 8 + 16


def test_limits_that_another_library_raised_are_ours_meanwhile_and_theirs_again(monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1 << 40)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1 << 40)
    for function in (read, read_image, read_size, read_labels):
        with pytest.raises(PictureTooLarge, match="inflate"):
            function(png(text(b"zTXt", 2 * MAX_TEXT_CHUNK)))
    assert PngImagePlugin.MAX_TEXT_CHUNK == PngImagePlugin.MAX_TEXT_MEMORY == 1 << 40


def jpeg_of_scans(scans, mode="L", size=(64, 48)):
    """A progressive JPEG whose last scan, a few bytes, comes again and again."""
    buffer = io.BytesIO()
    Image.new(mode, size, "teal" if mode == "RGB" else 77).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_of_many_scans_is_refused_and_the_limit_is_exact(mode):
    assert read(jpeg_of_scans(MAX_SCANS, mode)).width == 64
    for function in (read, read_image, read_size):
        with pytest.raises(UnsupportedPicture, match="more than 100 scans"):
            function(jpeg_of_scans(MAX_SCANS + 1, mode))


def test_scans_are_counted_where_a_file_is_read_in_pieces(monkeypatch):
    data = jpeg_of_scans(MAX_SCANS + 1)
    for piece in range(3, 60):
        monkeypatch.setattr("anyir.picture.containers._PIECE", piece)
        with pytest.raises(UnsupportedPicture, match="scans"):
            read(data)
        assert read(jpeg_of_scans(MAX_SCANS)).width == 64


def test_a_jpeg_bomb_is_refused_at_once():
    """Its scans would keep a processor busy for more than a minute."""
    data = jpeg_of_scans(2000, size=(4000, 3000))
    assert len(data) < 200_000
    started = time.process_time()
    with pytest.raises(UnsupportedPicture):
        read(data)
    assert time.process_time() - started < 1


def tiled_tiff(side, width, height):
    """A grey TIFF of one deflated tile of zeros."""
    tile = zlib.compress(bytes(side * side), 1)
    directory = 8 + len(tile) + len(tile) % 2
    entries = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side)]
    entries += [(324, 8), (325, len(tile))]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", directory) + tile + bytes(len(tile) % 2)
    return head + struct.pack("<H", len(entries)) + packed + bytes(4)


def test_a_tile_far_larger_than_its_picture_is_refused():
    for function in (read, read_image, read_size):
        with pytest.raises(PictureTooLarge, match=r"tiles of 4096×4096 are far larger than its 10×20 pixels"):
            function(tiled_tiff(4096, 10, 20))


def test_tiles_that_programs_write_are_read():
    assert np.array_equal(read(tiled_tiff(1024, 10, 20)).pixels, np.zeros((20, 10, 3)))
    assert read(tiled_tiff(2560, 1300, 1300)).pixels.shape == (1300, 1300, 3)


def directory_of(entries, next_directory=0):
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", next_directory)


def grey_tiff(*more, next_directory=0, behind=b""):
    """A TIFF of 4×4 levels of grey, its directory at byte 24 and ``behind`` after that."""
    entries = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]
    head = b"II*\0" + struct.pack("<I", 24) + bytes(range(16))
    return head + directory_of(sorted([*entries, *more]), next_directory) + behind


SUB_IFDS, EXIF, GPS, INTEROPERABILITY = 0x014A, 0x8769, 0x8825, 0xA005


@pytest.mark.parametrize("pointer", [SUB_IFDS, EXIF, GPS])
def test_a_directory_within_itself_is_read_once(pointer):
    picture = read(grey_tiff((pointer, 4, 1, 24)))
    assert picture.pixels[..., 0].ravel().tolist() == list(range(16))


def test_directories_within_each_other_are_read_once():
    exif = 24 + 2 + 12 * 10 + 4
    behind = directory_of([(EXIF, 4, 1, 24), (GPS, 4, 1, exif), (INTEROPERABILITY, 4, 1, exif)])
    assert read(grey_tiff((EXIF, 4, 1, exif), behind=behind)).width == 4


def test_a_next_directory_that_is_the_first_is_no_second_page():
    assert read(grey_tiff(next_directory=24)).width == 4


def test_directories_that_follow_each_other_in_a_circle_are_two_pages():
    second = 24 + 2 + 12 * 9 + 4
    entries = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    with pytest.raises(UnsupportedPicture, match="several pages"):
        read(grey_tiff(next_directory=second, behind=directory_of(entries, 24)))


def test_ten_thousand_pages_are_not_gone_through():
    first = 24 + 2 + 12 * 9 + 4
    pages = b"".join(directory_of([(256, 3, 1, 4)], first + 18 * number) for number in range(1, 10_001))
    started = time.process_time()
    with pytest.raises(UnsupportedPicture, match="several pages"):
        read(grey_tiff(next_directory=first, behind=pages))
    assert time.process_time() - started < 1


def entries_that_overlap(number, size):
    return [(40_000 + tag, 7, size, 8) for tag in range(number)]


@needs_pillow_13
def test_tags_that_all_claim_the_whole_file_take_no_memory(tmp_path, peak_memory_of_reading):
    """Two thousand times the same 100 kB: read one by one they would be 200 MB."""
    path = tmp_path / "tags.tif"
    path.write_bytes(grey_tiff(*entries_that_overlap(2000, 100_000), behind=bytes(80_000)))
    assert peak_memory_of_reading(path) < 16


@needs_pillow_13
def test_nor_do_those_of_a_jpeg(tmp_path, peak_memory_of_reading):
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + directory_of(entries_that_overlap(5000, 60_000))
    path = tmp_path / "tags.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + buffer.getvalue()[20:])
    assert peak_memory_of_reading(path) < 16


@pytest.mark.parametrize("count", [0, 1, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("tag", [256, 257, 258, 273, 277, 278, 279])
def test_a_tag_that_counts_absurdly_is_a_picture_or_a_typed_error(tag, count):
    data = bytearray(grey_tiff())
    at = data.index(struct.pack("<H", tag), 24)
    struct.pack_into("<I", data, at + 4, count)
    try:
        assert read(bytes(data), max_pixels=10_000).width == 4
    except PictureError as error:
        assert "\n" not in str(error)
