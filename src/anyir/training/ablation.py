"""The ablation of the network's parts, Table 5 of the paper (arXiv 2407.13372), as one study under an equal budget.

Five networks that differ in three switches are trained with one recipe: the same steps, samples and, seed by seed, the
same batches. They are measured on the same patches of pictures that none of them was trained on. Each run is an
ordinary one, in a run folder of its own.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from anyir.errors import (
    ConfigurationError,
    DataError,
    OutputError,
    TrainingError,
    UsageError,
    WeightsNotFound,
)
from anyir.files import make_folder, write_atomically
from anyir.model.checkpoint import load_checkpoint
from anyir.model.config import ablation_of
from anyir.settings import from_mapping, to_mapping
from anyir.training.distributed import Processes
from anyir.training.loop import Progress, choose_device, train
from anyir.training.objective import load_teacher
from anyir.training.plan import Plan, plan_training, schedule, validations
from anyir.training.provenance import data_summary
from anyir.training.recipe import Recipe
from anyir.training.run import LOG_FILE, MODEL_FILE
from anyir.training.sampling import load_split, make_sampler
from anyir.training.state import check_same_recipe
from anyir.training.validation import Score, Validator

STUDY_FILE: Final = "study.json"
RUNS_FOLDER: Final = "runs"
CLEAN: Final = "clean"
"""The task without a degradation: its PSNR is no measure of restoration, and is left out of averages."""

_MAY_BE_GIVEN_ANEW: Final = ("recipe_name", "recipe", "steps", "max_minutes")
"""Fields of a study that a resumed one is not compared in: the recipe is by its keys, the others do not change it."""


@dataclass(frozen=True)
class Run:
    """One training: a row of the table with one seed."""

    row: str
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.row}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """What all runs share.

    Attributes:
        recipe_name: the recipe's name.
        recipe: of every run, but for the network's switches, the steps and the seed.
        steps: of every run.
        seeds: each trains all five networks.
        tasks: those that held-out pictures measure.
        examples: set → training examples.
        files: set → SHA-256 of the names and sizes of their files.
        max_minutes: of training, all runs together, into which the steps were fitted; None where they were not.
    """

    recipe_name: str
    recipe: Recipe
    steps: int
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    examples: Mapping[str, int]
    files: Mapping[str, str]
    max_minutes: float | None = None

    @property
    def networks(self) -> dict[str, str]:
        """Row of the table → name of its network."""
        return ablation_of(self.recipe.network)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs in order: every network with the first seed, then with the next.

        So whoever stops early has whole comparisons.
        """
        equal = replace(self.recipe, steps=self.steps, epochs=None)
        return tuple(
            Run(row, seed, replace(equal, network=network, seed=seed))
            for seed in self.seeds
            for row, network in self.networks.items()
        )


@dataclass(frozen=True)
class RunResult:
    """What a finished run found.

    Attributes:
        row: of the table.
        seed: of the run.
        samples: trained on.
        seconds: of training, with its validations and checkpoints.
        scores: task → mean PSNR of the held-out patches, degraded and restored, dB.
        device: what trained, in words.
    """

    row: str
    seed: int
    samples: int
    seconds: float
    scores: Mapping[str, Score]
    device: str


