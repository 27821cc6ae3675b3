"""The guard, with engines that know whether they see a tile or the overview, as real ones do not."""

import numpy as np
import pytest

from anyir.inference.guard import MAX_AREA, MIN_AREA, Limits, reduced
from anyir.inference.restorer import Restorer
from anyir.picture import read_image

HEIGHT, WIDTH = 320, 480
"""A picture that is one tile; its overview has half the sides."""


@pytest.fixture
def grey_picture():
    """Smooth, and far enough from black and white for every change made here."""
    ramp = np.linspace(0.4, 0.6, WIDTH, dtype=np.float32)
    return np.broadcast_to(ramp[:, None], (HEIGHT, WIDTH, 3)).copy()


@pytest.fixture
def two_readings(function_engine):
    """two_readings(tile, overview) → an engine that adds one or the other."""

    def make(tile, overview):
        def run(batch):
            return batch + np.float32(overview if batch.shape[-1] == WIDTH // 2 else tile)

        return function_engine(run)

    return make


def change(engine, image, **options):
    return Restorer(engine=engine)(image, **options) - image


def test_readings_that_agree_change_not_a_bit(two_readings, grey_picture):
    engine = two_readings(0.2, 0.2)
    guarded = Restorer(engine=engine)(grey_picture)
    assert guarded.tobytes() == Restorer(engine=engine, guard=False)(grey_picture).tobytes()


@pytest.mark.parametrize(
    ("tile", "overview", "made"),
    [
        (-0.30, 0.00, 0.00),  # seen by the tile alone
        (-0.30, -0.10, -0.10),  # more than the overview grants
        (-0.10, -0.30, -0.10),  # less than it would do: the tile's stands
        (0.30, 0.10, 0.10),
        (0.20, -0.20, 0.00),  # opposite directions
        (-0.23, -0.20, -0.23),  # a difference below DOUBT is none
        (-0.27, -0.20, -0.235),  # half-way from DOUBT to DISBELIEF: half-way from one to the other
    ],
)
def test_the_weaker_of_two_readings_counts(tile, overview, made, two_readings, grey_picture):
    np.testing.assert_allclose(change(two_readings(tile, overview), grey_picture), made, atol=2e-6)


def test_colours_are_held_back_each_by_itself(two_readings, grey_picture):
    tile, overview = (np.array(each)[:, None, None] for each in ([-0.3, -0.3, -0.1], [-0.1, 0.1, -0.2]))
    result = change(two_readings(tile, overview), grey_picture)
    np.testing.assert_allclose(result, np.broadcast_to([-0.1, 0, -0.1], result.shape), atol=2e-6)


def test_detail_is_the_tiles_alone(function_engine, grey_picture):
    """What is held back is the darkening, not the edges that come with it."""
    detail = np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2 * np.float32(0.1) - np.float32(0.05)

    def run(batch):
        return batch if batch.shape[-1] == WIDTH // 2 else batch + detail - np.float32(0.3)

    result = change(function_engine(run), grey_picture)
    np.testing.assert_allclose(result, detail[..., None] * np.ones(3), atol=2e-6)


def test_only_the_place_in_doubt_is_touched(function_engine, grey_picture):
    def run(batch):
        darkened = batch - np.float32(0.2)
        if batch.shape[-1] == WIDTH:
            darkened[..., WIDTH // 2 :] -= np.float32(0.2)
        return darkened

    shares = []
    result = change(function_engine(run), grey_picture, on_guard=shares.append)
    np.testing.assert_allclose(result[:, : WIDTH // 2 - 32], -0.2, atol=2e-6)
    np.testing.assert_allclose(result[:, WIDTH // 2 + 32 :], -0.2, atol=2e-6)
    assert shares == pytest.approx([0.5], abs=0.04)  # half the picture, to a place


def test_a_tile_that_errs_leaves_no_seam(function_engine):
    """One of the six tiles of this picture takes its bright corner for haze."""
    image = np.full((600, 900, 3), 0.5, np.float32)
    image[:300, :300] = 0.7

    def run(batch):
        return batch - np.float32(0.3 if batch.shape[-1] > 304 and batch.mean() > 0.6 else 0)

    engine = function_engine(run)
    unguarded = Restorer(engine=engine, tile=384, guard=False)(image) - image
    assert np.abs(unguarded).max() == pytest.approx(0.3, abs=1e-6)
    np.testing.assert_allclose(Restorer(engine=engine, tile=384)(image), image, atol=1e-6)


@pytest.mark.parametrize(
    ("guard", "limits"),
    [
        (True, Limits()),
        (1, Limits()),
        (Limits(0.01, 0.02), Limits(0.01, 0.02)),
        (False, None),
        (0, None),
        (np.False_, None),
    ],
)
def test_a_restorer_says_which_guard_it_has(guard, limits, function_engine):
    restorer = Restorer(engine=function_engine(lambda batch: batch), guard=guard)
    assert (restorer.guard, restorer.limits) == (limits is not None, limits)


def test_how_much_was_held_back_is_told(two_readings, function_engine, grey_picture):
    shares = []
    for engine in (two_readings(0.1, 0.1), two_readings(0.27, 0.2), two_readings(0.3, 0)):
        Restorer(engine=engine)(grey_picture, on_guard=shares.append)
    assert shares == pytest.approx([0, 0.5, 1], abs=1e-4)
    never = pytest.fail
    Restorer(engine=two_readings(0.3, 0), guard=False)(grey_picture, on_guard=never)
    Restorer(engine=two_readings(0.3, 0))(grey_picture, strength=0, on_guard=never)
    small = np.zeros((63, 1000, 3), np.float32)
    Restorer(engine=function_engine(lambda batch: batch))(small, on_guard=never)


@pytest.mark.parametrize("tile", [64, 256, 512, "auto"])
@pytest.mark.parametrize(("down", "across"), [(866, 1155), (1500, 2100), (3000, 4000)])
def test_the_overview_is_no_larger_than_a_tile_and_of_one_size_for_all_large_pictures(
    down, across, tile, identity
):
    Restorer(engine=identity, tile=tile)(np.zeros((down, across, 3), np.uint8))
    (_, _, height, width), *tiles = identity.shapes
    most = max(MIN_AREA, min(tiles[0][2] * tiles[0][3], MAX_AREA))
    assert height / width == pytest.approx(down / across, rel=0.05)
    assert 0.5 * most < height * width < 1.05 * most
    assert set(tiles) == {tiles[0]}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float64])
def test_an_overview_is_the_mean_of_squares_with_rests_at_the_end(kind, noise):
    image = noise((7, 8, 3), kind)
    result = reduced(image, 3)
    assert result.shape == (3, 3, 3) and result.dtype == np.float32
    for row in range(3):
        for column in range(3):
            square = image[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            np.testing.assert_allclose(result[row, column], square.mean(axis=(0, 1)), rtol=1e-5)


def test_a_blurred_street_keeps_its_tones(data_dir):
    """A sharp-eyed tile takes a pale awning for haze: on this frame the first weights lost 8 dB."""
    name = "GOPR0374_11_00-802-avg10.webp"
    blurred, sharp = (
        read_image(data_dir / "test" / "blur_partial" / kind / name).astype(np.float32) / 255
        for kind in ("blurred", "sharp")
    )

    def psnr(image):
        return -10 * np.log10(np.mean((image - sharp) ** 2))

    assert psnr(Restorer(device="cpu")(blurred)) > psnr(blurred) - 1
