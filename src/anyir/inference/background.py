"""Work in the background, so that Ctrl-C is heard while a library computes and does not listen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from anyir.inference.tiles import Progress

_T = TypeVar("_T")
_NAME: Final = "anyir"
_PATIENCE: Final = 0.1
"""Seconds between looks at the clock: Windows hears no Ctrl-C while a thread waits."""


class _Abandoned(Exception):
    """Nobody waits for the result any more."""


def interruptibly(work: Callable[[Progress], _T], listen: Progress) -> _T:
    """Do ``work`` in a thread, and wait for it in this one.

    Where the wait is interrupted, ``work`` is left to itself: it ends with the next progress it tells, and its result
    is lost. So it must change nothing that outlives it, files least of all.

    Args:
        work: called in the other thread with the function to tell its progress by.
        listen: called in this thread with what it told.

    Returns:
        What ``work`` gave.

    Raises:
        BaseException: what ``work`` or ``listen`` raised, or what came while waiting, such as KeyboardInterrupt.
    """
    told: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
    abandoned = threading.Event()
    results: list[_T] = []
    failures: list[BaseException] = []

    def tell(done: int, total: int) -> None:
        if abandoned.is_set():
            raise _Abandoned
        told.put((done, total))

    def in_the_background() -> None:
        try:
            results.append(work(tell))
        except BaseException as error:  # to be raised where somebody waits
            failures.append(error)
        finally:
            told.put(None)

    threading.Thread(target=in_the_background, name=_NAME, daemon=True).start()
    try:
        while (progress := _next(told)) is not None:
            listen(*progress)
    except BaseException:
        abandoned.set()
        raise
    if failures:
        raise failures[0]
    return results[0]


def at_work() -> bool:
    """Whether anything is at work in the background, waited for or abandoned."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _next(told: SimpleQueue[tuple[int, int] | None]) -> tuple[int, int] | None:
    while True:
        try:
            return told.get(timeout=_PATIENCE)
        except Empty:
            continue
