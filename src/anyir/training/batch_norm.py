"""BatchNorm over the batch of all processes. ``torch.nn.SyncBatchNorm`` is that too, but on GPUs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from anyir.training.distributed import reporting_loss


class _FromAll(torch.autograd.Function):
    """(...) on each process → (processes, ...), the same on all.

    Each process has the derivative of its own loss by everybody's values; their sum belongs to the values' owner.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, mine: Tensor) -> Tensor:
        """Gather."""
        of_all = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
        with reporting_loss():
            torch.distributed.all_gather(of_all, mine.contiguous())
        return torch.stack(of_all)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Tensor:  # noqa: ANN401
        """Sum, and take what is ours."""
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        with reporting_loss():
            torch.distributed.all_reduce(total)
        return total[torch.distributed.get_rank()]


def _gather(mine: Tensor) -> Tensor:
    return cast(Tensor, _FromAll.apply(mine))


_from_all = cast("Callable[[Tensor], Tensor]", torch.compiler.disable(_gather))
"""Not compiled: a compiler need not know how processes talk."""


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` whose statistics are those of all processes' samples, of which each has as many.

    The names in its ``state_dict`` are BatchNorm2d's, and in evaluation mode it is BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        if not self.training:
            return super().forward(input)
        values = input.to(self.weight.dtype)  # in mixed precision, more than the input's
        variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
        variances, means = _from_all(torch.stack((variance, mean))).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._remember(mean.detach(), variance.detach(), len(means) * input[:, 0].numel())
        scale = self.weight * (variance + self.eps).rsqrt()
        shape = (1, -1, 1, 1)
        normalised = (values - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Take the statistics into the running ones, the variance without its bias, as BatchNorm2d does."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / max(values - 1, 1)), self.momentum)
        self.num_batches_tracked += 1


def use_statistics_of_all(network: nn.Module) -> None:
    """Turn every BatchNorm2d of the network into a :class:`GlobalBatchNorm2d`, in place; its values stay."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                ours = GlobalBatchNorm2d(child.num_features, child.eps, child.momentum)
                ours.weight, ours.bias = child.weight, child.bias
                ours.running_mean, ours.running_var = child.running_mean, child.running_var
                ours.num_batches_tracked = child.num_batches_tracked
                setattr(parent, name, ours)
