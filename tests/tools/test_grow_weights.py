"""The tool that grows a checkpoint, with the tiny data folder."""

import runpy
import sys
from pathlib import Path

import pytest

from anyir.model.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from anyir.model.config import NETWORKS

TOOL = Path(__file__).resolve().parents[2] / "tools" / "grow_weights.py"
RECIPE = """
network = "anyir"
steps = 10
[mixture]
noise50 = 1
[sources]
noise50 = ["bsds"]
[[stages]]
until = 1
patch = 32
batch = 3
"""


@pytest.fixture
def grow(tmp_path, monkeypatch, tiny_data):
    def call(checkpoint, network):
        (tmp_path / "mine.toml").write_text(RECIPE)
        out = tmp_path / "grown.safetensors"
        arguments = [checkpoint, network, "--data", tiny_data, "--recipe", tmp_path / "mine.toml", "-o", out]
        monkeypatch.setattr(sys, "argv", [str(each) for each in (TOOL, *arguments)])
        runpy.run_path(str(TOOL), run_name="__main__")
        return load_checkpoint(out)

    return call


def test_what_is_grown_fits_the_network_and_says_what_it_comes_from(grow):
    grown = grow("anyir-s", "anyir")
    assert grown.network == NETWORKS["anyir"]
    assert grown.header["name"] == "anyir" and grown.header["training"]["grown_from"] == "anyir-s"
    before = load_checkpoint(find_checkpoint("anyir-s")).header["training"]
    assert grown.header["training"].items() >= before.items()  # its history goes on
    assert grown.header["recipe"]["network"] == "anyir-s"
    assert "results" not in grown.header


def test_a_checkpoint_that_says_nothing_of_itself_can_be_grown_too(grow, tmp_path):
    small = load_checkpoint(find_checkpoint("anyir-s"))
    save_checkpoint(tmp_path / "mute.safetensors", small.state, small.network, {})
    grown = grow(tmp_path / "mute.safetensors", "anyir")
    assert grown.header["training"] == {"grown_from": "another", "file": "mute.safetensors"}


@pytest.mark.parametrize(
    ("checkpoint", "network", "words"),
    [
        ("anyir-s", "ablation-a", "skip_split = False: cannot grow"),
        ("nothing", "anyir", "no checkpoint is called 'nothing'"),
        ("anyir-s", "huge", "unknown network 'huge'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(grow, tmp_path, checkpoint, network, words):
    with pytest.raises(SystemExit) as exit_:
        grow(checkpoint, network)
    assert words in exit_.value.code and "\n" not in exit_.value.code
    assert not (tmp_path / "grown.safetensors").exists()
