"""Averages of weights: over a run, which are those that are validated, kept and shipped; and between two runs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def between(old: Mapping[str, Tensor], new: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """A state on the line from one to another: ``share`` of NEW and the rest of OLD; counters are NEW's.

    Wortsman et al., "Robust fine-tuning of zero-shot models" (2022), interpolate so.
    """
    return {
        name: torch.lerp(old[name], value, share) if value.is_floating_point() else value
        for name, value in new.items()
    }


class MovingAverage:
    """Average of all floating-point entries of a network's ``state_dict``, BatchNorm's statistics included.

    Early on the decay is smaller, (1 + updates) / (10 + updates), so that the random start is soon forgotten.

    Args:
        network: whose values it starts from.
        decay: of the average, a step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state: dict[str, Tensor] = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the network's values into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        values = network.state_dict()
        counters = [name for name, value in self.state.items() if not value.is_floating_point()]
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        # Calls over lists instead of hundreds: launching them one by one would dominate a step on an accelerator.
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            [self.state[name] for name in floating], [values[name] for name in floating], 1 - decay
        )
        if counters:
            torch._foreach_copy_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
                [self.state[name] for name in counters], [values[name] for name in counters]
            )
