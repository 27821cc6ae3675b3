"""What is in a data folder: every set of the catalogue that is there, every file opened, and what is wrong with it.

The most important thing that can be wrong is a training picture that shows what a test picture shows: its numbers
would then say nothing. :func:`find_leaks` finds them by looks (:mod:`anyir.data.fingerprint`), not by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from anyir.data.catalogue import Row
from anyir.data.fingerprint import Fingerprint, Match, find_alike, find_duplicates, fingerprint
from anyir.data.layouts import DataSet, Example, Found, Use, scan
from anyir.data.sets import GENERIC, SETS
from anyir.errors import DataError, PictureError
from anyir.picture import read_image, read_labels

SHOWN: Final = 5
"""Pairs that an error names."""

SMALL: Final = 128
"""Pixels: the papers' patches do not fit pictures with a shorter side."""


@dataclass(frozen=True)
class SetReport:
    """One set that is there.

    Attributes:
        found: where it lies, its examples, and the files that miss a partner or share a name.
        unreadable: files, label maps included, that cannot be read, and why.
        unequal: degraded pictures and label maps whose size is not their clean picture's: (it, clean, in words).
        small: clean pictures with a side shorter than :data:`SMALL`.
    """

    found: Found
    unreadable: Mapping[Path, str]
    unequal: tuple[tuple[Path, Path, str], ...]
    small: tuple[Path, ...]

    @property
    def sound(self) -> bool:
        """Nothing is missing, doubtful or damaged in what is there."""
        found = self.found
        return not (self.unreadable or self.unequal or found.alone or found.namesakes or found.empty)


@dataclass(frozen=True)
class Audit:
    """What is in a data folder.

    Attributes:
        data: the folder.
        sets: those that are there, in the order of the catalogue.
        absent: the others.
        leaks: scenes of training and test sets that are the same, named by their clean pictures.
        duplicates: pairs of clean training pictures that show the same.
        files: pictures and label maps opened.
    """

    data: Path
    sets: tuple[SetReport, ...]
    absent: tuple[DataSet, ...]
    leaks: tuple[Match[Path], ...]
    duplicates: tuple[Match[Path], ...]
    files: int

    @property
    def sound(self) -> bool:
        """Every set is sound, and no test picture is among the training pictures."""
        return not self.leaks and all(each.sound for each in self.sets)


@dataclass(frozen=True)
class _Opened:
    """One file, opened: size and, of a picture, fingerprint; or why there are none."""

    size: tuple[int, int] = (0, 0)
    print: Fingerprint | None = None
    error: PictureError | None = None


def audit(
    data: Path, only: Sequence[str] = (), on_file: Callable[[int, int], None] = lambda done, total: None
) -> Audit:
    """Find the sets in a data folder and open every picture and label map of them.

    Args:
        data: the folder.
        only: names of sets to look for, beside the test sets, which training sets are compared with; all where none is
            named, but for the user's own (``pairs``, ``pictures``).
        on_file: called after each file with how many are done, of how many.

    Raises:
        DataError: ``data`` is no folder, a name is unknown, or none of the sets is there.
    """
    for name in only:
        if name not in SETS:
            raise DataError(f"no data set is called {name!r}; there are: {', '.join(SETS)}")
    wanted = [
        each
        for name, each in SETS.items()
        if (name in only or each.use == "test" if only else name not in GENERIC)
    ]
    found = {each.name: scan(data, each) for each in wanted}
    present = [each for each in found.values() if each is not None]
    if not present or (only and not any(found[name] for name in only)):
        own = [name for name in GENERIC if name not in only and scan(data, SETS[name]) is not None]
        hint = f"; as a set of your own: --set {own[0]}" if own else ""
        raise DataError(
            f"{data} holds none of the data sets that were looked for: {', '.join(only) or 'see anyir data sets'}{hint}"
        )
    looks = _look_at(
        {path for each in present for path in files_of(each.examples)},
        {path for each in present for path in _labels_of(each.examples)},
        on_file=on_file,
    )
    prints: dict[Use, dict[Path, Fingerprint]] = {"train": {}, "test": {}}
    for each in present:
        for path in files_of(each.examples):
            known = looks[path].print
            if known is not None:
                prints[each.dataset.use][path] = known
    scenes = {
        use: _clean_of(x for each in present if each.dataset.use == use for x in each.examples)
        for use in ("train", "test")
    }
    clean = set(scenes["train"].values()) & prints["train"].keys()
    return Audit(
        data=data,
        sets=tuple(_report(each, looks) for each in present),
        absent=tuple(each for each in wanted if found[each.name] is None and (not only or each.name in only)),
        leaks=tuple(_scenes(find_alike(prints["train"], prints["test"]), scenes["train"], scenes["test"])),
        duplicates=tuple(find_duplicates({path: prints["train"][path] for path in clean})),
        files=len(looks),
    )


