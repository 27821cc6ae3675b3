"""What ``torch.compile`` is given: the same function and gradients, in blocks that share their code."""

import copy

import pytest
import torch
from torch import nn

from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR, DegradationAdaptationBlock
from anyir.training import compiling
from anyir.training.compiling import PointwiseConv2d, compiled, use_products

CONFIG = NetworkConfig(width=4, blocks=(2, 1, 2, 3), heads=(1, 1, 2, 2), refinement_blocks=1)


@pytest.fixture(autouse=True)
def limit():
    """The number of compiled forms, as it is where nobody changes it, for the whole process."""
    with torch._dynamo.config.patch(recompile_limit=8):
        yield


@pytest.fixture
def network():
    torch.manual_seed(3)
    return AnyIR(CONFIG)


def loss_and_gradients(network, images):
    network.zero_grad()
    loss = (network(images) - 0.5).square().mean()
    loss.backward()
    return loss.detach(), {name: each.grad for name, each in network.named_parameters()}


def test_products_are_the_convolutions(network):
    plain = copy.deepcopy(network)
    weights = dict(network.named_parameters())
    use_products(network)
    assert dict(network.named_parameters()) == weights  # the very ones: an optimiser goes on with them
    assert network.state_dict().keys() == plain.state_dict().keys()
    left = [m for m in network.modules() if type(m) is nn.Conv2d and m.kernel_size == (1, 1)]
    assert not left and sum(isinstance(m, PointwiseConv2d) for m in network.modules()) > 50

    images = torch.rand(2, 3, 32, 24).to(memory_format=torch.channels_last)
    loss, gradients = loss_and_gradients(network, images)
    expected, theirs = loss_and_gradients(plain, images)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients, theirs, rtol=1e-3, atol=1e-6)


def test_memory_stays_channels_last():
    product = PointwiseConv2d(6, 4, 1, bias=False)
    images = torch.rand(2, 6, 8, 8).to(memory_format=torch.channels_last)
    assert product(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("device", "products"), [("cuda", True), ("cpu", False)])
def test_the_blocks_are_compiled_each(network, monkeypatch, device, products):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: asked.append((self, options)))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled as a whole"))
    assert compiled(network, torch.device(device)) is network
    blocks = [module for module in network.modules() if isinstance(module, DegradationAdaptationBlock)]
    assert [module for module, _ in asked] == blocks
    assert all(options == {"dynamic": False} for _, options in asked)
    assert torch._dynamo.config.recompile_limit == compiling.FORMS
    assert any(isinstance(module, PointwiseConv2d) for module in network.modules()) == products


@pytest.mark.filterwarnings("ignore")  # of what PyTorch itself uses, and of what it looks at
def test_blocks_of_a_level_share_their_code(network, monkeypatch):
    compile_module = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, **options: compile_module(self, backend="eager", **options)
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain = copy.deepcopy(network)
    compiled(network, torch.device("cuda"))  # compiles for wherever the images are
    images = torch.rand(1, 3, 32, 32).to(memory_format=torch.channels_last)
    loss, gradients = loss_and_gradients(network, images)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == len(CONFIG.blocks)
    expected, theirs = loss_and_gradients(plain, images)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients, theirs, rtol=1e-3, atol=1e-5)
