import re

import pytest

from anyir.model.checkpoint import save_checkpoint
from anyir.model.config import NetworkConfig, network_config
from anyir.model.network import AnyIR

RECIPE = """
network = "anyir-s"
epochs = 3
warmup_steps = 0
[repeats]
noise_real = 1
lowlight = 3
[optimiser]
learning_rate = 1e-3
final_share = 0.1
[[stages]]
until = 0.5
patch = 16
batch = 4
[[stages]]
until = 1
patch = 24
batch = 4
accumulate = 2
[validation]
every_steps = 10
samples = 1
patch = 16
"""


@pytest.fixture
def dry_run(anyir, tiny_data, tmp_path, monkeypatch):
    """dry_run(argument, ...) → exit code, standard output, standard error."""
    monkeypatch.setattr("anyir.training.plan.DATA_SECONDS", 0.0)
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)

    def call(*arguments):
        return anyir(
            *("train", path, "--data", tiny_data, "--out", tmp_path / "run", "--dry-run", *arguments)
        )

    return call


def test_the_plan_is_printed_and_nothing_written(dry_run, tmp_path):
    code, out, err = dry_run()
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    # Of eight examples each, one is held out; 28 samples an epoch, 84 in all, in batches of four.
    assert ["noise_real", "noise_real", "8", "×1", "7", "7", "25.0%"] in rows
    assert ["lowlight", "lowlight", "8", "×3", "7", "21", "75.0%"] in rows
    assert "held out for validation: 2 examples (lowlight 1, noise_real 1)" in out
    assert "network   anyir-s, 993,699 parameters, starts from random weights" in out
    assert "training  21 steps, 84 samples; 3 epochs of 28 samples" in out
    assert re.search(r"\n +1 +11 +16 +4 +1\.00e-03 → 5\.8\de-04 ", out)
    assert re.search(r"\n +2 +10 +24 +4 in 2 +5\.\d+e-04 → 1\.0\de-04 ", out)
    assert "3 validations" in out and "resident" in out
    assert re.search(
        r"disk +19\.9 MB of checkpoints", out
    )  # 4 bytes, 5 times: weights twice, averaged, moments
    assert re.search(r"data +alone gives [\d.e+]+ times", out) and "nothing was written" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


def test_the_plan_names_the_teacher(dry_run):
    code, out, _ = dry_run("--set", "distillation.teacher=anyir-s", "--set", "epochs=1")
    assert code == 0 and "starts from random weights, learns from anyir-s.safetensors too\n" in out


def test_a_budget_of_time_cuts_the_plan_short(dry_run):
    code, out, _ = dry_run("--max-minutes", "0.5", "--set", "epochs=10000000")
    assert code == 0 and "then the 0.5 minutes are over, before all 70,000,000 steps" in out
    assert "(the budget of 0.5 min" in out


def test_weights_of_the_network_are_named(dry_run, tmp_path):
    config = network_config("anyir-s")
    save_checkpoint(tmp_path / "start.safetensors", AnyIR(config), config, {"name": "anyir-s"})
    assert "starts from start.safetensors" in dry_run("--weights", tmp_path / "start.safetensors")[1]


def test_what_cannot_be_trained_is_one_line_and_training_s_exit_code(dry_run, tmp_path):
    config = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), refinement_blocks=0)
    save_checkpoint(tmp_path / "other.safetensors", AnyIR(config), config, {"name": "other"})
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "state.safetensors").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    for expected, message, *arguments in [
        (2, "the set 'gopro_train', which is not there", "--set", "repeats.deblur=1"),
        (2, "its network", "--weights", tmp_path / "other.safetensors"),
        (2, "absent.safetensors", "--weights", "absent.safetensors"),
        (2, "did you mean 'epochs'", "--set", "epoch=3"),
        (2, "--max-minutes 0", "--max-minutes", "0"),
        (1, "there is a run in this folder", "--out", tmp_path / "old"),
        (1, "is no folder", "--out", tmp_path / "mine.toml" / "run"),
    ]:
        code, out, err = dry_run(*arguments)
        assert (code, out) == (expected, "") and message in err and len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_is_of_one_process(dry_run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = dry_run()
    assert code == 2 and "without torchrun" in err
