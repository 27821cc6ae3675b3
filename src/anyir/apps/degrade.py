"""``anyir degrade``: spoil a clean picture in a known way, to see what restoring it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from anyir.apps.console import say
from anyir.apps.extras import require_extra
from anyir.apps.options import protect_inputs
from anyir.errors import UsageError

if TYPE_CHECKING:  # torch takes seconds to import: only the command itself does
    from torch import Generator, Tensor

    from anyir.picture import Picture

HAZE_COLOUR: Final = (0.86, 0.88, 0.90)
"""Airlight of a bright overcast day, RGB in [0, 1]: nearly white, a little blue."""

HAZE_RELIEF: Final = 0.3
"""How far, in parts of the whole depth, the ground rises or falls from an even slope."""


def _noise(clean: Tensor, sigma_255: float, generator: Generator) -> Tensor:
    from anyir.data.degradations import add_gaussian_noise

    return add_gaussian_noise(clean, sigma_255, generator)


def _rain(clean: Tensor, strength: float, generator: Generator) -> Tensor:
    from anyir.data.degradations import add_rain

    return add_rain(clean, generator, strength=strength)


def _haze(clean: Tensor, beta: float, generator: Generator) -> Tensor:
    """Haze over a plausible depth: near at the bottom, far at the top, with hills in between."""
    import torch

    from anyir.data.degradations import add_haze, smooth_fields

    slope = torch.linspace(1, 0, clean.shape[2])[None, None, :, None]
    hills = smooth_fields(clean, generator) * 2 - 1
    depth = (slope + HAZE_RELIEF * hills).clamp(0, 1)
    return add_haze(clean, depth, beta, torch.tensor([HAZE_COLOUR]))


def _blur(clean: Tensor, length: float, generator: Generator) -> Tensor:
    """Camera shake along a random path that is ``length`` pixels across."""
    import torch

    from anyir.data.degradations import blur, trajectory_kernels

    side = 2 * int(length / 2 + 1.5) + 1  # odd, and the path needs a pixel to spare on either side
    return blur(clean, trajectory_kernels(torch.tensor([length], dtype=clean.dtype), side, generator))


def _dark(clean: Tensor, stops: float, generator: Generator) -> Tensor:
    from anyir.data.degradations import expose

    return expose(clean, 2.0**-stops)


def _jpeg(clean: Tensor, quality: float, generator: Generator) -> Tensor:
    from anyir.data.degradations import compress_jpeg

    return compress_jpeg(clean, quality)


@dataclass(frozen=True)
class Kind:
    """One kind of degradation: what its number means, within which bounds, and what it does.

    Attributes:
        number: what the number after the colon is, for people.
        example: a number that shows.
        low: smallest number allowed.
        high: largest number allowed.
        apply: (1, 3, H, W) float image in [0, 1], the number, a generator → the degraded image.
    """

    number: str
    example: float
    low: float
    high: float
    apply: Callable[[Tensor, float, Generator], Tensor]


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "noise": Kind("SIGMA in 8-bit grey levels", 25, 0, 255, _noise),
        "rain": Kind("STRENGTH of the light that drops add, 1 as it is seen", 1, 0, 5, _rain),
        "haze": Kind("BETA, 0.3 for a light mist, 3 for fog", 1.5, 0, 10, _haze),
        "blur": Kind("LENGTH in pixels of a camera's shake", 15, 1, 200, _blur),
        "dark": Kind("STOPS of light taken away", 3, 0, 12, _dark),
        "jpeg": Kind("QUALITY of compression", 20, 1, 100, _jpeg),
    }
)
"""The kinds of degradation, by the name that ``--kind NAME:NUMBER`` gives them."""


def parse_kind(text: str) -> tuple[Kind, float]:
    """The kind and the number of ``NAME:NUMBER``.

    Raises:
        UsageError: for an unknown name, a missing number, or one out of bounds.
    """
    name, _, number = text.partition(":")
    if name not in KINDS:
        raise UsageError(f"--kind {text}: unknown kind {name!r}; known kinds: {', '.join(KINDS)}")
    kind = KINDS[name]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not kind.low <= value <= kind.high:  # NaN fails every comparison
        raise UsageError(
            f"--kind {text}: {name} takes a number from {kind.low:g} to {kind.high:g} ({kind.number}), "
            f"for example --kind {name}:{kind.example:g}"
        )
    return kind, value


def degrade_picture(picture: Picture, steps: Sequence[tuple[Kind, float]], seed: int) -> Picture:
    """Apply the degradations in the order given; the same seed gives the same picture.

    Size, bit depth, alpha and metadata are kept.
    """
    import numpy as np
    import torch

    white = 2.0**picture.depth - 1
    generator = torch.Generator().manual_seed(seed)
    image = torch.from_numpy(picture.pixels.astype(np.float32) / white).permute(2, 0, 1)[None]
    for kind, value in steps:
        image = kind.apply(image, value, generator)
    if picture.grey:  # one channel is written; the mean of three would have less noise than was asked for
        image = image[:, 1:2].expand(-1, 3, -1, -1)
    levels = (image[0].permute(1, 2, 0) * white).round().clamp(0, white).numpy()
    return picture.with_pixels(levels.astype(np.uint8) if picture.depth == 8 else levels.astype(np.uint16))


def degrade(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The clean picture.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The degraded picture.")],
    kind: Annotated[
        list[str],
        typer.Option(
            "--kind",
            "-k",
            metavar="NAME:NUMBER",
            help="What to do to it; may be repeated, and is done in the order given. "
            + "; ".join(f"{name}: {each.number}" for name, each in KINDS.items())
            + ".",
        ),
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, other noise and drops.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it exists; PATH never is.")
    ] = False,
) -> None:
    """Spoil a clean picture in a known way: noise, rain, haze, blur, darkness, compression.

    For example: anyir degrade photo.png -o dark.png --kind dark:3 --kind noise:8
    """
    steps = [parse_kind(text) for text in kind]
    require_extra("train", ("torch",), "degrade")
    protect_inputs(output, path)
    from anyir.picture import read, write

    write(degrade_picture(read(path), steps, seed), output, overwrite=overwrite)
    say(f"{output}: {', '.join(kind)}, seed {seed}")
