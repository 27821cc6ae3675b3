import json
import re
from pathlib import Path

import pytest

from anyir.errors import WeightsDamaged, WeightsNotFound
from anyir.inference import available, default_name, load_facts, resolve
from anyir.inference.weights import weights_folder


def edit(folder, change):
    path = folder / "models.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_facts_are_read(weights):
    catalogue = load_facts(weights)
    assert catalogue.default == default_name(weights) == "tiny"
    tiny, big = catalogue.models["tiny"], catalogue.models["big"]
    assert (tiny.name, tiny.parameters, tiny.macs_224, tiny.file) == ("tiny", 1, 150528, "tiny.onnx")
    assert tiny.size_bytes == (weights / "tiny.onnx").stat().st_size
    assert (tiny.training, tiny.results) == ({"steps": 3}, {"clean": 36.5})
    assert (big.network, big.file, big.training) == ({"width": 2}, None, None)


def test_only_models_with_weights_are_available_the_default_first(weights):
    assert available(weights) == ("tiny",)

    def add(document):
        document["models"]["another"] = document["models"]["tiny"]
        document["models"] = dict(sorted(document["models"].items()))

    edit(weights, add)
    assert available(weights) == ("tiny", "another")


@pytest.mark.parametrize("name", ["default", "tiny"])
def test_a_name_is_resolved(name, weights):
    found = resolve(name, weights)
    assert (found.name, found.path) == ("tiny", weights / "tiny.onnx")
    assert found.facts == load_facts(weights).models["tiny"]


def test_an_unknown_name_lists_what_there_is(weights):
    with pytest.raises(WeightsNotFound, match=r"no weights are called 'tinny'.*weights there are: tiny"):
        resolve("tinny", weights)


def test_a_model_without_weights_says_so(weights):
    with pytest.raises(
        WeightsNotFound, match=r"'big' has no weights in this version.*weights there are: tiny"
    ):
        resolve("big", weights)
    edit(weights, lambda document: document["models"].pop("tiny") and document.update(default="big"))
    with pytest.raises(WeightsNotFound, match=r"'big' has no weights.*this installation has none"):
        resolve("default", weights)
    assert available(weights) == ()


def test_altered_weights_are_refused(weights):
    path = weights / "tiny.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsDamaged, match=r"tiny\.onnx .*SHA-256 differs.*reinstall anyir"):
        resolve("tiny", weights)
    path.unlink()
    with pytest.raises(WeightsNotFound, match=r"tiny\.onnx cannot be read .*reinstall anyir"):
        resolve("tiny", weights)


def test_a_file_is_resolved_without_any_facts(tmp_path, add_model, monkeypatch):
    path = add_model(0.0, "mine.onnx")
    for name in (path, str(path)):
        found = resolve(name, tmp_path / "nowhere")
        assert (found.name, found.path, found.facts) == ("mine", path, None)
    monkeypatch.chdir(tmp_path)
    assert resolve("mine.onnx", tmp_path / "nowhere").path == Path("mine.onnx")


def test_a_name_comes_before_a_file_of_the_same_name(weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    for name in ("tiny", "other"):
        Path(name).write_bytes(b"")
    assert resolve("tiny", weights).path == weights / "tiny.onnx"
    assert resolve("./tiny", weights).facts is None
    assert resolve("other", weights).path == Path("other")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsNotFound, match=r"none\.onnx: no such file"):
        resolve(str(tmp_path / "none.onnx"))
    with pytest.raises(WeightsNotFound, match="is a folder"):
        resolve(tmp_path)


def test_a_checkpoint_is_for_pytorch_or_to_be_exported(tmp_path):
    path = tmp_path / "last.safetensors"
    path.write_bytes(b"")
    with pytest.raises(
        WeightsDamaged, match=r"--engine torch\), or export it: anyir export .* -o last\.onnx"
    ):
        resolve(path)


def test_an_installation_without_facts_says_so(tmp_path):
    with pytest.raises(WeightsNotFound, match=r"models\.json is missing"):
        resolve("default", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("default"),
        lambda document: document.update(default="unknown"),
        lambda document: document["models"]["tiny"].pop("sha256"),
        lambda document: document["models"]["tiny"].update(colour="red"),
        lambda document: document["models"]["tiny"].update(parameters="many"),
        lambda document: document["models"]["tiny"].update(bytes=None),
        lambda document: document["models"]["tiny"].update(file=3),
        lambda document: document.update(models=[]),
    ],
)
def test_damaged_facts_are_refused(change, weights):
    edit(weights, change)
    with pytest.raises(WeightsDamaged, match=r"models\.json is not a list of models.*reinstall anyir"):
        load_facts(weights)


@pytest.mark.parametrize("text", ["{", "[]", '"models"'])
def test_facts_that_are_not_json_facts_are_refused(text, weights):
    (weights / "models.json").write_text(text)
    with pytest.raises(WeightsDamaged, match=r"models\.json"):
        load_facts(weights)


def test_the_weights_lie_inside_the_package():
    assert weights_folder().name == "weights" and weights_folder().parent.name == "anyir"


@pytest.mark.skipif(
    not (weights_folder() / "models.json").is_file(), reason="no weights in this checkout yet"
)
def test_the_shipped_weights_are_whole():
    names = available()
    assert default_name() in names
    for name in names:
        assert resolve(name).path.stat().st_size == load_facts().models[name].size_bytes


@pytest.mark.parametrize("place", [0.0, 0.3, 0.9, 1.0])
def test_one_changed_bit_of_shipped_weights_is_refused_by_name(tmp_path, place):
    shipped = resolve("default").path
    (tmp_path / "models.json").write_bytes((weights_folder() / "models.json").read_bytes())
    content = bytearray(shipped.read_bytes())
    content[round(place * (len(content) - 1))] ^= 0x10
    (tmp_path / shipped.name).write_bytes(content)
    with pytest.raises(
        WeightsDamaged, match=rf"{re.escape(shipped.name)} is not the file .*; reinstall anyir"
    ):
        resolve("default", tmp_path)
