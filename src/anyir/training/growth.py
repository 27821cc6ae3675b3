"""A larger network that begins by doing what a smaller, trained one does: weights to start a training from.

Chen et al., "Net2Net" (2016), grow networks so that what was learnt once need not be learnt again. Here width and
depth grow at once:

- The channels between the blocks keep their numbers, and each new one starts as the old ones' mean. Means over channels
  then stay what they were, and variances shrink by the ratio of the widths, which the layer norms' weights undo.
- Where something old reads something new there are zeros; behind a layer norm, past which the new channels are nearly
  zero themselves, small random numbers. What is new on both sides is random, so that it learns from the first step.
- New blocks follow the old ones of their stage. Their last convolutions are zero, so that they add nothing yet.

Two things are not kept exactly: attention's softmax has more terms, which is made up for on average, and where the
resolution halves, the four pixels that become one have four means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyir.errors import ConfigurationError
from anyir.model.checkpoint import Checkpoint, build_network
from anyir.model.config import NetworkConfig
from anyir.model.network import (
    AnyIR,
    ChannelLayerNorm,
    DegradationAdaptationBlock,
    FeedForward,
    GatedAdaptation,
    TransposedAttention,
)

TIMID: Final = 0.3
"""Of a random start's size: how much what is old heeds new channels behind a layer norm."""

_STAGES: Final = (
    *("encoder1", "encoder2", "encoder3", "bottleneck"),
    *("decoder3", "decoder2", "decoder1", "refinement"),
)
_MAY_GROW: Final = ("width", "blocks", "refinement_blocks")


def grow(checkpoint: Checkpoint, config: NetworkConfig, images: Tensor, seed: int = 0) -> AnyIR:
    """A network of ``config`` that does nearly what the checkpoint's does.

    Args:
        checkpoint: of a network that is nowhere larger than ``config``, and equal in all but width and blocks.
        config: of the network to make.
        images: (N, 3, H, W) in [0, 1], H and W multiples of 8, of the kind that will be restored: on them is measured
            how much of attention's softmax the new channels take.
        seed: of what is random in the new network.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        ConfigurationError: the checkpoint's network has more of something, or differs in more than width and blocks;
            or it has no skip-split, without which a half's channels do not keep their numbers.
    """
    _check(checkpoint.network, config)
    with torch.random.fork_rng(devices=()), torch.no_grad():
        small = build_network(checkpoint)
        torch.manual_seed(seed)
        large = AnyIR(config).eval()
        _grow_between_blocks(large, small)
        for new, old in _blocks(large, small):
            if old is None:
                new.mix.weight.zero_()
                new.feedforward.reduce.weight.zero_()
            else:
                _grow_block(new, old)
        _make_up_for_new_terms(large, small, images)
    return large


def _check(old: NetworkConfig, new: NetworkConfig) -> None:
    before, after = old.to_dict(), new.to_dict()
    for key, value in after.items():
        if key not in _MAY_GROW and value != before[key]:
            raise ConfigurationError(f"network {key} = {value!r}: cannot grow from one with {before[key]!r}")
    if not old.skip_split:
        raise ConfigurationError(
            "network skip_split = False: cannot grow, as the halves would mix their channels"
        )
    grown = (
        ("width", (old.width,), (new.width,)),
        ("blocks", old.blocks, new.blocks),
        ("refinement_blocks", (old.refinement_blocks,), (new.refinement_blocks,)),
    )
    for key, less, more in grown:
        if any(a > b for a, b in zip(less, more, strict=True)):
            raise ConfigurationError(
                f"network {key} = {after[key]!r}: cannot grow from one with {before[key]!r}, which is more"
            )


def _blocks(
    large: AnyIR, small: AnyIR
) -> Iterator[tuple[DegradationAdaptationBlock, DegradationAdaptationBlock | None]]:
    """Each block of the large network, in order, with the one that it grows from; None for a new one."""
    for stage in _STAGES:
        old = list(getattr(small, stage))
        for number, block in enumerate(getattr(large, stage)):
            yield block, old[number] if number < len(old) else None


def _span(start: int, length: int) -> Tensor:
    return torch.arange(start, start + length)


