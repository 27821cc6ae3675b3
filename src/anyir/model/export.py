"""A checkpoint as an ONNX file, which ONNX Runtime runs without PyTorch: written only if it computes the same."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from anyir.errors import ExportMismatch, OutputError
from anyir.files import write_atomically
from anyir.model.checkpoint import METADATA_KEY, Checkpoint, as_float16_if_exact_enough, build_network
from anyir.model.complexity import count_macs, count_parameters
from anyir.model.inference_form import to_inference_form
from anyir.model.network import AnyIR

Storage = Literal["fp16", "fp32"]

INPUT: Final = "degraded"
OUTPUT: Final = "restored"

OPSET: Final = 17
"""The first with LayerNormalization; read by every ONNX Runtime that anyir supports."""

TOLERANCES: Final[Mapping[str, float]] = {"fp16": 2e-3, "fp32": 1e-4}
"""Largest difference from the network in PyTorch that an export may have, on outputs around [0, 1], by storage."""

PARITY_SHAPES: Final = ((1, 64, 64), (1, 72, 104), (2, 8, 8), (1, 128, 96))
"""(pictures, height, width) at which the difference is measured."""

HEADER_KEYS: Final = ("name", "recipe", "data", "results", "training")


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the ONNX file.
        size_bytes: of the file.
        sha256: of the file, in hexadecimal.
        difference: the largest found between the file run by ONNX Runtime and the network run by PyTorch.
    """

    path: Path
    size_bytes: int
    sha256: str
    difference: float


def export_onnx(
    checkpoint: Checkpoint, path: str | Path, *, overwrite: bool = False, storage: Storage = "fp16"
) -> Export:
    """Write the checkpoint's network in inference form as ONNX, for any number of pictures of any size.

    The model takes ``degraded`` and gives ``restored``, both float32 (N, 3, H, W) with H and W multiples of 8; it
    computes in float32 however its weights are stored. Under the metadata key ``anyir`` it carries, as JSON, the
    checkpoint's header, the network's configuration and its size (``parameters``, ``macs_224``).

    Args:
        checkpoint: what to export.
        path: the file to write; its folder must exist.
        overwrite: replace a file that exists.
        storage: "fp16" halves the file; "fp32" keeps the weights to the last bit.

    Raises:
        ExportMismatch: the model differs from the network by more than :data:`TOLERANCES`; nothing is written.
        OutputError: the file exists and ``overwrite`` is false, or it cannot be written.
    """
    path = Path(path)
    if not overwrite and path.exists():  # before the work, not after it
        raise OutputError(f"{path} exists already; choose another name or allow it to be overwritten")
    network = build_network(checkpoint)
    model = _to_onnx(network)
    if storage == "fp16":
        _store_as_float16(model)
    header = {
        **dict.fromkeys(HEADER_KEYS),
        "name": path.stem,
        **checkpoint.header,
        "network": checkpoint.network.to_dict(),
        "parameters": count_parameters(network),
        "macs_224": count_macs(checkpoint.network, 224, 224),
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(header, allow_nan=False)})
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    difference = largest_difference(network, content)
    if not difference <= TOLERANCES[storage]:  # so put that NaN is refused as well
        raise ExportMismatch(
            f"{path} was not written: ONNX Runtime's result differs from PyTorch's by {difference:.2g}, and at most "
            f"{TOLERANCES[storage]:g} is allowed; this is a fault in the export, please report it"
        )
    write_atomically(path, content, overwrite=overwrite)
    return Export(path, len(content), hashlib.sha256(content).hexdigest(), difference)


def largest_difference(network: AnyIR, model: bytes) -> float:
    """Largest absolute difference between an ONNX model and the network it was made from, on random pictures."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: warnings on a sound model would worry users for nothing
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    differences: list[float] = []
    for pictures, height, width in PARITY_SHAPES:
        degraded = torch.rand(pictures, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected = network(degraded).numpy()
        (restored,) = session.run([OUTPUT], {INPUT: degraded.numpy()})
        differences.append(float(np.abs(restored - expected).max()))
    return float(np.max(differences))  # unlike Python's max, this is NaN if any of them is


def _to_onnx(network: AnyIR) -> onnx.ModelProto:
    """The inference form as an ONNX graph with float32 weights."""
    stream = io.BytesIO()
    dynamic = {0: "pictures", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        # The exporter that traces needs no package beyond torch and onnx; that it is called old is known.
        warnings.simplefilter("ignore", DeprecationWarning)
        # pictures > 1 and height != width in the example, so that none of the sizes can be taken for another.
        torch.onnx.export(
            to_inference_form(network),
            (torch.zeros(2, 3, 16, 24),),
            stream,  # pyright: ignore[reportArgumentType] - taken by this exporter, though not declared
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: dynamic, OUTPUT: dynamic},
        )
    return onnx.load_from_string(stream.getvalue())


def _store_as_float16(model: onnx.ModelProto) -> None:
    """Replace weights by float16 ones and a cast back, which runtimes do once, at load."""
    graph = model.graph
    casts: list[Any] = []
    for weight in graph.initializer:
        tensor = torch.from_numpy(numpy_helper.to_array(weight).copy())
        half = as_float16_if_exact_enough(tensor)
        if half.dtype == tensor.dtype:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half.numpy(), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [weight.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
