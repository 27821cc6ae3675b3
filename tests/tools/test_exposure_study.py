"""The tool that says how bright dark pictures come out."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from anyir.model.checkpoint import build_network, load_checkpoint
from anyir.picture import read_image, write_image

TOOL = Path(__file__).resolve().parents[2] / "tools" / "exposure_study.py"


@pytest.fixture
def data(tmp_path):
    """Eight pairs, of which the sixth is held out."""
    random = np.random.default_rng(3)
    for number in range(1, 9):
        clean = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        for kind, image in (("normal", clean), ("low", clean // 8)):
            folder = tmp_path / "data" / "train" / "lowlight" / kind
            folder.mkdir(parents=True, exist_ok=True)
            write_image(image, folder / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def study(tmp_path, data, monkeypatch, capsys):
    """study(options …) → what is printed, and the file that is written."""
    out = tmp_path / "scores.json"

    def call(*options):
        given = (TOOL, "--data", data, "-o", out, *options)
        monkeypatch.setattr("sys.argv", [str(each) for each in given])
        runpy.run_path(str(TOOL), run_name="__main__")
        return capsys.readouterr().out, json.loads(out.read_text())

    return call


def test_pictures_that_are_held_out_are_restored_by_the_network(study, checkpoint, data):
    printed, content = study(checkpoint, "--gains", 1, 2)
    (scores,) = content["studies"].values()
    assert [(each["name"], each["gain"]) for each in scores] == [("6", 1.0), ("6", 2.0)]
    assert "× 2" in printed and content["sha256"] and "exposure_study.py" in content["command"]
    network = build_network(load_checkpoint(checkpoint))
    dark = torch.from_numpy(read_image(data / "train/lowlight/low/6.png")).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = float(network(dark).clamp(0, 1).mean())
    assert scores[0]["restored_mean"] == pytest.approx(expected, abs=2e-4)


def test_what_is_missing_is_named(study, checkpoint, data, tmp_path):
    with pytest.raises(SystemExit, match=r"nowhere\.safetensors"):
        study(tmp_path / "nowhere.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="/file: "):
        study(checkpoint, "-o", tmp_path / "file" / "scores.json")
    for number in range(3, 9):
        for kind in ("low", "normal"):
            (data / f"train/lowlight/{kind}/{number}.png").unlink()
    with pytest.raises(SystemExit, match="none of its 2 dark pictures is held out"):
        study(checkpoint)
    shutil.rmtree(data / "train/lowlight")
    with pytest.raises(SystemExit, match="the set 'lowlight', which is not there"):
        study(checkpoint)


@pytest.mark.parametrize("gain", ["0", "-1", "bright"])
def test_gains_that_mean_nothing_are_refused(study, checkpoint, capsys, gain):
    with pytest.raises(SystemExit) as stopped:
        study(checkpoint, f"--gains={gain}")
    assert stopped.value.code == 2 and "--gains" in capsys.readouterr().err
