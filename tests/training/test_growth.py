"""Networks that begin by doing what a smaller one does."""

from dataclasses import replace

import pytest
import torch

from anyir.errors import ConfigurationError
from anyir.model.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from anyir.model.config import NETWORKS, NetworkConfig
from anyir.model.network import AnyIR
from anyir.training.growth import grow

SMALL = NetworkConfig(width=8, blocks=(1, 1, 2, 1), heads=(1, 2, 2, 4), refinement_blocks=1)
LARGE = replace(SMALL, width=12, blocks=(2, 1, 3, 2), refinement_blocks=2)


@pytest.fixture
def checkpoint():
    """A network whose every part matters: random norms, statistics and temperatures, and a large correction."""
    torch.manual_seed(4)
    network = AnyIR(SMALL)
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith(("norm.weight", "norm_mix.weight", "norm_feedforward.weight", "running_var")):
            value.uniform_(0.5, 1.5)
        elif name.endswith((".bias", "running_mean")):
            value.uniform_(-0.2, 0.2)
        elif name.endswith("temperature"):
            value.uniform_(0.5, 2.0)
    state["output.weight"] *= 10
    return Checkpoint(SMALL, state, {"name": "small"})


@pytest.fixture
def images():
    torch.manual_seed(5)
    return torch.rand(3, 3, 32, 48)


def run(checkpoint_or_network, images):
    network = checkpoint_or_network
    if isinstance(network, Checkpoint):
        network = AnyIR(checkpoint_or_network.network)
        network.load_state_dict(checkpoint_or_network.state)
    with torch.no_grad():
        return network.eval()(images)


def distance(a, b, images):
    """How far apart two networks' corrections are, of the second's size."""
    return float((a - b).norm() / (b - images).norm())


def test_deeper_networks_do_exactly_the_same(checkpoint, images):
    deeper = replace(LARGE, width=SMALL.width)
    grown = grow(checkpoint, deeper, images)
    assert grown.config == deeper
    torch.testing.assert_close(run(grown, images), run(checkpoint, images), rtol=1e-4, atol=1e-5)


def test_wider_networks_do_nearly_the_same(checkpoint, images):
    restored = run(checkpoint, images)
    assert float((restored - images).abs().mean()) > 0.1  # else it were easy
    assert distance(run(grow(checkpoint, LARGE, images), images), restored, images) < 0.15
    untrained = AnyIR(LARGE)
    untrained.output.weight.data *= 10
    assert distance(run(untrained, images), restored, images) > 0.7


def test_what_attention_loses_to_new_channels_is_made_up_for(checkpoint, images, monkeypatch):
    restored = run(checkpoint, images)
    made_up = distance(run(grow(checkpoint, LARGE, images), images), restored, images)
    monkeypatch.setattr("anyir.training.growth._make_up_for_new_terms", lambda *_: None)
    assert made_up < distance(run(grow(checkpoint, LARGE, images), images), restored, images)


def test_the_shipped_weights_grow_to_the_full_network():
    small = load_checkpoint(find_checkpoint("anyir-s"))
    torch.manual_seed(6)
    scenes = torch.nn.functional.interpolate(torch.rand(4, 3, 6, 6), size=64, mode="bicubic").clamp(0, 1)
    noisy = (scenes + 0.1 * torch.randn_like(scenes)).clamp(0, 1)
    restored = run(small, noisy)
    grown = run(grow(small, NETWORKS["anyir"], noisy), noisy)
    assert float((restored - scenes).square().mean()) < 0.3 * float((noisy - scenes).square().mean())
    assert float((grown - scenes).square().mean()) < 1.2 * float((restored - scenes).square().mean())


def test_all_that_is_new_can_learn(checkpoint, images):
    """What begins as zero hides what is before it from the first step, but not from the second."""
    grown = grow(checkpoint, LARGE, images).train()
    begun = grown.embed.weight.detach().clone()
    optimiser = torch.optim.SGD(grown.parameters(), lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        (grown(images) - 0.5).square().mean().backward()
        optimiser.step()
    gradients = {name: value.grad for name, value in grown.named_parameters()}
    assert not [name for name, gradient in gradients.items() if not gradient.any()]
    for name in ("embed", "encoder1.0.mix", "encoder1.0.feedforward.reduce"):
        assert bool(gradients[f"{name}.weight"].flatten(1).any(1).all()), name  # every output, old and new
    first, second = grown.embed.weight[SMALL.width :][:2]
    assert torch.equal(*begun[SMALL.width :][:2]) and not torch.equal(first, second)  # equals no more


def test_the_seed_decides(checkpoint, images):
    state = torch.random.get_rng_state()
    first, second, other = (grow(checkpoint, LARGE, images, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"width": 4, "heads": (1, 2, 2, 4)},
            "network width = 4: cannot grow from one with 8, which is more",
        ),
        ({"blocks": (2, 1, 1, 2)}, r"network blocks = \[2, 1, 1, 2\]: cannot grow .* which is more"),
        ({"refinement_blocks": 0}, "network refinement_blocks = 0: cannot grow"),
        ({"gate_kernel": 5}, "network gate_kernel = 5: cannot grow from one with 7"),
        ({"heads": (1, 1, 2, 4)}, r"network heads = \[1, 1, 2, 4\]: cannot grow"),
    ],
)
def test_what_cannot_be_grown_is_refused(checkpoint, images, changes, words):
    with pytest.raises(ConfigurationError, match=words):
        grow(checkpoint, replace(LARGE, **changes), images)


def test_halves_would_mix_without_skip_split(images):
    config = replace(SMALL, skip_split=False)
    checkpoint = Checkpoint(config, AnyIR(config).state_dict(), {"name": "half"})
    with pytest.raises(ConfigurationError, match="skip_split = False: cannot grow"):
        grow(checkpoint, replace(LARGE, skip_split=False), images)
