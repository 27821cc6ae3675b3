"""Every shipped recipe plans and trains, on made-up pictures in the layouts of its sets and with a tiny network."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anyir.data.sets import SETS
from anyir.training.loop import train
from anyir.training.recipe import load_recipe
from anyir.training.recipe_files import shipped_recipes

SCENES, SIDE, STEPS = 6, 96, 20
NAMES = {"bsd400": "{}001", "wed": "0000{}", "rain_train_l": "norain-{}"}
DEGRADED = {"rain_train_l": "rain-{}", "ots": "{}_0.8_0.2", "rain_real": "{}_rain-1", "haze_indoor": "{}_1"}
EXPORTED = {load_recipe(name).network: name for name in shipped_recipes()}.values()
"""A recipe of each network: what an export has to cope with is the network, and it takes as long as the training."""
FOR_ALL = ("compile=false", "precision=float32", f"steps={STEPS}", "warmup_steps=2", "validation.samples=1")


@pytest.fixture(scope="module")
def every_set(tmp_path_factory):
    """A data folder with six scenes in every set that a shipped recipe names, in the first of its layouts.

    Degraded pictures are half as bright: something that twenty steps can learn.
    """
    root = tmp_path_factory.mktemp("every_set")
    random = np.random.default_rng(5)

    def save(folder, name, pixels):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")

    for name in sorted({each for recipe in shipped_recipes() for each in load_recipe(recipe).sets}):
        layout = SETS[name].layouts[0]
        place = root / "train" / layout.folder
        for number in range(1, SCENES + 1):
            y, x = np.mgrid[0:SIDE, 0:SIDE]
            waves = [np.sin(x / random.uniform(4, 20) + y / random.uniform(4, 20)) for _ in range(3)]
            clean = (170 + 60 * np.stack(waves, -1)).astype(np.uint8)
            stem = NAMES.get(name, "{}").format(number)
            save(place / layout.clean, stem, clean)
            if layout.degraded is not None:
                save(place / layout.degraded, DEGRADED.get(name, "{}").format(number), clean // 2)
            if layout.labels is not None:
                save(place / layout.labels, stem, (y // 32).astype(np.uint8))
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_networks):
    """A line of the log for each step, and a dry run that makes one of each and times one."""
    monkeypatch.setattr("anyir.training.loop.LOG_EVERY", 1)
    monkeypatch.setattr("anyir.training.plan.DATA_SECONDS", 0.0)
    monkeypatch.setattr("anyir.training.plan.TIMED_STEPS", 1)


def changes(name):
    """The recipe's own stages, tasks, sets and loss, with small patches and batches and a high learning rate."""
    stages = ",".join(
        f"{{until={stage.until},patch=32,batch=4,freeze_batch_norm={str(stage.freeze_batch_norm).lower()}}}"
        for stage in load_recipe(name).stages
    )
    return (*FOR_ALL, "optimiser.learning_rate=5e-3", "validation.patch=32", f"stages=[{stages}]")


def errors(run, loss):
    """The error at each step: what ``psnr`` gives is its logarithm."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = np.array([line["loss"] for line in lines if "loss" in line])
    assert len(losses) == STEPS
    return np.exp(losses) if loss == "psnr" else losses


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_planned_and_its_loss_falls(anyir, every_set, tmp_path, monkeypatch, name):
    """From the first to the last five steps; where batches are drawn from a mixture, some much harder than others,
    below what a network that does not learn has on the same batches."""
    recipe, given = load_recipe(name), changes(name)
    settings = [word for change in given for word in ("--set", change)]
    arguments = ["train", name, "--data", every_set, *settings, "--out"]
    code, out, err = anyir(*arguments, tmp_path / "run", "--dry-run")
    assert (code, err) == (0, "")
    assert re.search(rf"^training  {STEPS} steps, {4 * STEPS} samples", out, re.MULTILINE)
    assert not (tmp_path / "run").exists()

    if name not in EXPORTED:
        monkeypatch.setattr(
            "anyir.model.export.export_onnx", lambda _, path, **__: SimpleNamespace(path=path)
        )
    code, out, err = anyir(*arguments, tmp_path / "run", "--quiet")
    assert (
        (code, out) == (0, "") and err.count("\n") <= 1 and (err == "" or "model.onnx was not written" in err)
    )
    learnt = errors(tmp_path / "run", recipe.loss)
    if not recipe.mixture:
        assert learnt[-5:].mean() < 0.9 * learnt[:5].mean()
        return
    still = load_recipe(name, (*given, "optimiser.learning_rate=1e-12"))
    assert train(still, every_set, tmp_path / "still").finished
    assert learnt[-5:].mean() < 0.95 * errors(tmp_path / "still", recipe.loss)[-5:].mean()
