"""The guard, with engines that know whether they see a tile or the overview, as real ones do not."""

import itertools

import numpy as np
import pytest

from anyir.inference.guard import MAX_AREA, MIN_AREA, Limits, reduced
from anyir.inference.restorer import Restorer
from anyir.inference.tiles import plan_tiles
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


TILED = (600, 900)
"""A picture of six tiles of up to 384 pixels, an overview of a third and quarters of half the sides."""
OVERVIEW, QUARTER = 304, 248
"""Widths that its engines are given, beside those of tiles."""


@pytest.fixture
def readings(function_engine):
    """readings(tile, overview, quarter) → an engine that applies one of these functions of the batch to each."""

    def make(tile, overview, quarter):
        kinds = {OVERVIEW: overview, QUARTER: quarter}
        return function_engine(lambda batch: np.float32(kinds.get(batch.shape[-1], tile)(batch)))

    return make


def every_other(first, second):
    """A function that is one of two, in turns: with three tiles a row, no two neighbours get the same."""
    turns = itertools.cycle((first, second))
    return lambda batch: next(turns)(batch)


def nothing(batch):
    return batch


def darker(batch):
    return batch - 0.3


def less_of_both(batch):
    """As haze is taken away: darker, and with more contrast."""
    return (batch - 0.4) * 1.6


@pytest.fixture
def waves():
    """Waves of 20 to 30 pixels, which the overview sees, in a picture of several tiles; float32 in [0.5, 0.7]."""
    y, x = np.indices(TILED)
    grey = 0.6 + 0.05 * np.sin(x / 4) + 0.05 * np.sin(y / 5)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def test_where_quarters_confirm_the_overview_tiles_that_saw_nothing_follow_it(readings):
    image = np.full((*TILED, 3), 0.6, np.float32)
    tile = every_other(darker, nothing)
    unguarded = Restorer(engine=readings(tile, darker, darker), tile=384, guard=False)(image)
    assert np.ptp(unguarded) == pytest.approx(0.3, abs=1e-5), "the tiles do differ"
    result = Restorer(engine=readings(tile, darker, darker), tile=384)(image)
    np.testing.assert_allclose(result, image - 0.3, atol=2e-6)


def test_contrast_follows_too(readings, waves):
    """At less contrast, tiles that saw nothing would show beside the others even with the right brightness."""
    engine = readings(every_other(less_of_both, nothing), less_of_both, less_of_both)
    result = Restorer(engine=engine, tile=384)(waves)
    wanted = less_of_both(waves)
    assert np.abs(wanted - waves).max() > 0.2
    assert np.abs(result - wanted).mean() < 0.005
    inside = (slice(40, 260), slice(340, 560))  # of the second tile, which saw nothing
    assert result[inside].std() == pytest.approx(wanted[inside].std(), rel=0.1)


def test_a_texture_that_overview_and_quarters_smooth_stays_where_tiles_follow(readings, waves):
    """As they smooth noise away, and do not see that the tile has kept a texture."""

    def smoothed(batch):
        return np.full_like(batch, 0.6) - 0.3

    result = Restorer(engine=readings(nothing, smoothed, smoothed), tile=384)(waves)
    assert result.mean() == pytest.approx(0.3, abs=0.01)
    inside = (slice(60, 540), slice(60, 840))
    fine = (result - wider(result))[inside], (waves - wider(waves))[inside]
    assert fine[0].std() > 0.75 * fine[1].std()  # what the overview can see of it is lost


def wider(image):
    """Means over squares of 9 pixels."""
    for axis in (0, 1):
        image = sum(np.roll(image, shift, axis) for shift in range(-4, 5)) / 9
    return image


def test_what_is_corrected_is_what_will_be_seen(readings):
    """A tile far below black is black, and is raised from there."""
    image = np.full((*TILED, 3), 0.6, np.float32)
    result = Restorer(engine=readings(lambda batch: batch - 1.6, darker, darker), tile=384)(image)
    np.testing.assert_allclose(result, 0.3, atol=1e-5)


@pytest.mark.parametrize(
    ("quarter", "apart", "corrected"),
    [
        (nothing, 0.019, 0),
        (nothing, 0.035, 0.5),
        (nothing, 0.051, 1),
        (darker, 0.009, 0),
        (darker, 0.0175, 0.5),
        (darker, 0.026, 1),
    ],
)
def test_in_tiles_less_is_in_doubt_and_less_still_where_the_overview_is_followed(
    quarter, apart, corrected, readings
):
    """The tile darkens by more than the overview, whose change is the weaker."""
    image = np.full((*TILED, 3), 0.6, np.float32)
    engine = readings(lambda batch: batch - 0.3 - apart, darker, quarter)
    result = Restorer(engine=engine, tile=384)(image) - image
    np.testing.assert_allclose(result, -0.3 - apart * (1 - corrected), atol=1e-4)


def test_limits_without_doubt_divide_nothing_by_nothing(identity):
    image = np.full((*TILED, 3), 0.6, np.float32)
    result = Restorer(engine=identity, tile=384, guard=Limits(0, 0.1))(image)
    np.testing.assert_allclose(result, image, atol=1e-6)


