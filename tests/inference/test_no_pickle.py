"""What is unpickled can run code. Nothing is: not by the sources, and not by the libraries while they restore."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import anyir
from anyir.picture import read, write_image

SOURCES = Path(anyir.__file__).parent

UNPICKLING_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "shelve",
    "marshal",
    "dill",
    "cloudpickle",
    "joblib",
    "jsonpickle",
}
RUNNING = {"eval", "exec", "compile", "__import__"}
LOADING = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("torch", "hub"), ("pd", "read_pickle")}


def offences(source):
    """What in a source could unpickle or run what a file says: (line, word)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        found += [(node.lineno, name) for name in names if name.split(".")[0] in UNPICKLING_MODULES]
        found += [(node.lineno, name) for name in names if tuple(name.rsplit(".", 1)) in LOADING]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in LOADING:
                found.append((node.lineno, f"{node.value.id}.{node.attr}"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RUNNING:
            found.append((node.lineno, node.func.id))
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
            found.append((node.value.lineno, node.arg))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads as read",
        "import shelve as notes",
        "def f():\n    import joblib.numpy_pickle",
        "torch.load(path)",
        "from torch import load",
        "np.load(path)",
        "open_array(path, allow_pickle=True)",
        "torch.hub.load_state_dict_from_url(url)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_is_for(source):
    assert len(offences(source)) >= 1


def test_no_source_unpickles_or_runs_what_a_file_says():
    """All of them, of which picture/, inference/ and apps/restore.py are what restores."""
    paths = sorted(SOURCES.rglob("*.py"))
    names = {path.relative_to(SOURCES).as_posix() for path in paths}
    assert {"picture/reading.py", "inference/weights.py", "inference/engine.py", "apps/restore.py"} < names
    found = {
        path.relative_to(SOURCES).as_posix(): offences(path.read_text(encoding="utf-8")) for path in paths
    }
    assert found.keys() == names, "two files of one name must not hide each other"
    assert {name: each for name, each in found.items() if each} == {}


def test_neither_do_the_libraries_while_a_picture_is_restored(tmp_path):
    """In a process of its own: whatever unpickles is caught by name, and looking up a class in a pickle is too."""
    code = """
import pickle, sys
unpickled = []
sys.addaudithook(lambda event, _: unpickled.append(event) if event == "pickle.find_class" else None)

def caught(name, real):
    def call(*arguments, **options):
        unpickled.append(name)
        return real(*arguments, **options)
    return call

for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
    setattr(pickle, name, caught(name, getattr(pickle, name)))
from anyir.apps.cli import main
try:
    main(["restore", sys.argv[1], "-o", sys.argv[2], "--weights", "default", "--quiet"])
except SystemExit as end:
    assert not end.code, end.code
assert {"numpy", "onnxruntime", "PIL"} <= set(sys.modules) and "torch" not in sys.modules
print(unpickled)
unpickled.clear()
pickle.loads(pickle.dumps(ValueError))
print(unpickled)
"""
    write_image(np.full((24, 32, 3), 100, np.uint8), tmp_path / "a.png")
    command = [sys.executable, "-c", code, str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["[]", "['loads', 'pickle.find_class']"], "the second proves the trap"
    assert read(tmp_path / "b.png").width == 32
