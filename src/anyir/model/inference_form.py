"""The network rewritten for inference: the same function in fewer and cheaper operations.

What changes against :mod:`anyir.model.network`, each change exact in real arithmetic:

- Batch normalisation is folded into the convolution that follows it, and two 1×1 convolutions in a row become one.
- No channel splits and no concatenations, which are copies in the blocked layouts that runtimes use: where a
  convolution's output was split, each part has a convolution of its own; where its input was concatenated, the
  parts' products are added; the skip-split, eq. (1), is a convolution that selects channels, or zero weights.
- Layer normalisation is made of means and products over channels, which a runtime does where they lie: its own wants
  channels last, and is slow where they are few. Its affine part goes into the convolutions that follow.
- Attention is normalised on the small channel × channel product, and the output projection is applied to that
  product, not to the image.
- Channel counts are padded with zero weights to multiples of 8, which fast kernels want.
- Down is one strided convolution; in Up, the projection after the shuffle is folded into the convolution before it.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import count
from typing import Final, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyir.errors import ShapeMismatch
from anyir.model.config import SIZE_MULTIPLE
from anyir.model.network import (
    AnyIR,
    DegradationAdaptationBlock,
    Down,
    FeedForward,
    GatedAdaptation,
    TransposedAttention,
    Up,
)

CHANNEL_MULTIPLE: Final = 8
"""Channels are padded to multiples of this: the narrowest block of ONNX Runtime's convolution kernels."""

NARROW: Final = 8
"""Branches no wider than this read all channels through zero weights; wider ones read a selection. As measured."""

_SMALLEST_NORM: Final = 1e-12
"""As in ``torch.nn.functional.normalize``: q or k of zeros give zeros."""

_NEVER: Final = -1e4
"""A logit whose softmax is exactly zero beside any that a temperature can reach; within float16's range."""


def to_inference_form(network: AnyIR) -> InferenceForm:
    """A module that computes what ``network`` computes in evaluation mode; equal within 1e-5 in float32.

    The weights are copied and merged in float64; the network itself is not changed.
    """
    exact = deepcopy(network).cpu().double().eval()
    return InferenceForm(exact).float().eval().requires_grad_(False)


