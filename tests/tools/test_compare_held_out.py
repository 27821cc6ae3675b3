"""The tool by which weights are chosen."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.training.validation import Validator

TOOL = Path(__file__).resolve().parents[2] / "tools" / "compare_held_out.py"
CONFIG = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)
RECIPE = """
network = "anyir-s"
steps = 1
[mixture]
noise50 = 1
lowlight = 1
clean = 1
[[stages]]
until = 1
patch = 32
batch = 1
[validation]
patch = 32
hold_out_every = 2
"""


@pytest.fixture
def checkpoints(tmp_path):
    """Two networks that return nearly what they are given, and differ."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(tmp_path / f"{seed}.safetensors")
        save_checkpoint(made[-1], AnyIR(CONFIG), CONFIG, {"name": "tiny"})
    return made


@pytest.fixture
def compare(tmp_path, tiny_data, tasks_on_bsds, monkeypatch, capsys):
    """compare(options …) → what is printed, and the file that is written."""
    recipe, out = tmp_path / "recipe.toml", tmp_path / "scores.json"
    recipe.write_text(RECIPE)

    def call(*options, out=out):
        fixed = ("--data", tiny_data, "--recipe", recipe, "--samples", 3, *(("-o", out) if out else ()))
        monkeypatch.setattr("sys.argv", [str(each) for each in (TOOL, *options, *fixed)])
        runpy.run_path(str(TOOL), run_name="__main__")
        return capsys.readouterr().out, json.loads(out.read_text())

    return call


def test_checkpoints_and_averages_are_columns(compare, checkpoints, tmp_path):
    half = tmp_path / "half.safetensors"
    old, new = (load_checkpoint(each) for each in checkpoints)
    state = {
        name: (old.state[name] + value) / 2 if value.is_floating_point() else value
        for name, value in new.state.items()
    }
    save_checkpoint(half, state, CONFIG, {"name": "tiny"})
    printed, content = compare(*checkpoints, half, "--share", 0.5, 1)
    first, second, third, averaged, whole = content["candidates"]
    assert [each["name"] for each in (first, averaged)] == [checkpoints[0].as_posix(), "0.5 of the second"]
    assert list(first["restored"]) == ["noise50", "lowlight", "clean"]
    assert all(len(scores) == 3 for scores in first["restored"].values())
    assert first["restored"] != second["restored"] == whole["restored"]
    assert averaged["restored"]["noise50"] == pytest.approx(third["restored"]["noise50"], abs=1e-3)
    assert len(content["sha256"]) == 3 and "noise50" in printed and "0.5 of the second" in printed


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--share", "1.5"), "--share must be from 0 to 1"),
        (("--share", "0.5"), "--share takes two checkpoints"),
    ],
)
def test_shares_that_mean_nothing_are_refused(compare, checkpoints, capsys, options, says):
    with pytest.raises(SystemExit) as stopped:
        compare(checkpoints[0], *options)
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_checkpoints_of_different_networks_have_no_average(compare, checkpoints, tmp_path):
    other = replace(CONFIG, blocks=(1, 1, 1, 2))
    save_checkpoint(tmp_path / "other.safetensors", AnyIR(other), other, {"name": "other"})
    with pytest.raises(SystemExit, match="are of different networks"):
        compare(checkpoints[0], tmp_path / "other.safetensors", "--share", 0.5)


def test_some_of_the_tasks_are_measured_on_the_same_patches(compare, checkpoints):
    _, whole = compare(checkpoints[0])
    printed, part = compare(checkpoints[0], "--tasks", "clean", "lowlight")
    assert list(part["degraded"]) == ["lowlight", "clean"] and "noise50" not in printed
    scores, expected = (each["candidates"][0]["restored"] for each in (part, whole))
    assert scores["lowlight"] == expected["lowlight"] and scores["clean"] == expected["clean"]
    gain = sum(scores["lowlight"]) / 3 - sum(part["degraded"]["lowlight"]) / 3
    assert part["candidates"][0]["mean_gain_db"] == pytest.approx(gain, abs=1e-3)


def test_patches_can_be_made_black_and_white_once_they_are_degraded(compare, checkpoints, monkeypatch):
    seen = []
    score_patches = Validator.score_patches

    def watched(validator, network):
        seen.append(validator.batches)
        return score_patches(validator, network)

    monkeypatch.setattr(Validator, "score_patches", watched)
    _, colour = compare(checkpoints[0])
    _, grey = compare(checkpoints[0], "--black-and-white")
    in_colour, in_grey = seen
    assert list(in_colour) == list(in_grey) == ["noise50", "lowlight", "clean"]
    for task, batch in in_grey.items():
        assert all(torch.equal(images, images[:, :1].expand_as(images)) for images in batch)
        assert not torch.equal(batch.degraded, in_colour[task].degraded)
    # Luma of three noises that know nothing of one another is less noisy than each: 3.5 dB.
    before = [sum(each["degraded"]["noise50"]) / 3 for each in (colour, grey)]
    assert before[1] - before[0] == pytest.approx(3.5, abs=0.7)
    assert "--black-and-white" in grey["command"]


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        (
            ("noise50", "lowligth"),
            r"--tasks lowligth: .*recipe\.toml has no such task; did you mean 'lowlight'",
        ),
        (("clean",), "--tasks: none of these counts; add one of noise50, lowlight$"),
    ],
)
def test_tasks_that_cannot_be_measured_are_refused(compare, checkpoints, tasks, says):
    with pytest.raises(SystemExit, match=says):
        compare(checkpoints[0], "--tasks", *tasks)


def test_a_task_without_held_out_pictures_is_not_left_out_in_silence(compare, checkpoints, tmp_path):
    more = RECIPE.replace("clean = 1\n", 'clean = 1\nblur_pairs = 1\n[leave_out]\nblur = ["5", "7"]\n')
    (tmp_path / "recipe.toml").write_text(more)
    with pytest.raises(
        SystemExit, match=r"blur_pairs: none of its pictures are held out; .* noise50, lowlight, clean"
    ):
        compare(checkpoints[0], "--tasks", "noise50", "blur_pairs")


def test_a_checkpoint_that_is_not_there_is_named(compare, tmp_path):
    with pytest.raises(SystemExit, match=r"nowhere\.safetensors"):
        compare(tmp_path / "nowhere.safetensors")


def test_a_recipe_without_counted_tasks_is_refused(compare, checkpoints, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("noise50 = 1\nlowlight = 1\n", ""))
    with pytest.raises(SystemExit, match="no task"):
        compare(checkpoints[0])


def test_a_folder_that_is_not_there_is_found_before_anything_is_measured(
    compare, checkpoints, tmp_path, monkeypatch
):
    monkeypatch.setattr(AnyIR, "forward", lambda *_: pytest.fail("measured"))
    with pytest.raises(SystemExit, match="no such folder"):
        compare(checkpoints[0], "-o", tmp_path / "nowhere" / "scores.json", out=False)


def test_weights_that_make_no_number_are_named(compare, checkpoints, monkeypatch):
    monkeypatch.setattr(AnyIR, "forward", lambda self, images: images * float("nan"))
    with pytest.raises(SystemExit, match=r"1\.safetensors: .* not finite"):
        compare(checkpoints[0])
