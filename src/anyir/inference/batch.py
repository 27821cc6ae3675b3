"""The folder job: the pictures of a plan restored one at a time, with an outcome for each."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from anyir.errors import AnyirError, OutputError, shown
from anyir.files import make_folder, remove_leftovers, write_atomically
from anyir.inference.background import interruptibly
from anyir.inference.batch_plan import Job, Outcome, Plan
from anyir.inference.findings import Findings, find
from anyir.inference.manifest import NAME, Entry, Manifest
from anyir.inference.provenance import with_note
from anyir.inference.restorer import Restorer
from anyir.inference.standing import Making, hash_input, standing
from anyir.inference.tiles import Progress
from anyir.picture import SUFFIXES, Picture, compare_pictures, encode, read

OnProgress: TypeAlias = Callable[[Job, int, int], None]


def run(plan: Plan, restorer: Restorer, *, on_progress: OnProgress | None = None) -> Iterator[Outcome]:
    """Restore the pictures of ``plan`` one after the other; a failure is an outcome, and the others go on.

    Each result appears under its name complete or not at all, also when the run is interrupted or killed; what a
    killed one left half-written is removed. A picture is skipped where its result is there and, in an output folder,
    the manifest shows it to be of this very input, these weights and these settings; unless the settings overwrite.

    An interrupt, such as KeyboardInterrupt, ends the run at once. The network may compute on for a moment in a thread
    that nothing waits for.

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
    for job in plan.jobs:
        if on_progress is not None:
            on_progress(job, 0, 0)
        yield work.do(job, on_progress)


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


@dataclass(frozen=True)
class _Work:
    """What the pictures of a run have in common."""

    plan: Plan
    restorer: Restorer
    manifest: Manifest | None
    making: Making

    def do(self, job: Job, on_progress: OnProgress | None) -> Outcome:
        """Restore one picture, unless its result is there."""
        started = time.perf_counter()
        restored: _Restored | None = None
        error: AnyirError | None = None
        try:
            found = self._look(job)
            if found.outcome is not None:
                return found.outcome
            make_folder(job.output.parent)
            restored = interruptibly(
                lambda tell: self._restore(job, tell),
                lambda done, total: None if on_progress is None else on_progress(job, done, total),
            )
            self._write(job, found, restored, time.perf_counter() - started)
        except AnyirError as caught:
            error = caught
        except MemoryError:
            error = AnyirError(
                f"{job.source}: not enough memory; try a smaller --tile or close other programs"
            )
        outcome = Outcome(job.source, job.output, seconds=time.perf_counter() - started, error=error)
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

    def _restore(self, job: Job, tell: Progress) -> _Restored:
        """All the computing, which may take long and changes no file."""
        held_back: list[float] = []
        settings = self.plan.settings
        degraded = read(job.source)
        if settings.strip_metadata:
            degraded = degraded.stripped()
        restored = self.restorer(
            degraded, strength=settings.strength, on_tile=tell, on_guard=held_back.append
        )
        files: dict[Path, bytes] = {}
        if job.comparison is not None:
            compared = compare_pictures(degraded, restored, format=_format_of(job.comparison))
            files[job.comparison] = _encode(compared, job.comparison)
        findings = find(degraded.pixels, restored.pixels)
        del degraded  # encoding takes as much memory again, and needs it no more
        files[job.output] = _encode(with_note(restored, self.restorer, settings.strength), job.output)
        return _Restored(
            restored.width, restored.height, files, findings, held_back[0] if held_back else None
        )

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
        except BaseException:  # an interrupt too: half of a pair would refuse the next run
            for path in written:
                path.unlink(missing_ok=True)
            raise


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
