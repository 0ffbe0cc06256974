"""Executors that cannot be made to work are an error."""

import os
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from batch.jobs import PIECES, sums

from fastjag import batch
from fastjag.batch import RANGE


class TestExecutorsThatStayBroken:
    """They were made anew without end."""

    def test_the_same_one_again(self):
        pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=os._exit, initargs=(3,))
        with pytest.raises(batch.BatchError, match="the executor broke"):
            batch.run(sums, PIECES[:3], RANGE, executor=lambda: pool)

    def test_one_that_takes_nothing(self):
        class Broken(Executor):
            def submit(self, *_):
                raise BrokenExecutor("no workers")

        with pytest.raises(batch.BatchError, match=r"no workers; running were none"):
            batch.run(sums, PIECES[:3], RANGE, executor=Broken)
