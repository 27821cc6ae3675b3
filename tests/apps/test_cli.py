import os
import subprocess
import sys
import threading

import pytest

from anyir import __version__
from anyir.apps.info import _count
from anyir.errors import DataError, OutputError


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_names_the_commands(anyir, arguments):
    code, out, _ = anyir(*arguments)
    assert code == 0
    assert [
        name
        for name in ("restore", "compare", "info", "degrade", "train", "ablation", "evaluate", "export")
        if f" {name} " not in out
    ] == []


def test_version(anyir):
    assert anyir("--version") == (0, f"anyir {__version__}\n", "")


def test_an_unknown_command_is_one_line_and_exit_code_2(anyir):
    code, out, err = anyir("repair")
    assert (code, out) == (2, "")
    assert err == "anyir: No such command 'repair'; see: anyir --help\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OutputError("a.png exists"), 1, "anyir: a.png exists\n"),
        (DataError("no data"), 2, "anyir: no data\n"),
        (PermissionError(13, "Permission denied", "a\n.png"), 1, "anyir: a\\n.png: Permission denied\n"),
        (OSError("no file, but a reason"), 1, "anyir: no file, but a reason\n"),
        (KeyboardInterrupt(), 130, "anyir: interrupted\n"),
    ],
)
def test_what_a_command_raises_becomes_a_line_and_an_exit_code(anyir, monkeypatch, error, code, line):
    def fail(paths, settings):
        raise error

    monkeypatch.setattr("anyir.inference.batch_plan.plan", fail)
    assert anyir("restore", "x.png") == (code, "", line)


@pytest.mark.parametrize(("name", "at_once"), [("anyir", True), ("somebody else's", False)])
def test_only_a_network_that_still_computes_makes_an_interrupted_command_exit_at_once(
    anyir, monkeypatch, name, at_once
):
    def interrupt(paths, settings):
        raise KeyboardInterrupt

    exits, done = [], threading.Event()
    monkeypatch.setattr("anyir.inference.batch_plan.plan", interrupt)
    monkeypatch.setattr(os, "_exit", exits.append)
    thread = threading.Thread(target=done.wait, args=(30,), name=name, daemon=True)
    thread.start()
    try:
        assert anyir("restore", "x.png") == (130, "", "anyir: interrupted\n")
    finally:
        done.set()
        thread.join()
    assert exits == [130] * at_once


@pytest.mark.parametrize("arguments", [["--help"], ["restore", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from anyir.apps.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    heavy = {'numpy', 'onnxruntime', 'PIL', 'torch', 'skimage', 'matplotlib', 'rich', 'asyncio'}\n"
        "    print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == "[]\n"


def test_a_reader_that_goes_away_is_no_traceback():
    command = [sys.executable, "-m", "anyir.apps.cli", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 1


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (7, "7"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_600, "1.00 M"),
        (6_196_128, "6.20 M"),
        (9_996_000, "10.0 M"),
        (19_949_999_999, "19.9 G"),
        (123_456_789, "123 M"),
    ],
)
def test_counts_have_three_significant_digits(number, text):
    assert _count(number) == text
