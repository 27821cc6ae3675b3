"""Which weights there are, and what they are: ``anyir/weights/models.json`` and the files beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from anyir.errors import WeightsDamaged, WeightsNotFound, shown
from anyir.files import sha256_of

DEFAULT: Final = "default"
"""Stands for the default model wherever weights are named."""

CHECKPOINT_SUFFIX: Final = ".safetensors"

_METADATA_KEY: Final = "anyir"
"""Where our JSON lies in a safetensors file: as in :mod:`anyir.model.checkpoint`, which needs PyTorch."""

FACTS_FILE: Final = "models.json"

_LONGEST_HEADER: Final = 100_000_000
"""Bytes, which the safetensors format allows no header to exceed."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a named model; generated when it was exported, never typed in.

    Attributes:
        name: what users call it.
        parameters: number of learnt values.
        macs_224: multiply-accumulates for one picture of 224×224.
        network: the network's configuration.
        file: its ONNX file in the weights folder; ``None`` while it has no weights.
        sha256: of that file, in hexadecimal.
        size_bytes: of that file.
        training: how the weights were trained; ``None`` while there are none.
        results: what they score; ``None`` while not evaluated.
    """

    name: str
    parameters: int
    macs_224: int
    network: Mapping[str, Any]
    file: str | None
    sha256: str | None
    size_bytes: int | None
    training: Mapping[str, Any] | None
    results: Mapping[str, Any] | None


@dataclass(frozen=True)
class Catalogue:
    """All named models.

    Attributes:
        default: name of the default model.
        models: facts by name.
    """

    default: str
    models: Mapping[str, ModelFacts]


@dataclass(frozen=True)
class WeightsFile:
    """Weights that an engine can load.

    Attributes:
        name: the model's name, or the file's without its suffix.
        path: the ONNX file.
        facts: what is known of shipped weights; ``None`` for a file of the user's.
    """

    name: str
    path: Path
    facts: ModelFacts | None

    def sha256(self) -> str:
        """Of the ONNX file, in hexadecimal.

        Raises:
            WeightsNotFound: the file cannot be read.
        """
        if self.facts is not None and self.facts.sha256 is not None:
            return self.facts.sha256  # checked when the weights were found
        try:
            return sha256_of(self.path)
        except OSError as error:
            raise WeightsNotFound(f"{self.path} cannot be read ({error.strerror}); check the file") from error


def weights_folder() -> Path:
    """The folder inside the package where the weights lie."""
    return Path(str(files("anyir"))) / "weights"


def load_facts(folder: Path | None = None) -> Catalogue:
    """Read the model facts of this installation, or those in ``folder``.

    Raises:
        WeightsNotFound: if there are none.
        WeightsDamaged: if they are not what :class:`ModelFacts` says.
    """
    path = (folder or weights_folder()) / FACTS_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsNotFound(
            f"{path} is missing: this installation has no weights; reinstall anyir or name an ONNX file"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsDamaged(f"{path} cannot be read ({error}); reinstall anyir") from error
    try:
        models = {name: _facts(name, entry) for name, entry in document["models"].items()}
        return Catalogue(models[document["default"]].name, MappingProxyType(models))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsDamaged(f"{path} is not a list of models ({error!r}); reinstall anyir") from error


def available(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the models that have weights, the default first.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`load_facts`.
    """
    return _with_weights(load_facts(folder))


def default_name(folder: Path | None = None) -> str:
    """Name of the default model.

    Raises:
        WeightsNotFound, WeightsDamaged: as :func:`load_facts`.
    """
    return load_facts(folder).default


