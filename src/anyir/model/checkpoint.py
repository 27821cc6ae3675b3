"""Weights on disk: safetensors that say what they are, never pickle.

A file holds the tensors of one network and, as JSON under the metadata key ``anyir``, the configuration it
is built from and where it comes from (name, recipe, data, results, ...). It is written as a whole or not at
all, and what is read is checked against the configuration before any of it is used.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor, nn

from anyir.errors import ConfigurationError, WeightsDamaged, WeightsError, WeightsNotFound
from anyir.files import write_atomically
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR

METADATA_KEY: Final = "anyir"
"""Where our JSON lies in the metadata of a safetensors or ONNX file."""

CHECKPOINT_SUFFIX: Final = ".safetensors"

FORMAT: Final = 1
"""Version of the checkpoint's header. A reader refuses versions it does not know."""

_RESERVED: Final = ("format", "network", "digest")
_HALF_PRECISION: Final = 2.0**-11
"""Relative error of rounding a number to float16, where it has full precision there."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights of one network and what is known about them.

    Attributes:
        network: the configuration that the weights fit.
        state: the network's ``state_dict``: float32 tensors on the CPU (and BatchNorm's int64 counters).
        header: JSON values that say where the weights come from: name, recipe, data, results, training, ...
    """

    network: NetworkConfig
    state: dict[str, Tensor]
    header: dict[str, Any]


def save_checkpoint(
    path: str | Path,
    network_or_state: nn.Module | Mapping[str, Tensor],
    config: NetworkConfig,
    header: Mapping[str, Any],
    dtype: torch.dtype | None = None,
) -> None:
    """Write weights and header to ``path``, replacing what is there; as a whole or not at all.

    Args:
        path: the file to write, usually ``*.safetensors``; its folder must exist.
        network_or_state: the network or its ``state_dict``, on any device; stored as float32.
        config: the configuration that the weights fit; checked before anything is written.
        header: JSON values; ``format``, ``network`` and ``digest`` are names of ours.
        dtype: ``torch.float16`` halves the file: matrices and kernels are rounded; vectors (normalisation
            statistics and biases, whose range is wide and whose size is nothing) stay float32, and so does
            every tensor that float16 would not hold to its full precision.

    Raises:
        WeightsError: the weights do not fit the configuration, or hold a value that is not finite.
        OutputError: the file cannot be written.
    """
    if dtype not in (None, torch.float16):
        raise ValueError(f"weights are stored as float32 (dtype=None) or torch.float16, not {dtype}")
    state = network_or_state.state_dict() if isinstance(network_or_state, nn.Module) else network_or_state
    tensors = {name: _as_float32(tensor) for name, tensor in state.items()}
    if problem := _mismatch(tensors, config):
        raise WeightsError(f"{path} was not written: {problem}")
    if dtype is not None:
        tensors = {name: as_float16_if_exact_enough(tensor) for name, tensor in tensors.items()}
    if taken := [key for key in ("format", "network") if key in header]:
        raise ValueError(f"the header must not hold {taken}: these are written by save_checkpoint")
    write_safetensors_atomic(path, tensors, {"format": FORMAT, "network": config.to_dict(), **header})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read weights and check that they are what their header says.

    Returns:
        The checkpoint; floating tensors are float32 on the CPU, however they were stored.

    Raises:
        WeightsNotFound: there is no such file.
        WeightsDamaged: the file is truncated, altered, no checkpoint of anyir or one of a later version, or a
            tensor is missing, extra, of a wrong shape or not finite; the message names file and tensor.
    """
    stored, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsDamaged(
            f"{path}: checkpoint format {metadata.get('format')!r} is not known to this version, which reads "
            f"format {FORMAT}; update anyir, or use a weight file made by 'anyir train'"
        )
    try:
        config = NetworkConfig.from_dict(metadata["network"])
    except (KeyError, TypeError, AttributeError, ConfigurationError) as error:
        raise WeightsDamaged(f"{path}: its header describes no network that can be built: {error}") from error
    state = {name: _as_float32(tensor) for name, tensor in stored.items()}
    if problem := _mismatch(state, config):
        raise WeightsDamaged(f"{path}: {problem}; the file is not what its header says, get it again")
    header = {key: value for key, value in metadata.items() if key not in _RESERVED}
    return Checkpoint(config, state, header)


def find_checkpoint(name_or_file: str, folder: Path | None = None) -> Path:
    """A checkpoint by file, or the one of that name in the package.

    Args:
        name_or_file: a path that ends in ``.safetensors`` or has a separator, or a name.
        folder: where the named ones lie, if not in the package.

    Raises:
        WeightsNotFound: no checkpoint has the name; the message lists those that there are.
        WeightsDamaged: an ONNX file is named: its network is folded and cannot be trained.
    """
    path = Path(name_or_file)
    if path.suffix.lower() == ".onnx":
        raise WeightsDamaged(
            f"{path}: an ONNX file holds no network to train, or to learn from; name the checkpoint it was made from"
        )
    if path.suffix.lower() == CHECKPOINT_SUFFIX or len(path.parts) > 1:
        return path
    shipped = folder or Path(str(files("anyir"))) / "weights"
    found = shipped / f"{name_or_file}{CHECKPOINT_SUFFIX}"
    if not found.is_file():
        names = ", ".join(sorted(file.stem for file in shipped.glob(f"*{CHECKPOINT_SUFFIX}"))) or "none"
        raise WeightsNotFound(f"no checkpoint is called {name_or_file!r}; there are: {names}; or name a file")
    return found


def build_network(checkpoint: Checkpoint) -> AnyIR:
    """The network with the checkpoint's weights, on the CPU, in evaluation mode."""
    network = AnyIR(checkpoint.network)
    network.load_state_dict(checkpoint.state)
    return network.eval()


