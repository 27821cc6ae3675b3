"""A network and a recipe that train in milliseconds."""

import pytest

from anyir.model.config import NetworkConfig
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


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network that trains in milliseconds, and clean pictures from the sets that the tiny folder has."""
    from dataclasses import replace

    from anyir.data import mixture
    from anyir.model import config

    monkeypatch.setattr(config, "NETWORKS", {**config.NETWORKS, "tiny": TINY})
    tasks = {n: replace(t, sources=("bsds",)) if "bsds" in t.sources else t for n, t in mixture.TASKS.items()}
    monkeypatch.setattr(mixture, "TASKS", tasks)


@pytest.fixture
def recipe(tmp_path):
    def make(*changes):
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE)
        return load_recipe(str(path), changes)

    return make
