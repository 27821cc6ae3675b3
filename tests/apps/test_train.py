import os
import signal
import subprocess
import sys

import pytest

RECIPE = """
network = "anyir-s"
steps = 3
warmup_steps = 1
[mixture]
noise_real = 1
lowlight = 1
[[stages]]
until = 1
patch = 16
batch = 2
[validation]
every_steps = 3
samples = 1
patch = 16
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return str(path)


def test_a_recipe_becomes_weights_and_a_word_on_them(anyir, recipe, tiny_data, tmp_path):
    code, out, err = anyir(
        "train", recipe, "--data", str(tiny_data), "--out", str(tmp_path / "run"), "--threads", "1"
    )
    assert code == 0, err
    assert "6 samples, 3 steps" in out and "model.safetensors" in out and "lowlight" in out
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "stepz=4"], "did you mean 'steps'"),
        (["--device", "gpu"], "--device 'gpu'"),
        (["--max-minutes", "0"], "--max-minutes 0"),
        (["--weights", "absent.safetensors"], "absent.safetensors"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(anyir, recipe, tiny_data, tmp_path, arguments, message):
    code, _, err = anyir(
        "train", recipe, "--data", str(tiny_data), "--out", str(tmp_path / "run"), *arguments
    )
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


def test_tensorboard_that_is_not_installed_is_one_line_with_the_command(
    anyir, recipe, tiny_data, tmp_path, monkeypatch
):
    monkeypatch.setattr("anyir.training.tensorboard.find_spec", lambda name: None)
    run = str(tmp_path / "run")
    code, _, err = anyir("train", recipe, "--data", str(tiny_data), "--out", run, "--tensorboard")
    assert code == 2 and "pip install 'anyir[tensorboard]'" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_absent_pictures_are_named(anyir, recipe, tmp_path):
    code, _, err = anyir("train", recipe, "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run"))
    assert code == 2 and "none: no such folder" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_says_how_to_go_on(recipe, tiny_data, tmp_path, number):
    arguments = ["train", recipe, "--data", str(tiny_data), "--out", str(tmp_path / "run"), "--threads", "1"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "anyir.apps.cli", *arguments, "--set", "steps=100000"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    assert "step 100" in process.stderr.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err.splitlines()[-1]
    assert (tmp_path / "run" / "state.safetensors").is_file()
