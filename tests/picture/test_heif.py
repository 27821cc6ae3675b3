"""AVIF by Pillow, and HEIC by an optional library: read, or refused with the remedy."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from anyir.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture
from anyir.picture import encode, read, read_size

avif = pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow reads no AVIF")
HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def turned() -> Image.Exif:
    """EXIF of a camera held on its side; new each time, for Pillow takes the orientation out when it writes AVIF."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Anycam", 6
    return exif


def quarters(mode: str = "RGB") -> Image.Image:
    """64×48: one bright corner, top left, so that a turn shows; half transparent where there is alpha."""
    samples = np.full((48, 64, 4), (20, 40, 60, 128), np.uint8)
    samples[:24, :32] = (240, 220, 200, 255)
    return Image.fromarray(samples).convert(mode)


def encoded(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", quality=95, subsampling="4:4:4", **options)
    return buffer.getvalue()


@avif
def test_an_avif_is_read_with_alpha_profile_and_xmp_and_turned_once():
    data = encoded(quarters("RGBA"), icc_profile=b"profile" * 40, xmp=b"<x/>", exif=turned())
    picture = read(data)
    assert (picture.height, picture.width) == (64, 48) == read_size(data)
    assert (picture.format, picture.depth, picture.grey) == ("png", 8, False)
    assert np.abs(picture.pixels[8, -8].astype(int) - (240, 220, 200)).max() <= 3, "6 turns clockwise"
    assert picture.alpha is not None and abs(int(picture.alpha[-8, 8]) - 128) <= 2
    assert (picture.metadata.icc, picture.metadata.xmp) == (b"profile" * 40, b"<x/>")
    kept = Image.Exif()
    kept.load(picture.metadata.exif or b"")
    assert (kept[0x010F], kept.get(0x0112, 1)) == ("Anycam", 1)
    assert encode(picture).startswith(b"\x89PNG")


@avif
@pytest.mark.parametrize(("flags", "bits"), [(0x40, 10), (0x60, 12)])
def test_an_avif_of_more_than_eight_bits_is_refused_not_reduced(flags, bits):
    data = bytearray(encoded(quarters()))
    data[data.index(b"av1C") + 6] |= flags
    at = data.index(b"pixi") + 9  # the same once more, or the decoder takes the file for damaged
    data[at : at + 3] = bytes([bits] * 3)
    for reader in (read, read_size):
        with pytest.raises(UnsupportedPicture, match=f"{bits} bits per colour sample"):
            reader(bytes(data))


@avif
def test_what_colours_mean_by_numbers_goes_into_the_png():
    data = bytearray(encoded(quarters()))
    assert read(bytes(data)).metadata.png_colour == (), "sRGB goes without saying"
    struct.pack_into(">HH", data, data.index(b"colrnclx") + 8, 12, 16)  # Display P3, perceptual quantiser
    picture = read(bytes(data))
    assert picture.metadata.png_colour == ((b"cICP", bytes([12, 16, 0, 1])),)
    assert read(encode(picture)).metadata.png_colour == picture.metadata.png_colour
    for format in ("jpeg", "webp", "tiff"):  # as which they would be taken for sRGB
        with pytest.raises(UnsupportedPicture, match=r"primaries 12, transfer 16\); write PNG"):
            encode(picture, format)
        profiled = replace(
            picture.metadata, icc=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        )
        assert encode(replace(picture, metadata=profiled), format)
        plain = replace(picture.metadata, png_colour=((b"cICP", bytes([1, 13, 0, 1])),))
        assert encode(replace(picture, metadata=plain), format)
    assert read(encoded(quarters(), icc_profile=b"profile")).metadata.png_colour == ()


@avif
def test_a_large_avif_is_refused_before_decoding_and_a_damaged_one_is_said():
    data = encoded(quarters())
    with pytest.raises(PictureTooLarge, match="64×48"):
        read(data, max_pixels=64 * 48 - 1)
    for cut in (40, len(data) - 30):
        with pytest.raises(UnreadablePicture, match="AVIF"):
            read(data[:cut])


def test_an_avif_that_this_pillow_cannot_read_names_the_remedy(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UnsupportedPicture, match="pip install --upgrade pillow"):
        read(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf")


def test_a_heic_without_the_library_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC_HEAD)
    for reader in (read, read_size):
        with pytest.raises(UnsupportedPicture, match=r"a\.heic: .*pip install 'anyir\[heif\]'"):
            reader(path)


@pytest.fixture
def heic():
    """heic(mode, ...) → a HEIC file made by the optional library."""
    plugin = pytest.importorskip("pillow_heif")

    def make(mode="RGB", copies=1, **options):
        file = plugin.from_pillow(quarters(mode))
        for _ in range(copies - 1):
            file.add_from_pillow(quarters(mode))
        buffer = io.BytesIO()
        file.save(buffer, quality=95, **options)
        return buffer.getvalue()

    return make


def test_a_heic_is_read_with_alpha_and_profile_and_turned_once(heic):
    data = heic("RGBA", exif=turned().tobytes(), icc_profile=b"profile" * 40)
    picture = read(data)
    assert (picture.height, picture.width) == (64, 48) == read_size(data)
    assert (picture.format, picture.depth) == ("png", 8)
    assert np.abs(picture.pixels[8, -8].astype(int) - (240, 220, 200)).max() <= 8
    assert picture.alpha is not None and abs(int(picture.alpha[-8, 8]) - 128) <= 4
    assert picture.metadata.icc == b"profile" * 40
    assert picture.metadata.exif is not None and b"Anycam" in picture.metadata.exif
    assert read(heic("L")).grey
    assert "HEIF" not in Image.OPEN, "Pillow is left as it was"


def test_a_heic_of_several_pictures_or_more_bits_is_refused(heic):
    with pytest.raises(UnsupportedPicture, match="several pictures"):
        read(heic(copies=2))
    plugin = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    plugin.from_bytes("RGB;16", (64, 48), bytes(64 * 48 * 6)).save(buffer)
    with pytest.raises(UnsupportedPicture, match="10 bits per colour sample"):
        read(buffer.getvalue())
    with pytest.raises(PictureTooLarge, match="64×48"):
        read(heic(), max_pixels=64 * 48 - 1)
    with pytest.raises(UnreadablePicture, match="HEIF"):
        read(heic()[:-200])
