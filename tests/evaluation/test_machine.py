from pathlib import Path

from anyir.evaluation import machine as module
from anyir.evaluation.machine import machine
from anyir.inference import usable_cores


def test_the_machine_is_named(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Abacus 3\nmodel name\t: Other\n")
    monkeypatch.setattr(module, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine() == {"processor": "Abacus 3", "cores": usable_cores()}
    monkeypatch.setattr(module, "_CPU_INFO", Path("/nowhere"))
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    assert machine()["processor"] is None
