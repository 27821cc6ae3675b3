"""How commands that train show where a run stands, and how they are stopped in order."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Final

from anyir.apps.console import say

if TYPE_CHECKING:
    from anyir.training.loop import Progress

    OnProgress = Callable[[Progress], None]


_STOPPING: Final = b"stopping once the step in hand is saved; Ctrl-C again stops at once\n"


@contextmanager
def stop_request(*, restore: bool, quiet: bool) -> Generator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask training to stop after the step in hand; a second Ctrl-C stops at once.

    Args:
        restore: whether signals do afterwards what they did before. Not under torchrun: where a process dies it sends
            SIGTERM to the others, which must live to say what has happened.
        quiet: do not say at once that Ctrl-C was heard.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if number == signal.SIGINT and restore and not quiet:
            with suppress(OSError):  # not by print, in which the signal may have come
                os.write(sys.stderr.fileno(), _STOPPING)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items() if restore else ():
            signal.signal(number, handler)


def training_progress(
    title: str, *, before: str = "", quiet: bool
) -> AbstractContextManager[OnProgress | None]:
    """What is called as a run goes on: a bar on a terminal, lines elsewhere, nothing if ``quiet``.

    Args:
        title: beside the bar.
        before: what each line begins with.
        quiet: show nothing.
    """
    if quiet:
        return _nothing()
    return _bar(title) if sys.stderr.isatty() else _lines(before)


@contextmanager
def _nothing() -> Generator[None]:
    yield None


@contextmanager
def _lines(before: str) -> Generator[OnProgress]:
    """A line every hundred steps, for log files."""

    def show(progress: Progress) -> None:
        if progress.step % 100 == 0:
            say(f"{before}step {progress.step} ({progress.share:.1%}): {_state(progress)}")

    yield show


@contextmanager
def _bar(title: str) -> Generator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn(title, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading pictures, and the first steps", total=1.0)
        yield lambda progress: bar.update(
            task, completed=progress.share, description=f"step {progress.step}, {_state(progress)}"
        )


def _state(progress: Progress) -> str:
    gain = [score.restored - score.degraded for task, score in progress.scores.items() if task != "clean"]
    validation = f", validation gain {sum(gain) / len(gain):+.2f} dB" if gain else ""
    speed = progress.samples_per_second
    return (
        f"loss {progress.loss:.4f}, {speed:{'.0f' if speed >= 100 else '.3g'}} samples/s{validation}, "
        f"{timedelta(seconds=round(progress.seconds_left))} left"
    )
