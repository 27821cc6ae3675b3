"""The plan of a folder job: which pictures, and which names for their results.

The rules, all applied before any picture is opened:

- In a folder, only files with a known suffix count; hidden files, hidden folders and files already named
  ``*.restored.*`` are passed over, and so is the output folder where it lies inside. A file given by name is
  always tried. Nothing is restored twice in one run.
- Without an output, the result is ``NAME.restored.EXT`` beside the original. With one, a folder's sub-folders
  are kept under it; where several folders are given, each gets a folder of its own name there.
- Two inputs that would get one name keep their own suffixes in it: ``a.jpg`` and ``a.png`` written as PNG
  become ``a.jpg.png`` and ``a.png.png``. If that does not part them, the run is refused.
- A result never takes the place of an input, and of another file only if ``overwrite`` is set: an input whose
  result is there already is skipped, so that the same run started again goes on where it was stopped. Only where
  the user named that very file, or one half of a pair is there, is it a failure.
- A path without pictures is a failure among others, and refuses the run where no picture is left.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from anyir.errors import AnyirError, UnreadablePicture, UsageError
from anyir.picture import DEFAULT_SUFFIX, READABLE_SUFFIXES, SUFFIXES

OutputFormat: TypeAlias = Literal["keep", "png", "jpeg", "webp", "tiff"]

_MARK: Final = ".restored"
_OTHER_PICTURES: Final = frozenset({".avif", ".bmp", ".gif", ".heic", ".jp2", ".jxl"})
"""Suffixes under which a folder is hardly meant, but one result in a format that anyir does not write."""


@dataclass(frozen=True)
class BatchSettings:
    """What the user asked for.

    Attributes:
        output: a folder, or for a single input file also a picture's name; None: beside the originals.
        recursive: look into the sub-folders of folders too.
        format: of the results; "keep" keeps the input's suffix (PNG where that names no known format).
        strength: 0 (the input as it is) to 1 (restored fully).
        side_by_side: also write before|after as ``NAME.compare.EXT`` beside each result.
        overwrite: replace results that exist already.
        strip_metadata: leave EXIF and XMP out of the results.
    """

    output: Path | None = None
    recursive: bool = False
    format: OutputFormat = "keep"
    strength: float = 1.0
    side_by_side: bool = False
    overwrite: bool = False
    strip_metadata: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:  # also refuses NaN
            raise UsageError(f"strength {self.strength:g} is outside 0 to 1")


@dataclass(frozen=True)
class Job:
    """One picture to restore: what is read, and what will be written."""

    source: Path
    output: Path
    comparison: Path | None = None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every file this job writes."""
        return (self.output,) if self.comparison is None else (self.output, self.comparison)


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        source: the input.
        output: where its result is, or would have been; None for a path that gave no picture.
        width: of the picture, in pixels; 0 if it could not be read.
        height: likewise.
        seconds: reading, restoring and writing.
        error: why there is no result; None if there is one.
        skipped: there was one already, and it was left as it is.
        held_back: share of the picture, from 0 to 1, in which the guard held the network back; None without a guard.
    """

    source: Path
    output: Path | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: AnyirError | None = None
    skipped: bool = False
    held_back: float | None = None

    @property
    def status(self) -> Literal["restored", "skipped", "failed"]:
        """What became of it, in one word."""
        return "failed" if self.error is not None else "skipped" if self.skipped else "restored"


@dataclass(frozen=True)
class Plan:
    """The pictures of one run, in the order in which they are restored, and the paths that gave none."""

    settings: BatchSettings
    jobs: tuple[Job, ...]
    failures: tuple[Outcome, ...] = ()


@dataclass(frozen=True)
class _Input:
    source: Path
    place: Path
    """Where its result belongs under the output folder: sub-folders, and the input's own name."""


@dataclass
class _Search:
    inputs: list[_Input] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)

    def fail(self, path: Path, error: AnyirError) -> None:
        self.failures.append(Outcome(path, error=error))


def plan(paths: Sequence[Path], settings: BatchSettings) -> Plan:
    """Find the pictures and settle every output's name; writes nothing and opens no picture.

    Raises:
        UsageError: nothing to restore; an output that cannot be (a file for several pictures, a suffix
            against the format); a result that would replace an input; two results of one name.
    """
    output_file = _output_file(paths, settings)
    places = _Places()
    search = _find(paths, settings, places)
    if not search.inputs:
        raise UsageError("; ".join(str(failure.error) for failure in search.failures) or "no pictures given")
    jobs = _name_outputs(search.inputs, settings, output_file, places)
    sources = {place for job in jobs for place in (places.of(job.source), places.behind(job.source))}
    for job in jobs:
        for output in job.outputs:
            if places.behind(output) in sources:
                raise UsageError(
                    f"{output}: the result would replace an input; choose another output, or none at all"
                )
    return Plan(settings, tuple(jobs), tuple(search.failures))


