"""The optimisers: AdamW for all weights, or Muon for the kernels that mix channels and AdamW for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from anyir.training.recipe import Optimiser

_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
_RMS: Final = 0.2


class Muon(Optimizer):
    """Gradient descent with momentum, in which the step of each matrix is made orthogonal.

    A few directions outweigh all others in a matrix's gradient; in an orthogonal step all count the same. Jordan et
    al., "Muon: An optimizer for hidden layers in neural networks" (2024). Steps have an RMS of about 0.2, as Adam's
    have, so that learning rates for AdamW serve (Liu et al., arXiv 2502.16982, section 2.2); they do not depend on
    the gradient's size. PyTorch's own, from 2.9 on, takes matrices only, and kernels are not.

    Args:
        parameters: of two or more dimensions; all after the first count as one.
        learning_rate: with which the step is multiplied.
        momentum: decay of the mean gradient, which is used in Nesterov's form.
        weight_decay: decoupled.

    Raises:
        ValueError: a parameter has fewer dimensions.
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
        shapes = [tuple(parameter.shape) for parameter in parameters_of(self) if parameter.ndim < 2]
        if shapes:
            raise ValueError(f"Muon is for matrices and kernels, not for parameters of shape {shapes[0]}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step; parameters without a gradient stay as they are."""
        for group in self.param_groups:
            alike: defaultdict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if parameter not in self.state:
                        self.state[parameter]["momentum"] = torch.zeros_like(parameter)
                    alike[len(parameter), parameter[0].numel()].append(parameter)
            for parameters in alike.values():  # all of a shape at once: there are dozens of small matrices
                self._step(parameters, group)

    def _step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        # Over lists: a call for each would be a thousand a step, for which an accelerator waits.
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        matrices = torch.stack([each.flatten(1) for each in ahead])
        steps = orthogonalised(matrices) * (_RMS * max(matrices.shape[1:]) ** 0.5)
        steps = steps.float().contiguous()  # tall matrices come transposed, which would be a call each again
        shaped = [step.view(parameter.shape) for parameter, step in zip(parameters, steps, strict=True)]
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        torch._foreach_add_(parameters, shaped, alpha=-group["lr"])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


def orthogonalised(matrices: Tensor) -> Tensor:
    """(N, R, C) matrices → nearly the nearest with all singular values 1; float32, on a GPU bfloat16.

    Five of Newton and Schulz's iterations with Jordan's quintic, which are fast rather than exact: singular values
    above 1/600 of the matrix's norm (that of Frobenius) come out between 0.68 and 1.2, smaller ones smaller, 0 as 0.
    """
    a, b, c = _QUINTIC
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(_ITERATIONS):  # three calls each: for matrices this small, a GPU waits for the calls
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


def make_optimisers(settings: Optimiser, network: nn.Module) -> tuple[Optimizer, ...]:
    """What a recipe asks for; weight decay acts on convolution kernels only, not on norms, biases and temperatures.

    Unlike its authors, we give Muon the first and the last convolution too, and leave as one matrix what the network
    splits afterwards, such as queries, keys and values: simpler, and no worse where compared (docs/training-log.md).
    """
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
    """Names of what an optimiser keeps for each of its parameters, of the parameter's shape."""
    return ("momentum",) if isinstance(optimiser, Muon) else ("exp_avg", "exp_avg_sq")


def parameters_of(optimiser: Optimizer) -> list[nn.Parameter]:
    """All that an optimiser changes."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
