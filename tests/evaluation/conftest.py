"""Networks small enough to know by heart, and results made up from whole sets."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def make_onnx(tmp_path):
    """make_onnx(channels, name, header) → path of two convolutions of 3×3 that pass through ``channels`` channels.

    They have 54·channels weights; a shape of four int64 and a float16 scalar are stored beside them.
    """

    def make(channels, name="foreign.onnx", header=None):
        weights = [
            numpy_helper.from_array(np.full((channels, 3, 3, 3), 0.01, np.float32), "w1"),
            numpy_helper.from_array(np.full((3, channels, 3, 3), 0.01, np.float32), "w2"),
            numpy_helper.from_array(np.array([1, 3, 8, 8], np.int64), "shape"),
            numpy_helper.from_array(np.float16(0.5), "half"),
        ]
        nodes = [
            helper.make_node("Conv", ["x", "w1"], ["hidden"], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["hidden", "w2"], ["y"], pads=[1, 1, 1, 1]),
        ]
        ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ("n", 3, "h", "w")) for end in "xy"]
        graph = helper.make_graph(nodes, "foreign", [ends[0]], [ends[1]], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        if header is not None:
            helper.set_model_props(model, {"anyir": json.dumps(header)})
        path = tmp_path / name
        onnx.save(model, str(path))
        return path

    return make
