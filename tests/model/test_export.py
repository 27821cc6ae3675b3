import hashlib
import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from anyir.errors import ExportMismatch, OutputError
from anyir.model import Checkpoint
from anyir.model import export as module
from anyir.model.complexity import count_macs, count_parameters
from anyir.model.export import export_onnx, largest_difference
from anyir.model.facts import read_onnx_header

HEADER = {
    "name": "tiny",
    "recipe": {"steps": 3},
    "training": {"minutes": 1.5},
    "results": {"clean_psnr": 36.5},
}


@pytest.fixture(scope="module")
def network(tiny, randomised):
    return randomised(tiny())


@pytest.fixture(scope="module")
def checkpoint(network):
    return Checkpoint(network.config, network.state_dict(), HEADER)


@pytest.fixture(scope="module")
def exports(checkpoint, tmp_path_factory):
    """By storage: exports that tests only read."""
    folder = tmp_path_factory.mktemp("written")
    return {
        storage: export_onnx(checkpoint, folder / f"{storage}.onnx", storage=storage)
        for storage in ("fp16", "fp32")
    }


@pytest.fixture
def written(exports):
    return exports["fp16"]


@pytest.fixture
def damage(monkeypatch):
    """The next exports compute something else: one weight of the inference form is changed."""
    sound = module.to_inference_form

    def damaged(network):
        form = sound(network)
        form.output.weight[0, 0, 1, 1] += 0.05
        return form

    monkeypatch.setattr(module, "to_inference_form", damaged)


def run(path, degraded):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["restored"], {"degraded": degraded.numpy()})[0]


@pytest.mark.parametrize(("storage", "tolerance"), [("fp16", 2e-3), ("fp32", 1e-5)])
def test_same_function_at_any_size(exports, network, storage, tolerance):
    written = exports[storage]
    assert written.difference <= tolerance
    for shape in ((1, 3, 8, 16), (3, 3, 40, 24), (1, 3, 136, 104)):
        degraded = torch.rand(shape)
        with torch.inference_mode():
            expected = network(degraded).numpy()
        restored = run(written.path, degraded)
        assert restored.shape == shape
        assert restored.dtype == np.float32
        assert np.abs(restored - expected).max() <= tolerance, shape


def test_what_the_file_says(written, network):
    assert read_onnx_header(written.path) == {
        **HEADER,
        "data": None,
        "network": network.config.to_dict(),
        "parameters": count_parameters(network),
        "macs_224": count_macs(network.config, 224, 224),
    }
    session = onnxruntime.InferenceSession(str(written.path), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["anyir"])["name"] == "tiny"
    (degraded,), (restored,) = session.get_inputs(), session.get_outputs()
    assert (degraded.name, restored.name) == ("degraded", "restored")
    assert degraded.type == restored.type == "tensor(float)"
    assert degraded.shape == restored.shape == ["pictures", 3, "height", "width"]


def test_a_checkpoint_without_a_name_takes_the_files(network, tmp_path):
    export_onnx(Checkpoint(network.config, network.state_dict(), {}), tmp_path / "mine.onnx")
    assert read_onnx_header(tmp_path / "mine.onnx")["name"] == "mine"


@pytest.mark.parametrize(("storage", "kind"), [("fp16", "FLOAT16"), ("fp32", "FLOAT")])
def test_how_weights_are_stored(exports, storage, kind):
    model = onnx.load(exports[storage].path)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 4}
    assert kinds == {onnx.TensorProto.DataType.Value(kind)}


def test_what_is_reported(written):
    content = written.path.read_bytes()
    assert (written.size_bytes, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert 0 < written.difference <= 2e-3


def test_casts_cost_nothing_when_running(written, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(written.path), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "Conv" in operators
    assert "Cast" not in operators


def test_the_same_checkpoint_gives_the_same_file(checkpoint, written, tmp_path):
    assert export_onnx(checkpoint, tmp_path / "again.onnx").sha256 == written.sha256


def test_the_file_tells_nothing_of_the_machine_that_made_it(written):
    content = written.path.read_bytes()
    for trace in (str(Path(module.__file__).parent), str(Path(torch.__file__).parent), ".py"):
        assert trace.encode() not in content


def test_a_model_that_differs_is_not_written(checkpoint, tmp_path, damage):
    path = tmp_path / "tiny.onnx"
    with pytest.raises(ExportMismatch, match="differs"):
        export_onnx(checkpoint, path)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"the one before")
    with pytest.raises(ExportMismatch):
        export_onnx(checkpoint, path, overwrite=True)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"the one before"]


def test_a_difference_that_is_no_number_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ExportMismatch, match="nan"):
        export_onnx(checkpoint, tmp_path / "tiny.onnx")


def test_nan_in_one_channel_is_the_largest_difference(written, network):
    content = written.path.read_bytes()
    assert largest_difference(network, content) == pytest.approx(written.difference, abs=1e-5)
    changed = deepcopy(network)
    with torch.no_grad():
        changed.output.weight[0] = float("nan")
    assert np.isnan(largest_difference(changed, content))


def test_an_existing_file_is_kept(checkpoint, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"the one before")
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(checkpoint, path)
    assert path.read_bytes() == b"the one before"
    export_onnx(checkpoint, path, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.onnx"]
    assert read_onnx_header(path)["name"] == "tiny"