def prepare_study(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    recipe_name: str = "custom",
    seeds: int = 3,
    max_minutes: float | None = None,
    device: str = "auto",
    resume: bool = False,
) -> Study:
    """Check what a study needs, and settle its steps. Nothing is written.

    Args:
        recipe: that all runs share; its network may be any row's of the wanted size, and its seed is the first one.
        data: the data folder.
        out: the study's folder.
        recipe_name: goes into the weights' headers.
        seeds: how many.
        max_minutes: of training for the whole study. A few steps of each network are timed, and the steps of a run are
            as many as fit, the same for all, at most the recipe's. A resumed study keeps its steps.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: go on with the study in ``out``, if there is one.

    Raises:
        ConfigurationError: the recipe holds no pictures out, or its network has no named ablations.
        DataError: pictures are missing, or the sets are too small to hold any out.
        UsageError: not one step of every run fits into ``max_minutes``.
        OutputError: there is a study in ``out``, and ``resume`` is false.
        TrainingError: the study in ``out`` is another.
        WeightsError: the recipe's teacher is not there, or cannot be used.
    """
    ablation_of(recipe.network)  # now, not after the pictures are read
    if not recipe.validation.hold_out_every:
        raise ConfigurationError(
            "recipe validation.hold_out_every = 0: the networks are compared on held-out pictures; "
            "add --set validation.hold_out_every=20"
        )
    recipe, _ = load_teacher(recipe)
    stored = _stored(out, resume=resume)
    place = choose_device(device, Processes())
    training, validation = load_split(recipe, data, place)
    tasks = tuple(Validator(recipe, validation, place).batches)
    if not set(tasks) - {CLEAN}:
        raise DataError(
            f"{data}: no task of the recipe has held-out pictures; its sets need six clean pictures or more each"
        )
    summary = data_summary(training.rows)
    study = Study(
        recipe_name=recipe_name,
        recipe=recipe,
        steps=make_sampler(recipe, training).steps,
        seeds=tuple(range(recipe.seed, recipe.seed + seeds)),
        tasks=tasks,
        examples={name: each["examples"] for name, each in summary.items()},
        files={name: each["sha256"] for name, each in summary.items()},
        max_minutes=max_minutes,
    )
    if stored is not None:
        return _same_study(out / STUDY_FILE, stored, study)
    if max_minutes is None:
        return study
    plans = tuple(measure_networks(recipe, data, out, device).values())
    return replace(study, steps=fitting_steps(recipe, plans, seeds, 60 * max_minutes, study.steps))


def measure_networks(recipe: Recipe, data: Path, out: Path, device: str) -> dict[str, Plan]:
    """Row of the table → a few steps of its network, timed; see :func:`anyir.training.plan.plan_training`."""
    return {
        row: plan_training(replace(recipe, network=network), data, out, device=device)
        for row, network in ablation_of(recipe.network).items()
    }


def fitting_steps(recipe: Recipe, plans: Sequence[Plan], seeds: int, seconds: float, at_most: int) -> int:
    """How many steps every run can make so that all runs together take no longer than ``seconds``.

    Args:
        recipe: of the runs.
        plans: what was measured, a network each.
        seeds: runs of each network.
        seconds: for all runs; loading pictures and writing checkpoints are not counted.
        at_most: steps.

    Raises:
        UsageError: not even one step fits.
    """

    def total(steps: int) -> float:
        return seeds * sum(run_seconds(recipe, plan, steps) for plan in plans)

    steps = bisect_right(range(1, at_most + 1), seconds, key=total)
    if not steps:
        raise UsageError(
            f"--max-minutes {seconds / 60:g}: one step of each of the {seeds * len(plans)} runs, and its "
            f"validation, take {total(1) / 60:.2g} minutes; give more, or fewer seeds"
        )
    return steps


def run_seconds(recipe: Recipe, plan: Plan, steps: int) -> float:
    """How long a run of so many steps will take, from what was measured for a plan, its validations included."""
    spans, _ = schedule(recipe, steps, [stage.step_seconds for stage in plan.stages])
    return sum(span.seconds for span in spans) + validations(recipe, 0, steps) * plan.validation_seconds


