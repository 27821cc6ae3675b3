from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import onnxruntime

from anyir.evaluation import machine as module
from anyir.evaluation.machine import library_version, machine
from anyir.inference import usable_cores


def test_the_machine_is_named(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Abacus 3\nmodel name\t: Other\n")
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine() == {"processor": "Abacus 3", "cores": usable_cores()}
    monkeypatch.setattr(module, "_CPU_INFO", Path("/nowhere"))
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    assert machine()["processor"] is None


def test_a_library_under_another_name_is_asked_itself(monkeypatch):
    """onnxruntime-gpu installs the module onnxruntime, but no package of that name."""

    def absent(name):
        raise PackageNotFoundError(name)

    assert library_version("numpy") == np.__version__
    monkeypatch.setattr(module, "version", absent)
    assert library_version("onnxruntime") == onnxruntime.__version__
