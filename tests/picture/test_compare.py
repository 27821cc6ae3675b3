from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from anyir.errors import ShapeMismatch, UsageError
from anyir.picture import Metadata, Picture, compare_pictures, encode
from anyir.picture.compare import SURFACE
from anyir.picture.difference import difference, eight_bits


def places(panel, whole):
    """(top, left) of every place in ``whole`` where ``panel`` is, pixel by pixel."""
    height, width = panel.shape[:2]
    corners = np.argwhere((whole[: len(whole) - height + 1] == panel[0, 0]).all(axis=2))
    return [
        (top, left)
        for top, left in corners.tolist()
        if np.array_equal(whole[top : top + height, left : left + width], panel)
    ]


@pytest.fixture
def pair(rng):
    """pair(height, width, dtype) → two pictures of noise."""

    def make(height, width, dtype=np.uint8, **options):
        top = np.iinfo(dtype).max + 1
        return [Picture(rng.integers(0, top, (height, width, 3), dtype), **options) for _ in range(2)]

    return make


@pytest.fixture
def words(monkeypatch):
    """The lines that are written into pictures."""
    lines = []
    draw_text = ImageDraw.ImageDraw.text

    def text(self, place, line, **options):
        lines.append(line)
        draw_text(self, place, line, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return lines


@pytest.mark.parametrize(
    ("height", "width", "stacked"),
    [(30, 40, False), (90, 159, False), (90, 160, True), (5, 900, True), (400, 3, False), (300, 240, False)],
)
def test_panels_are_the_pictures_pixel_for_pixel_in_order(pair, height, width, stacked):
    before, after = pair(height, width)
    compared = compare_pictures(before, after)
    panels = (before.pixels, after.pixels, difference(before, after).pixels)
    found = [places(panel, compared.pixels) for panel in panels]
    assert [len(each) for each in found] == [1, 1, 1]
    (first,), (second,), (third,) = found
    along, across = (0, 1) if stacked else (1, 0)
    extent = (height, width)[along]
    assert first[along] + extent < second[along] and second[along] + extent < third[along]
    assert first[across] == second[across] == third[across]


def test_sixteen_bits_and_transparency_are_shown_as_said(pair, words, rng):
    before, after = pair(20, 30, np.uint16, alpha=rng.integers(0, 65536, (20, 30), np.uint16))
    compared = compare_pictures(before, after)
    assert compared.alpha is None and compared.depth == 8
    for picture in (before, after):
        assert len(places(eight_bits(picture), compared.pixels)) == 1
    assert words.count("16 bits, shown at 8") == words.count("transparent parts over mid grey") == 2


def test_the_legend_says_what_is_shown_and_what_is_clipped(words):
    before = np.full((10, 300, 3), 100, np.uint8)
    after = before.copy()
    after[0, :150] = (108, 100, 100)
    after[0, 150:, 1] = 60
    compare_pictures(Picture(before), Picture(after), amplify=8)
    assert words == [
        "before",
        "after",
        "difference x8",
        "mean change 0.8, largest 40 of 255",
        "mid grey: no change; lighter: brighter after",
        "full scale: ±15.9; 5.0% of pixels clipped",
    ]


def test_the_legend_speaks_of_no_clipping_where_there_is_none_and_of_a_little_where_there_is(words):
    before = Picture(np.zeros((40, 50, 3), np.uint8))
    compare_pictures(before, before)
    assert words[-1] == "full scale: ±31.8"
    after = before.pixels.copy()
    after[3, 4] = 200
    compare_pictures(before, Picture(after))
    assert " ".join(words).endswith("full scale: ±31.8; under 0.1% of pixels clipped")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2000, 1), (100, 75)])
def test_a_legend_is_whole_however_small_the_panel(pair, words, height, width):
    compared = compare_pictures(*pair(height, width))
    legends = compared.pixels[: compared.height - height - 7]
    assert words[:2] == ["before", "after"]
    assert " ".join(words[2:]).startswith("difference x4 mean change")
    assert (legends[:, 501:] > SURFACE).any()  # the third, which is the widest, is there
    assert np.all(legends[:, -8:] == SURFACE) and np.all(legends[-3:] == SURFACE)
    for left in (0, 247, 494):
        assert np.all(legends[:, left : left + 7] == SURFACE), "nothing runs into the gaps"


