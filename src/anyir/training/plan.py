"""What a training will be, before hours are spent on it: every path checked, the first steps of each stage timed.

A dry run makes everything that :func:`anyir.training.loop.train` makes but the run's folder, and throws it away.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from anyir.data.audit import refuse_leaks
from anyir.errors import TrainingError
from anyir.files import check_folder
from anyir.model.complexity import count_parameters
from anyir.model.config import network_config
from anyir.model.network import AnyIR
from anyir.training.distributed import Processes
from anyir.training.gradients import Gradients
from anyir.training.loader import AHEAD, Loader, make_loader, works_ahead
from anyir.training.loop import check_processes, choose_device, device_name, set_modes, start_from
from anyir.training.memory import freed_memory_kept
from anyir.training.objective import Objective, load_teacher, on_device
from anyir.training.recipe import Recipe, Stage
from anyir.training.run import MODEL_FILE, STATE_FILE, RunFolder
from anyir.training.sampling import Sampler, load_split, make_sampler
from anyir.training.state import TrainingState, new_state
from anyir.training.stats import RecipeStats, recipe_stats
from anyir.training.stats import to_json as stats_to_json
from anyir.training.tensorboard import require_tensorboard
from anyir.training.validation import Validator, restore_patches

TIMED_STEPS: Final = 3
"""Of each stage, after those that are not timed: the first reserves memory and compiles, and a graph is made later."""

PATIENCE: Final = 20.0
"""Seconds after which no further step of a stage is timed."""

DATA_BATCHES: Final = 3
DATA_SECONDS: Final = 0.5
"""Batches are made, without training on them, at least so many and so long."""

ENOUGH_DATA: Final = 2.0
"""Times the samples trained on that the data path alone should give: then it takes at most half of a step."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of a training: what it is, and what was measured.

    Attributes:
        steps: optimiser steps in it; fewer where the time ends it, none where a resumed run is past it.
        patch: side of the patches.
        batch: samples a step.
        accumulate: parts in which the batch is worked on.
        freeze_batch_norm: whether BatchNorm keeps its statistics.
        learning_rates: of its first and its last step; None where it has no steps.
        step_seconds: a step as training makes it, its batch included.
        samples_per_second: that training gets through.
        data_per_second: samples a second that the data path gives with nothing else to do.
        seconds: of the stage, with its share of the validations.
        gpu_bytes: the most GPU memory that was reserved; None on a CPU.
    """

    steps: int
    patch: int
    batch: int
    accumulate: int
    freeze_batch_norm: bool
    learning_rates: tuple[float, float] | None
    step_seconds: float
    samples_per_second: float
    data_per_second: float
    seconds: float
    gpu_bytes: int | None


@dataclass(frozen=True)
class Plan:
    """What a training will be.

    Attributes:
        stats: the sets and samples of each task.
        held_out: set → examples kept for validation.
        network: its name.
        parameters: of the network.
        device: what trains, in words.
        started_from: file name of the weights that it starts from; None for random ones.
        teacher: file name of those that it learns from too; None for none.
        steps: of the whole training, if no time ends it.
        steps_done: that a resumed run has behind it.
        epoch_samples: samples an epoch; None for a mixture.
        epochs: that the steps make; None for a mixture.
        max_minutes: the budget of time; None for none.
        stages: in order.
        validations: that are left, each of ``validation_seconds``.
        seconds: from now to the end, without compiling, loading pictures and writing checkpoints.
        ends_by_time: whether the budget, not the steps, ends the training.
        peak_bytes: the most memory that the whole process had resident; None where the system does not say.
        model_bytes: of the weights in the run's folder.
        state_bytes: of the state to resume from.
        free_bytes: on the disk of the run's folder.
    """

    stats: RecipeStats
    held_out: dict[str, int]
    network: str
    parameters: int
    device: str
    started_from: str | None
    teacher: str | None
    steps: int
    steps_done: int
    epoch_samples: int | None
    epochs: float | None
    max_minutes: float | None
    stages: tuple[StagePlan, ...]
    validations: int
    validation_seconds: float
    seconds: float
    ends_by_time: bool
    peak_bytes: int | None
    model_bytes: int
    state_bytes: int
    free_bytes: int

    @property
    def steps_left(self) -> int:
        """Steps from now to the end."""
        return sum(stage.steps for stage in self.stages)

    @property
    def samples_left(self) -> int:
        """Samples from now to the end."""
        return sum(stage.steps * stage.batch for stage in self.stages)

    @property
    def data_ratio(self) -> float:
        """How many times what is trained on the data path alone gives, in the stage where that is least."""
        return min(stage.data_per_second / stage.samples_per_second for stage in self.stages)

    @property
    def data_keeps_up(self) -> bool:
        """Whether the data path is fast enough not to matter much."""
        return self.data_ratio >= ENOUGH_DATA


def plan_training(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    recipe_name: str = "custom",
    device: str = "auto",
    resume: bool = False,
    max_minutes: float | None = None,
    weights: Path | None = None,
    tensorboard: bool = False,
    timed_steps: int | None = None,
) -> Plan:
    """Check what :func:`anyir.training.loop.train` would check with these arguments, in one process, and measure.

    Nothing is written. The arguments are those of ``train``, and so are the errors; but for ``timed_steps``, how many
    steps of each stage are timed, :data:`TIMED_STEPS` where not given.

    Raises:
        TrainingError: a stage does not fit the GPU's memory, and whatever ``train`` raises before its first step.
    """
    processes = Processes()
    check_processes(recipe, processes.count)
    if tensorboard:
        require_tensorboard()
    place = choose_device(device, processes)
    recipe, teacher = load_teacher(recipe)
    folder = RunFolder(out, recipe)
    folder.refuse_another(resume=resume)
    disk = check_folder(out)
    torch.manual_seed(recipe.seed)
    network = on_device(AnyIR(network_config(recipe.network)), place)
    if weights is not None:
        start_from(weights, network)
    state = new_state(recipe, network)
    if folder.has_state:
        state.restore(folder.state_file, recipe)
    state.max_minutes = max_minutes or state.max_minutes
    training, validation = load_split(recipe, data, place)
    if recipe.test_pictures == "refuse":
        refuse_leaks(training.rows, training.fingerprints, data, recipe.leave_out)
    sampler, validator = make_sampler(recipe, training), Validator(recipe, validation, place)

    steps_done, seconds_done = state.step, state.seconds
    with freed_memory_kept(place), make_loader(recipe, sampler, training.device, place) as loader:
        validation_seconds = _time_validation(validator, network, place)
        objective = Objective(recipe, network, teacher, place)
        graphs, part_clip = recipe.cuda_graphs, recipe.optimiser.part_clip
        gradients = Gradients(objective, network, place, graphs=graphs, part_clip=part_clip)
        trial = _Trial(recipe, state, sampler, loader, gradients, place, timed_steps or TIMED_STEPS)
        measured = trial.stages()
    each = validation_seconds / recipe.validation.every_steps
    spans, ends_by_time = schedule(
        recipe,
        sampler.steps,
        [m.step_seconds + each for m in measured],
        step=steps_done,
        seconds=seconds_done,
        budget=None if state.max_minutes is None else 60 * state.max_minutes,
    )
    stages = tuple(
        StagePlan(
            steps=span.steps,
            patch=stage.patch,
            batch=stage.batch,
            accumulate=stage.accumulate,
            freeze_batch_norm=stage.freeze_batch_norm,
            learning_rates=span.learning_rates,
            step_seconds=found.step_seconds,
            samples_per_second=stage.batch / found.step_seconds,
            data_per_second=found.data_per_second,
            seconds=span.seconds,
            gpu_bytes=found.gpu_bytes,
        )
        for stage, span, found in zip(recipe.stages, spans, measured, strict=True)
    )
    end = steps_done + sum(span.steps for span in spans)
    # The spans hold the validations of every so many steps; another comes at the end.
    last = validation_seconds if steps_done < end and end % recipe.validation.every_steps else 0.0
    weight_bytes = sum(value.nbytes for value in network.state_dict().values())
    epoch = sum(sampler.epoch.values()) or None
    return Plan(
        stats=recipe_stats(recipe, data, recipe_name),
        held_out=validation.counts(),
        network=recipe.network,
        parameters=count_parameters(network),
        device=device_name(place, processes),
        started_from=None if weights is None else weights.name,
        teacher=None if teacher is None else teacher.about["file"],
        steps=sampler.steps,
        steps_done=steps_done,
        epoch_samples=epoch,
        epochs=None if epoch is None else sampler.steps * recipe.stages[0].batch / epoch,
        max_minutes=state.max_minutes,
        stages=stages,
        validations=validations(recipe, steps_done, end),
        validation_seconds=validation_seconds,
        seconds=sum(span.seconds for span in spans) + last,
        ends_by_time=ends_by_time,
        peak_bytes=peak_memory(),
        model_bytes=weight_bytes,
        # The weights, their average, and the optimisers' moments.
        state_bytes=2 * weight_bytes + state.moment_bytes,
        free_bytes=shutil.disk_usage(disk).free,
    )


@dataclass(frozen=True)
class Span:
    """How long a stage will be; ``learning_rates`` are those of its first and last step, None where it has none."""

    steps: int
    seconds: float
    learning_rates: tuple[float, float] | None


def schedule(
    recipe: Recipe,
    steps: int,
    step_seconds: Sequence[float],
    *,
    step: int = 0,
    seconds: float = 0.0,
    budget: float | None = None,
) -> tuple[list[Span], bool]:
    """How training goes through its stages, by steps or by time, whichever is further.

    Args:
        recipe: whose stages.
        steps: of the whole training.
        step_seconds: how long a step takes, for each stage.
        step: steps done.
        seconds: in which they were done.
        budget: seconds for the whole training; None for any number.

    Returns:
        A span for each stage, and whether the time ends the last one.
    """

    def share() -> float:
        return min(1.0, max(step / steps, 0.0 if budget is None else seconds / budget))

    spans: list[Span] = []
    for stage, each in zip(recipe.stages, step_seconds, strict=True):
        left = _first_step_at(stage.until, steps) - step
        if budget is not None:
            left = min(left, math.ceil((stage.until * budget - seconds) / each))
        left = max(0, left)
        if not left:
            spans.append(Span(0, 0.0, None))
            continue
        first = recipe.learning_rate_at(step, share())
        step, seconds = step + left - 1, seconds + (left - 1) * each
        spans.append(Span(left, left * each, (first, recipe.learning_rate_at(step, share()))))
        step, seconds = step + 1, seconds + each
    return spans, step < steps


def _first_step_at(share: float, steps: int) -> int:
    """Steps that must be done for this share of the training; by the loop's own division."""
    number = max(0, math.floor(share * steps) - 1)
    while number / steps < share:
        number += 1
    return number


