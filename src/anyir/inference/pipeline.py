"""A pipeline: while one picture is computed, the next is read and the one before encoded, each in a thread.

And one more thread, the caller's, hears Ctrl-C while a library computes in another and does not listen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Generic, TypeAlias, TypeVar

from anyir.inference.tiles import Progress

_T = TypeVar("_T")
_NAME: Final = "anyir"
_PATIENCE: Final = 0.1
"""Seconds between looks at the clock: Windows hears no Ctrl-C while a thread waits."""

Stage: TypeAlias = Callable[[_T, Progress], None]
"""Does its part of the work on an item, tells its progress, and keeps what it makes in the item."""


class _Abandoned(Exception):
    """Nobody waits for the results any more."""


class _Carried(Generic[_T]):
    """An item on its way; ``error`` is what the first stage that failed raised."""

    def __init__(self, item: _T) -> None:
        self.item: Final = item
        self.told: Final[SimpleQueue[tuple[int, int] | None]] = SimpleQueue()
        self.error: BaseException | None = None


class Pipeline(Generic[_T]):
    """Takes items through stages, in order: each stage is at one item at a time, and no item waits for another's stage.

    A context: where it is left early, the stages are left to themselves. Each ends with the next progress it tells, or
    with the item it is at, and what it made is lost; so a stage must change nothing that outlives it, files least of
    all.

    Args:
        items: what to work on.
        stages: what to do, one after the other. Where one raises, the item's later ones are left out.
        alone: of an item that has been through the first stage: whether the next must not be begun before the
            caller asks for it, as this one needs the memory.
    """

    def __init__(self, items: Sequence[_T], stages: Sequence[Stage[_T]], alone: Callable[[_T], bool]) -> None:
        self._carried: Final = [_Carried(item) for item in items]
        self._stages: Final = stages
        self._alone: Final = alone
        self._changed: Final = threading.Condition()
        # How many items each stage has begun and ended. The caller, who takes the results, begins like a stage more.
        self._begun: Final = [0] * (len(stages) + 1)
        self._ended: Final = [0] * len(stages)
        self._abandoned = False

    def __enter__(self) -> Pipeline[_T]:
        for place in range(len(self._stages)):
            threading.Thread(target=self._work, args=(place,), name=_NAME, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def wait(self, listen: Progress) -> None:
        """Wait for the next item to have been through all stages.

        Args:
            listen: called in this thread with the progress that its stages tell.

        Raises:
            BaseException: what a stage or ``listen`` raised, or what came while waiting, such as KeyboardInterrupt.
        """
        number = self._begun[-1]
        carried = self._carried[number]
        with self._changed:
            self._begun[-1] += 1
            self._changed.notify_all()
        while (progress := _next(carried.told)) is not None:
            listen(*progress)
        if carried.error is not None:
            raise carried.error

    def _work(self, place: int) -> None:
        """What the thread of one stage does."""
        try:
            for number, carried in enumerate(self._carried):
                self._begin(place, number)
                try:
                    if carried.error is None:
                        self._stages[place](carried.item, partial(self._tell, carried))
                except _Abandoned:
                    raise
                except BaseException as error:  # to be raised where somebody waits
                    carried.error = error
                self._end(place)
                if place == len(self._stages) - 1:
                    carried.told.put(None)
        except _Abandoned:
            pass

    def _begin(self, place: int, number: int) -> None:
        """Wait until a stage may begin an item.

        Raises:
            _Abandoned: there is no need any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or self._may_begin(place, number))
            if self._abandoned:
                raise _Abandoned
            self._begun[place] += 1
            self._changed.notify_all()

    def _may_begin(self, place: int, number: int) -> bool:
        """Whether the stage before has ended the item, and the stage behind begun the one before it."""
        if place > 0:
            return self._ended[place - 1] > number and self._begun[place + 1] >= number
        if number > 0 and self._begun[1] >= number and self._alone(self._carried[number - 1].item):
            return self._begun[-1] > number
        return self._begun[1] >= number

    def _end(self, place: int) -> None:
        with self._changed:
            self._ended[place] += 1
            self._changed.notify_all()

    def _tell(self, carried: _Carried[_T], done: int, total: int) -> None:
        if self._abandoned:
            raise _Abandoned
        carried.told.put((done, total))


def at_work() -> bool:
    """Whether anything is at work in the background, waited for or abandoned."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _next(told: SimpleQueue[tuple[int, int] | None]) -> tuple[int, int] | None:
    while True:
        try:
            return told.get(timeout=_PATIENCE)
        except Empty:
            continue
