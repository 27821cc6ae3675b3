"""The batch of each step: made in this process, or ahead of it by worker processes.

A step's batch follows from the seed, the step's number, the stage and the samples before it, so workers can make whole
batches, degradations included, and it does not matter which of them makes which. A loader's place is just the step:
there is nothing to save, and a resumed run goes on exactly.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

import torch
from torch import Generator
from torch.utils.data import DataLoader, Dataset

from anyir.data.catalogue import TrainingPictures
from anyir.data.mixture import Batch
from anyir.errors import AnyirError
from anyir.training.recipe import Recipe, Stage
from anyir.training.sampling import Sampler, make_sampler
from anyir.training.state import step_seed

AHEAD: Final = 2
"""Batches that each worker makes ahead of the step in hand."""


class Loader:
    """The batch of each step, on the device that trains. This is the plain case: made in this process, when asked for.

    A context manager: at its end, whatever the reason, no process of its own is left.

    Args:
        recipe: of the run.
        sampler: makes the batches.
        made_on: the device that they are made on, the pictures'.
        device: the device that trains.
    """

    def __init__(self, recipe: Recipe, sampler: Sampler, made_on: torch.device, device: torch.device) -> None:
        self._recipe, self._sampler, self._device = recipe, sampler, device
        self._generator = Generator(made_on)

    def batch(self, step: int, before: int, stage: Stage) -> Batch:
        """The batch of a step.

        Args:
            step: steps done before it.
            before: samples that came before it.
            stage: the stage that it is in.

        Raises:
            PictureError: a picture has to be read and is damaged; the message names the file.
            DataError: a picture has changed its size since training began, or is smaller than the patch.
        """
        self._generator.manual_seed(step_seed(self._recipe.seed, step))
        return self._placed(self._sampler.batch(before, stage.batch, stage.patch, self._generator))

    def _placed(self, batch: Batch) -> Batch:
        return Batch(*(images.to(self._device, non_blocking=True) for images in batch))

    def close(self) -> None:
        """End the processes that were started."""

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Steps(Dataset[Batch | AnyirError]):
    """From a step's number to its batch, within one stage. What the user can mend comes back as the error itself.

    Were it raised here, the DataLoader would make a page of traceback of it.
    """

    def __init__(self, sampler: Sampler, seed: int, step: int, before: int, stage: Stage) -> None:
        self._sampler, self._seed = sampler, seed
        self._step, self._before, self._stage = step, before, stage

    def __getitem__(self, step: int) -> Batch | AnyirError:
        generator = Generator().manual_seed(step_seed(self._seed, step))
        before = self._before + (step - self._step) * self._stage.batch
        try:
            return self._sampler.batch(before, self._stage.batch, self._stage.patch, generator)
        except AnyirError as error:
            return error


class _Workers(Loader):
    """Processes that make the batches on the CPU, ahead of the steps; new ones for each stage.

    They use one thread each. On Linux they are forks of this process: they share the pictures that it holds, and
    start at once.
    """

    def __init__(
        self, recipe: Recipe, sampler: Sampler, made_on: torch.device, device: torch.device, workers: int
    ) -> None:
        super().__init__(recipe, sampler, made_on, device)
        self._workers = workers
        self._place: tuple[int, int, Stage] | None = None
        self._batches: Iterator[Batch | AnyirError] = iter(())

    def batch(self, step: int, before: int, stage: Stage) -> Batch:
        if self._place != (step, before, stage):
            self._start(step, before, stage)
        self._place = (step + 1, before + stage.batch, stage)
        batch = next(self._batches)
        if isinstance(batch, AnyirError):
            raise batch
        return self._placed(batch)

    def _start(self, step: int, before: int, stage: Stage) -> None:
        self.close()
        loader = DataLoader(
            _Steps(self._sampler, self._recipe.seed, step, before, stage),
            batch_size=None,
            sampler=itertools.count(step),
            num_workers=self._workers,
            prefetch_factor=AHEAD,
            pin_memory=self._device.type == "cuda",
            worker_init_fn=_leave_signals_to_the_training,
            multiprocessing_context=multiprocessing.get_context("fork" if sys.platform == "linux" else None),
            generator=Generator(),  # it draws a seed, which must not come out of the training's random numbers
        )
        self._batches = iter(loader)

    def close(self) -> None:
        # Its end would do it too; but an error's traceback, or a debugger, may hold on to it.
        getattr(self._batches, "_shutdown_workers", lambda: None)()
        self._batches, self._place = iter(()), None


def _leave_signals_to_the_training(worker: int) -> None:
    """Ctrl-C, and whoever ends a whole job, signal all its processes: the training decides when the workers end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def make_loader(recipe: Recipe, sampler: Sampler, made_on: torch.device, device: torch.device) -> Loader:
    """The loader that a recipe asks for. Its arguments are those of :class:`Loader`.

    There are never more workers than processors that this process may use, as their number changes no batch. Where
    several processes train, each has workers of its own, which make the whole batch, of which the process then takes
    its share: n processes on one machine read every picture n times, and want n times the processors.
    """
    if works_ahead(recipe):
        return _Workers(recipe, sampler, made_on, device, min(recipe.workers, _processors()))
    return Loader(recipe, sampler, made_on, device)


def works_ahead(recipe: Recipe) -> bool:
    """Whether a recipe's batches are made by worker processes."""
    return recipe.loading != "memory" and recipe.workers > 0


def _processors() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_data_path(
    recipe: Recipe,
    pictures: TrainingPictures,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Samples a second that can be made where nothing waits for a network: from files or memory to whole batches.

    Training cannot be faster. Measured on the recipe's first stage, with its loading and workers.

    Args:
        recipe: of the run.
        pictures: its training pictures.
        seconds: how long to measure, at least; starting the workers and their first batches, which are all made at
            the same time, comes before.
        clock: tells the seconds.

    Raises:
        PictureError: a file is damaged; the message names it.
    """
    sampler, stage, device = make_sampler(recipe, pictures), recipe.stages[0], pictures.device
    steps = itertools.count()

    def make() -> float:
        """Make the next batch; the time when it is there."""
        step = next(steps)
        loader.batch(step, step * stage.batch, stage)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock()

    with make_loader(recipe, sampler, device, device) as loader:
        for _ in range(AHEAD * recipe.workers):
            make()
        started, samples = make(), 0
        while True:
            now = make()
            samples += stage.batch
            if now - started >= seconds:
                return samples / (now - started)
