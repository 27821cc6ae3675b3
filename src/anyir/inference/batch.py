"""The folder job: the pictures of a plan restored one after the other, with an outcome for each."""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from anyir.errors import AnyirError, OutputError, shown
from anyir.files import check_folder, make_folder, remove_leftovers, write_atomically
from anyir.inference.batch_plan import Job, Outcome, Plan
from anyir.inference.findings import Findings, find
from anyir.inference.manifest import NAME, Entry, Manifest
from anyir.inference.pipeline import Pipeline
from anyir.inference.provenance import with_note
from anyir.inference.restorer import Restorer
from anyir.inference.standing import Making, hash_input, standing
from anyir.inference.tiles import Progress
from anyir.picture import SUFFIXES, Picture, check_fits, compare_pictures, encode, read

_E = TypeVar("_E", bound=BaseException)

OnProgress: TypeAlias = Callable[[Job, int, int], None]

LARGE: Final = 2**24
"""Pixels. The next picture after a larger one is not read before that is written, for the sake of memory."""


def run(plan: Plan, restorer: Restorer, *, on_progress: OnProgress | None = None) -> Generator[Outcome]:
    """Restore the pictures of ``plan`` one after the other; a failure is an outcome, and the others go on.

    While one is computed, the next is read and the one before is encoded, in threads of their own: the restorer's
    engine is called in one of them, also between two outcomes. After one larger than :data:`LARGE` the next waits.

    Each result appears under its name complete or not at all, also when the run is interrupted or killed; what a
    killed one left half-written is removed. A picture is skipped where its result is there and, in an output folder,
    the manifest shows it to be of this very input, these weights and these settings; unless the settings overwrite.

    An interrupt, such as KeyboardInterrupt, ends the run at once. The network and an encoder may compute on for a
    moment, in threads that nothing waits for.

    Args:
        plan: from :func:`plan`.
        restorer: what restores them.
        on_progress: called with the job, the tiles done and the tiles in all; with 0, 0 when a job begins.

    Yields:
        One outcome for each job, as soon as it is known. ``plan.failures`` are not repeated.

    Raises:
        OutputError: the output folder's manifest cannot be used.
    """
    manifest = None if plan.folder is None else Manifest(plan.folder / NAME)
    work = _Work(plan, restorer, manifest, Making.of(plan.settings, restorer))
    for folder in dict.fromkeys(job.output.parent for job in plan.jobs):
        if plan.folder is None or _is_within(folder, plan.folder):
            remove_leftovers(folder)
    stages = (work.look_and_read, work.restore, work.encode)
    with Pipeline(map(_InWork, plan.jobs), stages, alone=lambda each: each.large) as pipeline:
        begun = time.perf_counter()
        for job in plan.jobs:
            if on_progress is not None:
                on_progress(job, 0, 0)
            outcome = work.outcome(job, pipeline, on_progress, begun)
            begun = time.perf_counter()
            yield outcome


@dataclass(frozen=True)
class _Found:
    """What is there before a picture is restored.

    Attributes:
        outcome: what became of the picture, where it needs no work.
        input_sha256: of the input; None where there is no manifest.
        replaceable: files in the results' places that may be written over.
    """

    outcome: Outcome | None
    input_sha256: str | None = None
    replaceable: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class _Restored:
    """A picture restored and encoded; nothing of it is on the disk yet."""

    width: int
    height: int
    files: Mapping[Path, bytes]
    findings: Findings
    held_back: float | None


class _InWork:
    """A picture on its way through the pipeline, with what each stage leaves for the next.

    Attributes:
        large: whether the next is to wait until it is written.
        found: what was there before.
        degraded: as read; None where it needs no restoring, and again once its result is made.
        picture: the result; None before it is made, and once it is encoded.
        restored: the result, encoded.
    """

    def __init__(self, job: Job) -> None:
        self.job: Final = job
        self.large = False
        self.found: _Found | None = None
        self.degraded: Picture | None = None
        self.picture: Picture | None = None
        self.held_back: float | None = None
        self.restored: _Restored | None = None


