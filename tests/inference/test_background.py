import threading
import time

import pytest

from anyir.inference.background import at_work, interruptibly


def test_the_result_and_the_progress_come_back_to_the_caller():
    seen = []

    def work(tell):
        tell(1, 2)
        tell(2, 2)
        return threading.current_thread()

    def listen(done, total):
        seen.append((done, total, threading.current_thread()))

    assert interruptibly(work, listen) is not threading.current_thread()
    assert seen == [(1, 2, threading.current_thread()), (2, 2, threading.current_thread())]


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), KeyboardInterrupt()])
def test_what_goes_wrong_is_raised_to_the_caller(error):
    def work(tell):
        raise error

    with pytest.raises(type(error)) as caught:
        interruptibly(work, lambda done, total: None)
    assert caught.value is error


def test_an_interrupt_does_not_wait_and_the_work_stops_at_its_next_progress():
    may_go_on, states = threading.Event(), []

    def work(tell):
        tell(1, 9)
        may_go_on.wait(10)
        states.append("computed")
        tell(2, 9)
        states.append("went on")

    def interrupted(done, total):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptibly(work, interrupted)
    assert time.monotonic() - started < 5
    assert states == [] and at_work()
    may_go_on.set()
    for thread in threading.enumerate():
        if thread.name == "anyir":
            thread.join(10)
    assert states == ["computed"] and not at_work()
