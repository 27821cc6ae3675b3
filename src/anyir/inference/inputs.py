"""Which pictures a folder job restores: what the paths name, and what lies in folders and matches patterns.

The rules are those of :mod:`anyir.inference.batch_plan`. Nothing is opened but the manifests of earlier runs.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from anyir.errors import AnyirError, OutputError, UnreadablePicture, UsageError
from anyir.inference.manifest import NAME as MANIFEST
from anyir.inference.manifest import Manifest
from anyir.picture import READABLE_SUFFIXES

MARK: Final = ".restored"
"""In the name of a result that lies beside its original."""


@dataclass(frozen=True)
class Input:
    """A picture to restore.

    Attributes:
        source: its file.
        place: where its result belongs under the output folder: sub-folders, and the input's own name.
    """

    source: Path
    place: Path


class Places:
    """One string for all the ways to write where a file is.

    What it learns about folders is remembered, for a million files lie in few of them.
    """

    def __init__(self) -> None:
        self._real: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """The file of that name, be it a link to another."""
        folder = path.parent
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._comparable(os.path.join(self._real[folder], path.name))

    def behind(self, path: Path) -> str:
        """The file that is read or written under that name: links are followed."""
        return self._comparable(os.path.realpath(path)) if os.path.islink(path) else self.of(path)

    @staticmethod
    def _comparable(place: str) -> str:
        return place.casefold() if sys.platform in ("win32", "darwin") else place


@dataclass
class Search:
    """What is found as paths are looked at.

    Attributes:
        places: of files, whatever they are called.
        recursive: look into sub-folders too.
        excluded: the output folder, with links followed; None: there is none.
        inputs: the pictures.
        failures: paths that gave none, and why.
        results: places of all that manifests say is a result.
    """

    places: Places
    recursive: bool
    excluded: str | None
    inputs: list[Input] = field(default_factory=list[Input])
    failures: list[tuple[Path, AnyirError]] = field(default_factory=list[tuple[Path, AnyirError]])
    results: set[str] = field(default_factory=set[str])
    _looked_in: set[Path] = field(default_factory=set[Path])

    @property
    def count(self) -> int:
        """What was found so far, for better or worse."""
        return len(self.inputs) + len(self.failures)

    def fail(self, path: Path, error: AnyirError) -> None:
        """Note a path that gives no picture."""
        self.failures.append((path, error))

    def fail_inside(self, error: OSError) -> None:
        """Note, once, a folder that the system does not let be searched."""
        folder = Path(error.filename)
        if all(folder != path for path, _ in self.failures):
            reason = error.strerror or error
            self.fail(folder, UnreadablePicture(f"{folder}: cannot look inside: {reason}"))

    def learn_results(self, folder: Path) -> None:
        """Learn which files are results, from the manifest in a folder if it has one.

        Raises:
            OutputError: the manifest cannot be read.
        """
        path = folder / MANIFEST
        if folder not in self._looked_in and os.path.isfile(path):
            self.results |= {self.places.of(folder / name) for name in Manifest(path).outputs}
        self._looked_in.add(folder)

    def learn_results_above(self, folder: Path) -> None:
        """As :meth:`learn_results`, from all folders that this one lies in; what is unreadable there is left alone."""
        for above in Path(os.path.realpath(folder)).parents:
            with suppress(OutputError):
                self.learn_results(above)

    def accepts(self, path: Path) -> bool:
        """Whether a file that was found, not named, is a picture to restore."""
        name = path.name
        if path.suffix.lower() not in READABLE_SUFFIXES or name.startswith(".") or f"{MARK}." in name:
            return False
        if os.path.exists(path) and not os.path.isfile(path):
            return False  # but a link to nothing is worth a word when it cannot be read
        return self.places.of(path) not in self.results


def find_inputs(paths: Sequence[Path], places: Places, *, recursive: bool, output: Path | None) -> Search:
    """Find the pictures, each once, in the order of the paths.

    Args:
        paths: files, folders and patterns.
        places: of files.
        recursive: look into the sub-folders of folders too.
        output: where results will be.

    Raises:
        OutputError: a manifest in the way cannot be read.
    """
    search = Search(places, recursive, None if output is None else os.path.realpath(output))
    several_folders = sum(os.path.isdir(path) for path in paths) > 1
    for path in paths:
        if os.path.isdir(path):
            _find_in_folder(path, Path(path.resolve().name) if several_folders else Path(), search)
        elif os.path.isfile(path):
            search.inputs.append(Input(path, Path(path.name)))
        elif os.path.lexists(path):
            search.fail(path, UnreadablePicture(f"{path}: neither a file nor a folder; give a picture"))
        elif glob.has_magic(str(path)):
            _find_by_pattern(path, search)
        else:
            search.fail(path, UnreadablePicture(f"{path}: {_why_not(path)}; check the path"))
    first_of = {places.of(found.source): found for found in reversed(search.inputs)}
    search.inputs = [found for found in search.inputs if first_of[places.of(found.source)] is found]
    return search


def _why_not(path: Path) -> str:
    """Why there is nothing to be seen under this name."""
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a folder that may not be entered, a name too long
        return getattr(error, "strerror", None) or str(error)
    return "no such file or folder"


def _find_in_folder(folder: Path, top: Path, search: Search) -> None:
    """Add the pictures of ``folder`` by name, each folder's files before its sub-folders."""
    before = search.count
    search.learn_results_above(folder)

    for here, subfolders, names in os.walk(folder, onerror=search.fail_inside):
        place = Path(here)
        subfolders[:] = sorted(
            name
            for name in (subfolders if search.recursive else ())
            if not name.startswith(".") and os.path.realpath(place / name) != search.excluded
        )
        search.learn_results(place)
        for source in map(place.joinpath, sorted(names)):
            if search.accepts(source):
                search.inputs.append(Input(source, top / source.relative_to(folder)))
    if search.count == before:
        where = (
            "or its sub-folders" if search.recursive else "itself; add --recursive to search its sub-folders"
        )
        suffixes = " ".join(sorted(READABLE_SUFFIXES))
        but = "; results of earlier runs count only if they are named" if search.results else ""
        search.fail(folder, UsageError(f"{folder}: no pictures ({suffixes}) in this folder {where}{but}"))


