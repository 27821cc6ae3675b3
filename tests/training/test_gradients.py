"""A step up to its gradients: as it is, and replayed as a CUDA graph."""

import copy

import pytest
import torch

from anyir.model.checkpoint import load_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.training import loop, plan
from anyir.training.gradients import EAGER, Gradients
from anyir.training.loop import set_modes, train
from anyir.training.losses import batch_loss

CPU = torch.device("cpu")
TINY = NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1)


def loss_of(network):
    return lambda degraded, clean: batch_loss("psnr", 1.0, network(degraded), clean, degraded)


def batches(count, side=16, device="cpu"):
    generator = torch.Generator().manual_seed(5)
    for _ in range(count):
        clean = torch.rand(2, 3, side, side, generator=generator).to(device)
        yield (clean - 0.1).clamp(0, 1), clean


def gradients_of(network):
    return {name: each.grad.clone() for name, each in network.named_parameters() if each.grad is not None}


def test_parts_of_a_batch_add_up_to_the_gradients_of_the_whole():
    torch.manual_seed(0)
    network = AnyIR(TINY).eval()
    degraded, clean = next(batches(1))
    found = Gradients(loss_of(network), network, CPU, graphs=True)  # no graphs on a CPU
    assert found.unsteady == 1
    whole = found(degraded, clean)
    assert whole.shape == ()
    assert not whole.requires_grad
    expected = gradients_of(network)
    network.zero_grad()
    halves = [found(degraded[part::2], clean[part::2], parts=2) for part in range(2)]
    assert float(sum(halves)) == pytest.approx(float(whole), rel=1e-5)
    torch.testing.assert_close(gradients_of(network), expected, rtol=1e-3, atol=1e-6)


def test_no_part_has_a_longer_gradient_than_it_may_and_its_direction_is_kept():
    torch.manual_seed(0)
    network = AnyIR(TINY).eval()
    degraded, clean = next(batches(1))
    clean = torch.stack((degraded[0] + 0.001, clean[1]))  # the two have gradients of different lengths

    def gradient(found, *parts):
        network.zero_grad()
        losses = [found(degraded[part : part + 1], clean[part : part + 1], parts=2) for part in parts]
        flat = torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])
        return flat, float(sum(losses))

    plain = Gradients(loss_of(network), network, CPU, graphs=False)
    (first, _), (second, _), (_, loss) = (gradient(plain, *parts) for parts in ((0,), (1,), (0, 1)))
    longer, shorter = sorted((2 * float(first.norm()), 2 * float(second.norm())), reverse=True)
    assert longer > 1.5 * shorter
    between = (longer + shorter) / 2
    clipped, same = gradient(Gradients(loss_of(network), network, CPU, graphs=False, part_clip=between), 0, 1)
    kept, cut = (first, second) if first.norm() < second.norm() else (second, first)
    torch.testing.assert_close(clipped, kept + cut * between / longer, rtol=1e-3, atol=1e-6)
    assert same == loss
    wide, _ = gradient(Gradients(loss_of(network), network, CPU, graphs=False, part_clip=2 * longer), 0, 1)
    torch.testing.assert_close(wide, first + second, rtol=1e-3, atol=1e-6)


class Recording:
    """In the place of a CUDA graph: counts how many were made, and computes nothing."""

    made = 0

    def __init__(self, owner, degraded, clean):
        Recording.made += 1

    def replay(self, degraded, clean):
        return torch.zeros(())


def test_a_kind_of_batch_is_captured_once_after_some_that_are_not(monkeypatch):
    torch.manual_seed(0)
    network = AnyIR(TINY)
    found = Gradients(loss_of(network), network, CPU, graphs=True)
    found._graphs = True
    monkeypatch.setattr(Gradients, "_captured", lambda *each: Recording(*each))
    monkeypatch.setattr(Recording, "made", 0)
    assert found.unsteady == EAGER + 1

    def made_after(*arguments, parts=1):
        found(*arguments, parts=parts)
        return Recording.made

    assert [made_after(*each) for each in batches(EAGER + 3)] == [0] * EAGER + [1] * 3
    assert made_after(*next(batches(1)), parts=2) == 1  # parts add up: no graph, and none kept beside them
    assert [made_after(*each) for each in batches(EAGER + 1)] == [1] * EAGER + [2]
    larger = [made_after(*each) for each in batches(EAGER + 1, side=24)]
    assert larger == [2] * EAGER + [3]
    set_modes(network, freeze_batch_norm=True)
    frozen = [made_after(*each) for each in batches(EAGER + 2, side=24)]
    assert frozen == [3] * EAGER + [4, 4]


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_training_and_its_plan_make_graphs_and_clip_where_the_recipe_says_so(
    wanted, tiny_data, tmp_path, recipe, monkeypatch
):
    asked = []

    def recorded(*arguments, **how):
        asked.append(how)
        return Gradients(*arguments, **how)

    for module in (loop, plan):
        monkeypatch.setattr(module, "Gradients", recorded)
    settings = recipe("steps=1", f"cuda_graphs={wanted}", "optimiser.part_clip=0.5")
    train(settings, tiny_data, tmp_path / "run")
    plan.plan_training(settings, tiny_data, tmp_path / "planned", timed_steps=1)
    assert asked == [{"graphs": wanted == "true", "part_clip": 0.5}] * 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("part_clip", [0.0, 0.1])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_graph_gives_the_loss_and_the_gradients_of_every_batch(frozen, part_clip):
    torch.manual_seed(0)
    network = AnyIR(TINY).cuda()
    set_modes(network, freeze_batch_norm=frozen)
    twin = copy.deepcopy(network)
    place = torch.device("cuda", torch.cuda.current_device())
    replayed = Gradients(loss_of(network), network, place, graphs=True, part_clip=part_clip)
    plain = Gradients(loss_of(twin), twin, place, graphs=False, part_clip=part_clip)
    losses = []
    for degraded, clean in batches(EAGER + 4, device=place):
        loss = replayed(degraded, clean)
        torch.testing.assert_close(loss, plain(degraded, clean), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients_of(network), gradients_of(twin), rtol=1e-2, atol=1e-5)
        losses.append(loss)
        for each in (network, twin):
            with torch.no_grad():
                for parameter in each.parameters():
                    parameter.sub_(1e-3 * parameter.grad)
            each.zero_grad()
    torch.testing.assert_close(
        network.state_dict(), twin.state_dict(), rtol=1e-3, atol=1e-5
    )  # statistics too
    assert len({float(loss) for loss in losses}) == len(losses)  # each is its own, not the graph's memory


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore")  # of what PyTorch itself uses, and of what it looks at
def test_training_with_graphs_leads_where_training_without_them_leads(tiny_data, tmp_path, recipe, whole):
    """As accelerators train: compiled, in mixed precision, with a teacher, from loader to checkpoint, in two stages."""
    ends = {}
    for graphs in ("false", "true"):
        settings = recipe(
            *("steps=24", "compile=true", "precision=bfloat16", "optimiser.name=muon", "loading=host"),
            *(f"distillation.teacher='{whole.model}'", "distillation.mean_tolerance=0.02"),
            f"cuda_graphs={graphs}",
        )
        outcome = train(settings, tiny_data, tmp_path / graphs, device="cuda", weights=whole.model)
        ends[graphs] = load_checkpoint(outcome.model).state
    start = load_checkpoint(whole.model).state
    moved = sum(float((ends["false"][name] - start[name]).square().sum()) for name in start)
    apart = sum(float((ends["false"][name] - ends["true"][name]).square().sum()) for name in start)
    assert apart**0.5 < 0.1 * moved**0.5
