from __future__ import annotations

import struct

import numpy as np
import pytest

from anyir.picture.orientation import make_upright, stored_view, turns

# what EXIF 2.32, 4.6.4 A says each value means, in numpy's words: stored → upright
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored.swapaxes(0, 1), 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_filling_the_stored_view_turns_the_picture(orientation):
    stored = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    expected = UPRIGHT[orientation](stored)
    upright = np.zeros_like(expected)
    stored_view(upright, orientation)[...] = stored
    assert np.array_equal(upright, expected)
    assert turns(orientation) == (expected.shape[:2] == (3, 2))


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_impossible_orientation_means_upright_and_stays(make_exif, value):
    exif = make_exif(value, thumbnail=False)
    assert make_upright(exif, None) == (1, exif, None)


def test_orientation_written_as_a_long_is_understood(make_exif):
    exif = make_exif(6, thumbnail=False).replace(
        struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), struct.pack("<HHII", 0x0112, 4, 1, 6)
    )
    orientation, kept, _ = make_upright(exif, None)
    assert orientation == 6
    assert make_upright(kept, None)[0] == 1


@pytest.mark.parametrize("cut", [0, 3, 7, 9, 15, 25, 40])
def test_exif_cut_anywhere_is_carried_as_it_is(make_exif, cut):
    exif = make_exif(1)[:cut]
    assert make_upright(exif, None) == (1, exif or None, None)


def test_prefixes_are_taken_off(make_exif):
    exif = make_exif(1, thumbnail=False)
    assert make_upright(b"Exif\0\0Exif\0\0" + exif, None)[1] == exif


@pytest.mark.parametrize(
    "xmp",
    [
        b'<a tiff:Orientation="8" b="2"/>',
        b"<a tiff:Orientation = '8'/>",
        b"<tiff:Orientation>8</tiff:Orientation>",
    ],
)
def test_orientation_in_xmp(xmp):
    assert make_upright(None, xmp) == (8, None, xmp.replace(b"8", b"1"))


def test_xmp_without_a_sound_orientation_stays():
    for xmp in (b'<a tiff:Orientation="12"/>', b'<a b="6"/>', b'<a tiff:Orientation="1"/>'):
        assert make_upright(None, xmp) == (1, None, xmp)
