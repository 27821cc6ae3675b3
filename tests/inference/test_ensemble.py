"""The mean over mirror images, with engines whose mirror images differ."""

from typing import get_args

import numpy as np
import pytest

from anyir.apps.engines import QUALITIES
from anyir.errors import ShapeMismatch, UsageError
from anyir.inference import OnnxEngine, Restorer
from anyir.inference.batch_plan import BatchSettings
from anyir.inference.ensemble import Quality, SelfEnsemble
from anyir.inference.standing import Making


def lopsided(batch):
    """Adds more to the right and to the bottom."""
    height, width = batch.shape[2:]
    return (
        batch
        + np.linspace(0, 1, width, dtype=np.float32)
        + np.linspace(0, 2, height, dtype=np.float32)[:, None]
    )


def test_what_leans_to_one_side_is_levelled(function_engine, noise):
    batch = noise((2, 3, 16, 24), np.float32)
    before = batch.copy()
    result = SelfEnsemble(function_engine(lopsided))(batch)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, batch + 0.5 + 1.0, atol=1e-6)
    np.testing.assert_array_equal(batch, before)


def test_every_image_is_seen_once_and_comes_back_the_right_way_round(function_engine, noise):
    batch, seen = noise((1, 3, 16, 24), np.float32), []

    def look(images):
        assert images.flags.c_contiguous
        seen.append(images.copy())
        return images

    result = SelfEnsemble(function_engine(look))(batch)
    expected = [batch, batch[..., ::-1], batch[:, :, ::-1], batch[:, :, ::-1, ::-1]]
    for image, mirrored in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(image, mirrored)
    np.testing.assert_allclose(result, batch, atol=1e-6)


def test_an_engine_that_works_in_place_does_no_harm(function_engine, noise):
    def halve(batch):
        batch *= 0.5
        return batch

    batch = noise((1, 3, 16, 16), np.float32)
    np.testing.assert_allclose(SelfEnsemble(function_engine(halve))(batch.copy()), batch / 2, atol=1e-6)
    result = Restorer(engine=function_engine(lambda batch: batch[0]), quality="best", guard=False)
    with pytest.raises(ShapeMismatch, match="must keep the size"):
        result(batch[0].transpose(1, 2, 0))


def test_half_precision_does_not_overflow_in_the_sum(function_engine):
    engine = function_engine(lambda batch: np.full(batch.shape, 40_000, np.float16))
    assert SelfEnsemble(engine)(np.zeros((1, 3, 16, 16), np.float32)).max() == 40_000


def test_best_runs_four_times_a_tile_and_says_what_ran(function_engine, add_model, noise):
    image = noise((150, 200, 3), np.float32) / 2
    engine = function_engine(lambda batch: batch + np.float32(0.1))
    standard, best = (
        Restorer(engine=engine, tile=64, quality=quality, guard=False) for quality in get_args(Quality)
    )
    standard(image)
    tiles = len(engine.shapes)
    np.testing.assert_allclose(best(image), image + 0.1, atol=1e-6)
    assert len(engine.shapes) == tiles + 4 * tiles
    real = Restorer(add_model(0.25), quality="best", device="cpu")
    plain = OnnxEngine(add_model(0.25), "cpu")
    assert (real.provider, real.device, real.sha256) == (plain.provider, plain.device, plain.sha256)
    assert (real.quality, standard.quality) == ("best", "standard")


def test_an_engine_that_changes_the_size_is_still_found_out(doubling_model):
    with pytest.raises(ShapeMismatch, match="must keep the size"):
        Restorer(doubling_model, quality="best", device="cpu")(np.zeros((16, 16, 3), np.uint8))


def test_another_quality_is_another_result_and_the_standard_one_is_as_it_was(brighten):
    best = Restorer(engine=brighten.engine, quality="best")
    standard = Making.of(BatchSettings(), brighten)
    assert Making.of(BatchSettings(), best).settings == {**standard.settings, "quality": "best"}
    assert "quality" not in standard.settings, "or every manifest of before would be out of date"


def test_there_are_two_qualities(identity):
    assert get_args(Quality) == QUALITIES
    with pytest.raises(UsageError, match="quality = 'better': must be 'standard', or 'best'"):
        Restorer(engine=identity, quality="better")  # type: ignore[arg-type]


def test_the_shipped_weights_gain_by_it(noise):
    """On a smooth picture under noise; the gain on held-out pictures is about a quarter of a decibel."""
    y, x = np.mgrid[0:128, 0:160].astype(np.float32)
    clean = np.stack([0.5 + 0.3 * np.sin(x / (9 + c) + y / 17) for c in range(3)], axis=-1)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.1, clean.shape), 0, 1).astype(np.float32)
    error = [
        np.mean((Restorer(quality=quality, device="cpu")(noisy) - clean) ** 2)
        for quality in get_args(Quality)
    ]
    assert error[1] < 0.97 * error[0] < 0.97 * np.mean((noisy - clean) ** 2)
