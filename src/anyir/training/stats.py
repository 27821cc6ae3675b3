"""What a recipe finds in a data folder: examples a set, samples a task before and after its weights.

Figure 6 of the paper (arXiv 2407.13372) shows these numbers for its training sets. Files are counted, none is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyir.data.catalogue import held_out
from anyir.data.layouts import examples_of, looked_for
from anyir.data.mixture import TASKS, task_sources
from anyir.data.sets import SETS
from anyir.errors import DataError
from anyir.training.recipe import Recipe


@dataclass(frozen=True)
class TaskStats:
    """What one task has to learn from.

    Attributes:
        task: its name.
        sets: set → examples on disk, 0 where it is absent.
        weight: how often each example comes in an epoch, or the task's weight in the mixture.
        before: samples where each example is one: those on disk, less what the recipe leaves out or holds out.
        after: samples with the recipe's weights. Where it has repeats, an epoch's. A mixture has no epochs: then of
            as many draws as there are samples before, in tasks that have any.
        share: of the samples after weighting, 0 to 1.
    """

    task: str
    sets: Mapping[str, int]
    weight: float
    before: int
    after: float
    share: float


@dataclass(frozen=True)
class RecipeStats:
    """What a recipe makes of a data folder.

    Attributes:
        recipe: the recipe's name.
        data: the folder.
        by_epoch: whether the weights are repeats in an epoch; else they are those of a mixture.
        tasks: those with a weight, in the order of the recipe.
    """

    recipe: str
    data: Path
    by_epoch: bool
    tasks: tuple[TaskStats, ...]

    @property
    def sets(self) -> dict[str, int]:
        """Every set that the recipe draws on → examples on disk."""
        return {name: count for task in self.tasks for name, count in task.sets.items()}

    @property
    def absent(self) -> tuple[str, ...]:
        """The sets of which there is nothing: a training would refuse to begin."""
        return tuple(name for name, count in self.sets.items() if not count)

    @property
    def before(self) -> int:
        """Samples of all tasks, one an example."""
        return sum(task.before for task in self.tasks)

    @property
    def after(self) -> float:
        """Samples of all tasks with the recipe's weights."""
        return sum(task.after for task in self.tasks)


def recipe_stats(recipe: Recipe, data: Path, name: str = "custom") -> RecipeStats:
    """Count what a recipe draws on. Without absent sets, the numbers are those that a training has.

    Args:
        recipe: whose tasks and weights.
        data: the data folder.
        name: the recipe's name.

    Raises:
        DataError: ``data`` is no folder, none of the sets is there, or a picture has no partner.
    """
    examples = {each: examples_of(data, SETS[each]) or () for each in recipe.sets}
    if not any(examples.values()):
        wanted = "; ".join(f"{each}: {looked_for(SETS[each])}" for each in examples)
        raise DataError(
            f"{data} holds none of the sets that the recipe {name} draws on; looked for {wanted}; "
            "see 'anyir data sets'"
        )
    used: dict[str, int] = {}
    for each, found in examples.items():
        # As load_pictures does: the same ones are held out, whatever is left out.
        kept = held_out((example.clean for example in found), recipe.validation.hold_out_every)
        left_out = recipe.leave_out.get(each, ())
        used[each] = sum(e.clean not in kept and e.scene not in left_out for e in found)
    weights = {task: weight for task, weight in recipe.weights.items() if weight > 0}
    sources = {task: task_sources(task, recipe.sources) for task in weights}
    before = {
        task: sum(used[each] for each in sources[task]) if all(map(used.get, TASKS[task].lenders)) else 0
        for task in weights
    }
    if recipe.mixture:
        total = sum(weight for task, weight in weights.items() if before[task]) or 1
        draws = sum(before.values())
        after = {task: draws * weight / total if before[task] else 0.0 for task, weight in weights.items()}
    else:
        after = {task: float(weight * before[task]) for task, weight in weights.items()}
    all_after = sum(after.values()) or 1
    return RecipeStats(
        recipe=name,
        data=data,
        by_epoch=not recipe.mixture,
        tasks=tuple(
            TaskStats(
                task=task,
                sets={each: len(examples[each]) for each in sources[task]},
                weight=weight,
                before=before[task],
                after=after[task],
                share=after[task] / all_after,
            )
            for task, weight in weights.items()
        ),
    )


def to_json(stats: RecipeStats) -> dict[str, Any]:
    """The counts as plain values."""
    return {
        "anyir_stats": 1,
        "recipe": stats.recipe,
        "weights": "repeats" if stats.by_epoch else "mixture",
        "samples": {"before": stats.before, "after": round(stats.after)},
        "sets": stats.sets,
        "absent": list(stats.absent),
        "tasks": {
            task.task: {
                "sets": dict(task.sets),
                "weight": task.weight,
                "before": task.before,
                "after": round(task.after, 1),
                "share": round(task.share, 6),
            }
            for task in stats.tasks
        },
    }