def _output_file(paths: Sequence[Path], settings: BatchSettings) -> Path | None:
    """The output if it is one file's name, None if it is a folder or not given."""
    output, single_file = settings.output, len(paths) == 1 and not os.path.isdir(paths[0])
    if output is None or os.path.isdir(output):
        return None
    suffix = output.suffix.lower()
    if single_file and suffix in SUFFIXES:
        if settings.format != "keep" and SUFFIXES[suffix] != settings.format:
            raise UsageError(
                f"{output}: its suffix and the format {settings.format} disagree; drop one of them"
            )
        return output
    if os.path.exists(output):
        raise UsageError(f"{output}: a file, where a folder for the results is needed; choose another output")
    if suffix in SUFFIXES:
        raise UsageError(f"{output}: one picture's name, but there may be several; give a folder instead")
    if suffix in _OTHER_PICTURES:
        raise UsageError(f"{output}: anyir does not write {suffix}; use one of {', '.join(sorted(SUFFIXES))}")
    return None


class _Places:
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


def _find(paths: Sequence[Path], settings: BatchSettings, places: _Places) -> _Search:
    search = _Search()
    several_folders = sum(os.path.isdir(path) for path in paths) > 1
    for path in paths:
        if os.path.isdir(path):
            top = Path(path.resolve().name) if several_folders else Path()
            _find_in_folder(path, top, settings, search)
        elif os.path.isfile(path):
            search.inputs.append(_Input(path, Path(path.name)))
        elif os.path.lexists(path):
            search.fail(path, UnreadablePicture(f"{path}: neither a file nor a folder; give a picture"))
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


def _find_in_folder(folder: Path, top: Path, settings: BatchSettings, search: _Search) -> None:
    """Add the pictures of ``folder`` by name, each folder's files before its sub-folders."""
    excluded = None if settings.output is None else os.path.realpath(settings.output)
    before = len(search.inputs), len(search.failures)

    def unreadable(error: OSError) -> None:
        reason = error.strerror or error
        search.fail(
            Path(error.filename), UnreadablePicture(f"{error.filename}: cannot look inside: {reason}")
        )

    for here, subfolders, names in os.walk(folder, onerror=unreadable):
        place = Path(here)
        subfolders[:] = sorted(
            name
            for name in (subfolders if settings.recursive else ())
            if not name.startswith(".") and os.path.realpath(place / name) != excluded
        )
        for name in sorted(names):
            source = place / name
            if _is_picture_name(name) and (os.path.isfile(source) or not os.path.exists(source)):
                search.inputs.append(_Input(source, top / source.relative_to(folder)))
    if (len(search.inputs), len(search.failures)) == before:
        where = (
            "or its sub-folders"
            if settings.recursive
            else "itself; add --recursive to search its sub-folders"
        )
        suffixes = " ".join(sorted(READABLE_SUFFIXES))
        search.fail(folder, UsageError(f"{folder}: no pictures ({suffixes}) in this folder {where}"))


def _is_picture_name(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in READABLE_SUFFIXES and not name.startswith(".") and f"{_MARK}." not in name


def _name_outputs(
    inputs: Sequence[_Input],
    settings: BatchSettings,
    output_file: Path | None,
    places: _Places,
) -> list[Job]:
    first = jobs = [_job(found, settings, output_file, keep_suffix=False) for found in inputs]
    keeping: set[int] = set()
    while clashing := _clashing(jobs, places):
        if clashing <= keeping:
            one, other = _first_clash([jobs[index] for index in sorted(clashing)], places)
            name = next(job.output for job in first if job.source == one)
            raise UsageError(
                f"{one} and {other} would both be written to {name}; give the folder above them with "
                "--recursive, or restore them into separate folders"
            )
        keeping |= clashing
        jobs = [
            _job(found, settings, output_file, keep_suffix=index in keeping)
            for index, found in enumerate(inputs)
        ]
    return jobs


def _clashing(jobs: Sequence[Job], places: _Places) -> set[int]:
    """The jobs that would write a file which another one writes too."""
    claims = Counter(places.behind(output) for job in jobs for output in job.outputs)
    if len(claims) == claims.total():
        return set()
    return {
        i for i, job in enumerate(jobs) if any(claims[places.behind(output)] > 1 for output in job.outputs)
    }


def _first_clash(jobs: Sequence[Job], places: _Places) -> tuple[Path, Path]:
    """Two inputs, out of jobs that all clash, whose results would be one file."""
    claimed: dict[str, Job] = {}
    for job in jobs:
        for output in job.outputs:
            other = claimed.setdefault(places.behind(output), job)
            if other is not job:
                return other.source, job.source
    raise AssertionError("no two of these jobs write the same file")


def _job(found: _Input, settings: BatchSettings, output_file: Path | None, *, keep_suffix: bool) -> Job:
    source = found.source
    own_format = SUFFIXES.get(source.suffix.lower())
    wanted = (own_format or "png") if settings.format == "keep" else settings.format
    suffix = source.suffix if wanted == own_format else DEFAULT_SUFFIX[wanted]
    stem = source.name if keep_suffix else source.stem
    if output_file is not None:
        output = output_file
    elif settings.output is None:
        output = source.with_name(f"{stem}{_MARK}{suffix}")
    else:
        output = settings.output / found.place.with_name(f"{stem}{suffix}")
    comparison = output.with_name(f"{output.stem}.compare{output.suffix}") if settings.side_by_side else None
    return Job(source, output, comparison)
