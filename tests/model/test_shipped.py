import pytest

from anyir.inference import load_facts
from anyir.inference.weights import weights_folder
from anyir.model import build_network, load_checkpoint
from anyir.model.checkpoint import find_checkpoint
from anyir.model.export import TOLERANCES, largest_difference

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
    assert checkpoint.header["results"]["sets"] == facts.results["sets"]
    assert largest_difference(build_network(checkpoint), packaged) < TOLERANCES["fp16"]


def test_a_shipped_checkpoint_is_found_by_its_name():
    assert find_checkpoint("anyir-s") == weights_folder() / "anyir-s.safetensors"
