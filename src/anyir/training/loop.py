"""The training loop, to be read from top to bottom.

A step's batch depends on the seed, the step's number and the stage alone, so a run that is resumed from a checkpoint
sees the batches, and (on a CPU with the same number of threads) ends with the weights, of a run that never stopped.
With a time budget the clock has a say in the learning rate and the stages, and no two runs are equal.
Several processes run this same loop side by side, each on its slice of every batch: see ``distributed``.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from anyir.data.audit import refuse_leaks
from anyir.errors import ConfigurationError, EngineUnavailable
from anyir.model.checkpoint import load_checkpoint
from anyir.model.config import network_config
from anyir.model.network import AnyIR
from anyir.training.batch_norm import use_statistics_of_all
from anyir.training.distributed import Processes
from anyir.training.divergence import Losses
from anyir.training.gradients import Gradients
from anyir.training.loader import make_loader
from anyir.training.memory import freed_memory_kept
from anyir.training.objective import Objective, load_teacher, on_device
from anyir.training.recipe import Recipe
from anyir.training.run import About, RunFolder
from anyir.training.sampling import load_split, make_sampler
from anyir.training.state import TrainingState, new_state
from anyir.training.tensorboard import open_board, require_tensorboard
from anyir.training.validation import Score, Validator

LOG_EVERY: Final = 10
"""Steps between two lines of the log; the loss is read from the device only then."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done, of ``steps`` at most.
        share: of the training that is done, 0 to 1, by steps or by time, whichever is further.
        loss: mean over the last steps.
        samples_per_second: over the last steps.
        seconds_left: estimate to the end.
        scores: the last validation: task → PSNR.
    """

    step: int
    steps: int
    share: float
    loss: float
    learning_rate: float
    samples_per_second: float
    seconds_left: float
    scores: dict[str, Score]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``finished`` is false where it was asked to stop early."""

    model: Path
    step: int
    samples: int
    seconds: float
    finished: bool
    scores: dict[str, Score]


