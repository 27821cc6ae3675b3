import hashlib
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from anyir.errors import EngineUnavailable, ShapeMismatch, UsageError, WeightsNotFound
from anyir.inference import Restorer
from anyir.picture import Metadata, Picture, read, write


@pytest.fixture
def never(function_engine):
    def fail(batch):
        raise AssertionError("the network was run")

    return function_engine(fail)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("tile", ["auto", 64, 256])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (15, 16), (513, 769), (1, 5000), (700, 3)])
def test_an_identity_gives_any_size_back(size, tile, guard, identity, noise):
    restorer = Restorer(engine=identity, tile=tile, guard=guard)
    image = noise((*size, 3), np.float32)
    result = restorer(image)
    assert result.dtype == np.float32 and result.shape == image.shape
    np.testing.assert_allclose(result, image, atol=1e-6)
    for _, channels, height, width in identity.shapes:
        assert channels == 3 and height % 8 == 0 and width % 8 == 0 and min(height, width) >= 16
        assert tile == "auto" or max(height, width) <= tile or (guard and height * width <= 256 * 256 * 1.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.dtype(">u2")])
@pytest.mark.parametrize("shape", [(70, 131, 3), (70, 131)])
def test_integer_images_keep_type_shape_and_every_value(dtype, shape, identity, noise):
    image = noise(shape, np.dtype(dtype).newbyteorder("=")).astype(dtype)
    before = image.copy()
    result = Restorer(engine=identity, tile=64)(image)
    assert result.dtype == np.dtype(dtype).newbyteorder("=") and result.shape == image.shape
    np.testing.assert_array_equal(result, before)
    np.testing.assert_array_equal(image, before)  # the caller's array is not touched


def test_every_16_bit_value_survives(identity):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(Restorer(engine=identity, tile=64)(values), values)


def test_integers_are_rounded_to_nearest_and_clipped(function_engine):
    image = np.full((20, 20, 3), 100, np.uint8)

    def shifted(by):
        engine = function_engine(lambda batch: batch + np.float32(by / 255))
        return int(Restorer(engine=engine)(image)[10, 10, 0])

    assert [shifted(by) for by in (0.4, 0.6, -0.4, -0.6, 300, -300)] == [100, 101, 100, 99, 255, 0]


def test_floats_are_clipped_but_not_rounded(function_engine, noise):
    image = noise((40, 50, 3), np.float64)
    result = Restorer(engine=function_engine(lambda batch: batch + np.float32(0.123)))(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.minimum(image + 0.123, 1), atol=1e-6)


def test_a_grey_image_becomes_the_mean_of_three_channels(function_engine):
    offsets = np.array([0.1, 0.2, 0.6], np.float32).reshape(1, 3, 1, 1)
    result = Restorer(engine=function_engine(lambda batch: batch + offsets))(
        np.full((9, 30), 0.25, np.float32)
    )
    assert result.shape == (9, 30)
    np.testing.assert_allclose(result, 0.55, atol=1e-6)


