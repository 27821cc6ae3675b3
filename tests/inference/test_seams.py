"""Nothing shows where tiles meet: the picture is no more agitated there than elsewhere."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from anyir.inference import Restorer
from anyir.inference.tiles import Axis, plan_tiles
from anyir.picture import read

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
HEIGHT, WIDTH, TILE = 260, 300, 128
MOST = 1.05
BLENDED = Axis.weights


def borders(axis):
    """Where tiles are blended along an axis of the picture, and a pixel either way: (length,) of bool."""
    blended = np.zeros(axis.padded + 2, bool)
    for index, start in enumerate(axis.starts):
        weights = axis.weights(index)
        inside = (weights > 1e-6) & (weights < 1 - 1e-6)
        for shift in range(3):
            blended[start + shift : start + shift + axis.size] |= inside
    return blended[1 : axis.length + 1]


def seam_energy(image, order):
    """Mean absolute difference of this order from pixel to pixel at tile borders, over that elsewhere; down, across."""
    plan = plan_tiles(HEIGHT, WIDTH, TILE)
    ratios = []
    for along, axis in enumerate((plan.rows, plan.columns)):
        profile = np.abs(np.diff(image.astype(np.float64), order, axis=along)).mean(axis=(1 - along, 2))
        at_borders = borders(axis)[1 : len(profile) + 1]
        ratios.append(profile[at_borders].mean() / profile[~at_borders].mean())
    return np.array(ratios)


def in_levels(image):
    """[0, 1] → the grey levels that a viewer is shown."""
    return np.rint(image * 255)


@pytest.fixture
def gradient():
    """From dark to light down and across, float32 in [0, 1]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.repeat(((y / HEIGHT + x / WIDTH) * 0.4 + 0.1)[..., None], 3, axis=2).astype(np.float32)


@pytest.fixture
def texture():
    """A weave with an amplitude of 10 grey levels, of no period that tiles have, float32 in [0, 1]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / 1.9 + y / 3.7 + c) + np.sin(x / 4.3 - y / 1.7 + 2 * c) for c in range(3)]
    return (0.5 + np.stack(waves, axis=-1) * 5 / 255).astype(np.float32)


@pytest.fixture
def toned(function_engine):
    """toned(levels) → an engine that makes every other tile so many grey levels brighter, and the rest darker."""

    def make(levels):
        numbers = count()
        return function_engine(lambda batch: batch + np.float32((next(numbers) % 2 - 0.5) * levels / 255))

    return make


@pytest.fixture
def contrasty(function_engine):
    """An engine that changes contrast by what the tile holds, as a network that judges haze by its tile does."""
    return function_engine(lambda batch: (batch - 0.5) * (1 + 8 * (batch[0, 0, 0, 0] - 0.5)) + 0.5)


def cut_hard(axis, index):
    """Weights without blending: each tile up to the middle of what it shares with the next."""
    return (BLENDED(axis, index) > 0.5).astype(np.float32)


def test_borders_are_where_tiles_are_blended():
    axis = plan_tiles(96, 1, 64, 32).rows
    assert np.flatnonzero(borders(axis)).tolist() == [*range(39, 57)]  # 16 pixels and one either way


def test_the_measure_is_one_without_tiles_and_sees_a_step(gradient, texture):
    for image, order in ((gradient, 1), (texture, 1), (texture, 2)):
        np.testing.assert_allclose(seam_energy(image, order), 1, atol=0.03)
    stepped = gradient.copy()
    stepped[:, np.flatnonzero(borders(plan_tiles(HEIGHT, WIDTH, TILE).columns))[9] :] += 6 / 255
    down, across = seam_energy(stepped, 1)
    assert across > 1.2 and down == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("levels", "order", "name"), [(3, 1, "gradient"), (6, 1, "texture"), (6, 2, "texture")]
)
def test_tiles_of_other_tones_show_no_border(levels, order, name, toned, request, monkeypatch):
    """A difference of tones has to go somewhere; blended, it makes nothing of its own that goes up and down again."""
    image = request.getfixturevalue(name)
    blended = Restorer(engine=toned(levels), tile=TILE, guard=False)(image)
    assert np.abs(blended - image).max() == pytest.approx(levels / 2 / 255, abs=1e-6), "the tiles do differ"
    assert np.all(seam_energy(blended, order) / seam_energy(image, order) <= MOST)
    with monkeypatch.context() as patch:
        patch.setattr(Axis, "weights", cut_hard)
        cut = Restorer(engine=toned(levels), tile=TILE, guard=False)(image)
    assert np.all(seam_energy(cut, order) / seam_energy(image, order) > MOST), "or the measure sees nothing"


@pytest.mark.parametrize("order", [1, 2])
def test_tiles_of_other_contrast_show_no_border(order, contrasty, texture):
    restored = Restorer(engine=contrasty, tile=TILE, guard=False)(texture)
    assert np.abs(restored - texture).max() > 2 / 255
    assert np.all(seam_energy(restored, order) / seam_energy(texture, order) <= MOST)


def test_the_shipped_weights_leave_no_seam_on_a_gradient(gradient):
    """There a step of one grey level would be seen."""
    restored = in_levels(Restorer(device="cpu", tile=TILE)(gradient))
    for order in (1, 2):
        assert np.all(seam_energy(restored, order) / seam_energy(in_levels(gradient), order) <= MOST)


def test_the_shipped_weights_leave_no_seam_on_a_photograph():
    """What the picture itself has at these places is in the same picture restored whole."""
    degraded = read(SAMPLES / "degraded" / "noise.png").pixels[20 : 20 + HEIGHT, 60 : 60 + WIDTH]
    whole, tiled = (Restorer(device="cpu", tile=tile)(degraded) for tile in (512, TILE))
    for order in (1, 2):
        assert np.all(seam_energy(tiled, order) / seam_energy(whole, order) <= MOST)


def test_the_shipped_weights_give_the_same_bits_again():
    degraded = read(SAMPLES / "degraded" / "noise.png").pixels[60:133, 80:181]
    image = degraded.astype(np.float32) / 255
    first, again = (Restorer(device="cpu", tile=64)(image) for _ in range(2))
    assert first.tobytes() == again.tobytes()
