import pytest
import torch

from anyir.data.catalogue import load_pictures
from anyir.data.mixture import Mixture, sources_of
from anyir.errors import TrainingError
from anyir.model.checkpoint import read_safetensors
from anyir.training.loop import train
from anyir.training.losses import l1
from anyir.training.state import step_seed


def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_checkpoint(
    tiny_data, tmp_path, recipe, monkeypatch
):
    poisoned = torch.full((), float("nan"))
    calls = iter(range(100))

    def loss(restored, clean):
        return l1(restored, clean) * (poisoned if next(calls) == 5 else 1.0)

    monkeypatch.setattr("anyir.training.losses.LOSSES", {"l1": loss})
    recipe = recipe("checkpoint_every_steps=5")
    with pytest.raises(TrainingError, match=r"nan at step 6, .*diverged\.safetensors"):
        train(recipe, tiny_data, tmp_path / "run")
    assert all(
        torch.isfinite(value).all()
        for value in read_safetensors(tmp_path / "run/state.safetensors")[0].values()
    )


@pytest.mark.parametrize(("bad", "every"), [(4, 2), (10, 5)])  # also where the sound losses were just read
def test_weights_that_are_not_finite_do_not_replace_a_sound_checkpoint(
    tiny_data, tmp_path, recipe, monkeypatch, bad, every
):
    """The bad step's loss is sound but its gradient is not: the weights are lost before any loss could tell."""
    calls = iter(range(1, 100))

    def loss(restored, clean):
        value = l1(restored, clean)
        return value + torch.sqrt(value * 0) if next(calls) == bad else value

    monkeypatch.setattr("anyir.training.losses.LOSSES", {"l1": loss})
    settings = recipe("optimiser.gradient_clip=0.0", f"checkpoint_every_steps={every}")
    with pytest.raises(
        TrainingError, match=rf"not finite at step {bad}, .*; the last checkpoint .* is sound"
    ):
        train(settings, tiny_data, tmp_path / "run")
    state, header = read_safetensors(tmp_path / "run/state.safetensors")
    assert header["step"] == bad - every and all(torch.isfinite(value).all() for value in state.values())
    assert read_safetensors(tmp_path / "run/diverged.safetensors")[1]["step"] == bad


@pytest.mark.parametrize("every", [100, 2])  # noticed at a reading of the losses, and at a checkpoint
def test_a_learning_rate_that_explodes_is_found_out_and_its_batch_is_kept(tiny_data, tmp_path, recipe, every):
    """The first step is sound, and ruins the weights; the second's loss is the first that is not finite."""
    settings = recipe("optimiser.learning_rate=1e30", "warmup_steps=0", f"checkpoint_every_steps={every}")
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"at step 2, .*diverged\.safetensors; .* lower") as caught:
        train(settings, tiny_data, run)
    assert "\n" not in str(caught.value)
    assert not (run / "state.safetensors").exists() and not (run / "model.safetensors").exists()
    kept, header = read_safetensors(run / "diverged.safetensors")
    assert (header["step"], header["seed"], header["learning_rate"]) == (2, 0, pytest.approx(1e30, rel=0.1))
    assert header["losses"][1] in ("nan", "inf") and 0 < header["losses"][0] < 1
    pictures, _ = load_pictures(tiny_data, sources_of(settings.mixture))
    seed = step_seed(0, 1)
    batch = Mixture(settings.mixture, pictures).batch(4, 32, torch.Generator().manual_seed(seed))
    assert header["step_seed"] == str(seed)
    assert torch.equal(kept["degraded"], batch.degraded) and torch.equal(kept["clean"], batch.clean)
