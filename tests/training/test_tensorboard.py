import json
import threading

import numpy as np
import pytest
import torch

from anyir.model.checkpoint import load_checkpoint
from anyir.picture import read_image
from anyir.training import tensorboard
from anyir.training.loop import train


class Recorder:
    """Stands in for SummaryWriter: what is written, in order."""

    def __init__(self):
        self.scalars, self.images, self.flushed, self.closed = {}, {}, 0, False

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars[tag, global_step] = scalar_value

    def add_image(self, tag, img_tensor, global_step):
        self.images[tag, global_step] = img_tensor

    def flush(self):
        self.flushed = len(self.scalars) + len(self.images)

    def close(self):
        self.closed = True


def test_curves_and_samples_are_those_of_the_log(tiny_data, tmp_path, recipe, monkeypatch):
    written, asked = Recorder(), []
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: name)
    monkeypatch.setattr(tensorboard, "new_writer", lambda *given: asked.append(given) or written)
    settings = recipe("stages=[{until=1, patch=16, batch=2}]")
    train(settings, tiny_data, tmp_path / "run", tensorboard=True)
    assert asked == [(tmp_path / "run", 0)]
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    expected = {}
    for entry in log:
        if "loss" in entry:
            for name in ("loss", "learning_rate"):
                expected[f"training/{name}", entry["step"]] = entry[name]
        for task, (_, restored) in entry.get("validation", {}).items():
            expected[f"psnr/{task}", entry["step"]] = restored
    speeds = {place: speed for place, speed in written.scalars.items() if "per_second" in place[0]}
    assert {step for _, step in speeds} == {10, 12} and min(speeds.values()) > 0
    assert {place: value for place, value in written.scalars.items() if place not in speeds} == expected
    assert set(written.images) == {
        (f"samples/{task}", step) for task in ("noise50", "lowlight", "clean") for step in (6, 12)
    }
    assert written.flushed == len(written.scalars) + len(written.images) and written.closed

    degraded, restored, clean = written.images["samples/clean", 12].chunk(3, dim=2)
    assert torch.equal(degraded, clean) and degraded.shape == (3, 64, 64) and not torch.equal(restored, clean)
    assert 0 <= restored.min() and restored.max() <= 1
    assert load_checkpoint(tmp_path / "run/model.safetensors").header["training"]["steps"] == 12


def test_tensorboard_reads_each_step_once_though_a_crash_made_some_come_again(
    tiny_data, tmp_path, recipe, monkeypatch
):
    """TensorBoard's own writer and reader; the crash is after step 3, the last checkpoint of step 2."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr("anyir.training.loop.LOG_EVERY", 1)
    settings = recipe(
        "steps=4",
        "stages=[{until=1, patch=16, batch=2}]",
        "mixture={lowlight=1, clean=1}",
        "validation={every_steps=2, samples=1, patch=32}",
    )

    def crash(progress):
        if progress.step == 3:
            raise RuntimeError("the power is out")

    with pytest.raises(RuntimeError, match="power"):
        train(settings, tiny_data, tmp_path / "run", tensorboard=True, on_progress=crash)
    assert not [
        thread for thread in threading.enumerate() if type(thread).__module__.startswith("tensorboard.")
    ]
    train(settings, tiny_data, tmp_path / "run", tensorboard=True, resume=True)

    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    expected = {}
    for entry in log:
        for key in ("loss", "learning_rate") if "loss" in entry else ():
            expected.setdefault(f"training/{key}", []).append((entry["step"], pytest.approx(entry[key])))
        for task, (_, restored) in entry.get("validation", {}).items():
            expected.setdefault(f"psnr/{task}", []).append((entry["step"], pytest.approx(restored)))
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    read = {
        tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    speeds = read.pop("training/samples_per_second")
    assert read == expected and len(read["training/loss"]) == len(speeds) == 4
    assert set(events.Tags()["images"]) == {"samples/lowlight", "samples/clean"}
    for tag in events.Tags()["images"]:
        pictures = events.Images(tag)
        assert [(each.step, each.width, each.height) for each in pictures] == [(2, 96, 32), (4, 96, 32)]
        degraded, _, clean = np.split(read_image(pictures[-1].encoded_image_string), 3, axis=1)
        assert np.array_equal(degraded, clean) == (tag == "samples/clean")