def test_type_grows_with_the_picture():
    heights = []
    for width in (400, 4000):
        picture = Picture(np.zeros((8, width, 3), np.uint8))
        compared = compare_pictures(picture, picture)
        heights.append(compared.height - 3 * 8)
    assert 2.5 * heights[0] < heights[1] < 4 * heights[0]  # 14 pixels and 50


def test_the_layout_fits_what_the_format_can_hold(pair, monkeypatch):
    before, after = pair(9, 12)
    monkeypatch.setattr("anyir.picture.compare.MAX_SIDE", {"webp": 500, "jpeg": 100})
    sizes = {
        format: (made.width, made.height)
        for format in ("png", "webp", "jpeg")
        if (made := compare_pictures(before, after, format=format)).format == format
    }
    assert sizes["png"][0] > 500 > max(sizes["webp"])
    assert sizes["jpeg"] == sizes["png"], "neither layout fits: the encoder says so"


def test_panels_that_no_layout_holds_are_reduced_and_the_legend_says_so(pair, words, monkeypatch):
    """A row is of 3 × 500 pixels, and a pile of 3 × 400; halves, in a row of 3 × 250, fit, and larger ones do not."""
    monkeypatch.setattr("anyir.picture.compare.MAX_SIDE", {"webp": 900})
    before, after = pair(400, 500)
    compared = compare_pictures(before, after, format="webp")
    assert 3 * 250 < compared.width <= 900
    for picture in (before, after, Picture(difference(before, after).pixels)):
        squares = picture.pixels.reshape(200, 2, 250, 2, 3).mean(axis=(1, 3))
        (height, width), found = squares.shape[:2], compared.pixels[-207:-7].astype(float)
        gaps = [
            np.abs(found[:, left : left + width] - squares).max() for left in range(compared.width - width)
        ]
        assert height == 200 and min(gaps) <= 0.5, "the means, rounded"
    assert " ".join(words[-12:]).count("reduced to 1/2 for the file format") == 3


def test_the_result_is_grey_only_if_both_are():
    grey = Picture(np.full((9, 9, 3), 50, np.uint8), grey=True, metadata=Metadata(icc=b"grey"))
    colour = Picture(np.full((9, 9, 3), 70, np.uint8), metadata=Metadata(icc=b"colour"))
    both = compare_pictures(grey, grey)
    assert both.grey
    assert np.all(both.pixels == both.pixels[..., :1])
    for before, after in ((grey, colour), (colour, grey)):
        mixed = compare_pictures(before, after)
        assert not mixed.grey
        assert mixed.metadata.icc == b"colour", "a grey profile fits no colours"


def test_another_profile_is_mentioned(words):
    pixels = np.zeros((9, 300, 3), np.uint8)
    one, other = (Picture(pixels, metadata=Metadata(icc=icc)) for icc in (b"one", None))
    compare_pictures(one, one)
    assert not any("profile" in line for line in words)
    assert compare_pictures(one, other).metadata.icc == b"one"
    assert "its colours are shown by the profile of the other" in words


def test_a_jpeg_is_written_finely_whatever_the_photograph_had(pair):
    metadata = Metadata(jpeg_tables=((99,) * 64,) * 2, jpeg_subsampling=2, dpi=(300, 300))
    compared = compare_pictures(*pair(30, 30, format="jpeg", metadata=metadata))
    assert compared.metadata.dpi == (300, 300)
    with Image.open(io.BytesIO(encode(compared))) as image:
        assert max(image.quantization[0]) < 20
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_what_cannot_be_compared_is_refused(pair):
    before, after = pair(3, 4)[0], pair(4, 3)[1]
    with pytest.raises(ShapeMismatch, match="not 4x3 and 3x4 pixels"):
        compare_pictures(before, after)
    with pytest.raises(UsageError, match="amplify = 0"):
        compare_pictures(before, before, amplify=0)
