"""How a picture's results stand: done as asked, to be done, or something else's place. Reads only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from anyir.errors import OutputError, PictureError, UnreadablePicture, shown
from anyir.files import sha256_of
from anyir.inference.batch_plan import BatchSettings, Job
from anyir.inference.guard import Limits
from anyir.inference.manifest import Entry, Manifest
from anyir.inference.restorer import Restorer
from anyir.picture import read

_NAMES_AND_PLACES: Final = ("output", "recursive", "format", "side_by_side", "overwrite")
"""Settings that say which results there are to be and where. What is in them is decided by the others."""


_UNNAMED: Final = {
    "quality": "standard",
    **{f"guard_{key}": value for key, value in asdict(Limits()).items()},
}
"""What settings are where a manifest does not name them."""


@dataclass(frozen=True)
class Making:
    """What pictures are restored with. Equal inputs restored with equal makings have equal results.

    The version of anyir is not part of it: a new one does not restore a million pictures again.

    Attributes:
        weights: their name.
        weights_sha256: of their file; None for an engine that has none, for which the name must do.
        settings: what else decides a result, by name.
    """

    weights: str
    weights_sha256: str | None
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, settings: BatchSettings, restorer: Restorer) -> Making:
        """What these settings and this restorer come to.

        The guard's limits and the quality are named where they are not the default ones: older manifests do not name
        them.
        """
        chosen = {key: value for key, value in asdict(settings).items() if key not in _NAMES_AND_PLACES}
        chosen["strength"] = float(settings.strength)  # 1 and 1.0 are one setting, but two in JSON
        chosen |= {"tile": restorer.tile, "overlap": restorer.overlap, "guard": restorer.guard}
        limits = restorer.limits
        if limits is not None and limits != Limits():
            named = ("doubt", "disbelief")  # both, if anything differs: older manifests name both
            usual = asdict(Limits())
            given = asdict(limits).items()
            chosen |= {f"guard_{key}": value for key, value in given if key in named or value != usual[key]}
        if restorer.quality != "standard":
            chosen |= {"quality": restorer.quality}
        return cls(restorer.name, restorer.sha256, chosen)

    @property
    def settings_sha256(self) -> str:
        """One value for all settings, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Standing:
    """How a job stands.

    Attributes:
        entry: the line that says so, where it is done: input, weights, settings and every output are what it says.
        input_sha256: of the input as it is now.
        reason: why it is not done, as a sentence on the input or a file that it names; empty where it is.
        ours: results that are there, and that anyir made or that are damaged; they may be replaced.
        foreign: the first file in a result's place that is neither.
    """

    entry: Entry | None
    input_sha256: str
    reason: str
    ours: frozenset[Path] = frozenset()
    foreign: Path | None = None


def standing(job: Job, making: Making, manifest: Manifest) -> Standing:
    """See how a job stands.

    Raises:
        UnreadablePicture: the input cannot be read.
        OutputError: what is in a result's place, or the manifest, cannot be read.
    """
    input_sha256 = hash_input(job.source)
    entries = manifest.entries(job.outputs)
    there = {path: _hash_output(path) for path in job.outputs if os.path.lexists(path)}
    ours: list[Path] = []
    for path, sha256 in there.items():
        written = [each.outputs[key] for each in entries if (key := manifest.key(path)) in each.outputs]
        if sha256 in written or (written and sha256 is not None and _is_damaged(path)):
            ours.append(path)
            continue
        what = "is not what anyir wrote there" if written else "exists, and anyir has no record of writing it"
        return Standing(None, input_sha256, f"{shown(path)} {what}", foreign=path)
    about_it = [each for each in entries if manifest.key(job.output) in each.outputs]
    entry = about_it[-1] if about_it else None
    written = {} if entry is None else {path: entry.outputs.get(manifest.key(path)) for path in job.outputs}
    reason = _difference(entry, input_sha256, making) or _damage(written, there)
    return Standing(None if reason else entry, input_sha256, reason, frozenset(ours))


def _difference(entry: Entry | None, input_sha256: str, making: Making) -> str:
    """What a result would be made of or with now, and was not; empty if there is no such thing."""
    if entry is None:
        return "is not restored yet"
    if entry.input_sha256 != input_sha256:
        return "has changed since it was restored"
    if (entry.weights_sha256, entry.weights_sha256 or entry.weights) != (
        making.weights_sha256,
        making.weights_sha256 or making.weights,
    ):
        return f"was restored with other weights ({shown(entry.weights)})"
    if entry.settings_sha256 != making.settings_sha256:
        changed = [
            f"{key} {entry.settings.get(key, _UNNAMED.get(key))}"
            for key in sorted({*entry.settings, *making.settings})
            if entry.settings.get(key) != making.settings.get(key)
        ]
        return f"was restored with other settings ({', '.join(changed)})"
    return ""


def _damage(written: Mapping[Path, str | None], there: Mapping[Path, str | None]) -> str:
    """Which result is not what was last written; empty if all are."""
    for path, sha256 in written.items():
        if path not in there:
            return f"its result {shown(path)} is missing"
        if there[path] != sha256:
            return f"its result {shown(path)} is damaged or of an earlier run"
    return ""


def hash_input(path: Path) -> str:
    """SHA-256 of a picture's file.

    Raises:
        UnreadablePicture: it cannot be read.
    """
    try:
        return sha256_of(path)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise UnreadablePicture(f"{shown(path)}: cannot be read ({shown(what)}); check the path") from error


def _hash_output(path: Path) -> str | None:
    """SHA-256 of a file; None for what is no file of its own."""
    if os.path.islink(path) or not path.is_file():
        return None
    try:
        return sha256_of(path)
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be read ({error.strerror or error})") from error


def _is_damaged(path: Path) -> bool:
    try:
        read(path)
    except PictureError as error:  # others are of whole pictures, of a kind that anyir does not write
        return isinstance(error, UnreadablePicture)
    return False
