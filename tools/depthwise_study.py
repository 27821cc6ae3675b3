"""Depthwise convolutions of a training on a GPU: PyTorch's against Triton kernels that use channels-last memory.

    python tools/depthwise_study.py -o results/depthwise

A depthwise convolution computes next to nothing: what it costs is moving its images. The kernels here read an image
once from memory, its neighbours' pixels coming from the caches, and write once; sums are in single precision. Timed,
on the GPU at hand: the convolution, the gradients of its images and weights, and a block of the network, forward and
backward, compiled. Writes depthwise.json and depthwise.md.
"""

# ruff: noqa: ANN001, ANN202, N803
# Of Triton's kernels: their arguments have no types, and constants are written in capitals.

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.library import triton_op, wrap_triton

from anyir.evaluation.tables import aligned
from anyir.files import make_folder, write_atomically
from anyir.model.config import network_config
from anyir.model.network import AnyIR, DegradationAdaptationBlock
from anyir.training.compiling import use_products


class Blocks(NamedTuple):
    """What a program of a kernel works on at once: powers of two.

    Attributes:
        pixels: of a row.
        channels: at most; fewer where there are fewer.
        warps: that share the work.
    """

    pixels: int
    channels: int
    warps: int = 4


CONVOLUTION: Final = Blocks(32, 32)
CORRELATION: Final = Blocks(16, 16)
TRIED: Final = (
    Blocks(32, 32),
    Blocks(64, 16),
    Blocks(128, 16, 8),
    Blocks(16, 64),
    Blocks(16, 16),
    Blocks(64, 32, 8),
)

PARTS: Final = 256
"""That the rows of a batch are dealt to for the gradient of the weights; they are summed in a fixed order."""

SHAPES: Final = ((14, 128, 7), (42, 128, 3), (112, 128, 3), (28, 64, 7), (84, 64, 3), (224, 64, 3))
"""Channels, side of the patch and of the kernel: the depthwise convolutions of the network's two largest levels."""


