"""What travels with the pixels, through every format and from each to each."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from anyir.picture import FORMATS, Metadata, Picture, encode, read
from anyir.picture.notes import PngText

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


@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("text", [b"J\xfcrgen \xa9 2024", "Jürgen 日本 © 2024".encode()])
def test_texts_of_a_tiff_keep_their_bytes(make_file, format, compression, text):
    """The artist, in the first directory, and the camera's owner, in EXIF's."""
    artist, owner, read_as = 0x013B, 0xA430, text.decode("latin-1")
    marks = b"A" * len(text), b"B" * len(text)
    exif = Image.Exif()
    exif[artist] = marks[0].decode()
    exif[0x8769] = {owner: marks[1].decode()}
    whole = Image.Exif()
    whole.load(exif.tobytes())
    data = make_file("TIFF", "RGB", exif=whole, compression="raw")
    for mark in marks:
        assert data.count(mark) == 1
        data = data.replace(mark, text)
    picture = read(data)
    for _ in range(2):
        picture = replace(picture, metadata=replace(picture.metadata, tiff_compression=compression))
        parsed = opened_exif(encode(picture, format))
        assert parsed[artist] == read_as and parsed.get_ifd(0x8769)[owner] == read_as
        picture = read(encode(picture, format))


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


CAPTION = b"\x1c\x02\x78\x00\x05Gr\xfc\xdfe\x1c\x02\x50\x00\x02me"  # IPTC 2:120 caption, 2:80 by-line
PHOTOSHOP = b"Photoshop 3.0\x00"


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """The JPEG with one more segment at its beginning."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content + jpeg[2:]


@pytest.mark.parametrize("caption", [CAPTION, CAPTION + b"!"])
def test_caption_and_comment_of_a_jpeg_come_back_and_its_thumbnail_does_not(make_file, caption):
    blocks = resource(0x040C, b"a thumbnail of the old pixels") + resource(0x0404, caption)
    data = with_segment(make_file("JPEG", "RGB", comment=b"taken in the rain \xff"), 0xED, PHOTOSHOP + blocks)
    picture = read(data)
    assert (picture.metadata.iptc, picture.metadata.comments) == (caption, (b"taken in the rain \xff",))
    written = encode(picture)
    with Image.open(io.BytesIO(written)) as image:
        assert image.info["photoshop"] == {0x0404: caption}
        assert image.info["comment"] == b"taken in the rain \xff"
    assert read(encode(picture, "tiff")).metadata.iptc == caption
    for format in ("png", "webp"):  # which have no place for it
        assert read(encode(picture, format)).metadata.iptc is None


def test_every_comment_of_a_jpeg_comes_back_in_its_order(make_file):
    data = make_file("JPEG", "RGB", comment=b"written last")
    for content in (b"", b"a scanner's", b"again", b"again"):
        data = with_segment(data, 0xFE, content)
    picture = read(data)
    assert picture.metadata.comments == (b"again", b"again", b"a scanner's", b"written last")
    assert read(encode(picture)).metadata.comments == picture.metadata.comments


def tiff_with(tag: int, kind: int, content: bytes, order: str) -> bytes:
    """A TIFF of one grey pixel with such a tag, of 8-bit (1, 7) or 32-bit (4) numbers in this order."""
    if kind == 4:
        content = struct.pack(
            f"{order}{len(content) // 4}I", *struct.unpack(f"<{len(content) // 4}I", content)
        )
    count = len(content) // (4 if kind == 4 else 1)
    entries = [(0x0100, 3, 1), (0x0101, 3, 1), (0x0102, 3, 8), (0x0103, 3, 1), (0x0106, 3, 1), (0x0111, 4, 8)]
    entries += [(0x0115, 3, 1), (0x0116, 3, 1), (0x0117, 4, 1)]
    packed = [
        struct.pack(order + ("HHIHH" if width == 3 else "HHII"), number, width, 1, value, *[0] * (width == 3))
        for number, width, value in entries
    ]
    packed.append(struct.pack(order + "HHII", tag, kind, count, 10))
    start = 10 + len(content) + len(content) % 2
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start) + b"\x80\0"
    directory = struct.pack(order + "H", len(packed)) + b"".join(packed) + bytes(4)
    return head + content + bytes(len(content) % 2) + directory


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 4, 7])
def test_the_caption_of_a_tiff_comes_back_whatever_it_is_stored_as(kind, order):
    """libtiff states it to be 32-bit numbers, which are swapped between machines."""
    caption = CAPTION + bytes(-len(CAPTION) % 4)
    picture = read(tiff_with(0x83BB, kind, caption, order))
    assert picture.metadata.iptc == caption
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        metadata = replace(picture.metadata, tiff_compression=compression)
        for pixels in (picture.pixels, picture.pixels.astype(np.uint16)):
            written = encode(Picture(pixels, format="tiff", metadata=metadata))
            with Image.open(io.BytesIO(written)) as image:
                assert isinstance(image, TiffImagePlugin.TiffImageFile)
                assert image.tag_v2[0x83BB] == caption
    assert read(encode(picture, "jpeg")).metadata.iptc == caption


