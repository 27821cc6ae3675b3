"""The folder job: the pictures of a plan restored one at a time, with an outcome for each."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from anyir.errors import AnyirError, OutputError
from anyir.files import make_folder
from anyir.inference.batch_plan import BatchSettings, Job, Outcome, Plan
from anyir.inference.provenance import with_note
from anyir.inference.restorer import Restorer
from anyir.picture import Picture, read, side_by_side, write


def run(
    plan: Plan, restorer: Restorer, *, on_progress: Callable[[Job, int, int], None] | None = None
) -> Iterator[Outcome]:
    """Restore the pictures of ``plan`` one after the other; a failure is an outcome, and the others go on.

    Each result appears under its name complete or not at all, also when the run is interrupted. A picture whose
    result exists is skipped without being read, unless the settings overwrite.

    Args:
        plan: from :func:`plan`.
        restorer: what restores them.
        on_progress: called with the job, the tiles done and the tiles in all; with 0, 0 when a job begins.

    Yields:
        One outcome for each job, as soon as it is known. ``plan.failures`` are not repeated.
    """
    for job in plan.jobs:
        if on_progress is not None:
            on_progress(job, 0, 0)
        yield _run_one(job, plan.settings, restorer, on_progress)


def _run_one(
    job: Job,
    settings: BatchSettings,
    restorer: Restorer,
    on_progress: Callable[[Job, int, int], None] | None,
) -> Outcome:
    started = time.perf_counter()
    width = height = 0
    error: AnyirError | None = None
    held_back: float | None = None

    def on_tile(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(job, done, total)

    def on_guard(share: float) -> None:
        nonlocal held_back
        held_back = share

    try:
        if _is_done(job, settings):
            return Outcome(job.source, job.output, skipped=True)
        make_folder(job.output.parent)
        degraded = read(job.source)
        if settings.strip_metadata:
            degraded = degraded.stripped()
        width, height = degraded.width, degraded.height
        restored = restorer(degraded, strength=settings.strength, on_tile=on_tile, on_guard=on_guard)
        if job.comparison is not None:
            write(compare_pictures(degraded, restored), job.comparison, overwrite=settings.overwrite)
        try:
            write(with_note(restored, restorer, settings.strength), job.output, overwrite=settings.overwrite)
        except BaseException:  # an interrupt too: half of a pair would refuse the next run
            if job.comparison is not None:
                job.comparison.unlink(missing_ok=True)
            raise
    except AnyirError as caught:
        error = caught
    except MemoryError:
        error = AnyirError(f"{job.source}: not enough memory; try a smaller --tile or close other programs")
    seconds = time.perf_counter() - started
    return Outcome(job.source, job.output, width, height, seconds, error, held_back=held_back)


def compare_pictures(before: Picture, after: Picture) -> Picture:
    """Before on the left, after on the right, in the format and with the metadata of ``before``.

    Raises:
        ShapeMismatch: if they differ in size or depth.
    """
    alpha = (
        None
        if before.alpha is None or after.alpha is None
        else np.concatenate((before.alpha, after.alpha), axis=1)
    )
    pixels = side_by_side(before.pixels, after.pixels)
    return replace(before, pixels=pixels, alpha=alpha, grey=before.grey and after.grey)


def _is_done(job: Job, settings: BatchSettings) -> bool:
    """Whether the results are there already and stay.

    Raises:
        OutputError: what is there cannot count as done: half of a pair, or the very file that the user named.
    """
    there = () if settings.overwrite else tuple(filter(os.path.lexists, job.outputs))
    if there and (there != job.outputs or job.output == settings.output):
        raise OutputError(f"{there[0]} exists; use --overwrite to replace it")
    return bool(there)


@dataclass(frozen=True)
class Summary:
    """A run in figures.

    Attributes:
        planned: pictures that were to be restored.
        restored: pictures that this run has made a result of.
        skipped: pictures left alone because their result was there.
        failed: pictures and paths that have none, for a reason; an interrupted run leaves others besides.
        seconds: spent on all of them, without loading the weights.
        megapixels: restored, in millions of pixels.
        held_back: restored pictures in which the guard held the network back.
    """

    planned: int
    restored: int
    skipped: int
    failed: int
    seconds: float
    megapixels: float
    held_back: int

    @property
    def megapixels_per_second(self) -> float:
        """Millions of restored pixels a second; 0 if nothing was restored."""
        return self.megapixels / self.seconds if self.seconds > 0 else 0.0


def summarise(plan: Plan, outcomes: Sequence[Outcome]) -> Summary:
    """Count what :func:`run` gave so far, together with the plan's own failures."""
    restored = [outcome for outcome in outcomes if outcome.status == "restored"]
    count = Counter(outcome.status for outcome in (*outcomes, *plan.failures))
    return Summary(
        planned=len(plan.jobs),
        restored=count["restored"],
        skipped=count["skipped"],
        failed=count["failed"],
        seconds=sum(outcome.seconds for outcome in outcomes),
        megapixels=sum(outcome.width * outcome.height for outcome in restored) / 1e6,
        held_back=sum(bool(outcome.held_back) for outcome in restored),
    )


def report(plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """A run as plain JSON values: totals, the settings of ``plan``, and one entry for every input.

    The status of a picture is "restored", "skipped", "failed", or "not started" where the run was interrupted
    before it.
    """
    summary = summarise(plan, outcomes)
    not_started = [Outcome(job.source, job.output) for job in plan.jobs[len(outcomes) :]]
    settings = asdict(plan.settings)
    settings["output"] = None if plan.settings.output is None else str(plan.settings.output)
    return {
        "totals": {
            **asdict(summary),
            "megapixels_per_second": summary.megapixels_per_second,
            "interrupted": bool(not_started),
        },
        "settings": settings,
        "pictures": [
            *(_entry(outcome, outcome.status) for outcome in (*outcomes, *plan.failures)),
            *(_entry(outcome, "not started") for outcome in not_started),
        ],
    }


def _entry(outcome: Outcome, status: str) -> dict[str, Any]:
    return {
        "input": str(outcome.source),
        "output": None if outcome.output is None else str(outcome.output),
        "status": status,
        "width": outcome.width,
        "height": outcome.height,
        "seconds": round(outcome.seconds, 4),
        "held_back": None if outcome.held_back is None else round(outcome.held_back, 4),
        "error": None if outcome.error is None else str(outcome.error),
    }