def validations(recipe: Recipe, done: int, end: int) -> int:
    """How many there are from step ``done`` to step ``end``: every so many steps, and at the end."""
    every = recipe.validation.every_steps
    return 0 if end == done else end // every - done // every + (end % every > 0)


@dataclass(frozen=True)
class _Measured:
    step_seconds: float
    data_per_second: float
    gpu_bytes: int | None


class _Trial:
    """The first steps of every stage, as the loop makes them, with a network and an optimiser that are not kept."""

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        sampler: Sampler,
        loader: Loader,
        gradients: Gradients,
        place: torch.device,
        timed_steps: int,
    ) -> None:
        self._recipe, self._state, self._sampler, self._place = recipe, state, sampler, place
        self._loader, self._gradients, self._timed_steps = loader, gradients, timed_steps

    def stages(self) -> list[_Measured]:
        """What each stage takes.

        Raises:
            TrainingError: one does not fit the GPU's memory.
        """
        found: list[_Measured] = []
        for number, stage in enumerate(self._recipe.stages, 1):
            try:
                found.append(self._stage(stage))
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"stage {number} (patches of {stage.patch}, batches of {stage.batch}): does not fit the GPU's "
                    "memory; give the stage accumulate = 2 or more, or a smaller batch"
                ) from error
        return found

    def _stage(self, stage: Stage) -> _Measured:
        cuda = self._place.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self._place)
        for _ in range(self._gradients.unsteady):
            self._step(stage)
        timed = _time(lambda: self._step(stage), self._place, self._timed_steps, 0.0, PATIENCE)
        made = self._data_alone(stage)
        # Reserved, not allocated: what a graph holds beside what it uses at a time is nobody else's.
        gpu_bytes = torch.cuda.max_memory_reserved(self._place) if cuda else None
        return _Measured(timed, stage.batch / made, gpu_bytes)

    def _data_alone(self, stage: Stage) -> float:
        """Seconds a batch where nothing is trained; without those that workers have made in advance."""
        numbers = itertools.count()

        def make() -> None:
            ahead = next(numbers)
            before = self._state.samples + ahead * stage.batch
            self._loader.batch(self._state.step + ahead, before, stage)

        if works_ahead(self._recipe):
            for _ in range(AHEAD * self._recipe.workers):
                make()
        return _time(make, self._place, DATA_BATCHES, DATA_SECONDS, PATIENCE)

    def _step(self, stage: Stage) -> None:
        """One step of the loop. A test holds that this leads to the weights that the loop leads to."""
        recipe, state = self._recipe, self._state
        share = min(1.0, state.step / self._sampler.steps)
        state.set_learning_rate(recipe.learning_rate_at(state.step, share))
        set_modes(state.network, stage.freeze_batch_norm)
        batch = self._loader.batch(state.step, state.samples, stage)
        for part in range(stage.accumulate):
            degraded, clean = (images[part :: stage.accumulate] for images in batch)
            self._gradients(degraded, clean, parts=stage.accumulate)
        if recipe.optimiser.gradient_clip:
            torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.optimiser.gradient_clip)
        state.take_step()
        state.step += 1
        state.samples += stage.batch


