"""The tool that says whose gradient a batch's is."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anyir.data import mixture
from anyir.model.checkpoint import build_network, load_checkpoint, save_checkpoint
from anyir.model.network import AnyIR
from anyir.training.losses import ENOUGH
from anyir.training.recipe import load_recipe
from anyir.training.sampling import load_split
from anyir.training.validation import Validator

CPU = torch.device("cpu")

TOOL = Path(__file__).resolve().parents[2] / "tools" / "gradient_study.py"
RECIPE = """
network = "anyir-s"
steps = 1
loss = "psnr"
[mixture]
noise50 = 3
lowlight = 1
[[stages]]
until = 1
patch = 32
batch = 1
[validation]
patch = 32
hold_out_every = 2
"""


@pytest.fixture
def study(tmp_path, tiny_data, tasks_on_bsds, monkeypatch, capsys):
    """study(options …) → what is printed, and the file that is written."""
    recipe, out = tmp_path / "recipe.toml", tmp_path / "norms.json"
    recipe.write_text(RECIPE)

    def call(*options):
        fixed = ("--data", tiny_data, "--recipe", recipe, "--samples", 2)
        monkeypatch.setattr("sys.argv", [str(each) for each in (TOOL, *fixed, "-o", out, *options)])
        runpy.run_path(str(TOOL), run_name="__main__")
        return capsys.readouterr().out, json.loads(out.read_text())

    return call


def test_every_patch_has_the_norm_of_its_own_gradient(study, checkpoint, tiny_data, tmp_path):
    printed, content = study(checkpoint, "--clip", 0.5)
    assert content["weights"] == {"noise50": 3, "lowlight": 1} and content["sha256"]
    assert "gradient_study.py" in content["command"] and "| noise50" in printed and "75.0%" in printed
    assert "squares, none above 0.5" in printed
    recipe = load_recipe(str(tmp_path / "recipe.toml"), ())
    recipe = replace(recipe, validation=replace(recipe.validation, samples=2))
    _, pictures = load_split(recipe, tiny_data, CPU)
    network, expected = build_network(load_checkpoint(checkpoint)), {}
    for task, batch in Validator(recipe, pictures, CPU).batches.items():
        expected[task] = []
        for degraded, clean in zip(batch.degraded, batch.clean, strict=True):
            network.zero_grad()
            ((network(degraded[None]) - clean).square().mean() + ENOUGH).log().mul(0.5).backward()
            gradient = torch.cat([each.grad.flatten() for each in network.parameters()])
            expected[task].append(pytest.approx(float(gradient.norm()), rel=1e-3))
    assert content["norms"] == expected
    different = {round(norm, 3) for norms in content["norms"].values() for norm in norms}
    assert len(different) == 4  # not one for all


def test_the_norm_is_of_all_parameters_together():
    network = torch.nn.Linear(1, 1)
    images = torch.stack([torch.full((3, 8, 8), value) for value in (0.25, 0.5)])

    def objective(degraded, clean):
        return (3 * network.weight.sum() + 4 * network.bias.sum()) * degraded.mean()

    norms = runpy.run_path(str(TOOL))["gradient_norms"](objective, network, mixture.Batch(images, images))
    assert norms == [1.25, 2.5]


def test_a_share_of_the_squares_is_weighted_by_the_samples_and_bounded_by_the_clip():
    markdown = runpy.run_path(str(TOOL))["markdown"]
    printed = markdown({"blur": [1.0, 1.0], "dark": [1.0, 7.0]}, {"blur": 3, "dark": 1}, 1.0)
    blur, dark = (line.split("|")[1:-1] for line in printed.splitlines()[2:4])
    assert [cell.strip() for cell in blur] == ["blur", "75.0%", "1.00", "1.00", "1.00", "10.7%", "75.0%"]
    assert [cell.strip() for cell in dark] == ["dark", "25.0%", "4.00", "6.40", "7.00", "89.3%", "25.0%"]
    assert "longest twentieth of the samples has 35% of the squares" in printed  # 0.05 × 49 of 7


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--samples", 0), "must be at least 1"), (("--clip", 0), "must be a number above 0")],
)
def test_numbers_that_mean_nothing_are_refused(study, checkpoint, capsys, options, says):
    with pytest.raises(SystemExit):
        study(checkpoint, *options)
    assert says in capsys.readouterr().err


def test_weights_with_gradients_that_are_not_finite_are_refused(study, checkpoint):
    tiny = load_checkpoint(checkpoint)
    tiny.state["embed.weight"].fill_(1e38)
    save_checkpoint(checkpoint, tiny.state, tiny.network, tiny.header)
    with pytest.raises(SystemExit, match=r"gradient_study: .*not finite; use other weights"):
        study(checkpoint)


def test_what_cannot_be_used_is_said_before_anything_is_measured(study, checkpoint, tmp_path, monkeypatch):
    def never(self, degraded):
        raise AssertionError("measured")

    monkeypatch.setattr(AnyIR, "forward", never)
    with pytest.raises(SystemExit, match=r"gradient_study: .*nowhere\.safetensors"):
        study(tmp_path / "nowhere.safetensors")
    with pytest.raises(SystemExit, match="nowhere: no such folder; make it, or name another with -o"):
        study(checkpoint, "-o", tmp_path / "nowhere" / "norms.json")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("hold_out_every = 2", "hold_out_every = 0"))
    with pytest.raises(SystemExit, match="no task of this recipe has held-out pictures"):
        study(checkpoint)
