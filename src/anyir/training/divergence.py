"""The losses of the last steps, and where one is not finite, the batch it began with, made again and kept."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Generator, Tensor

from anyir.errors import TrainingError
from anyir.model.checkpoint import write_safetensors_atomic
from anyir.training.distributed import Processes
from anyir.training.recipe import Recipe, Stage
from anyir.training.sampling import Sampler
from anyir.training.state import step_seed

DIVERGED_FILE: Final = "diverged.safetensors"


class _Step(NamedTuple):
    number: int  # from 1, as in the log
    before: int  # samples that came before it
    stage: Stage
    learning_rate: float
    loss: Tensor


class Losses:
    """The losses since they were last read. They stay on the device until then, so that no step waits for it.

    Args:
        path: the run folder.
        recipe: of the run.
        sampler: which makes a step's batch again, as it follows from the recipe's seed and the step's number.
        device: where batches are made.
    """

    def __init__(self, path: Path, recipe: Recipe, sampler: Sampler, device: torch.device) -> None:
        self._path, self._recipe, self._sampler, self._device = path, recipe, sampler, device
        self._steps: list[_Step] = []
        self._were_read = False
        self._since = time.monotonic()

    def add(self, step: int, before: int, stage: Stage, learning_rate: float, loss: Tensor) -> None:
        """Keep the loss of step number ``step``, counted from 1, and what it was made with.

        ``before`` is how many samples came before the step's.
        """
        if self._were_read:  # not dropped when read: a checkpoint of the same step may ask for an explanation
            self._steps, self._were_read = [], False
        self._steps.append(_Step(step, before, stage, learning_rate, loss))

    def read(self, processes: Processes) -> tuple[float, float]:
        """(mean loss of all processes, samples a second) since the last reading.

        Raises:
            TrainingError: a loss is not finite.
        """
        losses = processes.mean(torch.stack([step.loss for step in self._steps])).cpu()
        self._steps = [step._replace(loss=loss) for step, loss in zip(self._steps, losses, strict=True)]
        mean = float(losses.mean())
        if not math.isfinite(mean):
            processes.first(self._give_up)
        speed = sum(step.stage.batch for step in self._steps) / (time.monotonic() - self._since)
        self._were_read, self._since = True, time.monotonic()
        return mean, speed

    def explain(self, problem: str | None = None) -> TrainingError:
        """The error to raise where training has come to nothing; the batch that it began with is kept in a file.

        That is the first since the last reading whose loss is not finite, or the last batch: then it was its gradient.
        Before a reading the losses are this process's own, and where the trouble began in another, it shows here a
        step later.

        Args:
            problem: what is not finite, if not the loss.
        """
        losses = [float(step.loss) for step in self._steps]
        bad = next((n for n, loss in enumerate(losses) if not math.isfinite(loss)), len(losses) - 1)
        culprit = self._steps[bad]
        file = self._path / DIVERGED_FILE
        self._keep(file, culprit, losses)
        return TrainingError(
            f"{problem or f'the loss is {losses[bad]}'} at step {culprit.number}, whose batch is in {file}; the last "
            f"checkpoint in {self._path}, if there is one, is sound: start a new run with a lower "
            "optimiser.learning_rate, or gradient_clip"
        )

    def _give_up(self) -> None:
        raise self.explain()

    def _keep(self, file: Path, culprit: _Step, losses: list[float]) -> None:
        seed = step_seed(self._recipe.seed, culprit.number - 1)
        generator = Generator(self._device).manual_seed(seed)
        stage = culprit.stage
        degraded, clean = self._sampler.batch(culprit.before, stage.batch, stage.patch, generator)
        header: dict[str, Any] = {
            "step": culprit.number,
            "seed": self._recipe.seed,
            "step_seed": str(seed),  # a 64-bit number, which not every reader of JSON can hold
            "learning_rate": culprit.learning_rate,
            "first_loss_of_step": self._steps[0].number,
            "losses": [loss if math.isfinite(loss) else str(loss) for loss in losses],
        }
        write_safetensors_atomic(file, {"degraded": degraded, "clean": clean}, header)
