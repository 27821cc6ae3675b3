"""Muon and AdamW, and which of them changes what."""

import pytest
import torch
from torch import nn

from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.training.optimisers import Muon, make_optimisers, orthogonalised, parameters_of
from anyir.training.recipe import Optimiser

TINY = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)


def polar(matrix):
    """The nearest matrix all of whose singular values are 1, by their decomposition."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 48, 8), (1, 8, 144)])
def test_orthogonalised_matrices_keep_their_directions_and_lose_their_sizes(shape):
    torch.manual_seed(0)
    n, rows, columns = shape
    rank = min(rows, columns)
    u = torch.linalg.qr(torch.randn(n, rows, rank)).Q
    v = torch.linalg.qr(torch.randn(n, columns, rank)).Q
    sizes = torch.logspace(0, -2, rank)  # the largest a hundred times the smallest
    x = orthogonalised((u * sizes) @ v.mT)
    assert torch.linalg.svdvals(x).min() > 0.675 and torch.linalg.svdvals(x).max() < 1.21
    inside = u.mT @ x @ v  # diagonal, where the directions are the matrix's own
    assert (inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))).abs().max() < 1e-3


def test_what_is_hardly_there_stays_small_and_nothing_stays_nothing():
    x = orthogonalised(torch.diag_embed(torch.tensor([[1.0, 1e-4, 0.0], [0.0, 0.0, 0.0]])))
    assert 0.03 < x[0, 1, 1] < 0.1 and x[0, 2, 2] == 0 and not x[1].any()


def test_two_steps_are_those_of_the_equations():
    """By hand, in double precision and with exact orthogonalisation, on a 3×3 kernel whose memory is channels-last."""
    torch.manual_seed(0)
    rate, momentum, decay = 0.1, 0.9, 0.25
    weight = torch.randn(8, 4, 3, 3)
    gradients = torch.randn(2, 8, 4, 3, 3)
    kernel = nn.Parameter(weight.clone().contiguous(memory_format=torch.channels_last))
    optimiser = Muon([kernel], rate, momentum, decay)
    expected, mean = weight.double().flatten(1), torch.zeros(8, 36).double()
    for gradient in gradients:
        kernel.grad = gradient.contiguous(memory_format=torch.channels_last)
        optimiser.step()
        of_step = gradient.double().flatten(1)
        mean = momentum * mean + (1 - momentum) * of_step
        ahead = momentum * mean + (1 - momentum) * of_step
        expected = (1 - rate * decay) * expected - rate * 0.2 * 36**0.5 * polar(ahead)
    moved = kernel.detach().flatten(1).double() - weight.flatten(1)
    wanted = expected - weight.flatten(1)
    assert (moved - wanted).norm() < 0.25 * wanted.norm()  # singular values of 0.68 to 1.2 in place of 1
    assert torch.nn.functional.cosine_similarity(moved.flatten(), wanted.flatten(), 0) > 0.985


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"not for parameters of shape \(5,\)"):
        Muon([nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.zeros(5))], 0.1)


def test_a_step_is_as_long_as_one_of_adams_whatever_the_gradient_is():
    torch.manual_seed(0)
    for size in (1e-6, 1.0, 1e6):
        kernel = nn.Parameter(torch.zeros(64, 32, 1, 1))
        kernel.grad = size * torch.randn_like(kernel)
        Muon([kernel], learning_rate=1e-3).step()
        rms = kernel.detach().square().mean().sqrt()
        assert 0.7 * 0.2e-3 < rms < 1.2 * 0.2e-3
        assert (kernel.detach() * kernel.grad).sum() < 0


def test_muon_moves_along_small_gradients_where_descent_crawls():
    """Least squares with directions of which some are thirty times as steep as others."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(24, 24)).Q
    inputs, target = (
        torch.randn(256, 24) @ (basis * torch.logspace(0, -1.5, 24)) @ basis.T,
        torch.randn(24, 24),
    )

    def left(optimiser, weight):
        for step in range(300):
            for group in optimiser.param_groups:
                group["lr"] = 0.1 * (1 - step / 300)
            optimiser.zero_grad()
            loss = (inputs @ (weight - target).T).square().mean()
            loss.backward()
            optimiser.step()
        return (weight - target).square().mean().item()

    start = torch.zeros(24, 24)
    of_muon, of_descent = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    assert (
        left(Muon([of_muon], 0.1), of_muon)
        < 0.05
        < left(torch.optim.SGD([of_descent], 0.1, 0.95), of_descent)
    )


def test_weight_decay_shrinks_what_has_no_gradient_to_speak_of():
    kernel = nn.Parameter(torch.ones(4, 4))
    kernel.grad = torch.zeros(4, 4)
    Muon([kernel], learning_rate=0.1, weight_decay=0.5).step()
    assert torch.allclose(kernel.detach(), torch.full((4, 4), 0.95))


def test_every_parameter_has_one_optimiser_and_the_kernels_that_mix_channels_have_muon():
    network = AnyIR(TINY)
    muon, adam = make_optimisers(
        Optimiser(name="muon", momentum=0.8, betas=(0.7, 0.9), weight_decay=0.1), network
    )
    assert muon.param_groups[0]["momentum"] == 0.8 and adam.param_groups[0]["betas"] == (0.7, 0.9)
    assert isinstance(muon, Muon) and isinstance(adam, torch.optim.AdamW)
    names = {parameter: name for name, parameter in network.named_parameters()}
    of_muon = {names[parameter] for parameter in parameters_of(muon)}
    of_adam = {names[parameter] for parameter in parameters_of(adam)}
    assert not of_muon & of_adam and of_muon | of_adam == set(names.values())
    assert {"embed.weight", "encoder1.0.attention.qkv.weight", "down1.0.weight"} <= of_muon
    assert not [name for name in of_muon if "depthwise" in name or "norm" in name or "temperature" in name]
    decayed = {names[p]: group["weight_decay"] for group in adam.param_groups for p in group["params"]}
    assert decayed["encoder1.0.feedforward.depthwise.weight"] == 0.1 == muon.param_groups[0]["weight_decay"]
    assert decayed["encoder1.0.norm_mix.weight"] == decayed["encoder1.0.attention.temperature"] == 0.0
    (alone,) = make_optimisers(Optimiser(), network)
    assert set(parameters_of(alone)) == set(names)
