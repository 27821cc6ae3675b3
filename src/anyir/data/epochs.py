"""Training by epochs, as the papers do it: every example a whole number of times, in shuffled order."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Generator, Tensor

from anyir.data.catalogue import TrainingPictures
from anyir.data.mixture import TASKS, Batch, check_weights, lenders, task_sources


class Epochs:
    """Every example of every task, a whole number of times an epoch, in an order shuffled anew for each epoch.

    So do the papers: the lists of all tasks' examples, some repeated, are concatenated and shuffled, and the repeats
    are the balancing.

    Args:
        repeats: task → how often each of its examples comes in an epoch; at least one above 0.
        pictures: a split that holds the sets of every task that is repeated.
        seed: of the orders.
        sources: task → sets that it draws from instead of its own.

    Raises:
        ConfigurationError: for an unknown task or an impossible number.
    """

    def __init__(
        self,
        repeats: Mapping[str, int],
        pictures: TrainingPictures,
        seed: int,
        *,
        sources: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        check_weights(repeats)
        self.pictures = pictures
        self.tasks = tuple(name for name, times in repeats.items() if times > 0)
        self._seed = seed
        self._pools = {name: pictures.pool(task_sources(name, sources)) for name in self.tasks}
        self._lenders = lenders(self.tasks, pictures)
        counts = {name: len(pool.rows) for name, pool in self._pools.items()}
        self.samples = {name: repeats[name] * counts[name] for name in self.tasks}
        """Task → samples an epoch."""
        self._entries = torch.cat(
            [
                torch.stack((torch.full((counts[name],), number), torch.arange(counts[name]))).repeat(
                    1, repeats[name]
                )
                for number, name in enumerate(self.tasks)
            ],
            dim=1,
        )
        self._order: tuple[int, Tensor] | None = None

    @property
    def length(self) -> int:
        """Samples an epoch."""
        return self._entries.shape[1]

    def batch(self, first: int, samples: int, size: int, generator: Generator) -> Batch:
        """The samples number ``first`` to ``first + samples - 1`` of the training; those of a task lie together.

        Args:
            first: samples that came before, over all epochs.
            samples: N.
            size: side P of the patches.
            generator: on the pictures' device; for the places of patches and what is done to them.
        """
        numbers = torch.arange(first, first + samples)
        chosen = torch.stack([self._entry(int(number)) for number in numbers], dim=1)
        parts: list[Batch] = []
        for number, name in enumerate(self.tasks):
            rows = chosen[1, chosen[0] == number]
            if len(rows):
                rows = rows.to(self.pictures.device, non_blocking=True)
                patches = self.pictures.draw(self._pools[name], len(rows), size, generator, rows=rows)
                if name in self._lenders:
                    patches = self.pictures.lend(self._lenders[name], patches, generator)
                parts.append(Batch(TASKS[name].degrade(patches, generator), patches.clean))
        return Batch(torch.cat([part.degraded for part in parts]), torch.cat([part.clean for part in parts]))

    def _entry(self, number: int) -> Tensor:
        """(task, row) of one sample of the training."""
        epoch, place = divmod(number, self.length)
        if self._order is None or self._order[0] != epoch:
            seed = int(np.random.SeedSequence((self._seed, epoch)).generate_state(1)[0])
            self._order = (epoch, torch.randperm(self.length, generator=Generator().manual_seed(seed)))
        return self._entries[:, self._order[1][place]]
