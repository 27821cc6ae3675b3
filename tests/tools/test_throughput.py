"""The tool measures in processes of its own; here with tiny sizes, which say nothing of any machine."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "throughput.py"

RECIPE = """
network = "anyir"
steps = 1000
[mixture]
lowlight = 1
[[stages]]
until = 1
patch = 96
batch = 3
"""


@pytest.fixture(scope="module")
def throughput():
    spec = importlib.util.spec_from_file_location("throughput", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["throughput"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["throughput"]


def run(throughput, tmp_path, data, *more):
    (tmp_path / "mine.toml").write_text(RECIPE)
    given = ("--data", data, "--recipe", tmp_path / "mine.toml", "--device", "cpu", "-o", tmp_path / "out")
    sizes = ("--networks", "anyir-s", "--patch", 16, "--steps", 2)
    with pytest.raises(SystemExit) as exit_:
        throughput.main([str(each) for each in (*given, *sizes, *more)])
    (values,) = (json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json"))
    (table,) = (path.read_text() for path in (tmp_path / "out").glob("*.md"))
    return exit_.value.code, values, table


def test_a_line_for_each_batch_size_and_one_that_fails_does_not_take_the_others_with_it(
    throughput, tmp_path, tiny_data
):
    code, values, table = run(throughput, tmp_path, tiny_data, "--batches", 2, 0)
    assert code == 0
    row, failed = values["measurements"]
    assert (row["network"], row["batch"], row["patch"], row["mode"]) == ("anyir-s", 2, 16, "fp32")
    assert row["parameters"] == 993_699 and row["gpu_bytes"] is None and row["gpu_utilisation"] is None
    assert row["samples_per_second"] == pytest.approx(2 / row["step_seconds"])
    assert row["data_share"] == pytest.approx(row["samples_per_second"] / row["data_per_second"])
    assert 0 < row["data_share"] < 1 and row["resident_bytes"] > 50e6
    assert failed["error"] == "recipe stages.batch = 0: must be at least 1"
    assert values["steps"] == 2 and values["with"]["torch"] and "--batches 2 0" in values["command"]
    first, second = (line.split(" | ") for line in table.splitlines() if line.startswith("| anyir-s"))
    assert first[4] == f"{row['samples_per_second']:.3g}" and first[7] == f"{row['data_share']:.1%}"
    assert "failed: recipe stages.batch = 0" in second[4] and values["command"] in table


def test_where_nothing_can_be_measured_the_exit_code_says_so(throughput, tmp_path):
    code, values, _ = run(throughput, tmp_path, tmp_path, "--batches", 1)
    assert code == 1 and "the set 'lowlight', which is not there" in values["measurements"][0]["error"]


def test_on_cuda_each_size_is_measured_in_three_ways(throughput):
    changes = {mode: throughput.Trial("anyir", mode, 128, 16).changes for mode in throughput.MODES}
    assert {mode: each[1:3] for mode, each in changes.items()} == {
        "fp32": ["precision=float32", "compile=false"],
        "bf16": ["precision=bfloat16", "compile=false"],
        "bf16 + compile": ["precision=bfloat16", "compile=true"],
    }


def test_gpu_utilisation_is_the_median_while_it_works(throughput, tmp_path, monkeypatch):
    """A stand-in for nvidia-smi, which says 0, 40, 60, 80 and then always 0."""
    script = tmp_path / "nvidia-smi"
    script.write_text(
        f'#!/bin/sh\ntest "$1" = --id=3 || exit 1\necho x >> {tmp_path}/asked\n'
        f"case $(wc -l < {tmp_path}/asked) in 2) echo 40;; 3) echo 60;; 4) echo 80;; *) echo 0;; esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(throughput, "UTILISATION_EVERY", 0.001)
    asked = tmp_path / "asked"
    with throughput.Utilisation(3) as utilisation:
        while not asked.exists() or len(asked.read_text().splitlines()) < 6:
            time.sleep(0.01)
    assert utilisation.median == 0.6
    with throughput.Utilisation(None) as nothing:
        pass
    assert nothing.median is None
