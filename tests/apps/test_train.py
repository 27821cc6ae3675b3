import re
import signal

import numpy as np
import pytest
from PIL import Image

from anyir.apps.train_progress import training_progress
from anyir.picture import read_image, write_image
from anyir.training.loop import Progress

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
    assert f"--weights {tmp_path / 'run' / 'model.onnx'}" in out


def test_the_shipped_weights_are_fine_tuned_on_ones_own_pairs_and_restore_pictures(anyir, tmp_path):
    """One command, as the README has it but for its length; the network learns that these pictures are too dark."""
    random = np.random.default_rng(0)
    for number in range(12):
        colours = random.integers(120, 255, (4, 4, 3), dtype=np.uint8)
        clean = np.asarray(Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC))
        for part, pixels in (("clean", clean), ("degraded", clean // 2)):
            (tmp_path / "mine" / part).mkdir(parents=True, exist_ok=True)
            write_image(pixels, tmp_path / "mine" / part / f"{number}.png")
    run = tmp_path / "run"
    few = ["steps=30", "warmup_steps=2", "average_decay=0.5", "optimiser.learning_rate=5e-4"]
    stages = "stages=[{until=1.0, patch=32, batch=2, freeze_batch_norm=true}]"
    changes = [word for change in (*few, stages, "validation.patch=48") for word in ("--set", change)]
    code, out, err = anyir(
        "train", "finetune", "--data", tmp_path / "mine", "--out", run, "--weights", "anyir-s", *changes
    )
    assert code == 0, err
    before, after = (float(word) for word in re.search(r"pairs +([\d.]+) → +([\d.]+) dB", out).groups())
    assert after > before + 2
    dark = tmp_path / "mine" / "degraded" / "0.png"
    code, _, err = anyir("restore", dark, "-o", tmp_path / "out", "--weights", run / "model.onnx")
    assert code == 0, err
    assert read_image(tmp_path / "out" / "0.png").mean() > 1.3 * read_image(dark).mean()


def test_weights_that_half_precision_would_change_are_exported_in_single(
    anyir, recipe, tiny_data, tmp_path, monkeypatch
):
    from anyir.model import export

    monkeypatch.setitem(export.TOLERANCES, "fp16", 0.0)
    train = ("train", recipe, "--data", tiny_data, "--threads", 1, "--out")
    code, _, err = anyir(*train, tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run/model.onnx").stat().st_size > 3_900_000  # 0.99 M parameters of four bytes
    monkeypatch.setitem(export.TOLERANCES, "fp32", -1.0)
    code, out, err = anyir(*train, tmp_path / "again")
    assert code == 0 and "model.onnx was not written" in err and "--weights" not in out
    assert (tmp_path / "again/model.safetensors").is_file()


def test_the_shipped_weights_of_another_network_are_refused_with_the_remedy(
    anyir, recipe, tiny_data, tmp_path
):
    arguments = ["train", recipe, "--data", tiny_data, "--out", tmp_path / "run", "--set", "network=anyir"]
    code, _, err = anyir(*arguments, "--weights", "anyir-s")
    assert code == 2 and "--set network=anyir-s" in err
    code, _, err = anyir(*arguments, "--weights", "anyir-xl")
    assert code == 2 and "no checkpoint is called 'anyir-xl'" in err and "anyir-s" in err
    code, _, err = anyir(*arguments, "--weights", "mine.onnx")
    assert code == 2 and "an ONNX file holds no network to train" in err


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
    assert code == 2 and "none is not a folder" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_says_how_to_go_on(start_tiny, recipe, tiny_data, tmp_path, number):
    arguments = ["train", recipe, "--data", tiny_data, "--out", tmp_path / "run", "--threads", 1]
    process = start_tiny(*arguments, "--set", "steps=100000")
    assert "step 100" in process.stderr.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err.splitlines()[-1]
    assert ("Ctrl-C again stops at once" in err) == (number == signal.SIGINT)
    assert (tmp_path / "run" / "state.safetensors").is_file()


def test_a_slow_run_tells_its_speed_and_its_days(capsys):
    with training_progress("anyir", before="a: ", quiet=False) as show:
        show(Progress(100, 4000, 0.025, 1.5, 1e-4, 0.0432, 5 * 86400 + 3600, {}))
        show(Progress(200, 4000, 0.05, 1.5, 1e-4, 1234.5, 62, {}))
    assert capsys.readouterr().err.splitlines() == [
        "a: step 100 (2.5%): loss 1.5000, 0.0432 samples/s, 5 days, 1:00:00 left",
        "a: step 200 (5.0%): loss 1.5000, 1234 samples/s, 0:01:02 left",
    ]