def test_detail_of_tiles_that_follow_is_their_own(readings):
    image = np.full((*TILED, 3), 0.6, np.float32)

    def detailed(batch):
        return batch + np.indices(batch.shape)[2:].sum(axis=0) % 2 * 0.02 - 0.01

    result = Restorer(engine=readings(detailed, darker, darker), tile=384)(image)
    np.testing.assert_allclose(np.abs(result - 0.3), 0.01, atol=2e-4)


@pytest.mark.parametrize(
    ("confirmed", "followed"), [(0.5, 0), (0.7, 0), (0.75, 0.5), (0.8, 1), (1, 1), (3, 1)]
)
def test_an_overview_is_followed_as_far_as_quarters_confirm_it(confirmed, followed, readings):
    image = np.full((*TILED, 3), 0.6, np.float32)
    engine = readings(nothing, darker, lambda batch: batch - 0.3 * confirmed)
    result = Restorer(engine=engine, tile=384)(image) - image
    np.testing.assert_allclose(result, -0.3 * followed, atol=1e-4)


def test_limits_say_when_an_overview_is_followed(readings):
    image = np.full((*TILED, 3), 0.6, np.float32)
    for limits, followed in (
        (Limits(unconfirmed=1, confirmed=2), 0),
        (Limits(unconfirmed=-1, confirmed=0), 1),
    ):
        for quarter in (darker, nothing):
            restorer = Restorer(engine=readings(nothing, darker, quarter), tile=384, guard=limits)
            np.testing.assert_allclose(restorer(image) - image, -0.3 * followed, atol=1e-5)


def test_quarters_that_change_tones_the_other_way_confirm_nothing(readings):
    image = np.full((*TILED, 3), 0.6, np.float32)
    engine = readings(nothing, darker, lambda batch: batch + 0.3)
    np.testing.assert_allclose(Restorer(engine=engine, tile=384)(image), image, atol=1e-6)


def test_an_overview_that_is_confirmed_is_followed_in_colour(readings):
    image = np.full((*TILED, 3), 0.6, np.float32)
    shift = np.array([-0.3, 0.1, -0.1], np.float32)[:, None, None]
    engine = readings(nothing, lambda batch: batch + shift, lambda batch: batch + shift)
    result = Restorer(engine=engine, tile=384)(image) - image
    np.testing.assert_allclose(result, np.broadcast_to(shift[:, 0, 0], result.shape), atol=2e-6)


def test_quarters_are_read_only_where_there_is_something_to_confirm(readings, two_readings, grey_picture):
    image = np.full((*TILED, 3), 0.6, np.float32)
    for overview, read in ((lambda batch: batch - 0.039, 0), (lambda batch: batch - 0.041, 4)):
        engine = readings(nothing, overview, nothing)
        Restorer(engine=engine, tile=384)(image)
        assert sum(shape[-1] == QUARTER for shape in engine.shapes) == read
    engine = two_readings(0, 0.3)  # one tile: it and the overview see the same
    Restorer(engine=engine)(grey_picture)
    assert len(engine.shapes) == 2


@pytest.mark.parametrize(
    ("down", "across"), [(866, 1155), (2309, 1732), (600, 5000), (70, 9000), (3000, 4000)]
)
def test_quarters_cost_at_most_a_third_of_the_picture_and_little_of_a_large_one(
    down, across, function_engine
):
    engine = function_engine(lambda batch: batch * np.float32(0.5))
    Restorer(engine=engine)(np.full((down, across, 3), 200, np.uint8))
    pixels = [height * width for _, _, height, width in engine.shapes]
    tiles = plan_tiles(down, across).count
    quarters = pixels[1:-tiles]
    assert 2 <= len(quarters) <= 4
    assert sum(quarters) < min(down * across / 3, 6 * MAX_AREA)


def test_a_hazy_street_shows_no_tiles(data_dir):
    """Of its twelve tiles five see the haze and seven do not."""
    street = read_image(data_dir / "test" / "real" / "haze-504.jpeg")
    plan = plan_tiles(*street.shape[:2])
    largest = {}
    for guard in (False, True):
        restored = Restorer(device="cpu", guard=guard)(street)
        ratios = [
            *_at_borders(plan.rows, street, restored),
            *_at_borders(plan.columns, *_turned(street, restored)),
        ]
        assert len(ratios) == 5
        largest[guard] = max(ratios)
    assert largest[False] > 5 and largest[True] < 1.7
    assert np.abs(restored.astype(float) - street).mean() > 30, "haze is taken away"


def _at_borders(axis, degraded, restored):
    """How much more a picture's steps have grown where its tiles meet than they have around: ratios, one a border."""
    growth = _steps(restored) / _steps(degraded)
    ends = [start + axis.size for start in axis.starts]
    middles = [(start + end) // 2 - 16 for start, end in zip(axis.starts[1:], ends, strict=False)]
    return [growth[middle] / np.median(growth[middle - 60 : middle + 61]) for middle in middles]


def _turned(*images):
    return (image.transpose(1, 0, 2) for image in images)


def _steps(image):
    """(H, W, 3) → mean absolute difference of grey means over 8 rows each, 24 rows apart, by the upper one's first."""
    image = image.mean(axis=2)
    sums = np.vstack([np.zeros(image.shape[1]), np.cumsum(image, axis=0, dtype=np.float64)])
    means = (sums[8:] - sums[:-8]) / 8
    return np.abs(means[24:] - means[:-24]).mean(axis=1)


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
