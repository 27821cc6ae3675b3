from dataclasses import replace
from math import erf, sqrt

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anyir.errors import ShapeMismatch
from anyir.model import AnyIR, NetworkConfig
from anyir.model.network import (
    ChannelLayerNorm,
    DegradationAdaptationBlock,
    Down,
    FeedForward,
    GatedAdaptation,
    TransposedAttention,
    Up,
)

ROWS = "abcde"


def pixel(*values):
    """One pixel with these channels: (1, C, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)


def bare_block(**switches):
    """A block of 4 channels in which only the split, eq. (2) and the first residual sum are left."""
    block = DegradationAdaptationBlock(NetworkConfig(**switches), channels=4, heads=1)
    block.norm_mix = nn.Identity()
    block.attention = nn.Identity()
    if block.gate is not None:
        block.gate = nn.Identity()
    with torch.no_grad():
        block.mix.weight.copy_(torch.eye(4).reshape(4, 4, 1, 1))
        block.feedforward.reduce.weight.zero_()
    return block


@pytest.mark.parametrize("row", ROWS)
def test_every_parameter_learns(tiny, row):
    torch.manual_seed(0)
    network = AnyIR(tiny(row)).train()
    clean = torch.rand(2, 3, 16, 24)
    F.l1_loss(network(clean + 0.1 * torch.randn_like(clean)), clean).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (64, 24)])
def test_output_has_the_inputs_shape(tiny, randomised, size):
    degraded = torch.rand(2, 3, *size)
    with torch.inference_mode():
        assert randomised(tiny())(degraded).shape == degraded.shape


@pytest.mark.parametrize("shape", [(1, 3, 12, 16), (1, 3, 16, 12), (1, 4, 16, 16), (3, 16, 16)])
def test_other_shapes_are_refused(tiny, shape):
    with pytest.raises(ShapeMismatch, match="multiples of 8"):
        AnyIR(tiny())(torch.zeros(shape))


def test_the_output_is_a_correction_of_the_input(tiny, randomised):
    network = randomised(tiny())
    degraded = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert (network(degraded) - degraded).abs().max() > 0.05
        network.output.weight.zero_()
        assert torch.equal(network(degraded), degraded)


def test_pictures_of_a_batch_do_not_see_each_other(tiny, randomised):
    network = randomised(tiny())
    degraded = torch.rand(2, 3, 16, 24)
    with torch.inference_mode():
        together = network(degraded)
        alone = torch.cat([network(degraded[:1]), network(degraded[1:])])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_blocks_at_each_stage(tiny):
    network = AnyIR(replace(tiny(), blocks=(1, 2, 3, 4), refinement_blocks=5))
    stages = "encoder1 encoder2 encoder3 bottleneck decoder3 decoder2 decoder1 refinement".split()
    assert [len(getattr(network, stage)) for stage in stages] == [1, 2, 3, 4, 3, 2, 1, 5]
    assert [getattr(network, stage)[0].mix.in_channels for stage in stages] == [4, 8, 16, 32, 16, 8, 4, 4]
    assert [getattr(network, stage)[0].attention.heads for stage in stages] == [1, 2, 4, 8, 4, 2, 1, 1]


def test_cross_update_uses_both_branches_as_they_were():
    with torch.inference_mode():
        result = bare_block()(pixel(1, 2, 3, 4))
    a, g = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0])  # even and odd channels
    expected = torch.cat([a + torch.sigmoid(g), g + torch.sigmoid(a)]) + torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(result.flatten(), expected)


@pytest.mark.parametrize(("skip_split", "mixed"), [(True, [1, 3, 2, 4]), (False, [1, 2, 3, 4])])
@pytest.mark.parametrize("gated_adaptation", [True, False])
def test_which_channels_each_branch_gets(skip_split, mixed, gated_adaptation):
    block = bare_block(skip_split=skip_split, cross_update=False, gated_adaptation=gated_adaptation)
    with torch.inference_mode():
        result = block(pixel(1, 2, 3, 4))
    assert (result.flatten() - torch.tensor([1.0, 2, 3, 4])).tolist() == mixed


def test_ablations_differ_in_structure(tiny):
    parameters = {row: sum(p.numel() for p in AnyIR(tiny(row)).parameters()) for row in ROWS}
    assert parameters["a"] == parameters["b"] < parameters["c"] == parameters["d"] == parameters["e"]
    gates = {row: AnyIR(tiny(row)).bottleneck[0].gate for row in ROWS}
    assert {row for row, gate in gates.items() if gate is None} == {"a", "b"}


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("c", "d"), ("d", "e")])
def test_switches_without_weights_change_the_result(tiny, randomised, one, other):
    network, changed = randomised(tiny(one)), AnyIR(tiny(other)).eval()
    changed.load_state_dict(network.state_dict())
    degraded = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert (network(degraded) - changed(degraded)).abs().max() > 1e-3


def test_layer_norm_is_over_channels_of_each_pixel():
    x = torch.randn(2, 6, 4, 5) * 3 + 1
    y = ChannelLayerNorm(6)(x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 4, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(1, unbiased=False), torch.ones(2, 4, 5), atol=1e-3, rtol=0)


def test_attention_against_its_definition():
    torch.manual_seed(1)
    attention = TransposedAttention(4, heads=2)
    x = torch.randn(1, 4, 3, 5)
    with torch.inference_mode():
        attention.temperature.copy_(torch.tensor([0.5, 2.0]).reshape(2, 1, 1))
        q, k, v = attention.qkv_depthwise(attention.qkv(x))[0].flatten(1).chunk(3)
        heads = []
        for head, temperature in ((slice(0, 2), 0.5), (slice(2, 4), 2.0)):
            cosine = torch.stack([F.cosine_similarity(row, k[head], dim=1) for row in q[head]])
            heads.append(torch.softmax(temperature * cosine, 1) @ v[head])
        expected = attention.project_out(torch.cat(heads).reshape(1, 4, 3, 5))
        torch.testing.assert_close(attention(x), expected)


def test_gated_adaptation_against_equations_3_to_5():
    torch.manual_seed(2)
    gate = GatedAdaptation(2, hidden=5, kernel=3).eval()
    x = torch.randn(2)
    with torch.inference_mode():
        gate.norm.running_mean.copy_(torch.tensor([0.5, -1.0]))
        gate.norm.running_var.copy_(torch.tensor([4.0, 0.25]))
        normalised = (x - torch.tensor([0.5, -1.0])) / torch.tensor([2.0, 0.5])
        scaled, ego, shifted = (gate.expand.weight[:, :, 0, 0] @ normalised).split([5, 3, 2])
        # A single pixel: all but the middle of the depthwise kernel falls on the zero padding.
        convolved = gate.depthwise.weight[:, 0, 1, 1] * shifted + gate.depthwise.bias
        gelu = torch.tensor([s * 0.5 * (1 + erf(s / sqrt(2))) for s in scaled.tolist()])
        features = torch.cat([ego, convolved]) * gelu
        expected = gate.project_out.weight[:, :, 0, 0] @ (gate.reduce.weight[:, :, 0, 0] @ features + x)
        torch.testing.assert_close(gate(pixel(*x)).flatten(), expected, atol=1e-5, rtol=1e-4)


def test_the_first_half_of_the_feed_forward_is_the_gate():
    feedforward = FeedForward(1, hidden=1)
    with torch.inference_mode():
        feedforward.expand.weight.copy_(torch.tensor([2.0, 3.0]).reshape(2, 1, 1, 1))
        feedforward.depthwise.weight.zero_()
        feedforward.depthwise.weight[:, 0, 1, 1] = 1
        feedforward.reduce.weight.fill_(1)
        result = feedforward(pixel(0.5)).item()
    assert result == pytest.approx(1.0 * 0.5 * (1 + erf(1 / sqrt(2))) * 1.5, rel=1e-5)  # GELU(2·0.5) · 3·0.5


def test_down_and_up():
    x = torch.randn(1, 8, 6, 10)
    assert Down(8)(x).shape == (1, 16, 3, 5)
    assert Up(8)(x).shape == (1, 4, 12, 20)


def test_what_the_network_learns_without_bias():
    """The paper's layers have no biases but those of the norms and of the depthwise kernel in the gate."""
    with_bias = {
        name.split(".")[-2] for name, _ in AnyIR(NetworkConfig()).named_parameters() if name.endswith("bias")
    }
    assert with_bias == {"norm_mix", "norm_feedforward", "norm", "depthwise"}
