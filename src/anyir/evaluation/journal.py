"""The journal of an evaluation under way: what an interrupted one has done is not done again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from anyir.data.layouts import Example
from anyir.errors import DataError, OutputError
from anyir.evaluation.results import ImageResult, image_from_json, image_to_json
from anyir.files import cannot_write, utf8


class Journal:
    """A file of JSON lines: first what is evaluated and how, then a line for each picture done.

    A line that was being written when the process died is dropped. A picture is known again by its set, its name and
    its content, so that one that was changed since is evaluated anew.

    Args:
        path: the file; made if it is not there.
        about: everything that decides a score: weights, settings, conventions, versions.
        anew: begin anew where the file is something else, or damaged; without it, that is refused.

    Raises:
        OutputError: the file is the journal of another evaluation, or cannot be written.
        DataError: it is no journal.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, anew: bool = False) -> None:
        self.path: Final = path
        self._done: dict[str, ImageResult] = {}
        head = json.dumps({"anyir_journal": 1, **about}, sort_keys=True, ensure_ascii=False)
        try:
            kept = self._read(head, anew)
            with path.open("r+b" if kept else "wb") as file:
                file.truncate(kept)
            if not kept:
                self._write(head)
        except OSError as error:
            raise cannot_write(path, error) from error

    def __len__(self) -> int:
        """How many pictures it holds."""
        return len(self._done)

    def find(self, name: str, pair: Example) -> ImageResult | None:
        """What was found of a picture of the set ``name``; None if it is not done yet.

        Raises:
            DataError: a file of the pair cannot be read.
        """
        return self._done.get(_key(name, pair)) if self._done else None

    def add(self, name: str, pair: Example, image: ImageResult) -> None:
        """Add a picture of the set ``name``; once this returns, a killed process loses it no more.

        Raises:
            OutputError: the file cannot be written.
        """
        key = _key(name, pair)
        self._done[key] = image
        try:
            self._write(json.dumps({"key": key, "image": image_to_json(image)}, ensure_ascii=False))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def remove(self) -> None:
        """The evaluation is done and its results are written: the journal is not needed any more."""
        self.path.unlink(missing_ok=True)

    def _write(self, line: str) -> None:
        with self.path.open("ab") as file:
            file.write(utf8(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, head: str, anew: bool) -> int:
        """Read what is there; the number of bytes to keep, 0 if there is nothing."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        lines = content.splitlines(keepends=True)
        if not lines or not lines[0].endswith(b"\n"):
            return 0
        if lines[0] != utf8(head) + b"\n":
            if anew:
                return 0
            raise OutputError(
                f"{self.path} is of an evaluation with other {_difference(lines[0], head)}; "
                "give --overwrite to begin anew, or another folder"
            )
        kept = len(lines[0])
        for line in lines[1:]:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                self._done[entry["key"]] = image_from_json(entry["image"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if anew:
                    self._done.clear()
                    return 0
                raise DataError(
                    f"{self.path} is damaged: {error!r}; give --overwrite to begin anew"
                ) from error
            kept += len(line)
        return kept


def _key(name: str, pair: Example) -> str:
    digest = hashlib.sha256()
    for path in (pair.clean, pair.degraded):
        try:
            digest.update(b"" if path is None else path.read_bytes())
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return f"{name}/{pair.name}/{digest.hexdigest()}"


def _difference(line: bytes, head: str) -> str:
    """The keys in which two journals' first lines differ, in words."""
    try:
        before, now = json.loads(line), json.loads(head)
        keys = [key for key in now if before.get(key) != now[key]]
    except (ValueError, AttributeError):
        keys = []
    return " and ".join(keys) or "content"