def choose_device(device: str, processes: Processes) -> torch.device:
    """``auto`` is CUDA where there is one; each process of a machine has a GPU of its own.

    Raises:
        EngineUnavailable: ``cuda`` is asked for and absent, or there are more processes than GPUs.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise EngineUnavailable("device cuda: PyTorch finds no usable GPU; use --device cpu, or auto")
    if device == "cpu" or not available:
        return torch.device("cpu")
    gpus = torch.cuda.device_count()
    if processes.local_rank >= gpus:
        raise EngineUnavailable(
            f"process {processes.local_rank + 1} of this machine has no GPU, as there are {gpus}; start as many "
            "processes as there are GPUs, or use --device cpu"
        )
    torch.cuda.set_device(processes.local_rank)
    return torch.device("cuda", processes.local_rank)


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    recipe_name: str = "custom",
    device: str = "auto",
    resume: bool = False,
    max_minutes: float | None = None,
    weights: Path | None = None,
    processes: Processes | None = None,
    tensorboard: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a network and write it to a run folder.

    The folder gets ``recipe.json``, ``run.json`` (what each sitting is made with: versions, machine, command, data),
    ``log.jsonl`` (a line every ten steps and every validation), ``state.safetensors`` (to resume from) and
    ``model.safetensors`` (the averaged weights, a checkpoint of :mod:`anyir.model.checkpoint`); and
    ``diverged.safetensors`` where a loss or a weight is not finite: the batch with which that began.

    Args:
        recipe: what to train and how.
        data: the data folder.
        out: the run folder; made where absent, refused where a run is in it, unless ``resume``.
        recipe_name: goes into the weights' header.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: go on from the last checkpoint in ``out``, or begin where there is none.
        max_minutes: a budget of training time, all sittings together; the schedule then runs over whichever of the
            steps and the time ends first. A resumed run keeps its budget where none is given.
        weights: a checkpoint to start from, of the recipe's network; random weights where there is none.
        processes: that train together (:func:`anyir.training.distributed.training_processes`); one where not given.
        tensorboard: write curves and samples to ``out/tensorboard`` too.
        on_progress: called at every line of the log, in the first process.
        should_stop: asked after every step; where it says yes, in any process, a checkpoint is written and training
            ends.

    Raises:
        DataError: pictures are missing, smaller than the recipe's largest patch, or show what test pictures show.
        PictureError: a file is damaged, which is found before training unless ``loading`` is ``files``.
        EngineUnavailable: the device is not there.
        TrainingError: the loss or a weight is not finite, or the run in ``out`` has another recipe or teacher.
        OutputError: there is a run in ``out``, or it cannot be written to.
        ConfigurationError: ``weights`` are of another network than the recipe's, or the processes cannot share a
            stage's batch evenly, or the teacher is not the one that the recipe names by its SHA-256.
        WeightsError: ``weights``, the recipe's teacher, or a checkpoint in ``out``, cannot be used.
        MissingExtra: TensorBoard is asked for and not installed.
        ProcessLost: another process has ended.
        FirstProcessFailed: the first process raises one of the above.
    """
    processes = processes or Processes()
    processes.first(check_processes, recipe, processes.count)
    if tensorboard:
        processes.first(require_tensorboard)
    place = choose_device(device, processes)
    recipe, teacher = load_teacher(recipe)
    folder = RunFolder(out, recipe)
    processes.first(folder.open, resume=resume)
    training, validation = load_split(recipe, data, place)
    if recipe.test_pictures == "refuse":
        processes.first(refuse_leaks, training.rows, training.fingerprints, data, recipe.leave_out)
    sampler, validator = make_sampler(recipe, training), Validator(recipe, validation, place)

    torch.manual_seed(recipe.seed)
    config = network_config(recipe.network)
    network = on_device(AnyIR(config), place)
    if processes.count > 1:
        use_statistics_of_all(network)
    started_from = None if weights is None else start_from(weights, network)
    averaged = on_device(AnyIR(config), place).eval()
    state = new_state(recipe, network)
    if folder.has_state:
        state.restore(folder.state_file, recipe)
        started_from = folder.started_from()
    state.max_minutes = max_minutes or state.max_minutes
    processes.first(folder.trim_log, after_step=state.step)
    processes.first(folder.add_sitting, recipe_name, training.rows, place, processes.count)
    pictures = {"pictures": sum(training.counts().values()), "sets": training.counts()}
    taught_by = None if teacher is None else teacher.about
    about = About(recipe_name, pictures, device_name(place, processes), started_from, taught_by)
    objective = Objective(recipe, network, teacher, place)
    # Not for several: what they tell each other in the forward pass has not been tried in a graph.
    graphs = recipe.cuda_graphs and processes.count == 1
    gradients = Gradients(objective, network, place, graphs=graphs, part_clip=recipe.optimiser.part_clip)

    scores: dict[str, Score] = {}
    losses, started = Losses(out, recipe, sampler, training.device), time.monotonic() - state.seconds
    finished = _share(state, sampler.steps) >= 1
    with (
        freed_memory_kept(place),
        make_loader(recipe, sampler, training.device, place) as loader,
        open_board(out, state.step, wanted=tensorboard and processes.is_first) as board,
    ):
        while not finished:
            share = _share(state, sampler.steps)
            stage, learning_rate = recipe.stage_at(share), recipe.learning_rate_at(state.step, share)
            state.set_learning_rate(learning_rate)
            set_modes(network, stage.freeze_batch_norm)

            batch = loader.batch(state.step, state.samples, stage)
            loss = torch.zeros((), device=place)
            for part in range(stage.accumulate):
                # Every n-th sample: those of a task lie together, and each part is to have some of each.
                degraded = processes.share(batch.degraded[part :: stage.accumulate])
                clean = processes.share(batch.clean[part :: stage.accumulate])
                loss += gradients(degraded, clean, parts=stage.accumulate)
            processes.average_gradients(network)
            if recipe.optimiser.gradient_clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.gradient_clip)
            state.take_step()

            state.step += 1
            losses.add(state.step, state.samples, stage, learning_rate, loss)
            state.samples += stage.batch
            state.seconds, stopping = processes.agree(time.monotonic() - started, should_stop())
            share = _share(state, sampler.steps)
            finished = share >= 1

            if state.step % LOG_EVERY == 0 or finished:
                mean_loss, speed = losses.read(processes)
                processes.first(
                    folder.log,
                    step=state.step,
                    loss=mean_loss,
                    learning_rate=learning_rate,
                    samples=state.samples,
                    samples_per_second=round(speed, 2),
                    seconds=round(state.seconds, 1),
                )
                if board is not None:
                    board.training(state.step, mean_loss, learning_rate, speed)
                if on_progress is not None and processes.is_first:
                    left = state.seconds * (1 / share - 1)
                    on_progress(
                        Progress(
                            state.step, sampler.steps, share, mean_loss, learning_rate, speed, left, scores
                        )
                    )
            if state.step % recipe.validation.every_steps == 0 or finished:
                averaged.load_state_dict(state.average.state)
                scores = processes.first(validator.score, averaged)
                processes.first(
                    folder.log,
                    step=state.step,
                    validation={task: list(score) for task, score in scores.items()},
                )
                if board is not None:
                    board.validation(state.step, scores, validator.rows(averaged))
            if state.step % recipe.checkpoint_every_steps == 0 or finished or stopping:
                processes.first(folder.save, state, about, scores, losses)
            if stopping:
                break
    return Outcome(folder.model_file, state.step, state.samples, state.seconds, finished, scores)


