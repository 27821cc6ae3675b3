"""The proof of a finished folder: every picture of a plan has the result that it should have. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from anyir.errors import AnyirError, UsageError, shown
from anyir.files import leftovers
from anyir.inference.batch_plan import Plan
from anyir.inference.manifest import NAME, Manifest
from anyir.inference.restorer import Restorer
from anyir.inference.standing import Making, standing


def verify(
    plan: Plan, restorer: Restorer, *, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[str]:
    """Compare inputs, weights, settings and results with the manifest, by SHA-256.

    Args:
        plan: of the run that is to be proved.
        restorer: with the weights and the tiles of that run; it restores nothing.
        on_progress: called with the pictures looked at and all of them, after each.

    Yields:
        One line for each problem: a picture whose result is missing, damaged, of another input, or made with other
        weights or settings; a path that gave no picture; a line of the manifest that cannot be read; a file that a
        killed run left, or another is writing. None: all is as it should be.

    Raises:
        UsageError: the plan has no output folder, so there is no manifest.
        OutputError: the manifest cannot be read.
    """
    if plan.folder is None:
        raise UsageError(
            "only an output folder has a manifest to verify by; name the one that the results are in with -o"
        )
    manifest, making = Manifest(plan.folder / NAME), Making.of(plan.settings, restorer)
    for failure in plan.failures:
        yield str(failure.error)
    for done, job in enumerate(plan.jobs, start=1):
        try:
            stand = standing(job, making, manifest)
            problem = None if stand.entry is not None else f"{shown(job.source)}: {stand.reason}"
        except AnyirError as error:
            problem = str(error)
        if on_progress is not None:
            on_progress(done, len(plan.jobs))
        if problem is not None:
            yield problem
    for number in manifest.damaged:
        yield f"{shown(manifest.path)}: line {number} is damaged, and vouches for nothing"
    for folder in dict.fromkeys(job.output.parent for job in plan.jobs):
        for path in leftovers(folder):
            yield f"{shown(path)}: half-written; the next run removes what a killed one left"