@triton.jit
def _convolve(
    images, weights, bias, result, height, width, channels, stride,
    SIDE: tl.constexpr, BIASED: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A part of a row of the result: every tap is a load that the caches answer but for the first."""
    row = tl.program_id(0)
    y = row % height
    xs = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    cs = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    there = cs < channels
    total = tl.zeros([WIDTH, CHANNELS], tl.float32)
    for i in tl.static_range(SIDE):
        for j in tl.static_range(SIDE):
            v = y + i - SIDE // 2
            us = xs + j - SIDE // 2
            inside = (us >= 0) & (us < width) & (v >= 0) & (v < height)
            pixels = (row + i - SIDE // 2).to(tl.int64) * width + us
            values = tl.load(
                images + pixels[:, None] * stride + cs[None, :],
                mask=inside[:, None] & there[None, :],
                other=0.0,
            )
            factors = tl.load(weights + (i * SIDE + j) * channels + cs, mask=there, other=0.0)
            total += values.to(tl.float32) * factors[None, :]
    if BIASED:
        total += tl.load(bias + cs, mask=there, other=0.0)[None, :]
    pixels = row.to(tl.int64) * width + xs
    tl.store(
        result + pixels[:, None] * channels + cs[None, :],
        total.to(result.dtype.element_ty),
        mask=(xs < width)[:, None] & there[None, :],
    )


@triton.jit
def _correlate(
    images, gradients, parts, rows, height, width, channels, stride, step, rows_each,
    SIDE: tl.constexpr, PADDED: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One row of taps' gradient, over some rows of the batch; PADDED is SIDE up to a power of two."""
    part = tl.program_id(0)
    i = tl.program_id(1)
    cs = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    js = tl.arange(0, PADDED)
    there = cs < channels
    total = tl.zeros([PADDED, WIDTH, CHANNELS], tl.float32)
    for turn in range(0, rows_each):
        row = part * rows_each + turn
        v = row % height + i - SIDE // 2
        seen = (v >= 0) & (v < height) & (row < rows)
        for start in range(0, width, WIDTH):
            xs = start + tl.arange(0, WIDTH)
            pixels = row.to(tl.int64) * width + xs
            given = tl.load(
                gradients + pixels[:, None] * step + cs[None, :],
                mask=(xs < width)[:, None] & there[None, :] & seen,
                other=0.0,
            )
            us = xs[None, :] + js[:, None] - SIDE // 2
            inside = (us >= 0) & (us < width) & (js < SIDE)[:, None] & seen
            pixels = (row + i - SIDE // 2).to(tl.int64) * width + us
            values = tl.load(
                images + pixels[:, :, None] * stride + cs[None, None, :],
                mask=inside[:, :, None] & there[None, None, :],
                other=0.0,
            )
            total += values.to(tl.float32) * given.to(tl.float32)[None, :, :]
    sums = tl.sum(total, axis=1)
    places = ((part * SIDE + i) * SIDE + js)[:, None] * channels + cs[None, :]
    tl.store(parts + places, sums, mask=(js < SIDE)[:, None] & there[None, :])


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, blocks: Blocks = CONVOLUTION) -> Tensor:
    """Depthwise convolution, zeros around: (N, C, H, W), (C, 1, K, K) and (C,) → (N, C, H, W), channels-last."""
    n, c, h, w = images.shape
    side = weight.shape[-1]
    images, stride = _strided(images)
    taps = weight.reshape(c, side * side).t().float().contiguous()
    result = torch.empty((n, h, w, c), dtype=images.dtype, device=images.device).permute(0, 3, 1, 2)
    channels = min(blocks.channels, triton.next_power_of_2(c))
    _kernel(_convolve)[(n * h, triton.cdiv(w, blocks.pixels), triton.cdiv(c, channels))](
        images, taps, taps if bias is None else bias.float(), result, h, w, c, stride,
        SIDE=side, BIASED=bias is not None, WIDTH=blocks.pixels, CHANNELS=channels, num_warps=blocks.warps,
    )  # fmt: skip
    return result


def correlate(images: Tensor, gradients: Tensor, side: int, blocks: Blocks = CORRELATION) -> Tensor:
    """Gradient of the weights: images and the result's gradient, (N, C, H, W) each → (C, 1, side, side), float32."""
    n, c, h, w = images.shape
    images, stride = _strided(images)
    gradients, step = _strided(gradients)
    rows = n * h
    each = triton.cdiv(rows, min(PARTS, rows))
    parts = torch.empty((triton.cdiv(rows, each), side, side, c), dtype=torch.float32, device=images.device)
    channels = min(blocks.channels, triton.next_power_of_2(c))
    _kernel(_correlate)[(len(parts), side, triton.cdiv(c, channels))](
        images, gradients, parts, rows, h, w, c, stride, step, each,
        SIDE=side, PADDED=triton.next_power_of_2(side), WIDTH=blocks.pixels, CHANNELS=channels, num_warps=blocks.warps,
    )  # fmt: skip
    return parts.sum(0).permute(2, 0, 1).reshape(c, 1, side, side)


def _strided(images: Tensor) -> tuple[Tensor, int]:
    """Images whose channels lie side by side, and from a pixel to the next how far: some of more channels stay so."""
    n, c, h, w = images.shape
    stride = images.stride(3)
    if images.stride() != (h * w * stride, 1, w * stride, stride):
        stride = c
        # Not contiguous(memory_format=…), which leaves the strides of a single channel or pixel as they are.
        images = (
            torch.empty((n, h, w, c), dtype=images.dtype, device=images.device)
            .permute(0, 3, 1, 2)
            .copy_(images)
        )
    return images, stride


def _kernel(kernel: Any) -> Any:  # noqa: ANN401
    """For the compiler to see; Triton's interpreter, which tests use, is not compiled."""
    return kernel if type(kernel).__name__ == "InterpretedFunction" else wrap_triton(kernel)


@triton_op("anyir::depthwise", mutates_args=())
def depthwise(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """:func:`convolve`, with gradients."""
    return convolve(images, weight, bias)


@triton_op("anyir::depthwise_weight_gradient", mutates_args=())
def _weight_gradient(images: Tensor, gradients: Tensor, side: int) -> Tensor:
    return correlate(images, gradients, side)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    images, weight, bias = inputs
    ctx.save_for_backward(images, weight)
    ctx.biased = bias is not None


def _gradients(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    images, weight = ctx.saved_tensors
    of_images = depthwise(gradients, weight.flip(-2, -1), None) if ctx.needs_input_grad[0] else None
    of_weight = None
    if ctx.needs_input_grad[1]:
        of_weight = _weight_gradient(images, gradients, weight.shape[-1]).to(weight.dtype)
    of_bias = gradients.sum((0, 2, 3), dtype=torch.float32) if ctx.biased else None
    return of_images, of_weight, of_bias


depthwise.register_autograd(_gradients, setup_context=_keep)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of stride 1 with zeros around: (N, C, H, W) → (N, C, H, W); Conv2d's ``state_dict``."""

    def forward(self, input: Tensor) -> Tensor:
        """In autocast, images are cast as Conv2d's are; weights stay in single precision."""
        if torch.is_autocast_enabled(input.device.type):
            input = input.to(torch.get_autocast_dtype(input.device.type))
        return depthwise(input, self.weight, self.bias)


def use_depthwise(network: nn.Module) -> None:
    """Turn every depthwise convolution of the network into a :class:`DepthwiseConv2d`, in place; its weights stay."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and child.groups == child.in_channels == child.out_channels > 1:
                side, groups, biased = child.kernel_size[0], child.groups, child.bias is not None
                ours = DepthwiseConv2d(groups, groups, side, padding=side // 2, groups=groups, bias=biased)
                ours.weight, ours.bias = child.weight, child.bias
                setattr(parent, name, ours)


def main() -> None:
    """Exits with 1 where there is no GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", required=True, type=Path, help="folder for the results")
    parser.add_argument("--batch", type=int, default=32, help="patches (32)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("depthwise_study: needs a GPU of NVIDIA's, and PyTorch with CUDA")
    make_folder(arguments.output)
    lines = [["channels", "side", "kernel", "what", "PyTorch, ms", "Triton, ms", "blocks"]]
    rows: list[dict[str, Any]] = []
    for channels, size, side in SHAPES:
        for what, theirs, ours in _candidates(arguments.batch, channels, size, side):
            times = {blocks: _milliseconds(lambda blocks=blocks: ours(blocks)) for blocks in TRIED}  # noqa: B023
            best = min(times, key=lambda blocks: times[blocks])
            before = _milliseconds(theirs)
            rows.append(
                {"channels": channels, "size": size, "kernel": side, "what": what, "library_ms": before}
                | {"triton_ms": [{**blocks._asdict(), "ms": time} for blocks, time in times.items()]}
            )
            blocks = " × ".join(map(str, best))
            lines.append(
                [str(channels), str(size), str(side), what, f"{before:.3f}", f"{times[best]:.3f}", blocks]
            )
            sys.stderr.write(f"{' '.join(lines[-1])}\n")
    block = {name: _block_milliseconds(arguments.batch, change) for name, change in _FORMS.items()}
    about = {
        "command": f"python {shlex.join(sys.argv)}",
        "device": torch.cuda.get_device_name(),
        "torch": str(torch.__version__),
        "triton": triton.__version__,
    }
    text = "\n".join(
        (
            "# Depthwise convolutions",
            "",
            f"bfloat16, {arguments.batch} patches; median of 20. Blocks: pixels × channels × warps of the fastest.",
            "",
            *aligned(lines),
            "",
            f"A block of 28 channels on {arguments.batch} patches of 128, forward and backward, compiled:",
            "",
            *(f"- {name}: {time:.2f} ms" for name, time in block.items()),
            "",
            *(f"- {key}: {value}" for key, value in about.items()),
        )
    )
    content = json.dumps({**about, "convolutions": rows, "block_ms": block}, indent=1, ensure_ascii=False)
    write_atomically(arguments.output / "depthwise.json", f"{content}\n".encode())
    write_atomically(arguments.output / "depthwise.md", f"{text}\n".encode())
    sys.stdout.write(f"{text}\n")


_FORMS: Final[dict[str, Callable[[nn.Module], None]]] = {
    "1×1 convolutions as products": use_products,
    "and depthwise ones in Triton": lambda module: (use_products(module), use_depthwise(module))[0],
}


def _candidates(
    batch: int, channels: int, size: int, side: int
) -> tuple[tuple[str, Callable[[], object], Callable[[Blocks], object]], ...]:
    """What is timed, PyTorch's, and ours with blocks to be chosen."""
    like = {"device": "cuda", "dtype": torch.bfloat16}
    images, given = (
        torch.randn(batch, channels, size, size, **like).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    weight = torch.randn(channels, 1, side, side, **like)

    def theirs(of_images: bool, of_weight: bool) -> object:
        geometry = ([1, 1], [side // 2] * 2, [1, 1], False, [0, 0], channels)
        return torch.ops.aten.convolution_backward(
            given, images, weight, None, *geometry, [of_images, of_weight, False]
        )

    return (
        (
            "forward",
            lambda: F.conv2d(images, weight, None, 1, side // 2, 1, channels),
            lambda blocks: convolve(images, weight, None, blocks),
        ),
        (
            "gradient of images",
            lambda: theirs(True, False),
            lambda blocks: convolve(given, weight.flip(-2, -1), None, blocks),
        ),
        (
            "gradient of weights",
            lambda: theirs(False, True),
            lambda blocks: correlate(images, given, side, blocks),
        ),
    )


def _block_milliseconds(batch: int, change: Callable[[nn.Module], None]) -> float:
    """Of a block of the first level, in mixed precision."""
    torch.manual_seed(0)
    network = AnyIR(network_config("anyir")).cuda()
    block = next(each for each in network.modules() if isinstance(each, DegradationAdaptationBlock))
    block = block.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    change(block)
    compiled = torch.compile(block, dynamic=False)
    images = torch.randn(batch, 28, 128, 128, device="cuda", dtype=torch.bfloat16)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            result = compiled(images)
        result.backward(torch.ones_like(result))

    return _milliseconds(step, ahead=40_000_000)  # the GPU's cycles; the host takes longer for a whole block


def _milliseconds(work: Callable[[], object], times: int = 20, ahead: int = 2_000_000) -> float:
    """Median on the GPU's clock, after three turns that are not counted.

    Before each turn the GPU idles on purpose: what the host does to ask for the work is then not timed with it.
    """
    turns: list[tuple[Any, Any]] = []
    for _ in range(times + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(ahead)
        start.record()
        work()
        end.record()
        turns.append((start, end))
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in turns[3:])


if __name__ == "__main__":
    main()
