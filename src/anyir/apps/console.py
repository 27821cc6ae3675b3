"""What the command line says: messages on the standard error, so that the standard output stays clean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from anyir.apps.time_left import TimeLeft, in_words
from anyir.errors import shown
from anyir.files import make_folder, utf8, write_atomically

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from anyir.inference.batch_plan import Outcome

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""


class Interrupted(Exception):
    """Ctrl-C, with a word on what was done and how to go on."""


def say(message: str) -> None:
    """One line on the standard error."""
    print(shown(message), file=sys.stderr, flush=True)


def complain(message: object) -> None:
    """One line on the standard error for what went wrong."""
    say(f"anyir: {message}")


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all, replacing what is there.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    make_folder(path.parent)
    write_atomically(path, utf8(text))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Print columns as wide as they must be, two spaces between them; those in ``right`` end flush."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


@contextmanager
def counting(what: str, *, quiet: bool = False) -> Generator[Callable[[int, int], None]]:
    """A bar on a terminal for work that only counts; called with what is done and how much there is.

    Elsewhere, and if ``quiet``, nothing is shown. Nothing should be said meanwhile: it would be written into the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class BatchProgress(Protocol):
    """Shows a folder job as it goes."""

    def begin(self, source: Path) -> None:
        """The next picture is being restored."""

    def tile(self, done: int, total: int) -> None:
        """``done`` of the picture's ``total`` tiles are restored."""

    def end(self, outcome: Outcome) -> None:
        """The picture is done, or has failed."""


def batch_progress(sources: Sequence[Path], *, quiet: bool) -> AbstractContextManager[BatchProgress]:
    """A bar on a terminal, a line for each picture elsewhere, both with the time left; nothing if ``quiet``."""
    if quiet:
        return _Silence()
    return _Bar(sources) if sys.stderr.isatty() else _Lines(sources)


class _Silence:
    def __enter__(self) -> BatchProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        pass

    def begin(self, source: Path) -> None:
        pass

    def tile(self, done: int, total: int) -> None:
        pass

    def end(self, outcome: Outcome) -> None:
        pass


class _Lines(_Silence):
    """For log files and pipes."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._pictures = len(sources)
        self._done = 0
        self._left = TimeLeft(sources)

    def begin(self, source: Path) -> None:
        self._left.begin(source)

    def end(self, outcome: Outcome) -> None:
        self._done += 1
        self._left.end(restored=outcome.status == "restored")
        if outcome.status == "skipped":
            result = f"{outcome.source} skipped: {outcome.output} exists"
        elif outcome.error is None:
            size = f"{outcome.width}x{outcome.height}"
            result = f"{outcome.source} -> {outcome.output} ({size}, {outcome.seconds:.1f} s)"
        else:
            result = f"{outcome.source} failed"  # why is said at the end, with the others
        left = in_words(self._left.seconds()) if self._done < self._pictures else ""
        say(f"{self._done}/{self._pictures} {result}{', ' if left else ''}{left}")


class _Bar(_Silence):
    """For terminals: one bar over all pictures, moved by every tile."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._pictures = len(sources)
        self._done = 0
        self._left = TimeLeft(sources)
        self._progress, self._task = _new_bar(self._pictures)

    def __enter__(self) -> BatchProgress:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._progress.stop()

    def begin(self, source: Path) -> None:
        self._left.begin(source)
        count = f"picture {self._done + 1} of {self._pictures}"
        self._progress.update(self._task, picture=shown(source.name), count=count)

    def tile(self, done: int, total: int) -> None:
        self._left.advance(done / total)
        count = f"picture {self._done + 1} of {self._pictures}, tile {done} of {total}"
        self._progress.update(self._task, count=count)
        self._move(self._done + done / total)

    def end(self, outcome: Outcome) -> None:
        self._done += 1
        self._left.end(restored=outcome.status == "restored")
        self._move(self._done)

    def _move(self, completed: float) -> None:
        self._progress.update(self._task, completed=completed, left=in_words(self._left.seconds()))


def _new_bar(pictures: int) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    progress = Progress(
        TextColumn("{task.fields[picture]}", markup=False),  # a file name may look like markup
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    return progress, progress.add_task("", total=pictures, picture="", count="", left="")
