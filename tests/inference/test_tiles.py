import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyir.errors import UsageError
from anyir.inference.tiles import AUTO_TILE, plan_tiles, plan_whole, restore_bands


def copy_tile(tile, *_place):
    return np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32)


def assemble(image, plan, restore, progress=None):
    """All bands put together, each checked to begin where the last one ended."""
    bands, next_row = [], 0
    for rows, band in restore_bands(image, plan, restore, progress):
        assert rows.start == next_row
        assert band.shape == (image.shape[2], rows.stop - rows.start, image.shape[1])
        bands.append(band.transpose(1, 2, 0).copy())
        next_row = rows.stop
    assert next_row == image.shape[0]
    return np.concatenate(bands)


@settings(deadline=None, max_examples=300)
@given(
    length=st.integers(1, 3000),
    tile=st.integers(8, 80).map(lambda cells: 8 * cells),
    overlap=st.sampled_from([0, 8, 16, 32]),
)
def test_tiles_cover_an_axis_and_their_weights_sum_to_one(length, tile, overlap):
    axis = plan_tiles(length, 1, tile, overlap).rows
    assert axis.size % 8 == 0 and axis.size <= tile
    assert length <= axis.padded and axis.padded % 8 == 0
    assert axis.starts[0] == 0 and axis.starts[-1] + axis.size == axis.padded
    assert all(start % 8 == 0 for start in axis.starts)
    steps = np.diff(axis.starts)
    assert np.all(steps > 0) and np.all(axis.size - steps >= overlap)

    total = np.zeros(axis.padded)
    for index, start in enumerate(axis.starts):
        weights = axis.weights(index)
        assert weights.dtype == np.float32 and weights.min() >= 0
        total[start : start + axis.size] += weights
        # The outer quarter of the overlap is discarded, but not at the picture's own borders.
        if index > 0:
            assert np.all(weights[: overlap // 4] == 0)
        if index + 1 < len(axis.starts):
            assert np.all(weights[axis.size - overlap // 4 :] == 0)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_tiles_are_as_few_and_then_as_small_as_possible():
    plan = plan_tiles(513, 769, 512, 32)
    assert (plan.rows.padded, plan.rows.size, plan.rows.starts) == (520, 280, (0, 240))
    assert (plan.columns.padded, plan.columns.size, plan.columns.starts) == (776, 408, (0, 368))
    assert plan.count == 4


def test_the_weights_are_a_raised_cosine_over_half_the_overlap():
    axis = plan_tiles(96, 1, 64, 32).rows
    assert axis.starts == (0, 32) and axis.size == 64
    second = axis.weights(1)
    expected = np.sin(np.pi / 2 * (np.arange(16) + 0.5) / 16) ** 2
    np.testing.assert_allclose(second[8:24], expected, atol=1e-6)
    assert np.all(second[24:] == 1)


@pytest.mark.parametrize("length", [2, 3, 5, 9, 15, 17, 100])
def test_padding_reflects_without_repeating_the_border(length):
    axis = plan_tiles(length, 1).rows
    expected = np.pad(np.arange(length), (0, axis.padded - length), "reflect")
    np.testing.assert_array_equal(axis.source(0), expected)


def test_a_single_pixel_is_repeated():
    plan = plan_tiles(1, 1)
    assert (plan.rows.padded, plan.columns.padded, plan.count) == (16, 16, 1)
    assert not plan.rows.source(0).any()


@pytest.mark.parametrize(
    ("height", "width", "whole"),
    [(640, 640, True), (633, 633, True), (641, 640, False), (1, 5000, True), (3000, 4000, False)],
)
def test_auto_takes_small_pictures_whole(height, width, whole):
    plan = plan_tiles(height, width)
    assert (plan.count == 1) is whole
    if not whole:
        assert max(plan.rows.size, plan.columns.size) <= AUTO_TILE


@pytest.mark.parametrize("tile", [0, -8, 56, 100, 512.0, True, "big", None])
def test_an_impossible_tile_is_refused(tile):
    with pytest.raises(UsageError, match="must be 'auto' or a multiple of 8 of at least 64"):
        plan_tiles(100, 100, tile)


@pytest.mark.parametrize("overlap", [-8, 4, 40])
def test_an_impossible_overlap_is_refused(overlap):
    with pytest.raises(UsageError, match=f"overlap = {overlap}"):
        plan_tiles(100, 100, 64, overlap)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (7, 9), (8, 8), (16, 17), (1, 300), (300, 1), (97, 203), (136, 64)]
)
def test_untouched_tiles_give_the_picture_back(height, width, noise):
    image = noise((height, width, 3), np.float32)
    result = assemble(image, plan_tiles(height, width, 64, 32), copy_tile)
    np.testing.assert_allclose(result, image, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(645, 1031), pytest.param(4097, 4099, marks=pytest.mark.slow)])
def test_untouched_tiles_give_a_large_picture_back(height, width, noise):
    """Tiles as they are by default; compared band by band, as the larger one is 200 MB."""
    image = noise((height, width, 3), np.float32)
    plan = plan_tiles(height, width)
    assert plan.count > 1
    next_row = 0
    for rows, band in restore_bands(image, plan, copy_tile):
        assert rows.start == next_row
        np.testing.assert_allclose(band, image[rows].transpose(2, 0, 1), rtol=0, atol=1e-6)
        next_row = rows.stop
    assert next_row == height


def test_a_whole_picture_is_one_tile_whatever_its_size():
    plan = plan_whole(3001, 5)
    assert plan.count == 1
    assert (plan.rows.size, plan.columns.size, plan.tile_area) == (3008, 16, 3008 * 16)


def test_all_tiles_have_one_shape_and_progress_counts_them(noise):
    image, shapes, calls = noise((200, 333, 3)), [], []

    def restore(tile, rows, columns):
        shapes.append(tile.shape)
        np.testing.assert_array_equal(image[rows[:, None], columns], tile)
        return copy_tile(tile)

    plan = plan_tiles(200, 333, 128, 32)
    assemble(image, plan, restore, lambda done, total: calls.append((done, total)))
    assert set(shapes) == {(plan.rows.size, plan.columns.size, 3)}
    assert calls == [(i + 1, plan.count) for i in range(plan.count)]
    assert plan.count == 2 * 4


def test_tiles_that_disagree_leave_no_seam():
    """Each tile answers with a level of its own; a hard seam would show as a step of the full difference."""
    plan = plan_tiles(160, 160, 64, 32)
    assert plan.count == 16
    levels = iter([(row + column) % 2 for row in range(4) for column in range(4)])
    result = assemble(
        np.zeros((160, 160, 1)),
        plan,
        lambda tile, *_place: np.full((1, *tile.shape[:2]), next(levels), np.float32),
    )
    assert result.max() == pytest.approx(1, abs=1e-6) and result.min() == pytest.approx(0, abs=1e-6)
    steepest = np.pi / 2 / 16  # of a raised cosine over 16 pixels
    for axis in (0, 1):
        assert np.abs(np.diff(result, axis=axis)).max() <= steepest
