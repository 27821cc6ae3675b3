"""How large a network is and how much work one image takes, counted on the network itself.

Work is counted in multiply-accumulates (what the papers of this field call FLOPs), by the convention of the published
tables: one for each product in a convolution or matrix product; five for each element of a layer normalisation and
two for each element of a batch normalisation, as the counter behind those tables (fvcore) has it; nothing for
activations, additions and copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from anyir.errors import ShapeMismatch
from anyir.model.config import SIZE_MULTIPLE, NetworkConfig
from anyir.model.network import AnyIR

LAYER_NORM_OPERATIONS: Final = 5
"""For each element: two for its statistics, one to normalise it, two for weight and bias."""

BATCH_NORM_OPERATIONS: Final = 2
"""For each element, with fixed statistics: one product, one sum."""


def count_parameters(network: nn.Module) -> int:
    """Number of learnt values."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(config: NetworkConfig, height: int, width: int, *, normalisations: bool = True) -> int:
    """Multiply-accumulates of the network, as it is trained, for one image; nothing is computed.

    Args:
        config: the network.
        height: of the image in pixels, a multiple of 8.
        width: of the image in pixels, a multiple of 8.
        normalisations: count layer and batch normalisations as the published tables do; without them, only
            convolutions and matrix products.

    Raises:
        ShapeMismatch: the size is not a positive multiple of 8.
    """
    if min(height, width) < 1 or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise ShapeMismatch(
            f"{height}x{width}: height and width must be positive multiples of {SIZE_MULTIPLE}"
        )
    with torch.device("meta"):
        network, image = AnyIR(config).eval(), torch.empty(1, 3, height, width)
    return count_module_macs(network, image, normalisations=normalisations)


def count_module_macs(module: nn.Module, *inputs: torch.Tensor, normalisations: bool = True) -> int:
    """Multiply-accumulates of any module in evaluation mode for these inputs; see :func:`count_macs`."""
    counter = FlopCounterMode(display=False, custom_mapping=dict(_NORMALISATIONS))
    with counter, torch.no_grad():
        module(*inputs)
    counts: dict[Any, int] = counter.get_flop_counts().get("Global", {})
    # The counter's unit is the floating-point operation, two to a multiply-accumulate; ours count as they are.
    products = sum(count for operator, count in counts.items() if operator not in _NORMALISATIONS) // 2
    extra = sum(count for operator, count in counts.items() if operator in _NORMALISATIONS)
    return products + extra * normalisations


def _layer_norm(shape: Sequence[int], *_: object, **__: object) -> int:
    return LAYER_NORM_OPERATIONS * prod(shape)


def _batch_norm(shape: Sequence[int], *_: object, **__: object) -> int:
    return BATCH_NORM_OPERATIONS * prod(shape)


_NORMALISATIONS: Final[dict[Any, Any]] = {
    torch.ops.aten.native_layer_norm: _layer_norm,
    torch.ops.aten.native_batch_norm: _batch_norm,
    torch.ops.aten._native_batch_norm_legit_no_training: _batch_norm,
}
