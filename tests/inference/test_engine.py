import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from anyir.errors import EngineUnavailable, UsageError, WeightsDamaged, WeightsNotFound
from anyir.inference import OnnxEngine, engine, usable_cores

CPU = "CPUExecutionProvider"


def test_it_runs_the_model_and_says_on_what(add_model):
    run = OnnxEngine(add_model(0.5), device="cpu")
    assert run.provider == CPU
    for shape in ((1, 3, 16, 24), (2, 3, 64, 8)):
        batch = np.random.default_rng(1).random(shape, np.float32)
        np.testing.assert_allclose(run(batch), batch + 0.5, atol=1e-7)


def test_it_names_its_weights_until_they_are_gone(add_model):
    path = add_model(0.5)
    run = OnnxEngine(path, device="cpu")
    assert run.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(WeightsNotFound, match=r"add\.onnx cannot be read"):
        _ = run.sha256


def test_the_header_is_read(add_model):
    header = {"name": "anyir-s", "network": {"width": 16}}
    assert OnnxEngine(add_model(0.0, header=header), "cpu").header == header
    assert OnnxEngine(add_model(0.0), "cpu").header == {}


@pytest.mark.parametrize("header", ["{not json", "[1, 2]"])
def test_a_damaged_header_is_refused(header, add_model):
    with pytest.raises(WeightsDamaged, match=r"add\.onnx: its header is not"):
        OnnxEngine(add_model(0.0, header=header), "cpu")


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(WeightsNotFound, match=f"{path.name}.*: no such file"):
            OnnxEngine(path)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"not a model", lambda whole: whole[: len(whole) // 2]]
)
def test_a_damaged_file_is_named_in_one_line(damage, add_model):
    path = add_model(np.zeros(1000, np.float32))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsDamaged, match=r"add\.onnx: not ") as caught:
        OnnxEngine(path, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": 2}, "2 inputs where one is expected"),
        ({"kind": TensorProto.FLOAT16}, r"its input is tensor\(float16\)"),
        ({"shape": ("n", "h", "w")}, "not float"),
        ({"shape": ("n", 1, "h", "w")}, "its input has 1 channels, not 3"),
        ({"shape": ("n", 3, 256, 512)}, "fixed at 512x256 pixels"),
        ({"shape": (4, 3, "h", "w")}, "batches of 4 only"),
    ],
)
def test_a_model_that_is_no_restorer_is_refused(options, message, add_model):
    with pytest.raises(WeightsDamaged, match=message):
        OnnxEngine(add_model(0.0, **options), "cpu")


def test_a_model_for_single_pictures_will_do(add_model):
    run = OnnxEngine(add_model(0.5, shape=(1, 3, "h", "w")), "cpu")
    assert run(np.zeros((1, 3, 8, 8), np.float32)).max() == 0.5


def test_a_failing_run_is_one_line_with_a_remedy(failing_model):
    run = OnnxEngine(failing_model, "cpu")
    with pytest.raises(EngineUnavailable, match=r"failed on a tile of 32x16 pixels .*smaller tile") as caught:
        run(np.zeros((1, 3, 16, 32), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"), [({"device": "tpu"}, "device = 'tpu'"), ({"threads": 0}, "threads = 0")]
)
def test_impossible_options_are_refused(options, message, add_model):
    with pytest.raises(UsageError, match=message):
        OnnxEngine(add_model(0.0), **options)


def test_an_onnx_runtime_that_cannot_be_loaded_is_explained(add_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineUnavailable, match=r"ONNX Runtime cannot be loaded .*pip install"):
        OnnxEngine(add_model(0.0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu.max": ""}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_the_containers_quota_is_read(files, cores, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert engine._quota_cores(tmp_path) == cores


def test_usable_cores_is_the_lesser_of_affinity_and_quota_rounded_up(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)
    assert usable_cores() == 4
    (tmp_path / "cpu.max").write_text("150000 100000")
    assert usable_cores() == 2
    (tmp_path / "cpu.max").write_text("1000 100000")
    assert usable_cores() == 1
    (tmp_path / "cpu.max").write_text("max 100000")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.fixture(scope="module")
def python():
    """python(code, *arguments) → what a fresh interpreter printed, on both streams."""

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_importing_the_room_loads_no_engine_and_no_training_library(python):
    code = "import anyir.inference, sys; print(*({'torch', 'onnxruntime', 'onnx'} & set(sys.modules)))"
    assert python(code).strip() == ""


def test_the_top_level_names_are_lazy(python):
    code = (
        "import sys, anyir; assert 'numpy' not in sys.modules and 'anyir.inference' not in sys.modules;"
        "from anyir import Picture, Restorer; import anyir.inference, anyir.picture;"
        "assert Restorer is anyir.inference.Restorer and Picture is anyir.picture.Picture;"
        "assert {'Restorer', 'Picture', '__version__'} <= set(dir(anyir));"
        "assert not hasattr(anyir, 'Nothing')"
    )
    assert python(code) == ""


def test_onnx_runtime_prints_nothing(python, add_model, failing_model):
    good = add_model(0.0)
    truncated = good.with_name("truncated.onnx")
    truncated.write_bytes(good.read_bytes()[:40])
    code = """
import sys, numpy as np
from anyir.errors import AnyirError
from anyir.inference import OnnxEngine
for path in sys.argv[1:]:
    try:
        OnnxEngine(path)(np.zeros((1, 3, 16, 16), np.float32))
    except AnyirError:
        pass
"""
    assert python(code, good, failing_model, truncated) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the process's memory from /proc")
def test_a_second_run_of_a_size_takes_no_more_memory_than_the_first(python, tmp_path):
    code = """
import re, sys, numpy as np
from onnx import TensorProto, helper, save
from anyir.inference import OnnxEngine

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 3, "h", "w")) for name in ("x", "y")]
nodes = [helper.make_node("Concat", ["x"] * 16, ["wide"], axis=1), helper.make_node("Sin", ["wide"], ["sin"]),
    helper.make_node("Cos", ["wide"], ["cos"]), helper.make_node("Mul", ["sin", "cos"], ["both"]),
    helper.make_node("Split", ["both"], ["y"] + [f"rest{i}" for i in range(15)], axis=1, num_outputs=16)]
model = helper.make_model(helper.make_graph(nodes, "wide", ends[:1], ends[1:]),
    opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
save(model, sys.argv[1])
run = OnnxEngine(sys.argv[1], "cpu", threads=1)
picture = np.zeros((1, 3, 512, 512), np.float32)
before = peak_mb()
run(picture)
first = peak_mb()
run(picture)
run(picture)
print(first - before, peak_mb() - first)
"""
    first, more = map(float, python(code, tmp_path / "wide.onnx").split())
    assert first > 100, "48 channels of 512×512 in float32, more than twice over"
    assert more < 0.2 * first
