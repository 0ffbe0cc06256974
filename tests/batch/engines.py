"""An executor that behaves as badly as clusters do, from a seed."""

import random
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor


class KilledWorker(Exception):
    """As dask calls it."""


class Chaos(Executor):
    """Runs tasks one after the other, in an order of its own, some of them twice; loses some workers.

    ``loses``, ``twice`` and ``late`` are chances of a task. What is lost never says so to the function. What is slow
    is given to another worker, and ends ``late``: when its result has been there for long.
    """

    def __init__(self, seed, loses=0.0, twice=0.0, late=0.0, workers=16):
        self.random = random.Random(seed)
        self.loses, self.twice, self.late, self._max_workers = loses, twice, late, workers
        self.slow = []
        self.waiting, self.ran, self.lost = [], 0, 0
        self.lock = threading.Lock()
        self.wakened = threading.Condition(self.lock)
        self.ended = False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def submit(self, function, /, *args):
        future = Future()
        with self.wakened:
            self.waiting.append((future, function, args))
            self.wakened.notify()
        return future

    def _work(self):
        while True:
            with self.wakened:
                while not self.waiting and not self.ended:
                    self.wakened.wait()
                if not self.waiting:
                    return
                i = self.random.randrange(len(self.waiting))
                future, function, args = self.waiting.pop(i)
            if not future.set_running_or_notify_cancel():
                continue
            if self.random.random() < self.loses:
                self.lost += 1
                if self.random.random() < 0.5:  # at its end, when the result was there
                    function(*args)
                future.set_exception(KilledWorker("the worker died"))
                continue
            for _ in range(2 if self.random.random() < self.twice else 1):
                result = function(*args)
                self.ran += 1
            if self.random.random() < self.late:
                self.slow.append((function, args))
            if self.slow and self.random.random() < self.late:
                function, args = self.slow.pop()
                function(*args)
                self.ran += 1
            future.set_result(result)

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self.wakened:
            self.ended = True
            self.wakened.notify()


class AsThreads(ThreadPoolExecutor):
    """An executor for threads of this process, that another engine drives: functions are not sent, and can count."""

    def __init__(self, engine):
        super().__init__(1)
        self.engine = engine
        self._max_workers = 8

    def submit(self, function, /, *args):
        return self.engine.submit(function, *args)