def test_strength_blends(function_engine):
    restorer = Restorer(engine=function_engine(lambda batch: batch + np.float32(2)), tile=64)
    image = np.full((100, 90, 3), 51, np.uint8)  # 0.2; the network's answer is clipped to 1 before blending
    assert np.all(restorer(image, strength=0.25) == round(255 * (0.75 * 0.2 + 0.25)))
    assert np.all(restorer(image[..., 0], strength=0.5) == 153)
    assert np.all(restorer(image) == 255)
    np.testing.assert_allclose(restorer(np.full((9, 9), 0.2), strength=0.25), 0.4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_strength_zero_is_the_input_bit_for_bit(dtype, never, noise):
    image = noise((33, 20, 3), dtype)
    result = Restorer(engine=never)(image, strength=0)
    assert result.dtype == image.dtype and result.tobytes() == image.tobytes()
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_an_impossible_strength_is_refused(strength, never):
    with pytest.raises(UsageError, match=r"strength = .*: must be from 0"):
        Restorer(engine=never)(np.zeros((8, 8, 3), np.uint8), strength=strength)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((8, 8, 4), np.uint8), ShapeMismatch, r"\(8, 8, 4\): must be \(H, W, 3\)"),
        (np.zeros((1, 3, 8, 8), np.float32), ShapeMismatch, r"must be \(H, W, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), ShapeMismatch, "at least one pixel"),
        (np.zeros((8, 8, 3), np.int64), UsageError, "an image of int64"),
        (np.zeros((8, 8), bool), UsageError, "an image of bool"),
        (np.full((8, 8), np.nan), UsageError, "NaN"),
        (np.full((8, 8), np.inf), UsageError, r"from inf to inf; .*\[0, 1\]"),
        (np.full((8, 8), 255.0), UsageError, "from 255 to 255"),
        (np.full((8, 8), -0.01), UsageError, "from -0.01 to -0.01"),
        ([[0.5]], UsageError, "cannot restore a list"),
    ],
)
def test_what_is_no_image_is_refused_at_the_door(image, error, message, never):
    for strength in (0, 1):
        with pytest.raises(error, match=message):
            Restorer(engine=never)(image, strength=strength)