def test_caption_comment_profile_and_xmp_share_a_jpeg(carrying):
    longest = bytes(65_506)
    metadata = replace(carrying.metadata, iptc=longest, comments=(b"c" * 65_533, b"d" * 65_533))
    kept = read(encode(replace(carrying, metadata=metadata), "jpeg")).metadata
    assert (kept.iptc, kept.comments, kept.icc, kept.xmp) == (longest, metadata.comments, ICC, XMP)
    assert kept.exif == metadata.exif


def test_texts_of_a_png_come_back(make_file):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Author", "J\u00fcrgen")
    chunks.add_text("parameters", "a long prompt, " * 500, zip=True)
    chunks.add_itxt("Title", "\u96e8", "zh", "\u6807\u9898")
    chunks.add_itxt("Description", "in no language " * 500, zip=True)
    data = make_file("PNG", "RGB", pnginfo=chunks)
    late = zlib.crc32(b"tEXtComment\0after the pixels")
    end = data.rindex(b"IEND") - 4
    data = (
        data[:end]
        + struct.pack(">I", 24)
        + b"tEXtComment\0after the pixels"
        + struct.pack(">I", late)
        + data[end:]
    )
    picture = read(data)
    assert picture.metadata.png_texts == (
        ("Author", "J\u00fcrgen", None, None),
        ("parameters", "a long prompt, " * 500, None, None),
        ("Title", "\u96e8", "zh", "\u6807\u9898"),
        ("Description", "in no language " * 500, "", ""),
        ("Comment", "after the pixels", None, None),
    )
    deep = replace(picture, pixels=picture.pixels.astype(np.uint16) * 257)
    for again in (read(encode(picture)), read(encode(deep))):
        assert again.metadata.png_texts == picture.metadata.png_texts
    assert read(encode(picture, "webp")).metadata.png_texts == ()


def test_texts_of_one_keyword_are_all_kept_in_their_order(make_file):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Comment", "the first")
    chunks.add_text("Author", "in between")
    chunks.add_itxt("Comment", "der zweite", "de", "Kommentar")
    chunks.add_text("Comment", "the first", zip=True)
    picture = read(make_file("PNG", "RGB", pnginfo=chunks))
    assert picture.metadata.png_texts == (
        ("Comment", "the first", None, None),
        ("Author", "in between", None, None),
        ("Comment", "der zweite", "de", "Kommentar"),
        ("Comment", "the first", None, None),
    )
    assert read(encode(picture)).metadata.png_texts == picture.metadata.png_texts


def test_texts_stay_plain_and_within_what_is_read_again(carrying):
    """Compressed, a text of more than 1 MiB would be refused by every reader, and not be found by some programs."""
    full = carrying.metadata
    workflow = (PngText("workflow", "a node, " * 400_000), PngText("prompt", "p" * 6_000))
    written = encode(replace(carrying, metadata=replace(full, png_texts=workflow)), "png")
    assert b"tEXtworkflow\0a node" in written and b"tEXtprompt\0ppp" in written
    assert read(written).metadata.png_texts == workflow
    too_much = [
        tuple(PngText(f"t{number}", "x" * ((1 << 20) - 2)) for number in range(9)),
        tuple(PngText(f"t{number}", "short", "en", "") for number in range(300)),
    ]
    for texts, least in zip(too_much, (7, 245), strict=True):
        kept = read(
            encode(replace(carrying, metadata=replace(full, png_texts=texts)), "png")
        ).metadata.png_texts
        assert len(kept) >= least and kept == texts[: len(kept)]
    many = tuple(PngText(f"t{number}", "x" * 1_100) for number in range(300))
    assert (
        read(encode(replace(carrying, metadata=replace(full, png_texts=many)), "png")).metadata.png_texts
        == many
    )


def test_a_caption_that_is_long_or_odd_is_not_spoilt(carrying):
    long = CAPTION * 4_000
    tiff = encode(replace(carrying, metadata=replace(carrying.metadata, iptc=long)), "tiff")
    assert read(tiff).metadata.iptc == long
    assert read(encode(read(tiff), "jpeg")).metadata.iptc is None, "more than its segment holds"
    odd = b"\0" + CAPTION + bytes(-(len(CAPTION) + 1) % 4)
    assert read(tiff_with(0x83BB, 4, odd, "<")).metadata.iptc == odd


def test_profiles_in_disguise_are_not_texts(make_file, carrying):
    """Of EXIF in a text only the copy that has been turned upright may be left."""
    chunks = PngImagePlugin.PngInfo()
    for name in ("exif", "APP1", "icc", "8bim", "iptc"):
        chunks.add_text(f"Raw profile type {name}", f"\n{name}\n       4\n00000000\n")
    assert read(make_file("PNG", "RGB", pnginfo=chunks)).metadata.png_texts == ()
    assert read(encode(carrying, "png")).metadata.png_texts == (), "XMP is kept as such"


def test_stripped_of_all_that_tells_of_people(carrying):
    texts = (PngText("Author", "me"),)
    full = replace(carrying.metadata, iptc=CAPTION, comments=(b"me",), png_texts=texts)
    bare = full.stripped()
    assert (bare.exif, bare.xmp, bare.iptc, bare.comments, bare.png_texts) == (None, None, None, (), ())
    assert (bare.icc, bare.dpi) == (full.icc, full.dpi)