def _matches(top: Path, wild: Sequence[str], unreadable: Callable[[OSError], None]) -> list[Path]:
    """What a pattern matches, sorted; as in the standard library, but that ``**`` enters no folder through a link.

    Links may lead in a circle, and two of them in more circles than there is time for. Folders below ``**`` that cannot
    be searched are told to ``unreadable``.
    """
    found = [top]
    for number, part in enumerate(wild, 1):
        if part == "**":
            steps = (_all_below(folder, unreadable, files=number == len(wild)) for folder in found)
        else:
            steps = (map(Path, glob.glob(os.path.join(glob.escape(str(folder)), part))) for folder in found)
        found = list(dict.fromkeys(chain.from_iterable(steps)))
    return sorted(found)


def _all_below(top: Path, unreadable: Callable[[OSError], None], *, files: bool) -> Iterator[Path]:
    """A folder and all in it that are not hidden, and their files too if asked for."""
    if not top.is_dir():
        return
    for here, subfolders, names in os.walk(top, onerror=unreadable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield Path(here)
        if files:
            yield from (Path(here, name) for name in names if not name.startswith("."))


def _find_by_pattern(pattern: Path, search: Search) -> None:
    """Add the pictures that a pattern matches and those in the folders that it matches, by name."""
    fixed = next(index for index, part in enumerate(pattern.parts) if glob.has_magic(part))
    top, wild = Path(*pattern.parts[:fixed]), pattern.parts[fixed:]
    if ".." in wild:
        search.fail(pattern, UsageError(f"{pattern}: '..' after a wildcard leads anywhere; write it without"))
        return
    before = search.count
    search.learn_results_above(top)
    for path in _matches(top, wild, search.fail_inside):
        place = path.relative_to(top)
        folders = [top / folder for folder in reversed(place.parents)]
        if any(os.path.realpath(each) == search.excluded for each in (*folders[1:], path)):
            continue
        for folder in folders:
            search.learn_results(folder)
        if os.path.isdir(path) and "**" not in wild:  # which stands for all that is in them already
            _find_in_folder(path, place, search)
        elif search.accepts(path):
            search.inputs.append(Input(path, place))
    if search.count == before:
        search.fail(pattern, UnreadablePicture(f"{pattern}: matches no picture; check the pattern"))
