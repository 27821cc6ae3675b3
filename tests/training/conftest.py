"""A network and a recipe that train in milliseconds."""

from contextlib import contextmanager

import pytest

from anyir.data import mixture
from anyir.model import config
from anyir.model.config import NetworkConfig
from anyir.training.loop import train
from anyir.training.recipe import load_recipe

RECIPE = """
network = "tiny"
steps = 12
warmup_steps = 3
average_decay = 0.9
checkpoint_every_steps = 2
[mixture]
noise50 = 1
lowlight = 1
clean = 0.5
[optimiser]
learning_rate = 2e-3
weight_decay = 1e-2
[[stages]]
until = 0.5
patch = 32
batch = 4
[[stages]]
until = 1
patch = 40
batch = 2
freeze_batch_norm = true
[validation]
every_steps = 6
samples = 2
patch = 64
"""
TINY = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)


@pytest.fixture(scope="module", autouse=True)
def small(bsds_tasks):
    """A network that trains in milliseconds, and clean pictures from the sets that the tiny folder has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "NETWORKS", {**config.NETWORKS, "tiny": TINY})
        patch.setattr(mixture, "TASKS", bsds_tasks)
        yield


@pytest.fixture(scope="module")
def whole(small, tiny_data, tmp_path_factory):
    """The outcome of the recipe as it stands, trained without a stop under the name "whole"; only to be read."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "recipe.toml").write_text(RECIPE)
    return train(load_recipe(str(folder / "recipe.toml")), tiny_data, folder / "run", recipe_name="whole")


@pytest.fixture
def recipe(tmp_path):
    def make(*changes):
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE)
        return load_recipe(str(path), changes)

    return make


@pytest.fixture
def stop_after():
    """stop_after(steps) → what to give as ``should_stop``."""

    def make(steps):
        seen = iter(range(1, 1000))
        return lambda: next(seen) >= steps

    return make


@pytest.fixture
def keeping_recorded(monkeypatch):
    """keeping_recorded(module) → a list that gets the device where its freed memory begins to be kept, and "left"."""

    def record(module):
        happened = []

        @contextmanager
        def recorded(device):
            happened.append(device)
            yield True
            happened.append("left")

        monkeypatch.setattr(module, "freed_memory_kept", recorded)
        return happened

    return record
