"""A folder job in figures: its summary, and its report as plain values and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from anyir.inference.batch_plan import Outcome, Plan
from anyir.inference.findings import to_json


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
        held_back: restored pictures in which the guard corrected tones, in so much of them that it is worth a word.
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
    """Count what :func:`anyir.inference.batch.run` gave so far, together with the plan's own failures."""
    restored = [outcome for outcome in outcomes if outcome.status == "restored"]
    count = Counter(outcome.status for outcome in (*outcomes, *plan.failures))
    return Summary(
        planned=len(plan.jobs),
        restored=count["restored"],
        skipped=count["skipped"],
        failed=count["failed"],
        seconds=sum(outcome.seconds for outcome in outcomes),
        megapixels=sum(outcome.width * outcome.height for outcome in restored) / 1e6,
        held_back=sum(outcome.corrected for outcome in restored),
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
        "findings": None if outcome.findings is None else to_json(outcome.findings),
        "warnings": list(outcome.warnings),
        "error": None if outcome.error is None else str(outcome.error),
    }


HEADINGS: Final = (
    "picture",
    "size",
    "noise",
    "sharpness",
    "brightness",
    "mean change",
    "largest change",
    "changed most",
    "seconds",
    "warnings",
)
"""Of :func:`table`. Noise, brightness and change are in grey levels of 255, sharpness in grey levels a pixel."""


def table(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """What changed in each picture, in words and figures: a row for each outcome, with cells as :data:`HEADINGS`."""
    return [_row(outcome) for outcome in outcomes]


def _row(outcome: Outcome) -> tuple[str, ...]:
    remarks = ", ".join(outcome.warnings) if outcome.error is None else f"failed: {outcome.error}"
    skipped = "skipped" if outcome.skipped else f"{outcome.seconds:.1f}"
    size = f"{outcome.width}x{outcome.height}" if outcome.width else "–"
    found = outcome.findings
    if found is None:
        return (outcome.source.name, size, *["–"] * 6, skipped, remarks)
    before, after, change = found.before, found.after, found.change
    column, row = change.largest_at
    left, top, width, height = change.area
    return (
        outcome.source.name,
        size,
        f"{before.noise:.1f} → {after.noise:.1f}",
        f"{before.sharpness:.0f} → {after.sharpness:.0f}",
        f"{before.brightness:.0f} → {after.brightness:.0f}",
        f"{change.mean:.1f}",
        f"{change.largest:.0f} at {column},{row}",
        f"{width}x{height} at {left},{top}",
        skipped,
        remarks,
    )
