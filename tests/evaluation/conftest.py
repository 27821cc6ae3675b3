"""Networks small enough to know by heart, and results made up from whole sets."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anyir.evaluation.results import ImageResult, Results, Score, SetResult
from anyir.evaluation.sets import SETS


@pytest.fixture
def make_set():
    """make_set(name, psnr, ssim, pictures, seconds, **changes) → a set; by default whole, its PSNRs ±1 dB about psnr.

    A picture takes ``seconds``. The degraded pictures have 20 dB and 0.5.
    """

    def make(name, psnr, ssim=0.9, pictures=None, seconds=0.25, **changes):
        expected = SETS[name].expected
        count = expected if pictures is None else pictures
        images = tuple(
            ImageResult(
                f"{number:03}",
                100,
                200,
                Score(20, 0.5),
                Score(psnr + (2 * number + 1 - count) / count, ssim),
                seconds,
            )
            for number in range(count)
        )
        facts = {"title": SETS[name].title, "task": SETS[name].task, "expected": expected}
        return SetResult(
            name=name,
            images=images,
            **{**facts, "official": SETS[name].official and count == expected, **changes},
        )

    return make


@pytest.fixture
def make_results():
    """make_results(set, ..., name=..., **changes) → results of weights that no release has."""

    def make(*sets, name="mine", sha256="ab" * 32, **changes):
        facts = {"command": "anyir evaluate", "settings": {}, "conventions": {}, "versions": {}, "absent": {}}
        return Results(weights={"name": name, "sha256": sha256}, sets=sets, **{**facts, **changes})

    return make


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
