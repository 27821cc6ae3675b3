import json

import torch

from anyir.model.checkpoint import load_checkpoint
from anyir.training import tensorboard
from anyir.training.loop import train


class Recorder:
    """Stands in for SummaryWriter: what is written, in order."""

    def __init__(self):
        self.scalars, self.images, self.flushed = {}, {}, 0

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars[tag, global_step] = scalar_value

    def add_image(self, tag, img_tensor, global_step):
        self.images[tag, global_step] = img_tensor

    def flush(self):
        self.flushed = len(self.scalars) + len(self.images)


def test_curves_and_samples_are_those_of_the_log(tiny_data, tmp_path, recipe, monkeypatch):
    written, asked = Recorder(), []
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: name)
    monkeypatch.setattr("anyir.training.loop.new_writer", lambda *given: asked.append(given) or written)
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
    assert written.flushed == len(written.scalars) + len(written.images)

    degraded, restored, clean = written.images["samples/clean", 12].chunk(3, dim=2)
    assert torch.equal(degraded, clean) and degraded.shape == (3, 64, 64) and not torch.equal(restored, clean)
    assert 0 <= restored.min() and restored.max() <= 1
    assert load_checkpoint(tmp_path / "run/model.safetensors").header["training"]["steps"] == 12
