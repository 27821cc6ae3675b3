"""What training makes small. Both images are (N, 3, H, W); the result is a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch.nn.functional as F
from torch import Tensor

ENOUGH: Final = 1e-4
"""Mean squared error below which an image counts as restored (40 dB): little weight is put on bettering it further."""


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error, the paper's loss."""
    return F.l1_loss(restored, clean)


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean over images of log(RMS error): PSNR with its sign turned, in units of 8.7 dB.

    Where tasks of very different difficulty share a batch, the mean error is that of the hardest; in its logarithm a
    decibel counts the same on all of them. Chen et al., "HINet" (2021), train with the negative PSNR too.
    """
    error = (restored - clean).square().mean((1, 2, 3))
    return 0.5 * (error + ENOUGH).log().mean()


LOSSES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {"l1": l1, "psnr": psnr}
"""The losses that a recipe can name."""
