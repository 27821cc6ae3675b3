"""Networks small enough to test quickly, with nothing left at a value that could hide a mistake."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from anyir.model import NETWORKS, AnyIR, NetworkConfig
from anyir.model.network import TransposedAttention

SWITCHES = {
    "a": NETWORKS["ablation-a"],
    "b": NETWORKS["ablation-b"],
    "c": NETWORKS["ablation-c"],
    "d": NETWORKS["ablation-d"],
    "e": NETWORKS["anyir"],
}


@pytest.fixture(scope="session")
def tiny():
    """tiny(row) → the configuration of a row of the paper's Table 5 with 4 channels and a block a stage.

    Its branches are 2, 4, 8 and 16 wide: padded and not, narrow and wide for the inference form.
    """

    def make(row="e") -> NetworkConfig:
        return replace(SWITCHES[row], width=4, blocks=(1, 1, 1, 1), refinement_blocks=1)

    return make


@pytest.fixture(scope="session")
def randomised():
    """randomised(config) → a network in evaluation mode whose every weight and statistic is random."""

    def make(config, seed=0) -> AnyIR:
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        network = AnyIR(config)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
                    module.weight.uniform_(0.5, 1.5, generator=generator)
                    module.bias.normal_(0, 0.3, generator=generator)
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(0, 1, generator=generator)
                    module.running_var.uniform_(0.3, 2, generator=generator)
                if isinstance(module, TransposedAttention):
                    module.temperature.uniform_(0.5, 3, generator=generator)
        return network.eval()

    return make
