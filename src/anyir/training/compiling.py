"""The network's blocks as machine code of their own, by ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyir.model.network import AnyIR, DegradationAdaptationBlock

FORMS: Final = 128
"""Of a block, kept compiled, for all networks of a process: one for each level and stage of a training, and again for
another state of BatchNorm and for a teacher."""


class PointwiseConv2d(nn.Conv2d):
    """A 1×1 convolution without bias as a product with its matrix, which is faster on a GPU where channels are few.

    (N, C, H, W) → (N, C', H, W). On an H200, in bfloat16, a compiled block of 28 channels took a third less time.
    The names in its ``state_dict`` are Conv2d's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Channels-last memory stays channels-last, without a copy."""
        return F.linear(input.permute(0, 2, 3, 1), self.weight[:, :, 0, 0]).permute(0, 3, 1, 2)


def compiled(network: AnyIR, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network's function, whose blocks are compiled when they first meet images of a size.

    Not dynamic: each stage's sizes deserve kernels of their own, and there are few stages. Not the whole network: the
    blocks of a level share their code, so that four are compiled a stage instead of some forty. For CUDA 1×1
    convolutions become products too, in place; on a CPU that is slower.
    """
    # The name that all versions know; it is now an alias of recompile_limit. Others in this process get it too.
    torch._dynamo.config.cache_size_limit = FORMS  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    if device.type == "cuda":
        use_products(network)
    for module in network.modules():
        if isinstance(module, DegradationAdaptationBlock):
            module.compile(dynamic=False)
    return network


def use_products(network: nn.Module) -> None:
    """Turn every 1×1 convolution of the network into a :class:`PointwiseConv2d`, in place; its weight stays."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and child.kernel_size == (1, 1) and child.bias is None:
                ours = PointwiseConv2d(child.in_channels, child.out_channels, 1, bias=False)
                ours.weight = child.weight
                setattr(parent, name, ours)
