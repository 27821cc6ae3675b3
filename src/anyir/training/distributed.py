"""Training in several processes, one for each GPU, as ``torchrun`` starts them.

Every process makes the same batch and works on its own slice of it. Gradients, and BatchNorm's statistics where they
are the batch's, are averaged over all, so that what is trained does not depend on how many processes there are. What
only one may do (writing, validating) the first does while the others wait, and what a clock or a signal decides is
decided for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from anyir.errors import ConfigurationError, TrainingError

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_WAIT: Final = timedelta(hours=2)
"""How long one process waits for another that lives but does not answer: a validation of the first must fit. One
that has died is noticed at once."""


class ProcessLost(TrainingError):
    """Another process of the training has ended."""


class FirstProcessFailed(TrainingError):
    """The first process met an error, which it raises itself; nobody else need say so."""


class Processes:
    """The processes of a training run. This is the plain case: one process, which need not ask anybody.

    Attributes:
        rank: of this process, from 0.
        count: how many there are.
        local_rank: of this process on its machine: the number of its GPU.
    """

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0) -> None:
        self.rank, self.count, self.local_rank = rank, count, local_rank

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, images: Tensor) -> Tensor:
        """This process's slice (N / count, ...) of a batch (N, ...)."""
        return images

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its mean over the processes."""

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes."""
        return values

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The first process's clock, and whether any process is asked to stop."""
        return seconds, stop

    def first(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Let the first process do ``work`` while the others wait; what comes of it is given to all.

        Raises:
            FirstProcessFailed: on the others, where the work failed. The first raises the error itself.
        """
        return work(*args, **kwargs)


class _Several(Processes):
    """Processes that talk through :mod:`torch.distributed`; gloo for what is on the host, nccl between GPUs."""

    def share(self, images: Tensor) -> Tensor:
        return images.chunk(self.count)[self.rank]

    def average_gradients(self, network: nn.Module) -> None:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        # One message: hundreds of small ones would each wait for their answer.
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def mean(self, values: Tensor) -> Tensor:
        total = values.clone()
        with reporting_loss():
            torch.distributed.all_reduce(total)
        return total / self.count

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        # On the host, so that no process waits for its GPU here.
        word = torch.tensor([seconds if self.is_first else 0.0, float(stop)], dtype=torch.float64)
        with reporting_loss():
            torch.distributed.all_reduce(word, torch.distributed.ReduceOp.MAX)
        return float(word[0]), bool(word[1])

    def first(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        answer: list[Any] = [False, None]
        if self.is_first:
            try:
                answer = [True, work(*args, **kwargs)]
            finally:  # whatever happened, the others must not wait for ever
                self._tell(answer)
        else:
            self._tell(answer)
        succeeded, result = answer
        if not succeeded:
            raise FirstProcessFailed("the first process failed, and says why")
        return result

    @staticmethod
    def _tell(answer: list[Any]) -> None:
        with reporting_loss():
            torch.distributed.broadcast_object_list(answer, src=0, device=torch.device("cpu"))


@contextmanager
def training_processes(
    device: str = "auto", environment: Mapping[str, str] = os.environ
) -> Generator[Processes]:
    """Join the other processes of this training, where ``torchrun`` has started several.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``, what they train on.
        environment: with torchrun's RANK, WORLD_SIZE and LOCAL_RANK; without them, there is one process.

    Raises:
        ConfigurationError: the variables are incomplete or no numbers.
        ProcessLost: the others cannot be reached.
    """
    try:
        count = int(environment.get("WORLD_SIZE", "1"))
        rank, local_rank = (int(environment[key]) if count > 1 else 0 for key in ("RANK", "LOCAL_RANK"))
    except (KeyError, ValueError) as error:
        raise ConfigurationError(
            f"WORLD_SIZE is set, but the processes' numbers are not ({error}); start them with torchrun"
        ) from error
    if count == 1:
        yield Processes()
        return
    on_cuda = device != "cpu" and torch.cuda.is_available()
    with reporting_loss():
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=LONGEST_WAIT
        )
    yield _Several(rank, count, local_rank)
    # Not after an error: to take leave of a process that is gone can take as long as the longest wait.
    torch.distributed.destroy_process_group()


@contextmanager
def reporting_loss() -> Generator[None]:
    """Say in one line what torch.distributed says in many: that another process is gone.

    Raises:
        ProcessLost: for whatever goes wrong between processes.
    """
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "another process of this training has ended or cannot be reached; what the last checkpoint holds is safe: "
            "start all processes again with --resume"
        ) from error