def _share(state: TrainingState, steps: int) -> float:
    """How much of the training is done, by steps or by time, whichever is further."""
    by_time = 0.0 if state.max_minutes is None else state.seconds / (60 * state.max_minutes)
    return min(1.0, max(state.step / steps, by_time))


def check_processes(recipe: Recipe, processes: int) -> None:
    """See that so many processes can share every stage's batch evenly, and train what one would.

    Raises:
        ConfigurationError: they cannot share a batch, or would not train that.
    """
    if processes > 1 and recipe.optimiser.part_clip:
        # Each would bound the gradient of its own share of a part.
        raise ConfigurationError(
            f"recipe optimiser.part_clip = {recipe.optimiser.part_clip:g}: works in one process, and these are "
            f"{processes}; set it to 0, or start one"
        )
    for stage in recipe.stages:
        if stage.batch // stage.accumulate % processes:
            part = f" (in {stage.accumulate} parts)" if stage.accumulate > 1 else ""
            raise ConfigurationError(
                f"recipe stages.batch = {stage.batch}{part}: cannot be shared evenly by {processes} processes; make "
                f"it a multiple of {processes * stage.accumulate}, or start fewer processes"
            )


def start_from(weights: Path, network: AnyIR) -> dict[str, Any]:
    """Give the network a checkpoint's weights; how those were trained, for the header of what comes out."""
    checkpoint = load_checkpoint(weights)
    if checkpoint.network != network.config:
        name = checkpoint.header.get("name", "another")
        raise ConfigurationError(
            f"{weights}: its network ({name}) is not the recipe's; choose weights of the recipe's network, or train "
            f"this one with --set network={name}"
        )
    network.load_state_dict(checkpoint.state)
    header = checkpoint.header
    return {**header.get("training", {"file": weights.name}), "settings": header.get("recipe")}


def set_modes(network: AnyIR, freeze_batch_norm: bool) -> None:
    """Training mode, but for BatchNorm where its statistics are frozen."""
    network.train()
    if freeze_batch_norm:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()


def device_name(device: torch.device, processes: Processes) -> str:
    """What trains, in words."""
    times = f"{processes.count} × " if processes.count > 1 else ""
    if device.type == "cuda":
        return times + torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return times + f"{threads} thread{'' if threads == 1 else 's'} of a CPU ({platform.machine()})"
