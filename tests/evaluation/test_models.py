from dataclasses import replace

import numpy as np
import onnx
import pytest

from anyir.errors import WeightsDamaged
from anyir.evaluation.models import count_parameters, describe_model, known_model
from anyir.evaluation.results import EvaluatedModel, Results
from anyir.inference import OnnxEngine, load_facts, resolve

TRAINING = {"recipe": "derain", "samples": 24_000, "steps": 1_500, "data": {"pictures": 200}}


def test_parameters_of_a_foreign_model_are_counted_without_shapes(make_onnx):
    assert count_parameters(make_onnx(4)) == 54 * 4 + 1


def test_a_model_without_learnt_values_has_an_unknown_number_not_none_of_them(make_onnx):
    path = make_onnx(1)
    model = onnx.load(path)
    del model.graph.initializer[:]
    onnx.save(model, path)
    assert count_parameters(path) is None


def test_a_quantised_model_is_counted_too(make_onnx):
    path = make_onnx(2)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros((2, 3, 3, 3), np.int8), "w1"))
    onnx.save(model, path)
    assert count_parameters(path) == 109


def test_weights_that_lie_in_another_file_are_counted_without_it(make_onnx, tmp_path):
    path = make_onnx(4)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="values.bin", size_threshold=0)
    (tmp_path / "values.bin").unlink()
    assert count_parameters(path) == 217


def test_what_is_not_onnx_is_refused(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no model at all")
    with pytest.raises(WeightsDamaged, match=r"x\.onnx: not an ONNX model"):
        count_parameters(path)


def test_a_foreign_model_is_described_by_its_file(make_onnx):
    path = make_onnx(4)
    described = describe_model(resolve(path), OnnxEngine(path, "cpu").header, 7)
    assert described == EvaluatedModel(217, None, None, path.stat().st_size, 7)


def test_an_export_is_described_by_its_header(make_onnx):
    path = make_onnx(4, header={"parameters": 5, "macs_224": 6, "training": TRAINING})
    described = describe_model(resolve(path), OnnxEngine(path, "cpu").header)
    assert (described.parameters, described.macs_224, described.peak_memory_224_bytes) == (5, 6, None)
    assert described.trained_on == "recipe derain, 24,000 samples, 200 pictures"


def test_a_header_with_nonsense_is_no_description(make_onnx):
    path = make_onnx(4, header={"parameters": "many", "macs_224": True, "training": [1]})
    described = describe_model(resolve(path), OnnxEngine(path, "cpu").header)
    assert (described.parameters, described.macs_224, described.trained_on) == (217, None, None)


def test_shipped_weights_are_described_by_their_facts():
    shipped = resolve("default")
    described = describe_model(shipped, {"parameters": 1})
    assert described.parameters == shipped.facts.parameters > 1
    assert described.macs_224 == shipped.facts.macs_224
    assert described.size_bytes == shipped.path.stat().st_size
    assert shipped.facts.training["recipe"] in described.trained_on


def test_older_results_of_shipped_weights_are_recognised_by_the_hash():
    facts = load_facts().models[load_facts().default]
    older = Results("x", {"name": "old", "sha256": facts.sha256}, {}, {}, {}, (), {})
    assert known_model(older).parameters == facts.parameters
    assert known_model(replace(older, model=EvaluatedModel(parameters=3))).parameters == 3
    assert known_model(replace(older, weights={"name": facts.name, "sha256": "0" * 64})) is None
    assert known_model(replace(older, weights={"name": "identity", "sha256": None})) is None