def resolve(name_or_file: str | Path, folder: Path | None = None) -> WeightsFile:
    """Find weights by name ("default", "anyir", ...) or by file.

    A :class:`~pathlib.Path`, or a string that ends in ``.onnx`` or has a path separator, is a file; another
    string is a name first, and a file only if no model is called so.

    Args:
        name_or_file: what to find.
        folder: where the named weights lie, if not in the package.

    Raises:
        WeightsNotFound: no model of that name, one without weights, or no such file.
        WeightsDamaged: shipped weights are not those that were shipped, or a training checkpoint is named.
    """
    if isinstance(name_or_file, Path) or _looks_like_file(name_or_file):
        return _resolve_file(Path(name_or_file))
    folder = folder or weights_folder()
    catalogue = load_facts(folder)
    facts = catalogue.models.get(catalogue.default if name_or_file == DEFAULT else name_or_file)
    if facts is not None:
        return _resolve_shipped(facts, catalogue, folder)
    if os.path.isfile(name_or_file):
        return _resolve_file(Path(name_or_file))
    raise WeightsNotFound(
        f"no weights are called {name_or_file!r}, nor is there such a file; {_choice(catalogue)}"
    )


def checkpoint_header(path: Path) -> dict[str, Any]:
    """What a training checkpoint says about itself, without PyTorch; its tensors are not looked at.

    Raises:
        WeightsNotFound: there is no such file.
        WeightsDamaged: it is not a checkpoint of anyir.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            stored = file.read(min(size, _LONGEST_HEADER))
    except OSError as error:
        raise WeightsNotFound(f"{shown(path)}: {error.strerror or error}; check the path") from error
    try:
        header = json.loads(json.loads(stored)["__metadata__"][_METADATA_KEY])
    except (ValueError, KeyError, TypeError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise WeightsDamaged(f"{shown(path)}: not a checkpoint that anyir train wrote; name one")
    return header  # pyright: ignore[reportUnknownVariableType]


def _facts(name: str, entry: Mapping[str, Any]) -> ModelFacts:
    """Facts of one model; every key is required and no other allowed.

    Raises:
        KeyError, TypeError, ValueError: for anything else.
    """
    values = dict(entry)
    facts = ModelFacts(name=name, size_bytes=values.pop("bytes"), **values)
    whole = (facts.parameters, facts.macs_224, *((facts.size_bytes,) if facts.file is not None else ()))
    text = (facts.file, facts.sha256) if facts.file is not None else ()
    if not all(type(number) is int for number in whole) or not all(isinstance(word, str) for word in text):
        raise ValueError(f"{name}: a wrong type")
    return facts


def _looks_like_file(name: str) -> bool:
    separators = {os.sep, os.altsep or os.sep, "/"}
    return name.lower().endswith(".onnx") or any(separator in name for separator in separators)


def _resolve_file(path: Path) -> WeightsFile:
    if path.suffix.lower() == CHECKPOINT_SUFFIX:
        raise WeightsDamaged(
            f"{path} is a training checkpoint, which ONNX Runtime cannot run; run it with PyTorch "
            f"(anyir restore --engine torch), or export it: anyir export {path} -o {path.with_suffix('.onnx').name}"
        )
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "no such file"
        raise WeightsNotFound(f"{path}: {what}; name an ONNX file, or weights of anyir such as 'default'")
    return WeightsFile(path.stem, path, None)


def _resolve_shipped(facts: ModelFacts, catalogue: Catalogue, folder: Path) -> WeightsFile:
    if facts.file is None:
        raise WeightsNotFound(f"{facts.name!r} has no weights in this version of anyir; {_choice(catalogue)}")
    path = folder / facts.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsNotFound(f"{path} cannot be read ({error.strerror}); reinstall anyir") from error
    if hashlib.sha256(content).hexdigest() != facts.sha256:
        raise WeightsDamaged(
            f"{path} is not the file that was shipped (its SHA-256 differs); reinstall anyir"
        )
    return WeightsFile(facts.name, path, facts)


def _with_weights(catalogue: Catalogue) -> tuple[str, ...]:
    names = [name for name, facts in catalogue.models.items() if facts.file is not None]
    return tuple(sorted(names, key=lambda name: name != catalogue.default))


def _choice(catalogue: Catalogue) -> str:
    names = _with_weights(catalogue)
    return (
        f"weights there are: {', '.join(names)}" if names else "this installation has none: name an ONNX file"
    )
