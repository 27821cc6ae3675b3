"""How weights were trained, in words: from the ``training`` of :class:`~anyir.inference.ModelFacts` or of a header.

A file's header may hold anything, so whatever is absent or of another kind is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def run_words(training: Mapping[str, Any]) -> list[str]:
    """One run: recipe, network, samples, steps, minutes and device, each as "recipe derain" or "75,000 steps"."""
    words = [f"{key} {training[key]}" for key in ("recipe", "network") if key in training]
    words += [f"{training[key]:,} {key}" for key in ("samples", "steps") if _is_number(training.get(key))]
    if _is_number(training.get("minutes")):
        words.append(f"{training['minutes']:.0f} minutes")
    words += _teacher(as_mapping(training.get("teacher")))
    if "device" in training:
        words.append(f"on {training['device']}")
    return words


def data_words(data: Mapping[str, Any]) -> list[str]:
    """The pictures of a run, "5,144 pictures", and how many each set gave, "wed 4744"."""
    return [*_pictures(data), *(f"{name} {count}" for name, count in as_mapping(data.get("sets")).items())]


def trained_on(training: Mapping[str, Any]) -> str | None:
    """What a network learnt from, in one short sentence: "recipe derain, 24,000 samples, 200 pictures".

    The samples are those of the last run and of all runs that it started from, and are left out where one of them does
    not say. None where nothing is known.
    """
    runs = list(_runs(training))
    counts = [run["samples"] for run in runs if _is_number(run.get("samples"))]
    words = [f"recipe {training['recipe']}"] if "recipe" in training else []
    if counts and len(counts) == len(runs):
        several = f" in {len(runs)} runs" if len(runs) > 1 else ""
        words.append(f"{sum(counts):,} samples{several}")
    words += _pictures(as_mapping(training.get("data")))
    return ", ".join(words) or None


def as_mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _runs(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The last run first: weights may start from others."""
    while training:
        yield training
        training = as_mapping(training.get("started_from"))


def _pictures(data: Mapping[str, Any]) -> list[str]:
    return [f"{data['pictures']:,} pictures"] if isinstance(data.get("pictures"), int) else []


def _teacher(teacher: Mapping[str, Any]) -> list[str]:
    """The name of the teacher's weights, or else of their file, and the recipe of their last run."""
    known = [str(teacher[key]) for key in ("name", "file") if teacher.get(key)]
    recipe = f" of recipe {teacher['recipe']}" if teacher.get("recipe") else ""
    return [f"taught by {known[0]}{recipe}"] if known else []


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
