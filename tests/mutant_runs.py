"""A plugin of pytest that runs tests once for each mutant, in processes that are forked from one.

``MUTANTS`` names a JSON file:
``{"out": path, "workers": 2, "clean": [file, ...], "mutants": [[number, [kernel, ...]], ...]}``.
Every mutant gives a line of JSON in ``out``: its number, how it ended, and by which test. The files of ``clean`` run
without any defect before: they have to pass, and how long each test takes is kept beside the job, for those
runs that have a build with one defect and so no ``clean``.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

PATIENCE = 12  # times the processor time of a test without a defect, and SECONDS more: it hangs
SECONDS = 3

#: What tests a kernel beside the file of its name. Of `pages`, GPUs have another function.
TESTS = {
    "aggregate": ("aggregate", "long_events"),
    "dimuon": ("dimuon", "long_events", "changing_inputs"),
    "nearest": ("nearest", "long_events", "changing_inputs"),
    "pages": ("page_rows",),
    "select": ("select", "long_events", "changing_inputs"),
}


def files_of(word: str) -> tuple[str, ...]:
    return tuple(f"test_{name}.py" for name in TESTS.get(word, (word,)))


def cpu_seconds() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


class Child:
    """Tests with one mutant, in a process of their own."""

    def __init__(self, number: int, items: list, limits: dict[str, float], folder: Path) -> None:
        self.number, self.items = number, items
        sys.stdout.flush()
        self.pid = os.fork()
        self.path = folder / f"process-{self.pid or os.getpid()}.json"
        if self.pid == 0:
            try:
                self.run(limits)
            finally:
                os._exit(3)

    def run(self, limits: dict[str, float]) -> None:
        import _cuda_emulated

        _cuda_emulated.turn_on(self.number)
        seconds = {}
        for k, item in enumerate(self.items):
            before = cpu_seconds()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, limits.get(item.nodeid, 0))
            self.note({"hung": item.nodeid})
            following = self.items[k + 1] if k + 1 < len(self.items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = cpu_seconds() - before
            if Noted.failed:
                self.note({"by": item.nodeid, "text": Noted.failed})
                os._exit(1)
        self.note({"seconds": seconds})
        os._exit(0)

    def note(self, what: dict[str, object]) -> None:
        self.path.write_text(json.dumps(what))

    def ended(self, status: int) -> dict[str, object]:
        """What it noted, and how it ended; empty if all tests passed."""
        noted = json.loads(self.path.read_text())
        self.path.unlink()
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGPROF:
            end = "hangs"
        elif code < 0:
            end = "crashes"
        elif code == 0:
            end = ""
        elif "text" not in noted:
            sys.exit(f"mutant {self.number}: the tests do not run")
        else:
            end = meaning(noted["text"])
        return {"end": end, "by": noted.get("by") or noted.get("hung"), **noted}


def meaning(text: str) -> str:
    """How a failed test ended."""
    # The line below the kernel's name: "data race by block 0 thread 1 at ..."
    found = re.search(r"CUDA emulation: .*\n\s*(?:E\s+)?(.+?)(?: by block| at |:|,|\n)", text)
    if found:
        return f"detector: {found[1].strip()}"
    never = re.search(r"is used, but was never written", text)
    return "detector: output not written" if never else "wrong result"


class Noted:
    """What the tests of this process said."""

    failed = ""


def pytest_runtest_logreport(report) -> None:
    if report.failed and not Noted.failed:
        Noted.failed = f"{report.longreprtext}\n{report.capstderr}"


def on_emulation(item) -> bool:
    spec = getattr(item, "callspec", None)
    params = spec.params if spec else {}
    if "cuda-emulated" in (params.get("device"), params.get("gpu")):
        return True
    return "device" not in params and "gpu" not in params and "emulation" in item.fixturenames


def pytest_runtestloop(session) -> bool:
    job = json.loads(Path(os.environ["MUTANTS"]).read_text())
    out = Path(job["out"])
    tests: dict[str, list] = defaultdict(list)
    for item in session.items:
        if on_emulation(item):
            tests[item.path.name].append(item)
    # Without any defect: do they pass, and how long do they take?
    if empty := [file for file in job["clean"] if not tests[file]]:
        sys.exit(f"no tests on the emulation in {empty}")
    kept = out.with_name("seconds.json")
    limits, caught = {}, Counter()
    seconds: dict[str, float] = {} if job["clean"] else json.loads(kept.read_text())

    def all_of(jobs: list, done) -> None:
        running: dict[int, Child] = {}
        waiting = list(reversed(jobs))
        while waiting or running:
            while waiting and len(running) < job["workers"]:
                number, items = waiting.pop()()
                child = Child(number, items, limits, out.parent)
                running[child.pid] = child
            pid, status = os.wait()
            child = running.pop(pid)
            done(child, child.ended(status))

    def clean(child: Child, how: dict) -> None:
        if how["end"]:
            sys.exit(f"without any defect: {how['by']}: {how['end']}\n{how.get('text', '')}")
        seconds.update(how["seconds"])
        file = child.items[0].path.name
        print(f"{file}: {sum(how['seconds'].values()):.0f} s without any defect", flush=True)

    all_of([lambda items=tests[file]: (0, items) for file in job["clean"]], clean)
    kept.write_text(json.dumps(seconds))
    limits.update({name: SECONDS + PATIENCE * s for name, s in seconds.items()})

    def chosen(number: int, words: list[str]):
        """Its tests, first those that have found many others in little time."""
        items = [i for word in words for file in files_of(word) for i in tests[file]]
        items.sort(key=lambda i: (1 + caught[i.nodeid]) / (0.05 + seconds[i.nodeid]), reverse=True)
        return number, items

    started = time.perf_counter()

    def noted(child: Child, how: dict) -> None:
        caught[how["by"]] += 1
        with out.open("a") as lines:
            lines.write(json.dumps([child.number, how["end"] or "survives", how["by"]]) + "\n")
        minutes = (time.perf_counter() - started) / 60
        print(f"{minutes:.1f} min: mutant {child.number}: {how['end']} {how['by']}", flush=True)

    all_of([lambda m=m: chosen(*m) for m in job["mutants"]], noted)
    return True