def _time(
    work: Callable[[], object], place: torch.device, times: int, at_least: float, at_most: float
) -> float:
    """Mean seconds of some work, done ``times``, or more for ``at_least`` seconds; fewer after ``at_most``."""
    _wait(place)
    done, started = 0, time.perf_counter()
    while True:
        work()
        _wait(place)
        done, passed = done + 1, time.perf_counter() - started
        if passed >= at_most or (done >= times and passed >= at_least):
            return passed / done


def _wait(place: torch.device) -> None:
    """Until the device has done what it was given."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)


@torch.no_grad()
def _time_validation(validator: Validator, network: AnyIR, place: torch.device) -> float:
    """Seconds of a validation, from the patches of one task; 0 without held-out pictures."""
    if not validator.batches:
        return 0.0
    degraded = next(iter(validator.batches.values())).degraded
    network.eval()
    return len(validator.batches) * _time(lambda: restore_patches(network, degraded), place, 1, 0.0, 0.0)


def peak_memory() -> int | None:
    """The most bytes that this process ever had resident; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values."""
    values = {
        field.name: getattr(plan, field.name) for field in dataclasses.fields(plan) if field.name != "stats"
    }
    return {
        **values,
        "stats": stats_to_json(plan.stats),
        "stages": [dataclasses.asdict(stage) for stage in plan.stages],
        "files": {MODEL_FILE: plan.model_bytes, STATE_FILE: plan.state_bytes},
        "samples_left": plan.samples_left,
        "data_ratio": plan.data_ratio,
        "data_keeps_up": plan.data_keeps_up,
    }
