import json
import signal

import pytest

RECIPE = """
network = "anyir-s"
steps = 2
warmup_steps = 1
[mixture]
noise_real = 1
lowlight = 1
[[stages]]
until = 1
patch = 16
batch = 1
[validation]
every_steps = 2
samples = 1
patch = 16
hold_out_every = 4
"""


@pytest.fixture
def arguments(tmp_path, tiny_data):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return [
        *("ablation", "--recipe", str(path), "--data", str(tiny_data), "-o", str(tmp_path / "out")),
        *("--threads", "1"),
    ]


def test_a_study_becomes_three_files_and_a_verdict_and_is_not_trained_twice(
    anyir, arguments, tmp_path, tiny_networks
):
    code, out, err = anyir(*arguments, "--seeds", "2")
    assert code == 0, err
    assert "10 runs of 2 steps, recipe mine" in err
    content = json.loads((tmp_path / "out/ablation.json").read_text())
    assert content["verdict"] == out.splitlines()[-1] and "over 2 seeds" in content["verdict"]
    assert content["command"].endswith("--seeds 2 --device auto --threads 1")
    assert {(run["samples"], run["steps"]) for run in content["runs"]} == {(2, 2)} and len(
        content["runs"]
    ) == 10
    networks = [each["network"] for each in content["variants"].values()]
    assert networks == [f"ablation-{row}-s" for row in "abcd"] + ["anyir-s"]
    assert (tmp_path / "out/ablation.csv").read_text().count("\n") == 6
    assert content["verdict"] in (tmp_path / "out/ablation.md").read_text()

    models = sorted((tmp_path / "out/runs").glob("*/model.safetensors"))
    before = [model.stat().st_mtime_ns for model in models]
    code, _, err = anyir(*arguments, "--seeds", "2")
    assert code == 1 and "--resume" in err and len(err.splitlines()) == 1
    (tmp_path / "out/ablation.md").unlink()
    assert anyir(*arguments, "--seeds", "2", "--resume", "--quiet") == (0, "", "")
    assert (tmp_path / "out/ablation.md").is_file()
    assert [model.stat().st_mtime_ns for model in models] == before


def test_a_dry_run_writes_nothing_and_counts_what_is_left(
    anyir, arguments, tmp_path, monkeypatch, tiny_networks
):
    monkeypatch.setattr("anyir.training.plan.DATA_SECONDS", 0.0)
    monkeypatch.setattr("anyir.training.plan.TIMED_STEPS", 1)
    code, out, err = anyir(*arguments, "--dry-run")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows[1:6]] == [
        *((row, f"ablation-{row}-s", "3") for row in "abcd"),
        ("e", "anyir-s", "3"),
    ]
    assert "steps  2 a run, 15 runs: seeds 0, 1, 2; validated: noise_real, lowlight" in out
    assert "nothing was written" in out and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "stepz=4"], "did you mean 'steps'"),
        (["--set", "validation.hold_out_every=0"], "add --set validation.hold_out_every=20"),
        (["--device", "gpu"], "--device 'gpu'"),
        (["--max-minutes", "0"], "--max-minutes 0"),
        (["--seeds", "0"], "--seeds"),
        (["--recipe", "none"], "no recipe 'none'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(anyir, arguments, tmp_path, given, message):
    code, out, err = anyir(*arguments, *given)
    assert (code, out) == (2, "") and message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_ablation_is_of_one_process(anyir, arguments, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = anyir(*arguments)
    assert code == 2 and "without torchrun" in err


def test_a_stopped_study_is_saved_and_says_how_to_go_on(start_tiny, arguments, tmp_path):
    process = start_tiny(*arguments, "--set", "steps=100000")
    assert "15 runs of 100000 steps" in process.stderr.readline()
    assert "run 1 of 15, a-seed0: step 100" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped after 0 of 15 runs" in err and "--resume" in err.splitlines()[-1]
    assert (tmp_path / "out/runs/a-seed0/state.safetensors").is_file()
