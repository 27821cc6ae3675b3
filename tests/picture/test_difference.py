import tracemalloc

import numpy as np
import pytest

from anyir.errors import ShapeMismatch, UsageError
from anyir.picture import Picture
from anyir.picture.difference import difference, eight_bits


def picture(*colours, dtype=np.uint8, alpha=None):
    """One row of pixels."""
    opacity = None if alpha is None else np.array([alpha], dtype)
    return Picture(np.array([colours], dtype), opacity)


def test_a_difference_is_signed_and_of_each_channel():
    made = difference(picture((100, 100, 100)), picture((110, 90, 100)), 4)
    assert made.pixels.tolist() == [[[168, 88, 128]]]
    assert (made.mean, made.largest, made.clipped) == (pytest.approx(20 / 3), 10, 0)


def test_equal_pictures_are_mid_grey():
    made = difference(picture((0, 128, 255)), picture((0, 128, 255)))
    assert made.pixels.tolist() == [[[128, 128, 128]]]
    assert (made.mean, made.largest, made.clipped) == (0, 0, 0)


def test_what_is_clipped_is_counted_by_the_pixel():
    """127 / 4 is 31.75: a change of 31 can be shown, one of 32 cannot."""
    before = picture((100, 100, 100), (100, 100, 100), (100, 100, 100), (100, 100, 100))
    after = picture((131, 69, 100), (132, 68, 250), (100, 100, 68), (100, 100, 100))
    made = difference(before, after, 4)
    assert made.pixels.tolist() == [[[252, 4, 128], [255, 1, 255], [128, 128, 1], [128, 128, 128]]]
    assert made.clipped == 0.5
    assert made.largest == 150
    assert made.reach == 31.75


def test_a_small_amplification_shows_any_change():
    made = difference(picture((0, 0, 0)), picture((255, 0, 254)), 127 / 255)
    assert made.pixels.tolist() == [[[255, 128, 255]]]  # 254 is 0.5 grey levels of the panel from 255
    assert made.clipped == 0


def test_sixteen_bits_are_compared_in_full():
    before, after = (picture((value, 0, 0), dtype=np.uint16) for value in (30_000, 30_100))
    made = difference(before, after, 100)
    assert made.pixels[0, 0, 0] == 128 + 39  # 100 / 257 of a grey level
    assert made.largest == pytest.approx(100 / 257, rel=1e-4)


def test_two_depths_of_one_picture_are_equal(rng):
    pixels = rng.integers(0, 256, (9, 12, 3), np.uint8)
    made = difference(Picture(pixels), Picture(pixels.astype(np.uint16) * 257))
    assert np.all(made.pixels == 128)
    assert made.largest == pytest.approx(0, abs=1e-4)


def test_what_is_transparent_is_no_difference_unless_transparency_is():
    before = picture((0, 0, 0), (50, 50, 50), (0, 0, 0), alpha=[0, 255, 0])
    after = picture((255, 255, 255), (60, 50, 50), (138, 128, 128), alpha=[0, 255, 255])
    assert difference(before, after, 2).pixels.tolist() == [
        [[128, 128, 128], [148, 128, 128], [148, 128, 128]]
    ]


def test_an_opaque_picture_of_eight_bits_is_shown_as_it_is(rng):
    shown = Picture(rng.integers(0, 256, (5, 6, 3), np.uint8))
    assert eight_bits(shown) is shown.pixels


def test_sixteen_bits_are_shown_rounded_to_eight():
    values = picture((0, 128, 129), (65535, 65535 - 128, 65535 - 129), dtype=np.uint16)
    assert eight_bits(values).tolist() == [[[0, 0, 1], [255, 255, 254]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_parts_are_shown_over_mid_grey(dtype):
    full = np.iinfo(dtype).max
    shown = eight_bits(
        picture((full, 0, 0), (full, 0, 0), (full, 0, 0), dtype=dtype, alpha=[0, full, full // 5])
    )
    expected = [[128, 128, 128], [255, 0, 0], [153, 102, 102]]
    np.testing.assert_allclose(shown[0], expected, atol=1)
    assert shown[0, :2].tolist() == expected[:2]


def test_a_large_picture_is_compared_in_bands_to_its_last_row(rng):
    before, after = (rng.integers(0, 256, (701, 800, 3), np.uint8) for _ in range(2))
    made = difference(Picture(before), Picture(after), 1)
    change = after.astype(int) - before
    np.testing.assert_array_equal(made.pixels, 128 + change.clip(-127, 127))
    assert made.mean == pytest.approx(np.abs(change).mean())
    assert made.clipped == pytest.approx((np.abs(change) > 127).any(axis=2).mean())


def test_no_copy_as_float_is_made():
    before, after = (Picture(np.zeros((3000, 1500, 3), np.uint16)) for _ in range(2))
    tracemalloc.start()
    try:
        difference(before, after)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20  # 13 MiB are the result's; one copy as float32 would be 52


def test_two_sizes_are_refused():
    with pytest.raises(ShapeMismatch, match=r"not 2x1 and 1x1 pixels; bring them to one size first"):
        difference(picture((0, 0, 0), (0, 0, 0)), picture((0, 0, 0)))


@pytest.mark.parametrize("amplify", [0, -1, 127.5, float("nan"), float("inf")])
def test_an_impossible_amplification_is_refused(amplify):
    with pytest.raises(UsageError, match=r"amplify = .*: must be above 0 and at most 127"):
        difference(picture((0, 0, 0)), picture((0, 0, 0)), amplify)
