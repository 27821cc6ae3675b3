"""One run of the evaluation: the sets that there are, each restored and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

from anyir.data.layouts import Example
from anyir.errors import DataError
from anyir.evaluation.journal import Journal
from anyir.evaluation.protocol import Protocol, Restore, evaluate_set
from anyir.evaluation.results import ImageResult, SetResult
from anyir.evaluation.sets import EvaluationSet, find_pairs, whereabouts


@dataclass(frozen=True)
class Found:
    """The sets that were asked for.

    Attributes:
        sets: those that are there, with their pictures, in the order of tables.
        absent: name of each that is not → where it was looked for.
    """

    sets: tuple[tuple[EvaluationSet, tuple[Example, ...]], ...]
    absent: Mapping[str, str]

    @property
    def pictures(self) -> int:
        """How many pictures there are in all."""
        return sum(len(pairs) for _, pairs in self.sets)


class Listener(Interface):
    """Who wants to know how far an evaluation is."""

    def begin(self, evaluated: EvaluationSet) -> None:
        """A set begins."""
        ...

    def image(self, image: ImageResult) -> None:
        """A picture is scored."""
        ...

    def end(self, result: SetResult) -> None:
        """A set is done."""
        ...


def find_sets(data: Path, selected: Sequence[EvaluationSet]) -> Found:
    """Look for sets below a folder.

    Raises:
        DataError: none is there, or one is broken (:func:`anyir.evaluation.sets.find_pairs`).
    """
    sets: list[tuple[EvaluationSet, tuple[Example, ...]]] = []
    absent: dict[str, str] = {}
    for each in selected:
        pairs = find_pairs(data, each)
        if pairs is None:
            absent[each.name] = whereabouts(each)
        else:
            sets.append((each, pairs))
    if not sets:
        looked_for = "; ".join(f"{name} in {where}" for name, where in absent.items())
        raise DataError(f"{data} holds none of the sets asked for; looked for {looked_for}")
    return Found(tuple(sets), absent)


def evaluate_sets(
    found: Found, restore: Restore, protocol: Protocol, listener: Listener, journal: Journal | None = None
) -> tuple[SetResult, ...]:
    """Restore and score every picture of every set.

    Raises:
        DataError, PictureError, OutputError: as :func:`anyir.evaluation.protocol.evaluate_set`.
    """
    results: list[SetResult] = []
    for each, pairs in found.sets:
        listener.begin(each)
        results.append(evaluate_set(pairs, each, restore, protocol, listener.image, journal))
        listener.end(results[-1])
    return tuple(results)
