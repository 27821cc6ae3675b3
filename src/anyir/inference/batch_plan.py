"""The plan of a folder job: which pictures, and which names for their results.

The rules, all applied before any picture is opened:

- In a folder, only files with a known suffix count; hidden files, hidden folders and files already named
  ``*.restored.*`` are passed over, and so is the output folder where it lies inside, and every result in the manifest
  (:mod:`anyir.inference.manifest`) of an earlier run's output folder. A file given by name is always tried, but for
  one that by its name is the result or the comparison of another that is given, beside it. Nothing is restored twice
  in one run.
- A path that is not there and has ``*``, ``?`` or ``[`` in it is a pattern, for shells that do not expand it and lists
  too long for them; ``**`` stands for any folders. What it matches counts as found in the folder before its first
  wildcard.
- Without an output, the result is ``NAME.restored.EXT`` beside the original. With one, a folder's sub-folders
  are kept under it; where several folders are given, each gets a folder of its own name there.
- Two inputs that would get one name keep their own suffixes in it: ``a.jpg`` and ``a.png`` written as PNG
  become ``a.jpg.png`` and ``a.png.png``. If that does not part them, the run is refused.
- A result never takes the place of an input, and of another file only if ``overwrite`` is set: an input whose
  result is there already is skipped, so that the same run started again goes on where it was stopped. Only where
  the user named that very file, or one half of a pair is there, is it a failure.
- An output folder has a manifest: what it shows to be of a changed input, other weights or settings, or damaged, is
  restored again. Beside the originals, and for one file that is given its result's name, there is none: there a result
  that exists is done.
- A path without pictures is a failure among others, and refuses the run where no picture is left.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from anyir.errors import AnyirError, UsageError
from anyir.inference.findings import Findings
from anyir.inference.inputs import MARK, Input, Places, find_inputs
from anyir.picture import DEFAULT_SUFFIX, SUFFIXES

OutputFormat: TypeAlias = Literal["keep", "png", "jpeg", "webp", "tiff"]

_COMPARED: Final = ".compare"
"""In the name of a comparison that lies beside its result."""

_WORTH_A_WORD: Final = 0.01
"""Share of a picture, corrected by the guard, from which it is told."""

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
        side_by_side: also write before | after | difference as ``NAME.compare.EXT`` beside each result.
        overwrite: replace results that exist already.
        strip_metadata: leave EXIF, XMP, IPTC, comments and texts out of the results.
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
        seconds: from when the picture before was done until this one was; so those of a job add up.
        error: why there is no result; None if there is one.
        skipped: there was one already, and it was left as it is.
        note: why it was left; empty where it is what would have been made.
        findings: what changed; None where that is not known.
        held_back: share of the picture, from 0 to 1, in which the guard corrected tones; None without a guard.
    """

    source: Path
    output: Path | None = None
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: AnyirError | None = None
    skipped: bool = False
    note: str = ""
    findings: Findings | None = None
    held_back: float | None = None

    @property
    def status(self) -> Literal["restored", "skipped", "failed"]:
        """What became of it, in one word."""
        return "failed" if self.error is not None else "skipped" if self.skipped else "restored"

    @property
    def corrected(self) -> bool:
        """Whether the guard corrected tones in so much of it that it is worth a word."""
        return (self.held_back or 0.0) >= _WORTH_A_WORD

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should know who goes on with the result."""
        note = (self.note,) if self.note else ()
        held_back = (f"the guard corrected tones in {self.held_back:.0%} of it",) if self.corrected else ()
        return (*note, *held_back, *(() if self.findings is None else self.findings.warnings))


@dataclass(frozen=True)
class Plan:
    """The pictures of one run, in the order in which they are restored, and the paths that gave none.

    Attributes:
        settings: what the user asked for.
        jobs: the pictures.
        failures: the paths.
        folder: the output folder, which has a manifest; None where results lie beside the originals or in one file.
    """

    settings: BatchSettings
    jobs: tuple[Job, ...]
    failures: tuple[Outcome, ...] = ()
    folder: Path | None = None


def plan(paths: Sequence[Path], settings: BatchSettings) -> Plan:
    """Find the pictures and settle every output's name; writes nothing and opens no picture.

    Raises:
        UsageError: nothing to restore; an output that cannot be (a file for several pictures, a suffix
            against the format); a result that would replace an input; two results of one name.
        OutputError: the manifest of an earlier run, in a folder that is searched, cannot be read.
    """
    output_file = _output_file(paths, settings)
    places = Places()
    search = find_inputs(paths, places, recursive=settings.recursive, output=settings.output)
    if not search.inputs:
        raise UsageError("; ".join(str(error) for _, error in search.failures) or "no pictures given")
    jobs = _name_outputs(search.inputs, settings, output_file, places)
    if settings.output is None:
        jobs = _without_results(jobs, places)
    sources = {place for job in jobs for place in (places.of(job.source), places.behind(job.source))}
    for job in jobs:
        for output in job.outputs:
            if places.behind(output) in sources:
                raise UsageError(
                    f"{output}: the result would replace an input; choose another output, or none at all"
                )
    folder = None if output_file is not None else settings.output
    failures = tuple(Outcome(path, error=error) for path, error in search.failures)
    return Plan(settings, tuple(jobs), failures, folder)


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


def _name_outputs(
    inputs: Sequence[Input],
    settings: BatchSettings,
    output_file: Path | None,
    places: Places,
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


def _without_results(jobs: Sequence[Job], places: Places) -> list[Job]:
    """The jobs but those whose picture is called as a result of another's would be: a shell's ``*`` names it too."""
    made = {
        places.of(job.source.with_name(f"{stem}{MARK}{what}{suffix}"))
        for job in jobs
        for stem in (job.source.stem, job.source.name)
        for what in ("", _COMPARED)
        for suffix in (job.source.suffix, *SUFFIXES)
    }
    return [job for job in jobs if places.of(job.source) not in made]


def _clashing(jobs: Sequence[Job], places: Places) -> set[int]:
    """The jobs that would write a file which another one writes too."""
    claims = Counter(places.behind(output) for job in jobs for output in job.outputs)
    if len(claims) == claims.total():
        return set()
    return {
        i for i, job in enumerate(jobs) if any(claims[places.behind(output)] > 1 for output in job.outputs)
    }


def _first_clash(jobs: Sequence[Job], places: Places) -> tuple[Path, Path]:
    """Two inputs, out of jobs that all clash, whose results would be one file."""
    claimed: dict[str, Job] = {}
    for job in jobs:
        for output in job.outputs:
            other = claimed.setdefault(places.behind(output), job)
            if other is not job:
                return other.source, job.source
    raise AssertionError("no two of these jobs write the same file")


def _job(found: Input, settings: BatchSettings, output_file: Path | None, *, keep_suffix: bool) -> Job:
    source = found.source
    own_format = SUFFIXES.get(source.suffix.lower())
    wanted = (own_format or "png") if settings.format == "keep" else settings.format
    suffix = source.suffix if wanted == own_format else DEFAULT_SUFFIX[wanted]
    stem = source.name if keep_suffix else source.stem
    if output_file is not None:
        output = output_file
    elif settings.output is None:
        output = source.with_name(f"{stem}{MARK}{suffix}")
    else:
        output = settings.output / found.place.with_name(f"{stem}{suffix}")
    comparison = (
        output.with_name(f"{output.stem}{_COMPARED}{output.suffix}") if settings.side_by_side else None
    )
    return Job(source, output, comparison)
