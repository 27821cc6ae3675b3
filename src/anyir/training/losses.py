"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

ENOUGH: Final = 1e-4
"""Mean squared error below which an image counts as restored (40 dB): little weight is put on bettering it further."""


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """(N,) mean absolute error of each of (N, 3, H, W) images, the paper's loss."""
    return (restored - clean).abs().mean((1, 2, 3))


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """(N,) logarithm of the RMS error of each of (N, 3, H, W) images: PSNR with its sign turned, in units of 8.7 dB.

    Where tasks of very different difficulty share a batch, the mean error is that of the hardest; in its logarithm a
    decibel counts the same on all of them. Chen et al., "HINet" (2021), train with the negative PSNR too.
    """
    error = (restored - clean).square().mean((1, 2, 3))
    return 0.5 * (error + ENOUGH).log()


LOSSES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {"l1": l1, "psnr": psnr}
"""The losses that a recipe can name."""


def batch_loss(
    name: str,
    harm: float,
    restored: Tensor,
    clean: Tensor,
    degraded: Tensor,
    taught: Tensor | None = None,
    share: float = 0.0,
    mean_tolerance: float | None = None,
) -> Tensor:
    """The mean over a batch, a scalar.

    Args:
        name: of :data:`LOSSES`.
        harm: how much more it weighs where an image comes back worse than it went in. A network that is right about
            two hazy images and spoils a dull one is no gain; with 0, it is one.
        restored: (N, 3, H, W), as are the others.
        clean: what it should be.
        degraded: what it was made from.
        taught: what a teacher makes of it; None without one.
        share: of the loss that is measured against ``taught`` instead of ``clean``, 0 to 1. The teacher is not followed
            in an image that it leaves no better than it was, or than ``restored`` is.
        mean_tolerance: largest difference between the means of ``taught`` and ``clean``, in any channel, with which the
            teacher is followed; None for any.
    """
    loss = LOSSES[name]
    own = each = loss(restored, clean)
    if harm or taught is not None:
        before = loss(degraded, clean)
        if taught is not None:
            right = loss(taught, clean) < torch.minimum(before, own.detach())
            if mean_tolerance is not None:
                right &= (taught - clean).mean((2, 3)).abs().amax(1) <= mean_tolerance
            followed = torch.where(right[:, None, None, None], taught, clean)  # a result not finite is none
            each = torch.lerp(own, loss(restored, followed), share * right)
        each = each + harm * torch.relu(own - before)
    return each.mean()