@dataclass(frozen=True)
class _Work:
    """What the pictures of a run have in common; and what is done with each, stage by stage."""

    plan: Plan
    restorer: Restorer
    manifest: Manifest | None
    making: Making

    def look_and_read(self, each: _InWork, tell: Progress) -> None:
        """Read the picture, unless its result is there."""
        each.found = self._look(each.job)
        if each.found.outcome is not None:
            return
        make_folder(each.job.output.parent)
        check_folder(Path(os.path.realpath(each.job.output)).parent)  # a link that the user named is followed
        degraded = read(each.job.source)
        check_fits(degraded, _format_of(each.job.output), name=shown(each.job.output))
        each.large = degraded.width * degraded.height > LARGE
        each.degraded = degraded.stripped() if self.plan.settings.strip_metadata else degraded

    def restore(self, each: _InWork, tell: Progress) -> None:
        """Run the network."""
        if each.degraded is None:
            return

        def on_guard(share: float) -> None:
            each.held_back = share

        strength = self.plan.settings.strength
        each.picture = self.restorer(each.degraded, strength=strength, on_tile=tell, on_guard=on_guard)

    def encode(self, each: _InWork, tell: Progress) -> None:
        """Make the files' contents; no file is written yet."""
        restored, degraded = each.picture, each.degraded
        if restored is None or degraded is None:
            return
        each.picture = each.degraded = None
        files: dict[Path, bytes] = {}
        comparison, output = each.job.comparison, each.job.output
        if comparison is not None:
            compared = compare_pictures(degraded, restored, format=_format_of(comparison))
            files[comparison] = _encode(compared, comparison)
        findings = find(degraded.pixels, restored.pixels)
        del degraded  # encoding takes as much memory again, and needs it no more
        files[output] = _encode(with_note(restored, self.restorer, self.plan.settings.strength), output)
        each.restored = _Restored(restored.width, restored.height, files, findings, each.held_back)

    def outcome(
        self, job: Job, pipeline: Pipeline[_InWork], on_progress: OnProgress | None, begun: float
    ) -> Outcome:
        """Wait for the next picture, whose job this is, and write its results. ``begun``: what seconds count from."""
        error: AnyirError | None = None
        restored: _Restored | None = None
        try:
            each = pipeline.wait(
                lambda done, total: None if on_progress is None else on_progress(job, done, total)
            )
            assert each.found is not None
            if each.found.outcome is not None:
                return each.found.outcome
            restored = each.restored
            assert restored is not None
            self._write(job, each.found, restored, time.perf_counter() - begun)
        except AnyirError as caught:
            error = _without_pixels(caught)
        except MemoryError as caught:
            _without_pixels(caught)
            error = AnyirError(
                f"{job.source}: not enough memory; try a smaller --tile or close other programs"
            )
        outcome = Outcome(job.source, job.output, seconds=time.perf_counter() - begun, error=error)
        return outcome if restored is None else _with_facts(outcome, restored)

    def _look(self, job: Job) -> _Found:
        """See whether there is work, and what may be written over.

        Raises:
            UnreadablePicture: the input cannot be read.
            OutputError: what is there cannot count as done: half of a pair, or the very file that the user named;
                or the result would lie outside the output folder, or elsewhere than beside its original; or a link
                that the user did not name is in its place, and would lead to another file, such as an original.
        """
        folder, overwrite = self.plan.folder, self.plan.settings.overwrite
        for path in job.outputs:
            if path == self.plan.settings.output:
                continue
            home = path.parent if folder is None else folder
            if not _is_within(path, home):
                where = f"leads out of {shown(home)} through a link"
            elif os.path.islink(path):
                where = "is a link to another file"
            else:
                continue
            raise OutputError(f"{shown(path)}: {where}; remove the link, or choose another output")
        there = tuple(filter(os.path.lexists, job.outputs))
        if self.manifest is None:
            if there and not overwrite:
                self._refuse_half(job, there, there[0])
                return _Found(Outcome(job.source, job.output, skipped=True))
            return _Found(None, replaceable=frozenset(there))
        if overwrite:
            return _Found(None, hash_input(job.source), frozenset(there))
        stand = standing(job, self.making, self.manifest)
        if stand.entry is not None:
            return _Found(_with_facts(Outcome(job.source, job.output, skipped=True), stand.entry))
        if stand.foreign is not None:
            self._refuse_half(job, there, stand.foreign)
            return _Found(Outcome(job.source, job.output, skipped=True, note=stand.reason))
        return _Found(None, stand.input_sha256, stand.ours)

    def _refuse_half(self, job: Job, there: tuple[Path, ...], in_the_way: Path) -> None:
        if there != job.outputs or job.output == self.plan.settings.output:
            raise OutputError(f"{in_the_way} exists; use --overwrite to replace it")

    def _write(self, job: Job, found: _Found, restored: _Restored, seconds: float) -> None:
        """Put a picture's line into the manifest, then its files into their places."""
        if self.manifest is not None and found.input_sha256 is not None:
            key, sha256 = self.manifest.key, hashlib.sha256
            entry = Entry(
                source=str(job.source),
                input_sha256=found.input_sha256,
                weights=self.making.weights,
                weights_sha256=self.making.weights_sha256,
                settings=self.making.settings,
                settings_sha256=self.making.settings_sha256,
                outputs={key(path): sha256(content).hexdigest() for path, content in restored.files.items()},
                width=restored.width,
                height=restored.height,
                seconds=seconds,
                held_back=restored.held_back,
                findings=restored.findings,
                provider=self.restorer.provider,
            )
            self.manifest.add(entry)
        written: list[Path] = []
        try:
            for path, content in restored.files.items():
                write_atomically(path, content, overwrite=path in found.replaceable)
                written.append(path)
        except BaseException as stop:  # an interrupt too: half of a new pair would refuse the next run
            is_new = job.output not in found.replaceable and not isinstance(stop, AnyirError)
            if not (is_new and os.path.lexists(job.output)):  # else it came after the last file
                for path in set(written) - found.replaceable:
                    path.unlink(missing_ok=True)
            raise


def _without_pixels(error: _E) -> _E:
    """The error, its traceback without the values of the frames, which are as large as the picture."""
    each: BaseException | None = error
    while each is not None:
        traceback.clear_frames(each.__traceback__)
        each = each.__cause__ or each.__context__
    return error


def _with_facts(outcome: Outcome, facts: _Restored | Entry) -> Outcome:
    return replace(
        outcome,
        width=facts.width,
        height=facts.height,
        findings=facts.findings,
        held_back=facts.held_back,
    )


def _encode(picture: Picture, path: Path) -> bytes:
    """A picture as the bytes of a file of this name."""
    return encode(picture, _format_of(path), name=shown(path))


def _format_of(path: Path) -> str:
    return SUFFIXES[path.suffix.lower()]


def _is_within(path: Path, folder: Path) -> bool:
    """Whether what is read or written under this name lies in the folder, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
