"""The manifest of a folder of results: what each was made of and with, so that a rerun does only what it must.

``anyir-manifest.jsonl`` in the output folder has a line of JSON for each picture restored; the last one about a file
counts. A line is on the disk before the file it is about has its name: so a result that is there always has its line,
and whatever has none is somebody else's.

Lines are appended under a lock: several runs may work into one folder. A line that was being written when its process
died is dropped by the next that writes; one that is damaged vouches for nothing.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, Final

from anyir._version import __version__
from anyir.errors import OutputError, shown
from anyir.files import cannot_write, hold, make_folder, utf8
from anyir.inference.findings import Findings, from_json, to_json

NAME: Final = "anyir-manifest.jsonl"
"""Of the file, in the output folder."""

FORMAT: Final = 1

_TO_APPEND: Final[int] = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Entry:
    """A line: one picture restored.

    Attributes:
        source: the input, as it was given.
        input_sha256: of the input's content.
        weights: the weights' name.
        weights_sha256: of their file; None for an engine that has none.
        settings: all that decides the result besides these.
        settings_sha256: of the settings.
        outputs: file → SHA-256 of its content, by paths relative to the manifest's folder, with "/" between.
        width: of the picture, in pixels.
        height: likewise.
        seconds: from when the picture before was done until this one was encoded.
        held_back: share of the picture in which the guard corrected tones; None without a guard.
        findings: what changed.
        provider: what really ran the network; None in lines of a version that did not say. A result is not restored
            again because another would run it now.
    """

    source: str
    input_sha256: str
    weights: str
    weights_sha256: str | None
    settings: Mapping[str, Any]
    settings_sha256: str
    outputs: Mapping[str, str]
    width: int
    height: int
    seconds: float
    held_back: float | None
    findings: Findings
    provider: str | None = None


class Manifest:
    """A manifest, read once and then appended to. What others append meanwhile is not seen.

    Only where each line begins is kept in memory, for there may be a million.

    Args:
        path: the file; it need not be there.

    Raises:
        OutputError: the file is there and cannot be read, is a link, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.damaged: Final[list[int]] = []
        """Numbers of the lines that are not ours to read, from 1."""
        self._lines: Final[dict[str, list[int]]] = {}
        if os.path.islink(path):
            raise OutputError(f"{shown(path)}: is a link, where the manifest is to be kept; remove it")
        if os.path.lexists(path):
            try:
                with path.open("rb") as file:
                    self._read(file)
            except OSError as error:
                raise OutputError(
                    f"{shown(path)}: cannot be read ({error.strerror or error}); make it readable, or move it away"
                ) from error

    @property
    def outputs(self) -> frozenset[str]:
        """Every file that a line is about, relative to the folder."""
        return frozenset(self._lines)

    def entries(self, outputs: Sequence[Path]) -> list[Entry]:
        """The lines about any of these files, the newest last.

        Raises:
            OutputError: the file is no longer what it was.
        """
        places = sorted({place for path in outputs for place in self._lines.get(self.key(path), ())})
        if not places:
            return []
        try:
            with self.path.open("rb") as file:
                return [self._entry_at(file, place) for place in places]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OutputError(f"{shown(self.path)}: was changed while it was in use; start again") from error

    def key(self, path: Path) -> str:
        """The name of an output in the manifest."""
        return PurePath(os.path.relpath(path, self.path.parent)).as_posix()

    def add(self, entry: Entry) -> None:
        """Append a line; once this returns, a killed process loses it no more.

        Raises:
            OutputError: the file cannot be written. It is then as it was.
        """
        make_folder(self.path.parent)
        line = utf8(json.dumps(_to_json(entry), ensure_ascii=False)) + b"\n"
        try:
            with os.fdopen(os.open(self.path, _TO_APPEND, 0o666), "r+b", buffering=0) as file:
                hold(file.fileno())
                place = _end_of_lines(file)
                try:
                    file.truncate(place)  # what a killed process left of a line
                    file.seek(place)
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except BaseException:
                    file.truncate(place)
                    raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
        for name in entry.outputs:
            self._lines.setdefault(name, []).append(place)

    def _read(self, file: IO[bytes]) -> None:
        place = number = 0
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    for name in _from_json(json.loads(line)).outputs:
                        self._lines.setdefault(name, []).append(place)
                except (ValueError, KeyError, TypeError, RecursionError):
                    self.damaged.append(number)
            place += len(line)
        if self.damaged and not self._lines:
            raise OutputError(f"{shown(self.path)}: is no manifest of anyir; move it away")

    @staticmethod
    def _entry_at(file: IO[bytes], place: int) -> Entry:
        file.seek(place)
        return _from_json(json.loads(file.readline()))


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "anyir_manifest": FORMAT,
        "anyir": __version__,
        "input": entry.source,
        "input_sha256": entry.input_sha256,
        "weights": entry.weights,
        "weights_sha256": entry.weights_sha256,
        "settings": dict(entry.settings),
        "settings_sha256": entry.settings_sha256,
        "outputs": dict(entry.outputs),
        "width": entry.width,
        "height": entry.height,
        "seconds": round(entry.seconds, 4),
        "held_back": None if entry.held_back is None else round(entry.held_back, 4),
        "findings": to_json(entry.findings),
        "provider": entry.provider,
    }


def _from_json(values: Any) -> Entry:  # noqa: ANN401 - what a file says
    if values["anyir_manifest"] != FORMAT:
        raise ValueError(f"format {values['anyir_manifest']!r}")
    outputs = dict(values["outputs"])
    if any(b"\0" in os.fsencode(name) for name in outputs):
        raise ValueError("no file has such a name")
    return Entry(
        source=values["input"],
        input_sha256=values["input_sha256"],
        weights=values["weights"],
        weights_sha256=values["weights_sha256"],
        settings=dict(values["settings"]),
        settings_sha256=values["settings_sha256"],
        outputs=outputs,
        width=values["width"],
        height=values["height"],
        seconds=values["seconds"],
        held_back=values["held_back"],
        findings=from_json(values["findings"]),
        provider=values.get("provider"),
    )