class InferenceForm(nn.Module):
    """The whole network: (N, 3, H, W) → (N, 3, H, W), H and W multiples of 8; see :class:`~anyir.model.AnyIR`."""

    def __init__(self, network: AnyIR) -> None:
        super().__init__()
        self.embed = _conv(network.embed.weight, padding=1)
        self.encoder1, self.down1 = _stage(network.encoder1), _down(network.down1)
        self.encoder2, self.down2 = _stage(network.encoder2), _down(network.down2)
        self.encoder3, self.down3 = _stage(network.encoder3), _down(network.down3)
        self.bottleneck = _stage(network.bottleneck)
        self.narrow = _conv(network.narrow.weight)
        self.join3, self.decoder3 = _Join(network.up3, network.fuse3), _stage(network.decoder3)
        self.join2, self.decoder2 = _Join(network.up2, network.fuse2), _stage(network.decoder2)
        self.join1, self.decoder1 = _Join(network.up1, network.fuse1), _stage(network.decoder1)
        self.refinement = _stage(network.refinement)
        self.output = _conv(network.output.weight, padding=1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore a batch.

        Raises:
            ShapeMismatch: if the height or width is not a multiple of 8.
        """
        # In a trace the sizes are symbols, and the check would be frozen into the graph for one size.
        tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage] - public, but not declared so
        if not tracing and any(size % SIZE_MULTIPLE for size in degraded.shape[2:]):
            raise ShapeMismatch(f"{tuple(degraded.shape)}: H and W must be multiples of {SIZE_MULTIPLE}")
        level1 = self.encoder1(self.embed(degraded))
        level2 = self.encoder2(self.down1(level1))
        level3 = self.encoder3(self.down2(level2))
        x = self.narrow(self.bottleneck(self.down3(level3)))
        x = self.decoder3(self.join3(x, level3))
        x = self.decoder2(self.join2(x, level2))
        x = self.decoder1(self.join1(x, level1))
        return degraded + self.output(self.refinement(x))


class _Affine(NamedTuple):
    """Scale and shift of each of some channels, on their way into the convolutions that read them."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> _Affine:
        return cls(norm.weight, norm.bias)

    @classmethod
    def none(cls, like: _Affine) -> _Affine:
        """Of channels that are read as they are."""
        return cls(torch.ones_like(like.scale), torch.zeros_like(like.shift))

    def at(self, channels: Tensor) -> _Affine:
        """Of those channels alone."""
        return _Affine(self.scale[channels], self.shift[channels])

    def into(self, weight: Tensor, at: Tensor | None = None, width: int = 0) -> nn.Conv2d:
        """The 1×1 convolution (O, I, 1, 1) of these I channels: of all, or of those at ``at`` among ``width``."""
        scaled = weight * self.scale[:, None, None]
        bias = weight[:, :, 0, 0] @ self.shift
        return _conv(scaled if at is None else _spread(scaled, at, width), bias if bias.any() else None)


class _Block(nn.Module):
    """A degradation adaptation block, with or without its gated branch and its cross-feature update."""

    def __init__(self, block: DegradationAdaptationBlock) -> None:
        super().__init__()
        channels = block.mix.in_channels
        half, padded = channels // 2, _aligned(channels // 2)
        if block.skip_split:
            for_attention, for_gate = torch.arange(0, channels, 2), torch.arange(1, channels, 2)
        else:
            for_attention, for_gate = torch.arange(channels).chunk(2)
        self.cross_update = block.cross_update
        self.norm, affine = _Norm(block.norm_mix), _Affine.of(block.norm_mix)
        self.select_attention: nn.Module | None = None
        self.select_gate: nn.Module | None = None
        # Where a branch finds its channels: among all of them, or first among those selected for it.
        attention_at, gate_at, width = for_attention, for_gate, channels
        if half > NARROW:
            select = torch.eye(channels).to(affine.scale)[..., None, None]
            self.select_attention = affine.into(_pad(select[for_attention], 0, padded))
            self.select_gate = affine.into(_pad(select[for_gate], 0, padded))
            attention_at, gate_at, width = torch.arange(half), torch.arange(half), padded
            affine = _Affine.none(affine)
        attention_affine, gate_affine = affine.at(for_attention), affine.at(for_gate)
        self.attention = _Attention(block.attention, attention_affine, attention_at, width, padded)
        self.gate = None
        if block.gate is not None:
            self.gate = _Gate(block.gate, gate_affine, gate_at, width, padded)
            gate_affine, gate_at, width = _Affine.none(gate_affine), torch.arange(half), padded
        self.mix_attention = _conv(_spread(block.mix.weight[:, :half], torch.arange(half), padded))
        self.mix_gate = gate_affine.into(block.mix.weight[:, half:], gate_at, width)
        self.norm_feedforward = _Norm(block.norm_feedforward)
        self.feedforward = _FeedForward(block.feedforward, _Affine.of(block.norm_feedforward))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        for_attention = y if self.select_attention is None else self.select_attention(y)
        for_gate = y if self.select_gate is None else self.select_gate(y)
        attended = self.attention(for_attention)
        gated = for_gate if self.gate is None else self.gate(for_gate)
        if self.cross_update:
            attended, gated = attended + torch.sigmoid(gated), gated + torch.sigmoid(attended)
        x = self.mix_gate(gated) + (self.mix_attention(attended) + x)
        return x + self.feedforward(self.norm_feedforward(x))


class _Norm(nn.Module):
    """Layer normalisation over channels without its affine part."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.channels, self.eps = norm.normalized_shape[0], norm.eps

    def forward(self, x: Tensor) -> Tensor:
        distance = x - x.mean(1, keepdim=True)
        length = torch.linalg.vector_norm(distance, dim=1, keepdim=True)
        return distance * torch.rsqrt(length * length / self.channels + self.eps)


class _Attention(nn.Module):
    """Transposed attention; heads are padded so that all of them together have a multiple of 8 channels.

    One product of (q, k) with itself gives q kᵀ and, on its diagonal, the squared norms of q and k.
    """

    def __init__(
        self, attention: TransposedAttention, affine: _Affine, at: Tensor, width: int, out: int
    ) -> None:
        super().__init__()
        heads, channels = attention.heads, attention.project_out.in_channels
        each = channels // heads
        padded = next(size for size in count(each) if heads * size % CHANNEL_MULTIPLE == 0)
        self.heads, self.each, self.out = heads, padded, out

        def by_head(weight: Tensor) -> Tensor:
            """(heads · each, ...) → (heads, padded, ...)."""
            return _pad(weight.unflatten(0, (heads, each)), 1, padded)

        expand = [by_head(weight) for weight in attention.qkv.weight.chunk(3)]
        depthwise = [by_head(weight) for weight in attention.qkv_depthwise.weight.chunk(3)]
        self.qk = affine.into(torch.cat(expand[:2], 1).flatten(0, 1), at, width)
        self.qk_depthwise = _depthwise(torch.cat(depthwise[:2], 1).flatten(0, 1))
        self.v = affine.into(expand[2].flatten(0, 1), at, width)
        self.v_depthwise = _depthwise(depthwise[2].flatten(0, 1))
        project = _pad(
            _pad(attention.project_out.weight[:, :, 0, 0], 0, out).unflatten(1, (heads, each)), 2, padded
        )
        self.project = nn.Parameter(project.transpose(0, 1).contiguous())  # (heads, out, padded)
        self.temperature = nn.Parameter(attention.temperature)
        self.register_buffer("diagonal", torch.eye(2 * padded))
        self.register_buffer("mask", torch.zeros(padded).index_fill(0, torch.arange(each, padded), _NEVER))
        self.has_padding = padded > each

    def forward(self, y: Tensor) -> Tensor:
        v = self.v_depthwise(self.v(y))
        n, _, height, width = v.shape
        qk = self.qk_depthwise(self.qk(y)).reshape(n, self.heads, 2 * self.each, height * width)
        product = qk @ qk.transpose(-2, -1)
        norms = (product * cast(Tensor, self.diagonal)).sum(-1, keepdim=True).sqrt().clamp_min(_SMALLEST_NORM)
        q_norms, k_norms = norms[:, :, : self.each], norms[:, :, self.each :]
        logits = product[:, :, : self.each, self.each :] / (q_norms * k_norms.transpose(-2, -1))
        logits = logits * self.temperature
        if self.has_padding:
            logits = logits + cast(Tensor, self.mask)
        matrix = self.project @ torch.softmax(logits, dim=-1)  # (n, heads, out, each)
        matrix = matrix.transpose(1, 2).reshape(n, self.out, self.heads * self.each)
        return (matrix @ v.reshape(n, self.heads * self.each, height * width)).reshape(
            n, self.out, height, width
        )


class _Gate(nn.Module):
    """Gated degradation adaptation: γ is computed in two parts, one for the ego and one for the shifted feature."""

    def __init__(self, gate: GatedAdaptation, affine: _Affine, at: Tensor, width: int, out: int) -> None:
        super().__init__()
        _, ego_width, channels = gate.widths
        norm = gate.norm
        running_mean, running_var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        scale = norm.weight / torch.sqrt(running_var + norm.eps)
        normalised = _Affine(affine.scale * scale, (affine.shift - running_mean) * scale + norm.bias)
        widths, padded_ego = (ego_width, channels, ego_width, channels), _aligned(ego_width)
        self.scaled_ego, self.scaled_shifted, self.ego, self.shifted = (
            normalised.into(_pad(weight, 0, size), at, width)
            for weight, size in zip(gate.expand.weight.split(widths), (padded_ego, out) * 2, strict=True)
        )
        self.depthwise = _depthwise(
            _pad(gate.depthwise.weight, 0, out), _pad(cast(Tensor, gate.depthwise.bias), 0, out)
        )
        reduce = gate.project_out.weight[:, :, 0, 0] @ gate.reduce.weight[:, :, 0, 0]
        reduce = _pad(reduce, 0, out)[..., None, None]
        self.reduce_ego = _conv(_pad(reduce[:, :ego_width], 1, padded_ego))
        self.reduce_shifted = _conv(_pad(reduce[:, ego_width:], 1, out))
        self.skip = affine.into(_pad(gate.project_out.weight, 0, out), at, width)

    def forward(self, y: Tensor) -> Tensor:
        ego = self.reduce_ego(F.gelu(self.scaled_ego(y)) * self.ego(y))
        shifted = self.reduce_shifted(F.gelu(self.scaled_shifted(y)) * self.depthwise(self.shifted(y)))
        return ego + (shifted + self.skip(y))


class _FeedForward(nn.Module):
    """Gated feed-forward with a convolution for each half of the hidden channels."""

    def __init__(self, feedforward: FeedForward, affine: _Affine) -> None:
        super().__init__()
        expand, depthwise = feedforward.expand.weight.chunk(2), feedforward.depthwise.weight.chunk(2)
        hidden = _aligned(len(expand[0]))
        self.gate, self.value = (affine.into(_pad(weight, 0, hidden)) for weight in expand)
        self.gate_depthwise, self.value_depthwise = (
            _depthwise(_pad(weight, 0, hidden)) for weight in depthwise
        )
        self.reduce = _conv(_pad(feedforward.reduce.weight, 1, hidden))

    def forward(self, y: Tensor) -> Tensor:
        gate = F.gelu(self.gate_depthwise(self.gate(y)))
        return self.reduce(gate * self.value_depthwise(self.value(y)))


class _Join(nn.Module):
    """Up, then concatenation with the encoder's features and projection."""

    def __init__(self, up: Up, fuse: nn.Conv2d) -> None:
        super().__init__()
        expand = cast(nn.Conv2d, up[0]).weight
        channels = len(expand) // 4  # after the shuffle
        project = fuse.weight[:, :channels]
        self.skip = _conv(fuse.weight[:, channels:])
        self.project: nn.Module | None = None
        if fuse.out_channels > channels:  # folding would multiply the work of the 3×3 convolution
            self.project = _conv(project)
        else:
            parts = expand.unflatten(
                0, (channels, 4)
            )  # the shuffle takes four channels to four pixels of one
            expand = torch.einsum("oc,cpikl->opikl", project[:, :, 0, 0], parts).flatten(0, 1)
        self.up = _conv(expand, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.up(x), 2)
        return self.skip(skip) + (x if self.project is None else self.project(x))


def _stage(blocks: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(_Block(cast(DegradationAdaptationBlock, block)) for block in blocks))


def _down(down: Down) -> nn.Conv2d:
    """3×3 convolution and pixel-unshuffle as one 4×4 convolution with stride 2."""
    weight = cast(nn.Conv2d, down[0]).weight
    out, channels = weight.shape[:2]
    strided = weight.new_zeros(out, 2, 2, channels, 4, 4)
    for row in range(2):
        for column in range(2):
            strided[:, row, column, :, row : row + 3, column : column + 3] = weight
    return _conv(strided.flatten(0, 2), stride=2, padding=1)


def _conv(
    weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """A convolution with these weights."""
    out, channels, *kernel = weight.shape
    size = (kernel[0], kernel[1])
    conv = nn.Conv2d(channels * groups, out, size, stride, padding, groups=groups, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone())
    return conv


def _depthwise(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    return _conv(weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))


def _aligned(channels: int) -> int:
    return -(-channels // CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE


def _pad(tensor: Tensor, dim: int, size: int) -> Tensor:
    """``tensor`` with zeros after its end along ``dim``."""
    return F.pad(tensor, [0, 0] * (tensor.ndim - 1 - dim) + [0, size - tensor.shape[dim]])


def _spread(weight: Tensor, at: Tensor, width: int) -> Tensor:
    """The weight (O, I, 1, 1) for an input of ``width`` channels that has the wanted I at the places ``at``."""
    spread = weight.new_zeros(len(weight), width, *weight.shape[2:])
    spread[:, at] = weight
    return spread
