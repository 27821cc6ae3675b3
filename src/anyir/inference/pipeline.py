"""A pipeline: while one picture is computed, the next is read and the one before encoded, each in a thread.

And one more thread, the caller's, hears Ctrl-C while a library computes in another and does not listen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Generic, TypeAlias, TypeVar

from anyir.inference.tiles import Progress

_T = TypeVar("_T")
_A = TypeVar("_A")
_NAME: Final = "anyir"
_PATIENCE: Final = 0.1
"""Seconds between looks at the clock: Windows hears no Ctrl-C while a thread waits."""

Stage: TypeAlias = Callable[[_T, Progress], None]
"""Does its part of the work on an item, tells its progress, and keeps what it makes in the item."""


class _Abandoned(Exception):
    """Nobody waits for the results any more."""


class _Carried(Generic[_T]):
    """An item on its way, what is told of it (None: that is all), and what its first stage that failed raised."""

    def __init__(self, item: _T) -> None:
        self.item: Final = item
        self.told: Final[SimpleQueue[tuple[int, int] | None]] = SimpleQueue()
        self.error: BaseException | None = None


class Pipeline(Generic[_T]):
    """Takes items through stages, in order: each stage is at one item at a time, and a result waits at each, at most.

    A context: where it is left early, the stages are left to themselves. Each ends with the next progress it tells, or
    with the item it is at, and what it made is lost; so a stage must write no file.

    Threads speak by queues alone, whose operations an interrupt cannot divide: a lock that the caller was in would stay
    locked.

    Args:
        items: what to work on; each is taken when the first stage begins it.
        stages: what to do, one after the other. Where one raises, the item's later ones are left out.
        alone: of an item that has been through the first stage: whether the next must not be begun before the
            caller asks for it, as this one needs the memory.
    """

    def __init__(self, items: Iterable[_T], stages: Sequence[Stage[_T]], alone: Callable[[_T], bool]) -> None:
        self._items: Final = items
        self._stages: Final = stages
        self._alone: Final = alone
        self._abandoned = False
        self._threads: Final[list[threading.Thread]] = []
        # The items that each stage is given, and the caller before all of them; None: there are no more.
        self._given: Final = [SimpleQueue[_Carried[_T] | None]() for _ in stages]
        self._entered: Final = SimpleQueue[_Carried[_T]]()
        # When one begins an item, the one before may begin the next. The caller begins an item by asking for it.
        self._begun: Final = [SimpleQueue[None]() for _ in range(len(stages) + 1)]
        self._asked: Final = SimpleQueue[None]()

    def __enter__(self) -> Pipeline[_T]:
        try:
            for place in range(len(self._stages)):
                thread = threading.Thread(target=self._work, args=(place,), name=_NAME, daemon=True)
                self._threads.append(thread)
                thread.start()
        except BaseException:
            self._abandoned = True
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._abandoned = True
        if kind is None:  # all is done, and they are about to end
            for thread in self._threads:
                thread.join(_PATIENCE)

    def wait(self, listen: Progress) -> _T:
        """Wait for the next item to have been through all stages.

        Args:
            listen: called in this thread with the progress that its stages tell.

        Returns:
            The item.

        Raises:
            BaseException: what a stage or ``listen`` raised, or what came while waiting, such as KeyboardInterrupt.
        """
        self._asked.put(None)
        self._begun[-1].put(None)
        carried = self._get(self._entered)
        while (progress := self._get(carried.told)) is not None:
            listen(*progress)
        if carried.error is None:
            return carried.item
        try:
            raise carried.error
        finally:
            carried.error = (
                None  # or it would keep, through its traceback, itself and all that the stage was at
            )

    def _work(self, place: int) -> None:
        """What the thread of one stage does."""
        try:
            for number, carried in enumerate(self._arriving(place)):
                if number > 0:
                    self._get(self._begun[place + 1])
                self._begun[place].put(None)  # of the first, nobody asks
                try:
                    if carried.error is None:
                        self._stages[place](carried.item, partial(self._tell, carried))
                except _Abandoned:
                    raise
                except BaseException as error:  # to be raised where somebody waits
                    carried.error = error
                if place + 1 < len(self._stages):
                    self._given[place + 1].put(carried)
                else:
                    carried.told.put(None)
            if place + 1 < len(self._stages):
                self._given[place + 1].put(None)
        except _Abandoned:
            pass

    def _arriving(self, place: int) -> Generator[_Carried[_T]]:
        """The items as they come to a stage."""
        if place > 0:
            while (carried := self._get(self._given[place])) is not None:
                yield carried
            return
        asked = 0
        for number, item in enumerate(self._items):
            carried = _Carried(item)
            self._entered.put(carried)
            yield carried
            while self._alone(item) and asked < number + 2:
                self._get(self._asked)
                asked += 1

    def _get(self, queue: SimpleQueue[_A]) -> _A:
        """What a queue gives.

        Raises:
            _Abandoned: it will give nothing, as nobody waits for it any more.
        """
        while not self._abandoned:
            try:
                return queue.get(timeout=_PATIENCE)
            except Empty:
                continue
        raise _Abandoned

    def _tell(self, carried: _Carried[_T], done: int, total: int) -> None:
        if self._abandoned:
            raise _Abandoned
        carried.told.put((done, total))


def at_work() -> bool:
    """Whether anything is at work in the background, waited for or abandoned."""
    return any(thread.name == _NAME for thread in threading.enumerate())
