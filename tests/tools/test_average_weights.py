"""The average of two checkpoints, and what its header says of it."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR

TOOL = Path(__file__).resolve().parents[2] / "tools" / "average_weights.py"
CONFIG = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)


@pytest.fixture
def save(tmp_path):
    """save(name, training, value) → a checkpoint all of whose weights are ``value``."""

    def write(name, training, value):
        path = tmp_path / f"{name}.safetensors"
        state = {
            key: torch.full_like(each, value) if each.is_floating_point() else each
            for key, each in AnyIR(CONFIG).state_dict().items()
        }
        header = {"name": "tiny", "recipe": {"seed": 1}, "training": training, "results": {}}
        save_checkpoint(path, state, CONFIG, header)
        return path

    return write


@pytest.fixture
def average(tmp_path, monkeypatch):
    """average(old, new, share) → the checkpoint that the tool makes of them."""

    def call(old, new, share):
        out = tmp_path / f"{old.stem}-{new.stem}.safetensors"
        monkeypatch.setattr("sys.argv", [str(each) for each in (TOOL, old, new, "--share", share, "-o", out)])
        runpy.run_path(str(TOOL), run_name="__main__")
        return load_checkpoint(out), out

    return call


def test_weights_lie_between_and_the_header_says_so_once(save, average):
    first = save("first", {"recipe": "one", "samples": 10}, 1.0)
    second = save("second", {"recipe": "two", "samples": 5, "started_from": {"recipe": "other"}}, 3.0)
    mixed, _ = average(first, second, 0.25)
    assert all((value == 1.5).all() for value in mixed.state.values() if value.is_floating_point())
    assert mixed.header["training"]["averaged"] == {"share": 0.25, "with": {"recipe": "one", "samples": 10}}
    assert mixed.header["training"]["samples"] == 5 and "results" not in mixed.header


def test_the_history_does_not_double_with_every_average(save, average):
    """Ten runs, each from the average of the two before: each run is told once."""
    shipped = save("run0", {"recipe": "run0", "validation": {"noise": [20.5, 29.5]}}, 0.0)
    for number in range(1, 11):
        header = load_checkpoint(shipped).header
        start = {**header["training"], "settings": header["recipe"]}
        training = {"recipe": f"run{number}", "validation": {"noise": [20.5, 29.5]}, "started_from": start}
        (mixed, shipped) = average(shipped, save(f"run{number}", training, float(number)), 0.5)
        assert mixed.header["training"]["averaged"] == {"share": 0.5, "with": "started_from"}
    told = json.dumps(mixed.header)
    assert [told.count(f'"run{number}"') for number in range(11)] == [1] * 11


def test_older_histories_that_repeat_themselves_are_shortened(save, average):
    one = {"recipe": "one"}
    two = {"recipe": "two", "started_from": {**one, "settings": {}}}
    repeated = {**two, "averaged": {"share": 0.5, "with": {**one, "share": 0.5}}}
    old = save("old", repeated, 0.0)
    new = save("new", {"recipe": "three", "started_from": {**repeated, "settings": {"seed": 1}}}, 1.0)
    training = average(old, new, 0.5)[0].header["training"]
    assert training["averaged"]["with"] == training["started_from"]["averaged"]["with"] == "started_from"


def test_a_checkpoint_that_it_is_made_of_is_not_replaced(save, average):
    one = save("one", {"recipe": "one"}, 1.0)
    before = one.read_bytes()
    one.with_name("one-one.safetensors").hardlink_to(one)  # the output's name, of the same file
    with pytest.raises(SystemExit) as stop:
        average(one, one, 0.5)
    assert "would replace an input" in str(stop.value) and one.read_bytes() == before


def test_what_cannot_be_averaged_is_told_in_a_line(save, average):
    mute = save("mute", {"recipe": "one"}, 1.0)
    checkpoint = load_checkpoint(mute)
    save_checkpoint(mute, checkpoint.state, CONFIG, {"name": "tiny"})
    with pytest.raises(SystemExit) as stop:
        average(save("old", {"recipe": "old"}, 0.0), mute, 0.5)
    assert "mute.safetensors: says nothing of its training" in str(stop.value)
