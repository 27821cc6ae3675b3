"""Engines and models small enough to know by heart what they must give."""

import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anyir.inference import Restorer
from anyir.picture import write_image


class FunctionEngine:
    """Applies a function to each batch and remembers the shapes it was given."""

    def __init__(self, function):
        self.function = function
        self.provider = "TestProvider"
        self.shapes = []

    def __call__(self, batch):
        self.shapes.append(batch.shape)
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        return self.function(batch)


def box_blur(batch, radius):
    """Mean over a square of side 2·radius + 1, with zeros beyond the border as in a convolution."""
    side = 2 * radius + 1
    for axis in (2, 3):
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(4)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(batch, padding), side, axis)
        batch = windows.mean(axis=-1, dtype=np.float32)
    return batch


@pytest.fixture
def function_engine():
    return FunctionEngine


@pytest.fixture
def identity():
    return FunctionEngine(lambda batch: batch.copy())


@pytest.fixture
def blur():
    """blur(radius) → an engine whose every pixel depends on no pixel further away than ``radius``."""
    return lambda radius: FunctionEngine(lambda batch: box_blur(batch, radius))


def _save(
    path, nodes, initializers=(), *, header=None, shape=("n", 3, "h", "w"), kind=TensorProto.FLOAT, inputs=1
):
    names = ["degraded", "more"][:inputs]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info("restored", kind, shape)],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if header is not None:
        helper.set_model_props(model, {"anyir": header if isinstance(header, str) else json.dumps(header)})
    onnx.save(model, str(path))
    return path


@pytest.fixture
def add_model(tmp_path):
    """add_model(value, ...) → path of an ONNX model that adds ``value``."""

    def make(value, name="add.onnx", **options):
        kind = options.get("kind", TensorProto.FLOAT)
        constant = np.array(value, helper.tensor_dtype_to_np_dtype(kind))
        node = helper.make_node("Add", ["degraded", "value"], ["restored"])
        return _save(tmp_path / name, [node], [numpy_helper.from_array(constant, "value")], **options)

    return make


@pytest.fixture
def blur_model(tmp_path):
    """Path of an ONNX model that blurs each channel by the mean of 3×3."""
    kernel = numpy_helper.from_array(np.full((3, 1, 3, 3), 1 / 9, np.float32), "kernel")
    node = helper.make_node("Conv", ["degraded", "kernel"], ["restored"], pads=[1, 1, 1, 1], group=3)
    return _save(tmp_path / "blur.onnx", [node], [kernel])


@pytest.fixture
def doubling_model(tmp_path):
    """Path of an ONNX model whose result is twice as high as its input."""
    node = helper.make_node("Concat", ["degraded", "degraded"], ["restored"], axis=2)
    return _save(tmp_path / "double.onnx", [node], shape=("n", 3, None, "w"))


@pytest.fixture
def failing_model(tmp_path):
    """Path of an ONNX model that loads, and fails when run: it adds pictures of different sizes."""
    nodes = [
        helper.make_node("MaxPool", ["degraded"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["degraded", "half"], ["restored"]),
    ]
    return _save(tmp_path / "failing.onnx", nodes)


@pytest.fixture
def weights(tmp_path, add_model):
    """A weights folder: 'tiny' has weights (adds 0.25) and is the default, 'big' has none yet."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path = add_model(0.25, header={"name": "tiny"}).rename(folder / "tiny.onnx")
    content = path.read_bytes()
    common = {"parameters": 1, "macs_224": 150528, "network": {"width": 2}}
    shipped = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    facts = {
        "default": "tiny",
        "models": {
            "big": {**common, "file": None, "sha256": None, "bytes": None, "training": None, "results": None},
            "tiny": {**common, **shipped, "training": {"steps": 3}, "results": {"clean": 36.5}},
        },
    }
    (folder / "models.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def noise():
    """noise(shape, dtype) → the same values for the same shape."""

    def make(shape, dtype=np.uint8):
        generator = np.random.default_rng(0)
        if np.dtype(dtype).kind == "f":
            return generator.random(shape).astype(dtype)
        return generator.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    return make


@pytest.fixture
def folder(tmp_path):
    """make(name, ...) → a folder with these files in it; pictures of 12×10, each of its own grey."""

    def make(*names, top="in"):
        for name in names:
            path = tmp_path / top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"):
                write_image(np.full((10, 12, 3), len(name) * 5 % 256, np.uint8), path)
            else:
                path.write_text("not a picture")
        return tmp_path / top

    return make


@pytest.fixture
def brighten(function_engine):
    """A restorer that adds a tenth."""
    return Restorer(engine=function_engine(lambda batch: batch + np.float32(0.1)))