@pytest.mark.parametrize("size", [(200, 264), (131, 203), (64, 1000)])
def test_tiling_does_not_change_what_a_near_sighted_network_gives(size, blur, noise):
    """A pixel that counts lies at least a quarter of the overlap, 8 pixels, inside its tile."""
    image = noise((*size, 3), np.float32)
    whole, tiled, finer = (
        Restorer(engine=blur(8), tile=tile, guard=False)(image) for tile in (1024, 128, 64)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_allclose(finer, whole, atol=1e-5)


def test_a_constant_change_is_the_same_whatever_the_tile(function_engine, noise):
    image = noise((300, 451, 3), np.float32) * np.float32(0.5)
    for tile in ("auto", 64, 72, 256, 512):
        result = Restorer(engine=function_engine(lambda batch: batch + np.float32(0.25)), tile=tile)(image)
        np.testing.assert_allclose(result, image + 0.25, atol=1e-6)


def test_the_same_input_gives_the_same_bits(blur_model, noise):
    image = noise((150, 170, 3), np.float32)
    first, again = (Restorer(blur_model, device="cpu", tile=64)(image) for _ in range(2))
    assert first.tobytes() == again.tobytes()


def _peak(height, width, engine, strength):
    image = np.full((height, width, 3), 200, np.uint8)
    restorer = Restorer(engine=engine, tile=512)
    tracemalloc.start()
    try:
        result = restorer(image, strength=strength)
        assert result[0, 0, 0] == round(200 - 40 * strength)
        return tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_memory_beside_the_result_is_set_by_the_tile_not_the_height(strength, function_engine):
    # The guard reads quarters, follows the overview, and corrects every tile.
    engine = function_engine(lambda batch: batch * np.float32(0.5 if batch.shape[-1] > 450 else 0.8))
    band = 512 * 3000 * 3 * 4  # 18 MB; all of the taller picture as float would be ten times that
    assert _peak(2000, 3000, engine, strength) < 2.5 * band
    assert _peak(5000, 3000, engine, strength) < 2.5 * band


def test_progress_counts_to_the_end(identity):
    calls = []
    Restorer(engine=identity, tile=64)(
        np.zeros((100, 40, 3), np.uint8), on_tile=lambda *counts: calls.append(counts)
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_an_interruption_passes_straight_through(function_engine, identity):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Restorer(engine=function_engine(interrupt))(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(KeyboardInterrupt):
        Restorer(engine=identity)(np.zeros((8, 8, 3), np.uint8), on_tile=interrupt)


def test_an_engine_that_changes_the_size_is_refused(doubling_model):
    with pytest.raises(ShapeMismatch, match=r"made \(1, 3, 32, 16\) of \(1, 3, 16, 16\)"):
        Restorer(doubling_model)(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_result_that_is_not_finite_is_never_written(value, function_engine):
    engine = function_engine(lambda batch: np.full_like(batch, value))
    with pytest.raises(EngineUnavailable, match=r"not finite \(TestProvider\)"):
        Restorer(engine=engine)(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("tile", [63, "small"])
def test_an_impossible_tile_is_refused_at_once(tile, never):
    with pytest.raises(UsageError, match="tile = "):
        Restorer(engine=never, tile=tile)


def test_a_picture_keeps_all_but_its_pixels(function_engine, noise):
    pixels = noise((20, 31, 3)) // 2
    alpha = noise((20, 31))
    picture = Picture(pixels=pixels, alpha=alpha, format="png", metadata=Metadata(icc=b"profile"))
    restored = Restorer(engine=function_engine(lambda batch: batch + np.float32(10 / 255)))(picture)
    np.testing.assert_array_equal(restored.pixels, pixels + 10)
    np.testing.assert_array_equal(restored.alpha, alpha)
    assert restored.metadata == picture.metadata and restored.format == "png" and not restored.grey


def test_a_grey_picture_stays_grey(function_engine):
    offsets = np.array([0, 30, 60], np.float32).reshape(1, 3, 1, 1) / 255
    picture = Picture(pixels=np.full((9, 9, 3), 50, np.uint8), alpha=None, format="png", grey=True)
    restorer = Restorer(engine=function_engine(lambda batch: batch + offsets))
    assert restorer(picture).grey
    assert np.all(restorer(picture).pixels == 80)
    assert np.all(restorer(picture, strength=0.5).pixels == 65)
    assert np.all(restorer(replace(picture, grey=False)).pixels == [50, 80, 110])


def test_a_picture_at_strength_zero_is_the_picture(never, noise):
    picture = Picture(pixels=noise((5, 6, 3)), alpha=None, format="png")
    assert Restorer(engine=never)(picture, strength=0) is picture


def test_a_path_is_read(tmp_path, function_engine):
    path = tmp_path / "degraded.png"
    write(Picture(pixels=np.full((12, 10, 3), 40, np.uint8), alpha=None, format="png"), path)
    restorer = Restorer(engine=function_engine(lambda batch: batch * 2))
    for source in (path, str(path)):
        np.testing.assert_array_equal(restorer(source).pixels, 80)
    assert np.all(read(path).pixels == 40)


def test_the_default_weights_are_found_and_run(weights, monkeypatch):
    monkeypatch.setattr("anyir.inference.weights.weights_folder", lambda: weights)
    restorer = Restorer(device="cpu")
    assert (restorer.name, restorer.provider, restorer.tile) == ("tiny", "CPUExecutionProvider", "auto")
    assert restorer.facts is not None and restorer.facts.training == {"steps": 3}
    np.testing.assert_allclose(restorer(np.full((30, 30), 0.5)), 0.75, atol=1e-6)
    with pytest.raises(WeightsNotFound, match="'big' has no weights"):
        Restorer("big")


def test_a_foreign_onnx_file_is_run(add_model):
    restorer = Restorer(add_model(0.1), device="cpu", tile=128)
    assert (restorer.name, restorer.facts, restorer.tile) == ("add", None, 128)
    np.testing.assert_allclose(restorer(np.full((30, 300, 3), 0.5)), 0.6, atol=1e-6)


def test_an_engine_of_ones_own_gives_the_name_or_takes_one(identity):
    assert Restorer(engine=identity).name == "FunctionEngine"
    assert Restorer("identity", engine=identity).name == "identity"
    assert Restorer(engine=identity).provider == "TestProvider"


def test_weights_are_known_by_their_content(add_model, identity):
    path = add_model(0.25)
    assert Restorer(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    shipped = Restorer()
    assert shipped.facts is not None
    assert shipped.sha256 == shipped.facts.sha256
    assert Restorer(engine=identity).sha256 is None
