"""What the tables say of a model: from the facts of shipped weights, from a file's header, or counted in the file."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from anyir.errors import WeightsDamaged
from anyir.evaluation.results import EvaluatedModel, Results
from anyir.inference.training_words import as_mapping, trained_on
from anyir.inference.weights import ModelFacts, WeightsFile, load_facts
from anyir.model.checkpoint import build_network, load_checkpoint
from anyir.model.complexity import count_macs
from anyir.model.complexity import count_parameters as count_parameters_of

_LEARNT: Final = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.DOUBLE,
    TensorProto.INT8,
    TensorProto.UINT8,
)
"""Types of learnt values, those of quantised networks among them. Wider integers are shapes, axes and indices."""


def describe_model(
    file: WeightsFile, header: Mapping[str, Any], peak_memory_224_bytes: int | None = None
) -> EvaluatedModel:
    """What is known of weights.

    Args:
        file: the weights.
        header: what the ONNX file says about itself, :attr:`anyir.inference.OnnxEngine.header`; empty for a foreign
            one, whose parameters are then counted in the file.
        peak_memory_224_bytes: where it was measured.

    Raises:
        WeightsDamaged: the parameters are in neither facts nor header, and the file is not ONNX.
    """
    if file.facts is not None:
        return _of_facts(file.facts, peak_memory_224_bytes)
    parameters = _whole(header.get("parameters"))
    return EvaluatedModel(
        parameters=count_parameters(file.path) if parameters is None else parameters,
        macs_224=_whole(header.get("macs_224")),
        trained_on=trained_on(as_mapping(header.get("training"))),
        size_bytes=file.path.stat().st_size,
        peak_memory_224_bytes=peak_memory_224_bytes,
    )


def describe_checkpoint(path: Path) -> EvaluatedModel:
    """What is known of a checkpoint: its network counted, and what its header says of its training.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`anyir.model.checkpoint.load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    return EvaluatedModel(
        parameters=count_parameters_of(build_network(checkpoint)),
        macs_224=count_macs(checkpoint.network, 224, 224),
        trained_on=trained_on(as_mapping(checkpoint.header.get("training"))),
        size_bytes=path.stat().st_size,
        peak_memory_224_bytes=None,
    )


def known_model(results: Results) -> EvaluatedModel | None:
    """The model of results; for a file from before it held one, the facts of shipped weights with its SHA-256.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`anyir.inference.load_facts`.
    """
    sha256 = results.weights["sha256"]
    if results.model is not None or sha256 is None:
        return results.model
    shipped = (facts for facts in load_facts().models.values() if facts.sha256 == sha256)
    return next((_of_facts(facts, None) for facts in shipped), None)


def count_parameters(path: Path) -> int | None:
    """Elements of the initialisers of an ONNX model that can be learnt values; None where there are none.

    A restorer of another make may keep values elsewhere, in constants or in functions: those are not counted. Scalars
    of the arithmetic that are stored as initialisers are.

    Raises:
        WeightsDamaged: the file is not ONNX.
    """
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except DecodeError as error:
        raise WeightsDamaged(f"{path}: not an ONNX model; get the file again") from error
    counts = [prod(each.dims) for each in graph.initializer if each.data_type in _LEARNT]
    return sum(counts) or None


def _of_facts(facts: ModelFacts, peak_memory_224_bytes: int | None) -> EvaluatedModel:
    return EvaluatedModel(
        parameters=facts.parameters,
        macs_224=facts.macs_224,
        trained_on=trained_on(as_mapping(facts.training)),
        size_bytes=facts.size_bytes,
        peak_memory_224_bytes=peak_memory_224_bytes,
    )


def _whole(value: object) -> int | None:
    return value if type(value) is int else None