def train_study(
    study: Study,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    watch: Callable[
        [int, Run], AbstractContextManager[Callable[[Progress], None] | None]
    ] = lambda number, run: nullcontext(),
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train all runs that are not finished, one after the other; whether all are.

    Args:
        study: from :func:`prepare_study`, which has seen that ``out`` is free, or holds this study.
        data: the data folder.
        out: gets ``study.json`` and the run folders ``runs/ROW-seedN``.
        device: ``auto``, ``cpu`` or ``cuda``.
        watch: (the run's number, from 1; the run) → a context to train it in, which gives what is called at every line
            of its log.
        should_stop: asked after every step and before every run; where it says yes, everything is saved.

    Raises:
        OutputError: a folder or file cannot be written.
        AnyirError: whatever :func:`anyir.training.loop.train` raises.
    """
    make_folder(out)
    text = json.dumps({"anyir_ablation": 1, **to_mapping(study)}, indent=2) + "\n"
    write_atomically(out / STUDY_FILE, text.encode())
    for number, run in enumerate(study.runs, 1):
        if _is_finished(study, run, out):
            continue
        if should_stop():
            return False
        with watch(number, run) as on_progress:
            outcome = train(
                run.recipe,
                data,
                out / RUNS_FOLDER / run.name,
                recipe_name=study.recipe_name,
                device=device,
                resume=True,
                on_progress=on_progress,
                should_stop=should_stop,
            )
        if not outcome.finished:
            return False
    return True


def unfinished_runs(study: Study, out: Path) -> tuple[Run, ...]:
    """Those that are still to be trained, or to be trained to their end."""
    return tuple(run for run in study.runs if not _is_finished(study, run, out))


def finished_runs(study: Study, out: Path) -> tuple[RunResult, ...]:
    """What the finished runs of a study found, in the order of :attr:`Study.runs`.

    Raises:
        WeightsDamaged: a run's weights are damaged.
        TrainingError: a run was not trained as the study says: not under the conditions of the others.
    """
    return tuple(_result(study, run, out) for run in study.runs if _is_finished(study, run, out))


def _training(study: Study, run: Run, out: Path) -> dict[str, Any] | None:
    """What the header of a run's weights says of its training; None where there are no weights yet.

    Raises:
        TrainingError: its recipe or data are not the study's.
    """
    file = out / RUNS_FOLDER / run.name / MODEL_FILE
    try:
        header = load_checkpoint(file).header
    except WeightsNotFound:
        return None
    check_same_recipe(file, header["recipe"], to_mapping(run.recipe))
    if header["training"]["data"]["sets"] != study.examples:
        raise TrainingError(
            f"{file}: was trained on {header['training']['data']['sets']}, the study on {dict(study.examples)}; "
            "take this run's folder away"
        )
    return header["training"]


def _is_finished(study: Study, run: Run, out: Path) -> bool:
    training = _training(study, run, out)
    return training is not None and training["steps"] >= study.steps


def _result(study: Study, run: Run, out: Path) -> RunResult:
    training = _training(study, run, out)
    assert training is not None, "only asked of finished runs"
    lines = (out / RUNS_FOLDER / run.name / LOG_FILE).read_text(encoding="utf-8").splitlines()
    return RunResult(
        row=run.row,
        seed=run.seed,
        samples=training["samples"],
        # The header has minutes, rounded; the log has a line for the last step.
        seconds=[entry["seconds"] for entry in map(json.loads, lines) if "seconds" in entry][-1],
        scores={task: Score(*score) for task, score in training["validation"].items()},
        device=training["device"],
    )


def _stored(out: Path, *, resume: bool) -> Study | None:
    """The study in a folder; None where there is none.

    Raises:
        OutputError: there is one, or runs without one, and ``resume`` is false.
        TrainingError: its file is damaged, or there are runs without one.
    """
    file = out / STUDY_FILE
    if not file.exists() and not (out / RUNS_FOLDER).exists():
        return None
    if not resume:
        raise OutputError(
            f"{out}: there are runs in this folder; add --resume to go on with them, or name another"
        )
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return from_mapping(Study, {k: v for k, v in values.items() if k != "anyir_ablation"}, "study")
    except (OSError, ValueError, AttributeError, ConfigurationError) as error:
        raise TrainingError(
            f"{file}: does not say what the runs beside it are ({error}); start a new study"
        ) from error


def _same_study(file: Path, stored: Study, asked: Study) -> Study:
    """The study to go on with: the stored one, with what may be given anew.

    Raises:
        TrainingError: it is another than the one that is asked for; the message says in what.
    """
    check_same_recipe(file, to_mapping(stored.recipe), to_mapping(asked.recipe))
    ours, theirs = to_mapping(asked), to_mapping(stored)
    different = [key for key in ours if key not in _MAY_BE_GIVEN_ANEW and ours[key] != theirs[key]]
    if asked.max_minutes not in (None, stored.max_minutes):
        different.append("max_minutes")
    if different:
        raise TrainingError(
            f"{file} belongs to another study (different: {', '.join(different)}); resume with the same data and "
            "options, or name another folder"
        )
    return replace(stored, recipe=asked.recipe)