def _in_heads(heads: int, old: int, new: int) -> Tensor:
    """(old,) where the old channels lie among the new ones: first in each of so many heads, both being all heads'."""
    return (torch.arange(heads)[:, None] * (new // heads) + torch.arange(old // heads)).flatten()


def _place(new: Tensor, old: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Old outputs read their old inputs, and nothing of new ones."""
    new[rows] = 0
    new[rows[:, None], columns] = old


def _place_timidly(new: Tensor, old: Tensor, rows: Tensor) -> None:
    """Old outputs read their old inputs, which come first, and a little of new ones."""
    placed = TIMID * new[rows]
    placed[:, : old.shape[1]] = old
    new[rows] = placed


def _place_with_mean(new: Tensor, old: Tensor, columns: Tensor) -> None:
    """Old outputs, which come first, read their old inputs; every new output is their mean."""
    _place(new, old, _span(0, len(old)), columns)
    new[len(old) :] = 0
    new[len(old) :, columns] = old.mean(0, keepdim=True)


def _grow_between_blocks(large: AnyIR, small: AnyIR) -> None:
    c1, c2, c3, c4 = (small.config.width * 2**level for level in range(4))
    wide1, wide2 = large.config.width, large.config.width * 2
    before_blocks = {
        "embed": _span(0, 3),
        "down1.0": _span(0, c1),
        "down2.0": _span(0, c2),
        "down3.0": _span(0, c3),
        # what comes up from below, and what skipped it
        "fuse3": torch.cat((_span(0, c2), _span(wide2, c3))),
        "fuse2": torch.cat((_span(0, c2), _span(wide2, c2))),
        "fuse1": torch.cat((_span(0, c1), _span(wide1, c1))),
    }
    for name, columns in before_blocks.items():
        _place_with_mean(_weight(large, name), _weight(small, name), columns)
    before_others = {"narrow": c4, "up3.0": c3, "up2.0": c3, "up1.0": c2, "output": c1}
    for name, read in before_others.items():
        old = _weight(small, name)
        _place(_weight(large, name), old, _span(0, len(old)), _span(0, read))


def _weight(network: AnyIR, name: str) -> Tensor:
    return network.get_parameter(f"{name}.weight")


def _grow_block(new: DegradationAdaptationBlock, old: DegradationAdaptationBlock) -> None:
    half, wide_half = len(old.mix.weight) // 2, len(new.mix.weight) // 2
    _grow_norm(new.norm_mix, old.norm_mix)
    _grow_attention(new.attention, old.attention)
    if new.gate is not None and old.gate is not None:
        _grow_gate(new.gate, old.gate)
    both = torch.cat((_span(0, half), _span(wide_half, half)))
    _place_with_mean(new.mix.weight, old.mix.weight, both)
    _grow_norm(new.norm_feedforward, old.norm_feedforward)
    _grow_feedforward(new.feedforward, old.feedforward)


def _grow_norm(new: ChannelLayerNorm, old: ChannelLayerNorm) -> None:
    width = len(old.weight)
    new.weight[:width] = old.weight * (width / len(new.weight)) ** 0.5
    new.bias[:width] = old.bias


def _grow_attention(new: TransposedAttention, old: TransposedAttention) -> None:
    half, wide_half = len(old.project_out.weight), len(new.project_out.weight)
    values = _in_heads(old.heads, half, wide_half)
    rows = torch.cat([part * wide_half + values for part in range(3)])
    new.qkv.weight[2 * wide_half :] = 0  # new values: old queries would take them in
    _place_timidly(new.qkv.weight, old.qkv.weight, rows)
    new.qkv_depthwise.weight[rows] = old.qkv_depthwise.weight
    _place(new.project_out.weight, old.project_out.weight, _span(0, half), values)
    new.temperature.copy_(old.temperature)


def _grow_gate(new: GatedAdaptation, old: GatedAdaptation) -> None:
    _, ego, half = old.widths
    wide_hidden, wide_ego, _ = new.widths
    features = torch.cat((_span(0, ego), _span(wide_ego, half)))  # as of (β, W2 α), so of γ
    rows = torch.cat((features, wide_hidden + features))
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(new.norm, name)[:half] = getattr(old.norm, name)
    _place_timidly(new.expand.weight, old.expand.weight, rows)
    new.depthwise.weight[:half] = old.depthwise.weight
    assert new.depthwise.bias is not None and old.depthwise.bias is not None
    new.depthwise.bias[:half] = old.depthwise.bias
    _place(new.reduce.weight, old.reduce.weight, _span(0, half), features)
    _place(new.project_out.weight, old.project_out.weight, _span(0, half), _span(0, half))


def _grow_feedforward(new: FeedForward, old: FeedForward) -> None:
    hidden, wide_hidden = old.reduce.weight.shape[1], new.reduce.weight.shape[1]
    rows = torch.cat((_span(0, hidden), _span(wide_hidden, hidden)))
    _place_timidly(new.expand.weight, old.expand.weight, rows)
    new.depthwise.weight[rows] = old.depthwise.weight
    _place_with_mean(new.reduce.weight, old.reduce.weight, _span(0, hidden))


def _make_up_for_new_terms(large: AnyIR, small: AnyIR, images: Tensor) -> None:
    """Divide what leaves each grown attention by the share of its softmax that is left to the old channels.

    Their geometric mean over the images, for each channel; block after block, each on what those before it give.
    """
    grown = {
        new.attention: len(old.attention.project_out.weight) for new, old in _blocks(large, small) if old
    }

    def make_up(attention: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(attention, TransposedAttention)
        half, wide_half = grown[attention], inputs[0].shape[1]
        q, k, _ = attention.qkv_depthwise(attention.qkv(inputs[0])).flatten(2).chunk(3, dim=1)
        q, k = (F.normalize(each.unflatten(1, (attention.heads, -1)), dim=-1) for each in (q, k))
        shares = torch.softmax(q @ k.mT * attention.temperature, dim=-1)
        old = half // attention.heads
        left = shares[:, :, :old, :old].sum(-1).log().mean(0).exp()
        columns = _in_heads(attention.heads, half, wide_half)
        attention.project_out.weight[:half, columns] /= left.flatten()[:, None, None]

    handles = [attention.register_forward_pre_hook(make_up) for attention in grown]
    large(images)
    for handle in handles:
        handle.remove()
