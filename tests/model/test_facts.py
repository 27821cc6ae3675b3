import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from anyir.errors import ConfigurationError, WeightsDamaged
from anyir.model import NETWORKS, Checkpoint
from anyir.model.export import export_onnx
from anyir.model.facts import facts_text, read_onnx_header

TOOL = Path(__file__).resolve().parents[2] / "tools" / "make_model_facts.py"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("make_model_facts", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def names(tiny, monkeypatch):
    """Two tiny networks that have a name."""
    for name, row in (("one", "e"), ("two", "a")):
        monkeypatch.setitem(NETWORKS, name, tiny(row))
    return "one", "two"


@pytest.fixture
def weights(names, tmp_path, randomised):
    """A folder with weights of the network "one"."""
    network = randomised(NETWORKS["one"])
    header = {"name": "one", "training": {"minutes": 90.0}, "results": {"clean_psnr": 36.5}}
    export_onnx(Checkpoint(network.config, network.state_dict(), header), tmp_path / "one.onnx")
    return tmp_path


def test_the_committed_file_is_what_the_tool_writes(tool):
    committed = (tool.WEIGHTS / "models.json").read_text(encoding="utf-8")
    results = tool.committed_results(tool.WEIGHTS, tool.RESULTS)
    assert committed == facts_text(tool.WEIGHTS, tool.DEFAULT, results=results), (
        "run: python tools/make_model_facts.py"
    )


def test_the_committed_file_has_the_papers_size(tool):
    paper = json.loads((tool.WEIGHTS / "models.json").read_text(encoding="utf-8"))["models"]["anyir"]
    assert paper["parameters"] == pytest.approx(6.20e6, rel=0.005)
    assert paper["macs_224"] == pytest.approx(19.9e9, rel=0.005)


def test_facts_of_a_model_with_weights_and_one_without(names, weights):
    content = (weights / "one.onnx").read_bytes()
    facts = json.loads(facts_text(weights, "two", names))
    assert facts["default"] == "two"
    one, two = (facts["models"][name] for name in names)
    assert (one["file"], one["bytes"]) == ("one.onnx", len(content))
    assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert (one["training"], one["results"]) == ({"minutes": 90.0}, {"clean_psnr": 36.5})
    assert one["network"] == NETWORKS["one"].to_dict()
    assert [two[key] for key in ("file", "sha256", "bytes", "training", "results")] == [None] * 5
    assert two["parameters"] < one["parameters"]


def test_results_are_those_of_the_committed_evaluation_of_these_very_weights(tool, names, weights, tmp_path):
    folder = tmp_path / "results" / "one"
    folder.mkdir(parents=True)
    sha256 = hashlib.sha256((weights / "one.onnx").read_bytes()).hexdigest()
    evaluation = {
        "anyir_evaluation": 1,
        "command": "",
        "weights": {"name": "one", "sha256": sha256},
        "settings": {},
    }
    evaluation |= {"conventions": {}, "versions": {}, "sets": {}, "absent": {}}
    (folder / "results.json").write_text(json.dumps(evaluation))
    results = tool.committed_results(weights, tmp_path / "results")
    models = json.loads(facts_text(weights, "one", names, results))["models"]
    assert models["one"]["results"] == {"file": "results/one/results.json", "sets": {}, "clean_psnr": None}
    evaluation["weights"]["sha256"] = "0" * 64
    (folder / "results.json").write_text(json.dumps(evaluation))
    with pytest.raises(SystemExit, match="not about the weights"):
        tool.committed_results(weights, tmp_path / "results")


def test_weights_under_another_models_name(names, weights):
    (weights / "one.onnx").rename(weights / "two.onnx")
    with pytest.raises(WeightsDamaged, match=r"two\.onnx: holds weights of the model 'one'"):
        facts_text(weights, "one", names)


def test_weights_of_another_configuration(names, weights, monkeypatch, tiny):
    monkeypatch.setitem(NETWORKS, "one", tiny("d"))
    with pytest.raises(WeightsDamaged, match="another configuration"):
        facts_text(weights, "one", names)


def test_a_file_that_no_model_is_called_by(names, weights):
    (weights / "one.onnx").rename(weights / "three.onnx")
    with pytest.raises(WeightsDamaged, match="no model is called so"):
        facts_text(weights, "one", names)


def test_an_unknown_default(names, tmp_path):
    with pytest.raises(ConfigurationError, match="three"):
        facts_text(tmp_path, "three", names)


@pytest.mark.parametrize("content", [b"", b"not ONNX at all", b"\x08\x08"])
def test_files_of_others(tmp_path, content):
    (tmp_path / "foreign.onnx").write_bytes(content)
    with pytest.raises(WeightsDamaged, match=r"foreign\.onnx"):
        read_onnx_header(tmp_path / "foreign.onnx")


def test_the_tool_checks_and_writes(tool, names, weights, monkeypatch):
    monkeypatch.setattr(tool, "WEIGHTS", weights)
    monkeypatch.setattr(
        tool, "facts_text", lambda folder, default, results: facts_text(folder, "one", names, results)
    )
    monkeypatch.setattr(sys, "argv", ["make_model_facts.py", "--check"])
    with pytest.raises(SystemExit, match="out of date"):
        tool.main()
    assert not (weights / "models.json").exists()
    monkeypatch.setattr(sys, "argv", ["make_model_facts.py"])
    tool.main()
    monkeypatch.setattr(sys, "argv", ["make_model_facts.py", "--check"])
    tool.main()
    (weights / "models.json").write_text("{}")
    with pytest.raises(SystemExit, match="out of date"):
        tool.main()
