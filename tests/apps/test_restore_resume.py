"""Folder jobs that are interrupted, killed, rerun and verified, as a user would."""

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anyir.inference.manifest import NAME
from anyir.picture import write_image

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def start(start_program):
    """start(argument, ...) → the command line in a process of its own, which hears SIGINT."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from anyir.apps.cli import main; main(sys.argv[1:])"
    )
    return partial(start_program, program)


@pytest.fixture
def endless_weights(tmp_path):
    """An ONNX model that keeps a thread busy for about a minute with any tile, in steps of a fraction of a second."""
    kind, shape = TensorProto.FLOAT, ("n", 3, "h", "w")
    kernel = numpy_helper.from_array(np.full((3, 3, 65, 65), 1 / 65 / 65 / 3, np.float32), "kernel")
    names = ["x", *(f"m{step}" for step in range(400)), "y"]
    nodes = [
        helper.make_node("Conv", [names[i], "kernel"], [names[i + 1]], pads=[32] * 4)
        for i in range(len(names) - 1)
    ]
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "endless", ends[:1], ends[1:], [kernel])
    path = tmp_path / "endless.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


@posix
def test_ctrl_c_is_heard_while_the_network_computes(endless_weights, start, tmp_path):
    given, out = tmp_path / "in", tmp_path / "out"
    given.mkdir()
    (given / "a.png").write_bytes(b"")  # its line says that the work has begun
    write_image(np.full((256, 256, 3), 100, np.uint8), given / "b.png")
    options = ("--no-guard", "--threads", 1, "--device", "cpu")
    process = start("restore", given, "-o", out, "--weights", endless_weights, *options)
    assert process.stderr.readline().startswith("1/2 ")
    time.sleep(0.5)
    assert process.poll() is None
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert time.monotonic() - interrupted < 3, "a second, where nothing else keeps the machine busy"
    assert process.returncode == 130
    assert "interrupted: 1 of 2 pictures done, none half-written; to go on, run the same command again" in err
    assert list(out.iterdir()) == []


@posix
def test_where_nobody_listens_any_more_a_run_ends_in_order(start, tmp_path):
    """It finds that out between two pictures, when the network is at work on the next: Python's own end would crash."""
    given = tmp_path / "in"
    given.mkdir()
    for name, side in (("a", 64), ("b", 320), ("c", 320)):
        write_image(np.full((side, side, 3), 100, np.uint8), given / f"{name}.png")
    process = start("restore", given, "-o", tmp_path / "out", "--threads", 1, "--device", "cpu")
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", NAME]


# Kills


def noise_pictures(folder, count, side):
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        suffix = ("png", "jpg", "webp")[index % 3]
        image = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        write_image(image, folder / f"{index:02}.{suffix}")


def results(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != NAME}


def lines(out):
    """What the manifest says, whatever order and time it was said in; a later line about a file counts."""
    entries = (json.loads(line) for line in (out / NAME).read_text().splitlines())
    return {tuple(entry["outputs"]): {**entry, "seconds": 0} for entry in entries}


def kill_again_and_again(start, weights, tmp_path, *, pictures, side, kills, longest):
    """Kill runs at random moments of up to ``longest`` seconds of work; start a new folder whenever one is finished.

    Returns:
        How many of the kills struck before the folder was finished.
    """
    given, whole, out = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    noise_pictures(given, pictures, side)

    def command(output):
        options = ("--tile", 64, "--threads", 1, "--device", "cpu")
        return ("restore", given, "-o", output, "--weights", weights, *options)

    assert start(*command(whole)).wait(timeout=120) == 0
    expected, expected_lines = results(whole), lines(whole)
    assert len(expected) == pictures
    chance, struck = random.Random(1), 0
    for _ in range(kills):
        process = start(*command(out))
        process.stderr.readline()  # the work has begun
        time.sleep(chance.uniform(0, longest))
        struck += process.poll() is None
        process.kill()
        process.wait(timeout=60)
        found = results(out)
        for name, content in found.items():
            assert content == expected.get(name) or re.fullmatch(r"\.anyir-[0-9a-f]{16}\.tmp", name), name
        if expected.items() <= found.items():
            finish(start, command, out, expected, expected_lines)
            shutil.rmtree(out)
    finish(start, command, out, expected, expected_lines)
    return struck


def finish(start, command, out, expected, expected_lines):
    """Let a run come to its end, and see that nothing shows that others did not."""
    assert start(*command(out)).wait(timeout=120) == 0
    assert results(out) == expected
    assert lines(out) == expected_lines
    assert start(*command(out), "--verify").wait(timeout=120) == 0


@posix
def test_kills_at_random_moments_leave_no_trace(start, weights, tmp_path):
    assert kill_again_and_again(start, weights, tmp_path, pictures=9, side=300, kills=8, longest=0.15) >= 4


