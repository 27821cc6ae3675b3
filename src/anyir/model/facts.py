"""What is known of the named models, as the package carries it: ``anyir/weights/models.json``.

Counted on the networks and read from the weight files, so that a user who has no PyTorch can still be told; the file
is generated, never typed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from google.protobuf.message import DecodeError

from anyir.errors import ConfigurationError, WeightsDamaged
from anyir.model.checkpoint import METADATA_KEY
from anyir.model.complexity import count_macs, count_parameters
from anyir.model.config import network_config
from anyir.model.network import AnyIR

PUBLISHED: Final = ("anyir", "anyir-s")
"""The networks that users see by name. The ablations are built from recipes, not shipped."""


def facts_text(
    weights: Path,
    default: str,
    names: Sequence[str] = PUBLISHED,
    results: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The content of ``models.json``: the same for the same networks and files.

    Args:
        weights: folder with the weight files, ``NAME.onnx``.
        default: name of the model that is used where none is named.
        names: the networks to describe.
        results: name → what the evaluation of its weight file found; where there is none, what the file says itself.

    Raises:
        ConfigurationError: ``default`` is not among ``names``, or a name is unknown.
        WeightsDamaged: a file is not an export of the network whose name it bears.
    """
    if default not in names:
        raise ConfigurationError(f"the default model {default!r} is not among {', '.join(names)}")
    files = {path.stem: path for path in sorted(weights.glob("*.onnx"))}
    if strange := [path for name, path in files.items() if name not in names]:
        raise WeightsDamaged(f"{strange[0]}: no model is called so; known: {', '.join(names)}")
    models = {name: {**_size(name), **_weights(name, files.get(name))} for name in names}
    for name, found in (results or {}).items():
        models[name]["results"] = dict(found)
    return json.dumps({"default": default, "models": models}, indent=2) + "\n"


def read_onnx_header(path: Path) -> dict[str, Any]:
    """What an exported file says about itself.

    Raises:
        WeightsDamaged: the file is not ONNX, or not written by anyir.
    """
    try:
        model = onnx.load(path)
        properties = {entry.key: entry.value for entry in model.metadata_props}
        header: Mapping[str, Any] = json.loads(properties[METADATA_KEY])
        return dict(header)
    except (DecodeError, KeyError, ValueError, TypeError) as error:
        raise WeightsDamaged(
            f"{path}: not written by 'anyir export', or altered since; export it again"
        ) from error


def _size(name: str) -> dict[str, Any]:
    config = network_config(name)
    with torch.device("meta"):
        parameters = count_parameters(AnyIR(config))
    return {"parameters": parameters, "macs_224": count_macs(config, 224, 224), "network": config.to_dict()}


def _weights(name: str, path: Path | None) -> dict[str, Any]:
    if path is None:
        return dict.fromkeys(("file", "sha256", "bytes", "training", "results"))
    header = read_onnx_header(path)
    if header.get("name") != name or header.get("network") != network_config(name).to_dict():
        raise WeightsDamaged(
            f"{path}: holds weights of the model {header.get('name')!r}, or of another configuration of it; "
            f"the file {path.name} must hold the network {name!r}"
        )
    content = path.read_bytes()
    return {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "training": header.get("training"),
        "results": header.get("results"),
    }
