import sys

import pytest

from anyir.errors import WeightsNotFound
from anyir.evaluation import peak_memory
from anyir.evaluation.peak_memory import measure_here, peak_memory_bytes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")

HIDDEN_BYTES = 224 * 224 * 4
"""Of one channel between the two convolutions."""


def test_what_lies_between_the_layers_counts_and_the_libraries_do_not(make_onnx):
    """The hidden image has to be held; importing takes tens of megabytes, which a small network must not show."""
    small, large = (peak_memory_bytes(make_onnx(channels, f"{channels}.onnx"), 1) for channels in (1, 512))
    assert 0 < small < 30e6
    assert 0.9 * 512 * HIDDEN_BYTES < large - small < 3 * 512 * HIDDEN_BYTES


def test_a_network_that_does_not_run_has_no_figure(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    assert peak_memory_bytes(tmp_path / "x.onnx") is None


def test_a_peak_from_before_the_engine_says_nothing_of_it(make_onnx, monkeypatch):
    monkeypatch.setattr(peak_memory, "status_bytes", {"VmRSS": 5, "VmHWM": 9}.__getitem__)
    monkeypatch.setattr(peak_memory, "forget_peak", lambda: None)
    assert measure_here(make_onnx(1)) is None


def test_a_system_without_proc_has_no_figure(make_onnx, tmp_path, monkeypatch):
    monkeypatch.setattr(peak_memory, "STATUS", tmp_path / "status")
    assert peak_memory_bytes(make_onnx(1)) is None


def test_a_missing_file_is_an_error_where_it_is_measured(tmp_path):
    with pytest.raises(WeightsNotFound):
        measure_here(tmp_path / "none.onnx")


def test_a_line_of_the_status_is_in_kibibytes(tmp_path, monkeypatch):
    (tmp_path / "status").write_text("VmPeak:\t 9 kB\nVmHWM:\t   12 kB\n")
    monkeypatch.setattr(peak_memory, "STATUS", tmp_path / "status")
    assert peak_memory.status_bytes("VmHWM") == 12_288
    with pytest.raises(ValueError, match="has no VmRSS"):
        peak_memory.status_bytes("VmRSS")
