"""The command line called in this process, and a network small enough to know by heart."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anyir.apps.cli import main
from anyir.picture import write_image

TINY = {"width": 4, "blocks": (1, 1, 1, 1), "heads": (1, 1, 2, 2), "refinement_blocks": 1}
WITH_TINY_NETWORKS = f"""
import sys
from dataclasses import replace
from anyir.apps.cli import main
from anyir.model import config
config.NETWORKS = {{name: replace(network, **{TINY}) for name, network in config.NETWORKS.items()}}
main(sys.argv[1:])
"""


@pytest.fixture
def anyir(capsys):
    """anyir(argument, ...) → exit code, standard output, standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_.value.code, out, err

    return call


@pytest.fixture
def tiny_networks(monkeypatch):
    """Each network by its name and with its switches, but a few hundred times smaller."""
    from anyir.model import config

    small = {name: replace(network, **TINY) for name, network in config.NETWORKS.items()}
    monkeypatch.setattr(config, "NETWORKS", small)


@pytest.fixture
def start_program():
    """start_program(program, argument, ...) → Python text in a process of its own; none outlives the test."""
    processes = []

    def start(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def start_tiny(start_program):
    """start_tiny(argument, ...) → the command line in a process of its own, with tiny networks."""
    return partial(start_program, WITH_TINY_NETWORKS)


@pytest.fixture
def make_weights(tmp_path):
    """make_weights(header, name) → path of an ONNX file that computes 0.9 x + 0.02."""

    def make(header=None, name="tiny.onnx"):
        kind, shape = TensorProto.FLOAT, ("n", 3, "h", "w")
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "slope"], ["m"]), helper.make_node("Add", ["m", "offset"], ["y"])],
            "tiny",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", kind, shape)],
            [
                numpy_helper.from_array(np.float32(0.9), "slope"),
                numpy_helper.from_array(np.float32(0.02), "offset"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        if header is not None:
            helper.set_model_props(model, {"anyir": json.dumps(header)})
        path = tmp_path / name
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture
def weights(make_weights):
    return make_weights()


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures of grey 100 and a sub-folder with a third; 32×24 each."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.webp"):
        write_image(np.full((24, 32, 3), 100, np.uint8), folder / name)
    return folder


@pytest.fixture
def narrow_minded(tmp_path):
    """narrow_minded(header) → path of an ONNX model that darkens by 1/512 for each pixel of the width it sees.

    A tile that is 128 wide loses a quarter of the range; its overview, 64 wide, half as much.
    """

    def make(header=None):
        kind, shape = TensorProto.FLOAT, ("n", 3, "h", "w")
        graph = helper.make_graph(
            [
                helper.make_node("Shape", ["x"], ["shape"], start=3, end=4),
                helper.make_node("Cast", ["shape"], ["width"], to=kind),
                helper.make_node("Div", ["width", "full"], ["loss"]),
                helper.make_node("Sub", ["x", "loss"], ["y"]),
            ],
            "narrow-minded",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", kind, shape)],
            [numpy_helper.from_array(np.float32(512), "full")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        if header is not None:
            helper.set_model_props(model, {"anyir": json.dumps(header)})
        path = tmp_path / "narrow.onnx"
        onnx.save(model, str(path))
        return path

    return make