@posix
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_in_a_job_of_thirty_pictures_leave_no_trace(start, weights, tmp_path):
    assert kill_again_and_again(start, weights, tmp_path, pictures=30, side=400, kills=100, longest=0.6) >= 80


# The command line


def test_a_changed_picture_is_restored_again_and_a_finished_folder_is_proved(
    anyir, weights, pictures, tmp_path
):
    command = ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    assert anyir(*command, "--verify")[0] == 1
    assert not (tmp_path / "out").exists()
    assert anyir(*command)[0] == 0
    code, out, err = anyir(*command, "--verify")
    assert (code, out) == (0, "")
    assert err == "2 pictures verified: inputs, weights tiny, settings and results are as recorded\n"
    assert anyir(*command, "--verify", "--quiet") == (0, "", "")
    write_image(np.full((24, 32, 3), 50, np.uint8), pictures / "a.png", overwrite=True)
    code, out, err = anyir(*command, "--verify")
    assert (code, out, err) == (1, "", f"anyir: {pictures / 'a.png'}: has changed since it was restored\n")
    code, _, err = anyir(*command)
    assert (code, err.splitlines()[-1][:44]) == (0, "1 picture restored, 1 skipped (already there")
    assert anyir(*command, "--verify")[0] == 0
    assert anyir(*command, "--verify", "--tile", 64)[0] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out", "--overwrite"], "--verify changes nothing"),
        (["-o", "out", "--report", "r.json"], "--verify changes nothing"),
        ([], "name the one that the results are in with -o"),
    ],
)
def test_verification_needs_an_output_folder_and_writes_nothing(
    anyir, weights, pictures, monkeypatch, tmp_path, options, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = anyir("restore", pictures, "--weights", weights, "--verify", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_what_is_not_anyirs_is_kept_and_said_so(anyir, weights, pictures, tmp_path):
    command = ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    anyir(*command)
    write_image(np.full((24, 32, 3), 7, np.uint8), tmp_path / "out" / "a.png", overwrite=True)
    code, _, err = anyir(*command)
    assert code == 0
    edited = tmp_path / "out" / "a.png"
    assert f"kept: {edited} is not what anyir wrote there; --overwrite replaces it\n" in err


def test_a_quoted_pattern_is_expanded(anyir, weights, pictures, tmp_path):
    code, _, _ = anyir("restore", pictures / "**" / "*.[jw]*", "-o", tmp_path / "out", "--weights", weights)
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [NAME, "b.jpg", "c.webp", "sub"]


def test_a_report_has_what_changed_in_figures_and_as_a_table(anyir, weights, pictures, tmp_path):
    (pictures / "z\x1b.jpg").write_bytes(b"")
    report, command = tmp_path / "r.json", ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    code, out, _ = anyir(*command, "--report", report)
    assert code == 1
    headings, a, b, z = out.splitlines()
    assert headings.split()[:5] == ["picture", "size", "noise", "sharpness", "brightness"]
    assert re.match(r"a\.png +32x24 +0\.0 → 0\.0 +0 → 0 +100 → 95 +5\.0 +5 at 0,0 +4x3 at 0,0 +\d+\.\d", a)
    assert b.startswith("b.jpg")
    assert "failed: " in z and "\x1b" not in z
    content = json.loads(report.read_text())
    assert len(content["weights_sha256"]) == 64
    first = content["pictures"][0]
    assert first["findings"]["before"]["brightness"] == pytest.approx(100, abs=0.01)
    assert first["findings"]["change"]["mean"] == 5
    assert content["pictures"][2]["findings"] is None
    code, out, _ = anyir(*command, "--report", report, "--quiet")
    assert out == ""
    assert json.loads(report.read_text())["pictures"][0]["findings"] == first["findings"], "from the manifest"


def test_a_long_table_ends_with_a_word_on_the_rest(anyir, weights, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("anyir.apps.restore._ROWS", 1)
    report = tmp_path / "r.json"
    _, out, _ = anyir("restore", pictures, "-o", tmp_path / "out", "--weights", weights, "--report", report)
    assert out.splitlines()[-1] == f"and 1 more in {report}"
    assert len(out.splitlines()) == 3


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
def test_a_name_that_is_not_utf_8_stops_nobody(anyir, weights, pictures, tmp_path):
    odd = pictures / os.fsdecode(b"caf\xe9.png")
    os.rename(pictures / "a.png", odd)
    report = tmp_path / "r.json"
    command = ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    code, _, err = anyir(*command, "--report", report)
    assert code == 0, err
    assert (tmp_path / "out" / odd.name).exists()
    assert json.loads(report.read_text("utf-8"))["pictures"][1]["input"] == str(odd)
    assert (tmp_path / "out" / NAME).read_text("utf-8").count(r"caf\udce9.png") == 2, (
        "UTF-8, for other programs"
    )
    assert "2 skipped" in anyir(*command)[2]
    assert anyir(*command, "--verify")[0] == 0
