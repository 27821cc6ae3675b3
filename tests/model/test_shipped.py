from pathlib import Path

import numpy as np
import pytest

from anyir.inference import OnnxEngine, load_facts
from anyir.inference.weights import weights_folder
from anyir.model import build_network, load_checkpoint
from anyir.model.checkpoint import find_checkpoint
from anyir.model.engine import TorchEngine
from anyir.model.export import TOLERANCES, export_onnx, largest_difference
from anyir.picture import read

CHECKPOINTS = sorted(weights_folder().glob("*.safetensors"))


def test_there_is_a_checkpoint_for_every_model_with_weights():
    shipped = {name for name, facts in load_facts().models.items() if facts.file}
    assert shipped == {path.stem for path in CHECKPOINTS}


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_the_checkpoint_and_the_packaged_file_are_the_same_weights(path):
    checkpoint = load_checkpoint(path)
    facts = load_facts().models[path.stem]
    packaged = (weights_folder() / facts.file).read_bytes()
    assert checkpoint.header["name"] == path.stem
    assert checkpoint.header["training"] == facts.training
    assert checkpoint.header["results"] == facts.results
    assert largest_difference(build_network(checkpoint), packaged) < TOLERANCES["fp16"]


def test_a_shipped_checkpoint_is_found_by_its_name():
    assert find_checkpoint("anyir-s") == weights_folder() / "anyir-s.safetensors"


@pytest.fixture(scope="module")
def in_float32(tmp_path_factory):
    """The shipped weights exported once more, with nothing rounded."""
    path = tmp_path_factory.mktemp("exported") / "anyir-s.onnx"
    export_onnx(load_checkpoint(find_checkpoint("anyir-s")), path, storage="fp32")
    return path


@pytest.mark.parametrize("sample", ["noise.png", "rain.jpg", "haze.jpg", "blur.jpg", "dark.png"])
def test_both_engines_give_the_same_on_the_samples(sample, in_float32):
    """The packaged file rounds the folded weights to float16 once more, so its results may differ by more."""
    file = Path(__file__).resolve().parents[2] / "samples" / "degraded" / sample
    corner = read(file).pixels[:96, :128].astype(np.float32) / 255
    batch = np.ascontiguousarray(corner.transpose(2, 0, 1)[None])
    by_torch = TorchEngine("anyir-s", "cpu", precision="float32")(batch)
    assert np.abs(by_torch - batch).max() > 0.02  # else equality would say little
    assert np.abs(OnnxEngine(in_float32, "cpu")(batch) - by_torch).max() <= 1e-4
    assert np.abs(OnnxEngine(weights_folder() / "anyir-s.onnx", "cpu")(batch) - by_torch).max() <= 2e-3
