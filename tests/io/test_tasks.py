"""tasks: pieces of work, done by other threads and by the one that waits for them."""

import threading
import time
from contextlib import closing

import pytest

from fastjag.io.tasks import Tasks


def tasks(threads):
    return closing(Tasks(threads, threading.get_ident, "test"))


def test_who_waits_takes_part():
    """One other thread begins with the first piece, which needs the second one."""
    done, seen = threading.Event(), {}

    def first(tool):
        seen["first"] = tool
        assert done.wait(10)

    def second(tool):
        seen["second"] = tool
        done.set()

    with tasks(2) as some:
        some.add([first])
        while "first" not in seen:
            time.sleep(0.001)
        some.add([second])
        assert some.running == 2
        some.finish()
        assert some.running == 0
    assert seen["second"] == threading.get_ident() != seen["first"]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_all_are_done_once(threads):
    numbers = []
    with tasks(threads) as some:
        some.add(lambda _, i=i: numbers.append(i) for i in range(200))
        some.finish()
        assert sorted(numbers) == list(range(200))
        some.add([lambda _: numbers.append(200)])
        some.finish()
    assert sorted(numbers) == list(range(201))


def test_the_first_few():
    numbers, may_end = [], threading.Event()
    with tasks(3) as some:
        some.add([lambda _: numbers.append(0), lambda _: numbers.append(1)])
        n = some.running
        some.add([lambda _: may_end.wait(10), lambda _: may_end.wait(10)])
        some.finish(n)
        assert sorted(numbers) == [0, 1]
        assert some.running == 2
        may_end.set()
        some.finish()


def test_the_first_that_failed_is_raised():
    """Whichever thread had it, and whenever it failed."""
    begun, other = threading.Event(), threading.Event()

    def late(_):
        begun.set()
        assert other.wait(10)
        time.sleep(0.05)
        raise ValueError("the first")

    def soon(_):
        other.set()
        raise KeyError("the second")

    with tasks(2) as some:
        some.add([late])
        assert begun.wait(10)
        some.add([soon])
        with pytest.raises(ValueError, match="the first"):
            some.finish()
        some.stop()
        assert some.running == 0
