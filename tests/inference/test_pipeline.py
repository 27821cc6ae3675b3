import threading
import time
import weakref
from contextlib import suppress

import numpy as np
import pytest

from anyir.inference.pipeline import Pipeline, at_work


class Item:
    def __init__(self, name):
        self.name = name
        self.been = []


def items(count):
    return [Item(number) for number in range(count)]


def ignore(done, total):
    pass


def never(item):
    return False


def stage(name):
    return lambda item, tell: item.been.append(name)


def wait_until(condition):
    """Soon, or not at all."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


def threads_end():
    wait_until(lambda: not at_work())


def test_every_item_goes_through_every_stage_and_its_progress_comes_to_the_caller():
    given, seen = items(5), []

    def telling(item, tell):
        item.been.append(threading.current_thread())
        tell(1, 2)
        tell(2, 2)

    with Pipeline(given, (stage("first"), telling, stage("last")), never) as pipeline:
        for item in given:
            pipeline.wait(
                lambda done, total, item=item: seen.append(
                    (item.name, done, total, threading.current_thread())
                )
            )
            assert [item.been[0], item.been[2]] == ["first", "last"]
            assert item.been[1] is not threading.current_thread()
    here = threading.current_thread()
    assert seen == [(number, done, 2, here) for number in range(5) for done in (1, 2)]
    threads_end()


def test_three_items_are_in_work_at_once_and_no_more():
    """The middle of three: one has been read ahead, one is computed, one encoded; the fourth is not touched."""
    given = items(6)
    meet = threading.Barrier(3, timeout=10)
    began, may_go_on = [], threading.Event()

    def first(item, tell):
        began.append(item.name)
        if item.name == 2:
            meet.wait()

    def second(item, tell):
        if item.name == 1:
            meet.wait()
            may_go_on.wait(10)

    def third(item, tell):
        if item.name == 0:
            meet.wait()

    with Pipeline(given, (first, second, third), never) as pipeline:
        pipeline.wait(ignore)  # or the barrier breaks, and says so
        time.sleep(0.05)
        assert began == [0, 1, 2]
        may_go_on.set()
        for _ in given[1:]:
            pipeline.wait(ignore)
    assert began == list(range(6))


def test_results_that_nobody_takes_stop_the_work():
    given, ended = items(20), []
    with Pipeline(
        given, (stage("a"), stage("b"), lambda item, tell: ended.append(item.name)), never
    ) as pipeline:
        pipeline.wait(ignore)
        wait_until(lambda: len(ended) == 2)
        time.sleep(0.05)
        assert ended == [0, 1]
        for _ in given[1:]:
            pipeline.wait(ignore)
    assert ended == list(range(20))


def test_while_an_item_needs_the_memory_the_next_is_not_begun():
    given, began, at_once = items(4), [], []

    def first(item, tell):
        began.append(item.name)

    def last(item, tell):
        time.sleep(0.02)
        at_once.append((item.name, max(began)))

    with Pipeline(given, (first, stage("b"), last), lambda item: item.name == 1) as pipeline:
        for _ in given:
            pipeline.wait(ignore)
            time.sleep(0.02)
            at_once.append(("taken", max(began)))
    assert (1, 1) in at_once
    assert at_once[at_once.index((1, 1)) + 1] == ("taken", 1), "it was done, but not yet written"
    assert began == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_goes_wrong_is_raised_in_its_turn_and_the_others_go_on(error, place):
    def failing(item, tell):
        if item.name == 1:
            raise error
        item.been.append("x")

    stages = [stage(name) for name in "abc"]
    stages[place] = failing
    given = items(3)
    with Pipeline(given, stages, never) as pipeline:
        pipeline.wait(ignore)
        with pytest.raises(type(error)) as caught:
            pipeline.wait(ignore)
        pipeline.wait(ignore)
    assert caught.value is error
    assert [len(item.been) for item in given] == [3, place, 3]
    threads_end()


def test_an_interrupt_does_not_wait_and_the_work_stops_at_its_next_progress():
    may_go_on, states = threading.Event(), []

    def work(item, tell):
        tell(1, 9)
        may_go_on.wait(10)
        states.append("computed")
        tell(2, 9)
        states.append("went on")

    def interrupted(done, total):
        raise KeyboardInterrupt

    given = items(3)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Pipeline(given, (stage("a"), work, stage("c")), never) as pipeline:
        pipeline.wait(interrupted)
    assert time.monotonic() - started < 5
    assert states == [] and at_work()
    may_go_on.set()
    threads_end()
    assert states == ["computed"]
    assert [item.been for item in given] == [["a"], ["a"], []]


def test_an_interrupt_while_the_threads_start_leaves_none_behind(monkeypatch):
    started = []

    def start(thread, begin=threading.Thread.start):
        if started:
            raise KeyboardInterrupt
        started.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt), Pipeline(items(3), [stage(name) for name in "abc"], never):
        pytest.fail("it was entered")
    threads_end()
    assert len(started) == 1


def test_what_is_done_is_not_kept():
    def work(item, tell):
        item.pixels = np.zeros(10)
        pixels.append(weakref.ref(item.pixels))
        if item.name % 3 == 1:
            raise MemoryError

    pixels = []
    with Pipeline(map(Item, range(9)), (work, stage("b")), never) as pipeline:
        for number in range(6):
            with suppress(MemoryError):
                pipeline.wait(ignore)
            assert number == 0 or pixels[number - 1]() is None
    threads_end()


def test_leaving_early_leaves_no_thread_behind():
    given = items(9)
    with Pipeline(given, [stage(name) for name in "abc"], never) as pipeline:
        pipeline.wait(ignore)
    threads_end()
    assert given[-1].been == []