def files_of(examples: Iterable[Example | Row]) -> set[Path]:
    """The clean and degraded pictures of examples."""
    return {path for each in examples for path in (each.clean, each.degraded) if path is not None}


def _labels_of(examples: Iterable[Example]) -> set[Path]:
    return {each.labels for each in examples if each.labels is not None}


def refuse_leaks(
    rows: Iterable[Row],
    prints: Mapping[Path, Fingerprint],
    data: Path,
    left_out: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> None:
    """See that no training picture shows what a picture of a test set below ``data`` shows.

    Args:
        rows: the training examples.
        prints: what their pictures look like, as far as that is known. The others are read, which takes a while where
            the pictures of a large set stay in their files.
        data: the data folder; where it has no test sets there is nothing to compare with, and nothing is read.
        left_out: set → scenes that the recipe leaves out already, which the remedy must not take back.

    Raises:
        DataError: one does; the message names the files and how to leave them out.
        PictureError: a picture has to be read and is damaged; the message names it.
    """
    rows = tuple(rows)
    found = [scan(data, each) for each in SETS.values() if each.use == "test"]
    test = [example for each in found if each is not None for example in each.examples]
    if not test:
        return
    ours, theirs = files_of(rows), files_of(test)
    looks = _look_at((ours - prints.keys()) | theirs)
    for path in sorted(looks):
        if (error := looks[path].error) is not None:
            raise error
    seen = {path: look.print for path, look in looks.items() if look.print is not None}
    our_prints = {path: prints[path] if path in prints else seen[path] for path in ours}
    test_prints = {path: seen[path] for path in theirs}
    leaks = _scenes(find_alike(our_prints, test_prints), _clean_of(rows), _clean_of(test))
    if not leaks:
        return
    found_in: dict[str, set[str]] = {}
    leaking = {leak.ours for leak in leaks}
    for row in rows:
        if row.clean in leaking:
            found_in.setdefault(row.source, set(left_out.get(row.source, ()))).add(row.scene)
    shown = ", ".join(f"{leak.ours} = {leak.theirs}" for leak in leaks[:SHOWN])
    more = f" and {len(leaks) - SHOWN} more ('anyir data check' lists them)" if len(leaks) > SHOWN else ""
    options = " ".join(
        f"--set 'leave_out.{name}={json.dumps(sorted(each))}'" for name, each in found_in.items()
    )
    raise DataError(
        f"training pictures show what test pictures show: {shown}{more}; leave them out with {options}, "
        "or allow it with --set test_pictures=allow"
    )


def _clean_of(examples: Iterable[Example | Row]) -> dict[Path, Path]:
    """From each picture of some examples to its clean picture, which stands for the scene."""
    return {path: each.clean for each in examples for path in (each.clean, each.degraded) if path is not None}


def _scenes(
    matches: Iterable[Match[Path]], ours: Mapping[Path, Path], theirs: Mapping[Path, Path]
) -> list[Match[Path]]:
    """Matches of pictures as matches of scenes, named by their clean pictures, each with its best similarity."""
    best: dict[tuple[Path, Path], float] = {}
    for match in matches:
        scenes = (ours[match.ours], theirs[match.theirs])
        best[scenes] = max(match.similarity, best.get(scenes, 0))
    return [Match(*scenes, similarity) for scenes, similarity in sorted(best.items())]


def _look_at(
    pictures: Iterable[Path],
    labels: Iterable[Path] = (),
    *,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Path, _Opened]:
    """Open every file, on all cores: decoding leaves the interpreter free."""
    work = [(path, _picture) for path in sorted(pictures)] + [(path, _label_map) for path in sorted(labels)]
    looks: dict[Path, _Opened] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, _), look in zip(work, pool.map(_look, work), strict=True):
            looks[path] = look
            on_file(len(looks), len(work))
    return looks


