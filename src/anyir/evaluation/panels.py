"""Which pictures of a set a figure shows, and which parts of them: chosen by rules that cannot flatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anyir.errors import ShapeMismatch
from anyir.evaluation.results import ImageResult, SetResult

WINDOW_SHARE: Final = 4
"""The side of a zoomed window: the shorter side of the picture divided by this."""

WINDOW_RULE: Final = (
    "Solid window: where most is to be restored, by the error of the degraded picture times the detail of the clean "
    "one; chosen without the restored picture. Dashed window: where, elsewhere, the restored picture is worst."
)
"""For a caption: how :func:`choose_windows` chooses."""

LARGEST_AMPLIFICATION: Final = 20


@dataclass(frozen=True)
class Pick:
    """A picture of a set and why it is shown.

    Attributes:
        label: its place among the set's pictures, in words.
        image: its scores.
    """

    label: str
    image: ImageResult


@dataclass(frozen=True)
class Panel:
    """One example of a figure.

    Attributes:
        name: of the picture, for its label.
        why: it is shown; :attr:`Pick.label`, or the like.
        degraded: (H, W, 3) floats in [0, 1], at least 16×16.
        restored: the same shape and range.
        clean: the same shape and range.
        input_psnr: of the degraded picture, dB; None where it is the clean picture itself.
        psnr: of the restored picture, dB.
    """

    name: str
    why: str
    degraded: NDArray[np.floating]
    restored: NDArray[np.floating]
    clean: NDArray[np.floating]
    input_psnr: float | None
    psnr: float


@dataclass(frozen=True)
class Window:
    """A square part of a picture, in pixels from its top left corner."""

    top: int
    left: int
    side: int

    def of(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """This part of an (H, W) or (H, W, C) image."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]

    def overlaps(self, other: Window) -> bool:
        """Whether the two share a pixel."""
        return (
            abs(self.top - other.top) < max(self.side, other.side)
            and abs(self.left - other.left) < max(self.side, other.side)
        )  # fmt: skip


def pick_pictures(result: SetResult) -> tuple[Pick, ...]:
    """The picture that gained most PSNR, the median one and the one that gained least or lost most.

    Of clean pictures, which cannot gain, those by the PSNR of what comes back. Equal ones are ordered by name. Of an
    even number, the median is the lower middle one.

    Returns:
        Best, median and worst; of two pictures best and worst; a single one as it is.
    """
    of_clean = result.input_psnr is None
    ranked = sorted(result.images, key=lambda image: (-_merit(image), image.name))
    count = len(ranked)
    merit = "PSNR" if of_clean else "gain"
    if count == 1:
        return (Pick("the only picture", ranked[0]),)
    middle = [Pick(f"median {merit} of {count}", ranked[count // 2])] if count > 2 else []
    return (
        Pick(f"largest {merit} of {count}", ranked[0]),
        *middle,
        Pick(f"smallest {merit} of {count}", ranked[-1]),
    )


def _merit(image: ImageResult) -> float:
    return image.restored.psnr - (0.0 if image.degraded is None else image.degraded.psnr)


def check_panel(panel: Panel) -> None:
    """See that a panel's images belong together.

    Raises:
        ShapeMismatch: they differ in shape, or are not (H, W, 3) floats of at least 16×16 pixels.
    """
    images = {"degraded": panel.degraded, "restored": panel.restored, "clean": panel.clean}
    shape = panel.clean.shape
    if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < 16:
        raise ShapeMismatch(
            f"{panel.name}: a panel shows (H, W, 3) images of at least 16×16 pixels, got {shape}"
        )
    for name, image in images.items():
        if image.shape != shape or not np.issubdtype(image.dtype, np.floating):
            raise ShapeMismatch(
                f"{panel.name}: the {name} image is {image.dtype} of {image.shape}; must be floats in [0, 1] of {shape}"
            )


def absolute_error(image: NDArray[np.floating], clean: NDArray[np.floating]) -> NDArray[np.float32]:
    """|image − clean|, mean over the channels, in [0, 1]; (H, W, 3) → (H, W)."""
    return np.abs(np.clip(image, 0, 1) - clean, dtype=np.float32).mean(axis=2)


def choose_windows(panel: Panel) -> tuple[Window, ...]:
    """The parts to be zoomed into, best first; :data:`WINDOW_RULE` says how.

    The first shows what there was to do, and must not depend on how well it was done: to choose where restoration
    removed most error would hide its failures. The second shows its greatest failure, but for the first's surroundings.
    Windows lie on a grid of a quarter of their side. Where nothing is damaged, the first is where the most detail is;
    of equal ones the first in reading order is taken.

    Returns:
        Two windows that do not overlap, inside the picture.
    """
    height, width = panel.clean.shape[:2]
    side = min(height, width) // WINDOW_SHARE
    step = max(side // 4, 1)
    grid = [
        Window(top, left, side)
        for top in range(0, height - side + 1, step)
        for left in range(0, width - side + 1, step)
    ]
    damage = absolute_error(panel.degraded, panel.clean)
    detail = _detail(panel.clean)
    failure = absolute_error(panel.restored, panel.clean)

    def to_do(window: Window) -> tuple[float, float]:
        seen = float(window.of(detail).mean())
        return float(
            window.of(damage).mean()
        ) * seen, seen  # in a picture without damage, where most could be lost

    first = max(grid, key=to_do)
    rest = [window for window in grid if not window.overlaps(first)]
    second = max(rest, key=lambda window: float(window.of(failure).mean()))
    return first, second


def _detail(clean: NDArray[np.floating]) -> NDArray[np.floating]:
    """Where there is something to see: the gradient's magnitude of the mean of the channels; (H, W, 3) → (H, W)."""
    down, right = np.gradient(clean.mean(axis=2))
    return np.hypot(down, right)


def amplification(errors: list[NDArray[np.float32]]) -> int:
    """One factor for all errors of a figure, of 1, 2, 5, 10 and 20: the largest that saturates at most 5 % of any.

    Args:
        errors: (H, W) arrays in [0, 1]; at least one.
    """
    high = max(float(np.quantile(error, 0.95)) for error in errors)
    fitting = [factor for factor in (2, 5, 10, LARGEST_AMPLIFICATION) if factor * high <= 1]
    return max(fitting, default=1)
