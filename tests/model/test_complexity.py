import pytest
import torch
from torch import nn

from anyir.errors import ShapeMismatch
from anyir.model import AnyIR, NetworkConfig, network_config
from anyir.model.complexity import count_macs, count_module_macs, count_parameters
from anyir.model.network import ChannelLayerNorm, DegradationAdaptationBlock


def test_the_papers_network_has_the_papers_size():
    config = network_config("anyir")
    assert count_parameters(AnyIR(config)) == pytest.approx(6.20e6, rel=0.005)
    assert count_macs(config, 224, 224) == pytest.approx(19.9e9, rel=0.005)
    assert count_macs(config, 224, 224, normalisations=False) == pytest.approx(19.61e9, rel=0.001)


def test_the_small_network_is_a_seventh_of_it():
    config = network_config("anyir-s")
    assert count_parameters(AnyIR(config)) == pytest.approx(1.0e6, rel=0.02)
    assert count_macs(config, 224, 224) < count_macs(network_config("anyir"), 224, 224) / 6


@pytest.mark.parametrize(
    ("layer", "macs", "extra"),
    [
        (nn.Conv2d(6, 8, 3, padding=1, bias=False), 6 * 8 * 9 * 40, 0),
        (nn.Conv2d(6, 6, 7, padding=3, groups=6), 6 * 49 * 40, 0),
        (ChannelLayerNorm(6), 0, 5 * 6 * 40),
        (nn.BatchNorm2d(6), 0, 2 * 6 * 40),
        (nn.GELU(), 0, 0),
    ],
)
def test_single_layers_on_five_by_eight_pixels(layer, macs, extra):
    x = torch.zeros(1, 6, 5, 8)
    assert count_module_macs(layer.eval(), x, normalisations=False) == macs
    assert count_module_macs(layer.eval(), x) == macs + extra


def test_a_block_by_hand():
    c, half, heads, hidden = 16, 8, 2, 21
    block = DegradationAdaptationBlock(NetworkConfig(), c, heads).eval()
    attention = 3 * half * half + 9 * 3 * half + 2 * half * (half // heads) + half * half
    gate = half * 2 * hidden + 49 * half + hidden * half + half * half
    feedforward = c * 4 * c + 9 * 4 * c + 2 * c * c
    products = attention + gate + c * c + feedforward
    normalisations = 2 * 5 * c + 2 * half
    x = torch.zeros(1, c, 8, 8)
    assert count_module_macs(block, x, normalisations=False) == 64 * products
    assert count_module_macs(block, x) == 64 * (products + normalisations)


def test_work_is_proportional_to_the_pixels(tiny):
    assert count_macs(tiny(), 16, 24) == 6 * count_macs(tiny(), 8, 8)


@pytest.mark.parametrize("size", [(12, 16), (16, 12), (0, 8), (-8, 8)])
def test_sizes_that_the_network_does_not_take(tiny, size):
    with pytest.raises(ShapeMismatch, match="multiples of 8"):
        count_macs(tiny(), *size)
