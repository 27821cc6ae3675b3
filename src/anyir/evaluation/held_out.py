"""Choosing between weights: what they restore of patches held out of training, never of test pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from anyir.evaluation.tables import aligned

HARMED: Final = 1.0
"""dB by which a patch must come back worse than it was to be counted as harmed."""

CLEAN: Final = "clean"
"""The task without a degradation: there is nothing to gain, and every patch but one that comes back as it was loses."""

UNSTEADY: Final = frozenset({"rain_real", "blur_pairs"})
"""Tasks whose held-out pictures are three, or frames of one video: a patch or two move them by decibels."""


def counted(tasks: Iterable[str]) -> list[str]:
    """The tasks that count, of these."""
    return [task for task in tasks if task != CLEAN and task not in UNSTEADY]


@dataclass(frozen=True)
class Candidate:
    """Weights, and what they restore of each task's patches.

    Attributes:
        name: of the weights.
        restored: task → PSNR of its patches, dB, at most 60.
    """

    name: str
    restored: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class HeldOut:
    """Several weights on the same patches.

    Attributes:
        degraded: task → PSNR of its patches as they are, dB, at most 60.
        candidates: the weights; the first are what the others are to beat.
    """

    degraded: Mapping[str, Sequence[float]]
    candidates: tuple[Candidate, ...]

    @property
    def counted(self) -> list[str]:
        """The tasks that the mean gain and the number of harmed patches are taken over."""
        return counted(self.degraded)

    def mean_gain(self, candidate: Candidate) -> float:
        """Decibels over the degraded patches, each task having the same weight."""
        return fmean(fmean(candidate.restored[task]) - fmean(self.degraded[task]) for task in self.counted)

    def harmed(self, candidate: Candidate) -> int:
        """Patches that came back worse by more than :data:`HARMED`."""
        return sum(
            after < before - HARMED
            for task in self.counted
            for before, after in zip(self.degraded[task], candidate.restored[task], strict=True)
        )


def markdown(study: HeldOut) -> str:
    """A table to read: a line a task, a column for each of the weights."""
    marks = {task: "" if task in study.counted else " *" for task in study.degraded}
    lines = [
        ["task", "input", *(each.name for each in study.candidates)],
        *(
            [
                f"{task.replace('_', ' ')}{marks[task]}",
                f"{fmean(before):.2f}",
                *(f"{fmean(each.restored[task]):.2f}" for each in study.candidates),
            ]
            for task, before in study.degraded.items()
        ),
        ["mean gain", "", *(f"{study.mean_gain(each):.3f}" for each in study.candidates)],
        ["harmed", "", *(str(study.harmed(each)) for each in study.candidates)],
    ]
    patches = sum(len(study.degraded[task]) for task in study.counted)
    note = (
        f"PSNR in dB, means over the patches of a task, each capped at 60. Harmed: of {patches} patches those that "
        f"came back worse by more than {HARMED:g} dB. Tasks with * are in neither of the last two lines."
    )
    return "\n".join((*aligned(lines), "", note)) + "\n"


def to_json(study: HeldOut, about: Mapping[str, Any]) -> dict[str, Any]:
    """Every patch, for programs."""
    return {
        **about,
        "degraded": {task: [round(each, 4) for each in values] for task, values in study.degraded.items()},
        "candidates": [
            {
                "name": each.name,
                "mean_gain_db": study.mean_gain(each),
                "harmed": study.harmed(each),
                "restored": {
                    task: [round(value, 4) for value in values] for task, values in each.restored.items()
                },
            }
            for each in study.candidates
        ],
    }
