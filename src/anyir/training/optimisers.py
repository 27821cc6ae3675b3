"""The optimisers: AdamW for all weights, or Muon for the kernels that mix channels and AdamW for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, overload

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from anyir.training.recipe import Optimiser

MOMENTS: Final = {"AdamW": ("exp_avg", "exp_avg_sq"), "Muon": ("momentum",)}
"""Class of an optimiser → what it keeps for each parameter, of the parameter's shape."""

_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
_RMS: Final = 0.2


class Muon(Optimizer):
    """Momentum whose steps are orthogonal: every direction in which a matrix can move is moved along as far.

    A matrix's gradients lie mostly in a few directions, in which a step of Adam's all but ends; here the others count
    as much. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). Steps have an RMS of 0.2,
    about that of Adam's, so that learning rates for AdamW serve (Liu et al., arXiv 2502.16982, section 2.2).

    Args:
        parameters: of two or more dimensions; all after the first count as one.
        learning_rate: with which the step is multiplied.
        momentum: decay of the mean gradient, which is used in Nesterov's form.
        weight_decay: decoupled.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step along the gradients that there are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: defaultdict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if parameter not in self.state:
                        self.state[parameter]["momentum"] = torch.zeros_like(parameter)
                    alike[len(parameter), parameter[0].numel()].append(parameter)
            for parameters in alike.values():  # all of a shape at once: there are dozens of small matrices
                self._step(parameters, group)
        return loss

    def _step(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        for momentum, gradient in zip(momenta, gradients, strict=True):
            momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = [g.lerp(m, group["momentum"]) for g, m in zip(gradients, momenta, strict=True)]
        matrices = torch.stack([each.flatten(1) for each in ahead])
        steps = orthogonalised(matrices) * (_RMS * max(matrices.shape[1:]) ** 0.5)
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(step.view(parameter.shape).to(parameter.dtype), alpha=group["lr"])


def orthogonalised(matrices: Tensor) -> Tensor:
    """(N, R, C) matrices → nearly the nearest with all singular values 1: they come out between 0.7 and 1.2.

    Newton and Schulz's iteration with Jordan's quintic, which is fast rather than exact. In bfloat16 on a GPU.
    """
    a, b, c = _QUINTIC
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def make_optimisers(settings: Optimiser, network: nn.Module) -> tuple[Optimizer, ...]:
    """What a recipe asks for; weight decay acts on convolution kernels only, not on norms, biases and temperatures."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    others = [parameter for parameter in network.parameters() if parameter.ndim != 4]
    muon: tuple[Optimizer, ...] = ()
    if settings.name == "muon":
        mixing = [kernel for kernel in kernels if kernel.shape[1] > 1]
        kernels = [kernel for kernel in kernels if kernel.shape[1] == 1]  # depthwise: no matrices
        muon = (Muon(mixing, settings.learning_rate, settings.momentum, settings.weight_decay),)
    groups = [
        {"params": kernels, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    on_cuda = next(network.parameters()).is_cuda
    return (*muon, AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=on_cuda))


def moments(optimiser: Optimizer) -> tuple[str, ...]:
    """Names of what an optimiser keeps for each of its parameters."""
    return MOMENTS[type(optimiser).__name__]


def parameters_of(optimiser: Optimizer) -> list[nn.Parameter]:
    """All that an optimiser changes."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