def _look(work: tuple[Path, Callable[[Path], _Opened]]) -> _Opened:
    path, opened = work
    try:
        return opened(path)
    except PictureError as error:
        return _Opened(
            error=type(error)(str(error))
        )  # without its traceback, which would hold what was decoded


def _picture(path: Path) -> _Opened:
    image = read_image(path)
    return _Opened(size=(image.shape[0], image.shape[1]), print=fingerprint(image))


def _label_map(path: Path) -> _Opened:
    labels = read_labels(path)
    return _Opened(size=(labels.shape[0], labels.shape[1]))


def _report(found: Found, looks: Mapping[Path, _Opened]) -> SetReport:
    files = files_of(found.examples) | _labels_of(found.examples)
    unreadable = {path: str(looks[path].error) for path in sorted(files) if looks[path].error}
    unequal: list[tuple[Path, Path, str]] = []
    for each in found.examples:
        for path in (each.degraded, each.labels):
            if path is None or {each.clean, path} & unreadable.keys():
                continue
            sizes = [looks[file].size for file in (path, each.clean)]
            if sizes[0] != sizes[1]:
                words = " against ".join(f"{width}×{height}" for height, width in sizes)
                unequal.append((path, each.clean, words))
    clean = sorted({each.clean for each in found.examples} - unreadable.keys())
    small = tuple(path for path in clean if min(looks[path].size) < SMALL)
    return SetReport(found, unreadable, tuple(unequal), small)


def to_json(result: Audit) -> dict[str, Any]:
    """The audit as plain values; paths below the data folder are relative to it."""

    def name(path: Path) -> str:
        return (
            path.relative_to(result.data).as_posix() if path.is_relative_to(result.data) else path.as_posix()
        )

    return {
        "anyir_audit": 1,
        "sound": result.sound,
        "files": result.files,
        "sets": {
            each.found.dataset.name: {
                "title": each.found.dataset.title,
                "use": each.found.dataset.use,
                "official": each.found.dataset.official,
                "terms": each.found.dataset.terms,
                "folders": [name(folder) for folder in each.found.folders],
                "layout": str(each.found.layout),
                "examples": len(each.found.examples),
                "expected": each.found.dataset.expected,
                "without_partner": [name(path) for path, _ in each.found.alone],
                "namesakes": [[name(path) for path in two] for two in each.found.namesakes],
                "empty_folders": [name(folder) for folder in each.found.empty],
                "unreadable": {name(path): why for path, why in each.unreadable.items()},
                "unequal": [[name(path), name(clean), words] for path, clean, words in each.unequal],
                "clean_without_degraded": [name(path) for path in each.found.unused],
                "small": [name(path) for path in each.small],
            }
            for each in result.sets
        },
        "absent": [each.name for each in result.absent],
        "leaks": [_match(each, name) for each in result.leaks],
        "duplicates": [_match(each, name) for each in result.duplicates],
    }


def _match(match: Match[Path], name: Callable[[Path], str]) -> dict[str, Any]:
    return {"pictures": [name(match.ours), name(match.theirs)], "similarity": round(match.similarity, 3)}
