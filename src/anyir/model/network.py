"""The AnyIR network (arXiv 2407.13372), in the form it is trained in.

All tensors are NCHW; images are RGB in [0, 1]. The form that inference runs, with the same function in fewer
operations, is made from this one by :mod:`anyir.model.inference_form`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyir.errors import ShapeMismatch
from anyir.model.config import SIZE_MULTIPLE, NetworkConfig


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel: (N, C, H, W) → (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; channels-last memory stays channels-last, without a copy."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """Multi-Dconv-head transposed attention (MDTA, Restormer): attention between channels, not pixels.

    (N, C, H, W) → (N, C, H, W). Cost is linear in the pixels; the statistics run over all of them.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Softmax(temperature · q kᵀ) v with q and k of unit length along the pixels."""
        n, channels, height, width = x.shape
        qkv = self.qkv_depthwise(self.qkv(x))
        q, k, v = qkv.reshape(n, 3, self.heads, channels // self.heads, height * width).unbind(1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = torch.softmax(q @ k.transpose(-2, -1) * self.temperature, dim=-1)
        return self.project_out((attention @ v).reshape(n, channels, height, width))


class GatedAdaptation(nn.Module):
    """Gated degradation adaptation (GatedDA), eqs. (3) to (5): (N, C, H, W) → (N, C, H, W)."""

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.widths = (hidden, hidden - channels, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.reduce = nn.Conv2d(hidden, channels, 1, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled (γ), ego (β) and shifted (α) features: W4 (W3 (β, W2 α) · GELU(γ) + x)."""
        scaled, ego, shifted = self.expand(self.norm(x)).split(self.widths, dim=1)
        features = torch.cat((ego, self.depthwise(shifted)), dim=1) * F.gelu(scaled)
        return self.project_out(self.reduce(features) + x)


class FeedForward(nn.Module):
    """Gated-Dconv feed-forward (GDFN, Restormer): (N, C, H, W) → (N, C, H, W)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.reduce = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """GELU of one half gates the other."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, dim=1)
        return self.reduce(F.gelu(gate) * value)


class DegradationAdaptationBlock(nn.Module):
    """Degradation adaptation block (DAB): (N, C, H, W) → (N, C, H, W), residual.

    Half of the channels go through attention, half through the gate; eq. (2) lets each see the other.
    """

    def __init__(self, config: NetworkConfig, channels: int, heads: int) -> None:
        super().__init__()
        half = channels // 2
        self.skip_split = config.skip_split
        self.cross_update = config.cross_update
        self.norm_mix = ChannelLayerNorm(channels)
        self.attention = TransposedAttention(half, heads)
        self.gate = (
            GatedAdaptation(half, int(config.gate_expansion * half), config.gate_kernel)
            if config.gated_adaptation
            else None
        )
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_feedforward = ChannelLayerNorm(channels)
        self.feedforward = FeedForward(channels, int(config.feedforward_expansion * channels))

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        y = self.norm_mix(x)
        if self.skip_split:
            for_attention, for_gate = y[:, 0::2], y[:, 1::2]
        else:
            for_attention, for_gate = y.chunk(2, dim=1)
        attended = self.attention(for_attention)
        gated = for_gate if self.gate is None else self.gate(for_gate)
        if self.cross_update:
            attended, gated = attended + torch.sigmoid(gated), gated + torch.sigmoid(attended)
        x = x + self.mix(torch.cat((attended, gated), dim=1))
        return x + self.feedforward(self.norm_feedforward(x))


class Down(nn.Sequential):
    """Half the resolution, twice the channels: (N, C, H, W) → (N, 2C, H/2, W/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


class Up(nn.Sequential):
    """Twice the resolution, half the channels: (N, C, H, W) → (N, C/2, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(channels, channels * 2, 3, padding=1, bias=False), nn.PixelShuffle(2))


class AnyIR(nn.Module):
    """The whole network: degraded RGB image → restored RGB image, (N, 3, H, W) → (N, 3, H, W).

    Height and width must be multiples of :data:`~anyir.model.config.SIZE_MULTIPLE`. Input in [0, 1]; the output is
    the input plus a learnt correction and is not clipped.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4 = (config.width * 2**level for level in range(4))

        def stage(level: int, blocks: int) -> nn.Sequential:
            channels = config.width * 2**level
            return nn.Sequential(
                *(DegradationAdaptationBlock(config, channels, config.heads[level]) for _ in range(blocks))
            )

        self.embed = nn.Conv2d(3, c1, 3, padding=1, bias=False)
        self.encoder1, self.down1 = stage(0, config.blocks[0]), Down(c1)
        self.encoder2, self.down2 = stage(1, config.blocks[1]), Down(c2)
        self.encoder3, self.down3 = stage(2, config.blocks[2]), Down(c3)
        self.bottleneck = stage(3, config.blocks[3])
        self.narrow = nn.Conv2d(c4, c3, 1, bias=False)
        self.up3, self.fuse3 = Up(c3), nn.Conv2d(c2 + c3, c3, 1, bias=False)
        self.decoder3 = stage(2, config.blocks[2])
        self.up2, self.fuse2 = Up(c3), nn.Conv2d(c2 + c2, c2, 1, bias=False)
        self.decoder2 = stage(1, config.blocks[1])
        self.up1, self.fuse1 = Up(c2), nn.Conv2d(c1 + c1, c1, 1, bias=False)
        self.decoder1 = stage(0, config.blocks[0])
        self.refinement = stage(0, config.refinement_blocks)
        self.output = nn.Conv2d(c1, 3, 3, padding=1, bias=False)
        with (
            torch.no_grad()
        ):  # a small correction to begin with: an untrained network returns nearly its input
            self.output.weight.mul_(0.1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore a batch.

        Raises:
            ShapeMismatch: if the input is not (N, 3, H, W) with H and W multiples of 8.
        """
        if degraded.ndim != 4 or degraded.shape[1] != 3 or any(s % SIZE_MULTIPLE for s in degraded.shape[2:]):
            raise ShapeMismatch(
                f"the network takes (N, 3, H, W) with H and W multiples of {SIZE_MULTIPLE}, "
                f"not {tuple(degraded.shape)}; pad the image and crop the result"
            )
        level1 = self.encoder1(self.embed(degraded))
        level2 = self.encoder2(self.down1(level1))
        level3 = self.encoder3(self.down2(level2))
        x = self.narrow(self.bottleneck(self.down3(level3)))
        x = self.decoder3(self.fuse3(torch.cat((self.up3(x), level3), dim=1)))
        x = self.decoder2(self.fuse2(torch.cat((self.up2(x), level2), dim=1)))
        x = self.decoder1(self.fuse1(torch.cat((self.up1(x), level1), dim=1)))
        return degraded + self.output(self.refinement(x))
