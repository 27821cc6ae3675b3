from dataclasses import replace

import pytest
import torch
from torch import nn

from anyir.errors import ShapeMismatch
from anyir.model import network_config
from anyir.model.inference_form import CHANNEL_MULTIPLE, to_inference_form
from anyir.model.network import ChannelLayerNorm

SIZES = [(8, 8), (64, 40), (136, 104)]


def differences(network):
    """By size: the largest difference between a network and its inference form, and the largest correction."""
    form = to_inference_form(network)
    generator = torch.Generator().manual_seed(3)
    result = {}
    with torch.inference_mode():
        for size in SIZES:
            degraded = torch.rand(2, 3, *size, generator=generator)
            expected = network(degraded)
            result[size] = (form(degraded) - expected).abs().max(), (expected - degraded).abs().max()
    return result


@pytest.mark.parametrize("row", "abcde")
def test_same_function(tiny, randomised, row):
    for size, (difference, correction) in differences(randomised(tiny(row))).items():
        assert difference <= 1e-5, size
        assert correction > 0.05, size  # else equality would say little


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 20},  # heads of 10, padded; the first level narrow in neither sense
        {"width": 8, "heads": (2, 2, 2, 2)},
        {"feedforward_expansion": 2.66, "gate_expansion": 1.5, "gate_kernel": 3},
        {"blocks": (2, 1, 1, 2), "refinement_blocks": 0},
    ],
)
def test_same_function_for_other_configurations(tiny, randomised, changes):
    for size, (difference, _) in differences(randomised(replace(tiny(), **changes))).items():
        assert difference <= 1e-5, size


def test_same_function_for_the_small_network(randomised):
    assert (
        max(difference for difference, _ in differences(randomised(network_config("anyir-s"))).values())
        <= 1e-5
    )


def test_features_of_zeros_do_not_give_nan(tiny, randomised):
    """Norms of q and k are then zero: the small product must not be divided by it."""
    network = randomised(tiny())
    with torch.inference_mode():
        for module in network.modules():
            if isinstance(module, ChannelLayerNorm):
                module.weight.zero_()
                module.bias.zero_()
        degraded = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(to_inference_form(network)(degraded), network(degraded), atol=1e-5, rtol=0)


def test_the_network_is_left_as_it_was(tiny, randomised):
    network = randomised(tiny()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    form = to_inference_form(network)
    with torch.no_grad():
        for tensor in form.parameters():
            tensor.zero_()
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in form.parameters())


def test_what_is_gone(tiny, randomised):
    modules = list(to_inference_form(randomised(tiny())).modules())
    assert not any(isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)) for module in modules)
    depthwise = [module for module in modules if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert depthwise and all(module.kernel_size != (1, 1) for module in depthwise), "a scale on its own"
    assert all(module.out_channels % CHANNEL_MULTIPLE == 0 for module in depthwise)


def test_odd_sizes_are_refused(tiny, randomised):
    with pytest.raises(ShapeMismatch, match="multiples of 8"):
        to_inference_form(randomised(tiny()))(torch.zeros(1, 3, 16, 20))
