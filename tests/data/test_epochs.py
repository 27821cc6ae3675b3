from collections import Counter

import pytest
import torch

from anyir.data.catalogue import load_pictures
from anyir.data.epochs import Epochs
from anyir.errors import ConfigurationError

SOURCES = {"noise25": ("photos",)}


@pytest.fixture(scope="module")
def pictures(tiny_data):
    return load_pictures(tiny_data, ["photos", "lowlight"], hold_out_every=0)[0]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(epochs, monkeypatch, first, samples, batch):
    """(task, row) of every sample, as they come."""
    seen = []
    draw = type(epochs.pictures).draw

    def spy(self, pool, n, size, generator, *, rows):
        name = next(name for name, each in epochs._pools.items() if each is pool)
        seen.extend((name, row) for row in rows.tolist())
        return draw(self, pool, n, size, generator, rows=rows)

    monkeypatch.setattr(type(epochs.pictures), "draw", spy)
    for start in range(first, first + samples, batch):
        epochs.batch(start, batch, 32, seeded())
    monkeypatch.undo()
    return seen


def test_every_example_comes_as_often_as_it_is_repeated(pictures, monkeypatch):
    epochs = Epochs({"noise25": 3, "lowlight": 2, "jpeg": 0}, pictures, seed=1, sources=SOURCES)
    assert epochs.samples == {"noise25": 24, "lowlight": 16} and epochs.length == 40
    counts = Counter(drawn(epochs, monkeypatch, 0, 40, 8))
    assert counts == {("noise25", row): 3 for row in range(8)} | {("lowlight", row): 2 for row in range(8)}


def test_epochs_are_shuffled_anew_and_by_seed_and_a_batch_may_span_two(pictures, monkeypatch):
    epochs = Epochs({"noise25": 1, "lowlight": 1}, pictures, seed=1, sources=SOURCES)
    first, second = (drawn(epochs, monkeypatch, start, 16, 4) for start in (0, 16))
    assert first != second and sorted(first) == sorted(second)
    again = Epochs({"noise25": 1, "lowlight": 1}, pictures, seed=1, sources=SOURCES)
    assert drawn(again, monkeypatch, 16, 16, 4) == second  # without having seen the first epoch
    other = Epochs({"noise25": 1, "lowlight": 1}, pictures, seed=2, sources=SOURCES)
    assert drawn(other, monkeypatch, 0, 16, 4) != first
    across = drawn(epochs, monkeypatch, 12, 8, 8)
    assert sorted(across) == sorted(first[12:] + second[:4])


def test_a_batch_holds_degraded_and_clean_images_of_its_tasks(pictures):
    epochs = Epochs({"noise25": 1, "lowlight": 1}, pictures, seed=1, sources=SOURCES)
    degraded, clean = epochs.batch(0, 16, 64, seeded())
    assert degraded.shape == clean.shape == (16, 3, 64, 64)
    noisy, dark = slice(0, 8), slice(8, 16)  # a whole epoch, the samples of a task together
    assert torch.equal(
        (degraded[dark] * 255).round(), (clean[dark] * 255).round().div(8, rounding_mode="floor")
    )
    assert (degraded[noisy] - clean[noisy]).std().item() * 255 == pytest.approx(25, rel=0.15)


def test_impossible_repeats(pictures):
    with pytest.raises(ConfigurationError, match="unknown task 'nose25'; did you mean 'noise25'"):
        Epochs({"nose25": 1}, pictures, seed=0)
    with pytest.raises(ConfigurationError, match="no task"):
        Epochs({"noise25": 0}, pictures, seed=0)
