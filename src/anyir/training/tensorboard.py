"""A run on TensorBoard, for those who have it: curves, and at each validation what the network makes of a picture."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, cast

from torch import Tensor

from anyir.errors import MissingExtra
from anyir.training.validation import Score

TENSORBOARD_FOLDER: Final = "tensorboard"


class Writer(Protocol):
    """What is used of :class:`torch.utils.tensorboard.SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:  # noqa: ANN401
        """A point of a curve."""

    def add_image(self, tag: str, img_tensor: Tensor, global_step: int) -> Any:  # noqa: ANN401
        """A (3, H, W) picture in [0, 1]."""

    def flush(self) -> Any:  # noqa: ANN401
        """Write what was added."""

    def close(self) -> Any:  # noqa: ANN401
        """End the thread that writes, and close the file."""


class Board:
    """What is shown of a run, and under which names.

    Args:
        writer: which writes it; everything is on disk when a method returns, so that nothing is lost in a crash.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def training(self, step: int, loss: float, learning_rate: float, samples_per_second: float) -> None:
        """The state of the training at a step."""
        self._writer.add_scalar("training/loss", loss, step)
        self._writer.add_scalar("training/learning_rate", learning_rate, step)
        self._writer.add_scalar("training/samples_per_second", samples_per_second, step)
        self._writer.flush()

    def validation(self, step: int, scores: Mapping[str, Score], rows: Iterable[tuple[str, Tensor]]) -> None:
        """PSNR, and pictures (degraded | restored | clean), of each task."""
        for task, score in scores.items():
            self._writer.add_scalar(f"psnr/{task}", score.restored, step)
        for task, row in rows:
            self._writer.add_image(f"samples/{task}", row, step)
        self._writer.flush()


def require_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        MissingExtra: it is not; the message has the pip command.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtra(
            "--tensorboard needs the package tensorboard, which is not installed; install it with: "
            "pip install 'anyir[tensorboard]'"
        )


@contextmanager
def open_board(folder: Path, after_step: int, *, wanted: bool) -> Generator[Board | None]:
    """The board of a run, closed at the end whatever the reason; None where it is not wanted.

    Args:
        folder: the run's.
        after_step: steps that are done; what the folder has of later ones is hidden, as they come again.
        wanted: whether anything is to be written.
    """
    if not wanted:
        yield None
        return
    writer = new_writer(folder, after_step)
    try:
        yield Board(writer)
    finally:
        writer.close()


def new_writer(folder: Path, after_step: int) -> Writer:
    """PyTorch's own writer; what is in the folder of steps after ``after_step`` is hidden."""
    from torch.utils.tensorboard import SummaryWriter

    return cast(Writer, SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=after_step + 1))