def write_safetensors_atomic(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write tensors and JSON to one safetensors file, as a whole or not at all, with a digest of the tensors.

    Args:
        path: the file to write; what is there is replaced. Its folder must exist.
        tensors: on any device, of any dtype and memory layout.
        metadata: JSON values, stored under the metadata key ``anyir``; ``digest`` is a name of ours.

    Raises:
        OutputError: the file cannot be written.
    """
    if "digest" in metadata:
        raise ValueError("the metadata must not hold 'digest': it is computed here")
    # A copy each: safetensors refuses tensors that share memory, as tied weights and views of one buffer do.
    own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**metadata, "digest": digest_of(own)}, allow_nan=False)
    write_atomically(Path(path), format_safetensors(own, {METADATA_KEY: text}))


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_safetensors_atomic` wrote: (tensors on the CPU, metadata).

    Raises:
        WeightsNotFound: there is no such file.
        WeightsDamaged: the file is not safetensors, not written by anyir, or its tensors were altered.
    """
    try:
        # Read at once, not mapped: the file can then be replaced while its tensors are in use, on any system.
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{path}: no such weight file") from error
    except OSError as error:
        raise WeightsNotFound(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        tensors = parse_safetensors(content)
        header_size = int.from_bytes(content[:8], "little")
        file_metadata: dict[str, str] = json.loads(content[8 : 8 + header_size]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsDamaged(
            f"{path}: truncated, altered, or not a safetensors file ({error}); get it again"
        ) from error
    try:
        metadata = json.loads(file_metadata[METADATA_KEY])
        digest = metadata.pop("digest")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise WeightsDamaged(
            f"{path}: a safetensors file, but not one of anyir (no sound metadata under {METADATA_KEY!r})"
        ) from error
    if digest != digest_of(tensors):
        raise WeightsDamaged(f"{path}: its tensors are not the ones that were written; get the file again")
    return tensors, metadata


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hexadecimal) over names, dtypes, shapes and bytes: safetensors alone would not see an altered weight."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha256.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha256.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _as_float32(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def as_float16_if_exact_enough(tensor: Tensor) -> Tensor:
    """The tensor as float16 if that keeps its full precision and it is worth it; else the tensor itself.

    Vectors, and tensors of whole numbers, stay as they are.
    """
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    half = tensor.half()
    # False where a value overflows to infinity, and where all are so small that few bits are left for them.
    exact_enough = (tensor - half.float()).abs().max() <= _HALF_PRECISION * tensor.abs().max()
    return half if exact_enough else tensor


def _mismatch(state: Mapping[str, Tensor], config: NetworkConfig) -> str | None:
    """What keeps ``state`` from being weights of a network of this configuration; None if nothing does."""
    expected = _tensors_of(config)
    for name, like in expected.items():
        if name not in state:
            return f"tensor {name!r} is missing"
        tensor = state[name]
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            return (
                f"tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, "
                f"but the configuration wants {like.dtype} {tuple(like.shape)}"
            )
        if not np.isfinite(tensor.numpy()).all():  # many small tensors: threads would only get in the way
            return f"tensor {name!r} has values that are not finite"
    extra = next((name for name in state if name not in expected), None)
    return None if extra is None else f"tensor {extra!r} has no place in the network"


@functools.cache
def _tensors_of(config: NetworkConfig) -> dict[str, Tensor]:
    """Names and tensors without values of a network of this configuration.

    Kept, since making a small network takes as long as a step of its training, and a run saves one again and again.
    """
    with torch.device("meta"):
        return AnyIR(config).state_dict()
