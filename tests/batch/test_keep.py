"""Results that are kept in a folder: never computed twice, whatever happens to jobs and disks."""

import copyreg
import json
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import uproot
from batch.engines import Chaos
from batch.jobs import PIECES, SERIAL, same, shifted, sums

import fastjag as fj
from fastjag import batch, toys
from fastjag.batch import RANGE, kept, shipping
from fastjag.batch.shipping import ship


class TestKeep:
    def test_what_is_done_is_not_done_again(self, tmp_path):
        with Chaos(3) as engine:
            first = batch.run(sums, PIECES, RANGE, keep=tmp_path, executor=engine)
            again = batch.run(sums, PIECES, RANGE, keep=tmp_path, executor=engine)
        assert (first.kept, again.kept) == (0, 38)
        same(first.value, SERIAL)
        same(again.value, SERIAL)

    def test_another_function_or_another_file_is_another_result(self, tmp_path):
        for shift in (1, 2, 3):
            outcome = batch.run(partial(shifted, shift=shift), PIECES, RANGE, keep=tmp_path)
            assert outcome.value == 10_000 + 38 * shift
            assert outcome.kept == 0
        toys.write(tmp_path / "x.root", 100, seed=1)
        assert batch.run(len, fj.ranges(tmp_path / "x.root"), "MET_pt", keep=tmp_path).value == 100
        toys.write(tmp_path / "x.root", 200, seed=2)
        outcome = batch.run(len, fj.ranges(tmp_path / "x.root"), "MET_pt", keep=tmp_path)
        assert (outcome.value, outcome.kept) == (200, 0)

    def test_a_tree_that_was_written_again(self, tmp_path):
        """ROOT's UUID is of the file, not of what is in it."""
        path = tmp_path / "x.root"
        run = partial(batch.run, lambda b: float(b["x"].sum()), columns="x", keep=tmp_path / "kept")
        with uproot.recreate(path) as file:
            file.mktree("Events", {"x": "f8"}).extend({"x": np.ones(10)})
        pieces = fj.ranges(path)
        assert (run(pieces).value, run(pieces).kept) == (10.0, 1)
        with uproot.update(path) as file:
            file.mktree("Events", {"x": "f8"}).extend({"x": np.full(10, 5.0)})
        pieces = fj.ranges(path)
        assert (run(pieces).value, run(pieces).kept) == (50.0, 1)
        path.unlink()
        assert run(pieces).value == 50.0

    @pytest.mark.parametrize(
        "change", [lambda b: b[:-1], lambda b: b[:40] + b"x" + b[41:], lambda _: b""]
    )
    def test_damaged_results_are_made_again(self, tmp_path, change):
        batch.run(sums, PIECES, RANGE, keep=tmp_path)
        path = min(tmp_path.rglob("*.result"))
        path.write_bytes(change(path.read_bytes()))
        outcome = batch.run(sums, PIECES, RANGE, keep=tmp_path)
        assert outcome.kept == 37
        same(outcome.value, SERIAL)

    def test_two_jobs_at_once(self, tmp_path):
        outcomes = []

        def job(seed):
            with Chaos(seed) as engine:
                outcomes.append(batch.run(sums, PIECES, RANGE, keep=tmp_path, executor=engine))

        threads = [threading.Thread(target=job, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 3
        for outcome in outcomes:
            same(outcome.value, SERIAL)
        assert len(list(tmp_path.rglob("*.result"))) == 38
        assert not list(tmp_path.rglob(".*.*"))  # nothing half-written

    def test_a_full_disk(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        store = kept.store
        calls = []

        def some(*args):
            calls.append(1)
            (full if 10 < len(calls) < 20 else store)(*args)

        monkeypatch.setattr(kept, "store", some)
        outcome = batch.run(sums, PIECES, RANGE, keep=tmp_path)
        same(outcome.value, SERIAL)
        (note,) = outcome.notes
        assert "No space left on device" in note
        again = batch.run(sums, PIECES, RANGE, keep=tmp_path)
        assert again.kept == 29
        same(again.value, SERIAL)

    def test_a_folder_that_cannot_be(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(batch.KeepError, match="file: results cannot be kept there"):
            batch.run(sums, PIECES, RANGE, keep=tmp_path / "file")

    def test_a_driver_that_is_killed(self, tmp_path):
        script = tmp_path / "job.py"
        script.write_text(
            textwrap.dedent("""
            import os, sys, time
            from fastjag import batch
            def function(piece):
                if len(sys.argv) > 1 and piece.start == 500:
                    os.kill(os.getpid(), 9)
                return [piece.start]
            out = batch.run(function, batch.simulated(1000, 10), batch.RANGE, keep="kept")
            print(out.kept, out.value == list(range(0, 1000, 10)))
        """)
        )
        run = partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert run([sys.executable, script, "die"]).returncode == -9
        assert run([sys.executable, script]).stdout == "50 True\n"

    def test_status(self, tmp_path):
        batch.run(sums, PIECES, RANGE, keep=tmp_path)
        state = json.loads((tmp_path / "status.json").read_text())
        assert (state["state"], state["ranges_done"], state["events_done"]) == ("ended", 38, 10_000)


DIGEST = """
import numpy as np
from fastjag.batch.shipping import ship
import helper
{more}

class Sums:
    "Of a script: its number is random."
    n = 1
    def __add__(self, other):
        return "a text with spaces", other

array = np.arange(5)
def function(events):
    "A docstring."
    def inner(x):
        return x + 1, "a text with spaces", {{"a", "b", "c"}} & {{"c"}}, 1.5
    if len(events) > 5:
        return function(events[1:])
    return inner(helper.other(np.random.default_rng(1).random(3))), array.sum(), Sums(), [len(events) for _ in (1, 2)], lambda: "a text with spaces"
print(ship((function, Sums, lambda x: x * {number}), "f").digest)
"""


#: Forms of a function ``helper`` that gives a number, which stands in it or in the file cuts.py.
FORMS = [
    "from functools import lru_cache\n@lru_cache\ndef helper(): return {}",
    "def helper(): return helper.value\nhelper.value = {}",
    "def helper():\n    import cuts\n    return cuts.CUT",
    "def helper():\n    from outer import f\n    return f()",
    "from abc import ABC\nclass A(ABC):\n    def m(self): return {}\ndef helper(): return A().m()",
    "some = {{{}, 'a', 'b', 'c', 'd'}}\ndef helper(): return [x for x in some if type(x) is int][0]",
]
RUN = """
def f(piece): return helper()
out = batch.run(f, batch.simulated(1, 1), batch.RANGE, keep='kept')
print(out.value, out.kept)
"""


class TestDigest:
    def test_kept_results_are_of_the_same_code(self, tmp_path):
        (tmp_path / "outer.py").write_text("import cuts\ndef f(): return cuts.CUT\n")
        found = []
        for seed, number in enumerate((3, 4, 4)):
            (tmp_path / "cuts.py").write_text(f"CUT = {number}\n")
            parts = [f"{form.format(number)}\n{RUN}" for form in FORMS]
            (tmp_path / "script.py").write_text("from fastjag import batch\n" + "".join(parts))
            env = {"PYTHONHASHSEED": str(seed), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(
                [sys.executable, "script.py"], capture_output=True, text=True, check=True,
                cwd=tmp_path, env=env,
            )  # fmt: skip
            found.append(done.stdout.splitlines())
        assert found == [["3 0"] * len(FORMS), ["4 0"] * len(FORMS), ["4 1"] * len(FORMS)]

    def test_threads_that_send_functions_take_turns(self, monkeypatch):
        """cloudpickle has one list of modules that go by value: who ends takes them from it."""
        inside, most = [], []

        def meaning(what, own):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()
            return "digest"

        monkeypatch.setattr(shipping, "meaning", meaning)
        with ThreadPoolExecutor(4) as pool:
            assert {s.digest for s in pool.map(lambda _: ship(sums, "f"), range(8))} == {"digest"}
        assert max(most) == 1

    def test_compiled_functions(self):
        numba = pytest.importorskip("numba")

        def made(number, **options):
            return numba.njit(**options)(lambda x: number * x)

        digests = [ship(made(*a, **o), "f").digest for a, o in
                   [((2,), {}), ((2,), {}), ((3,), {}), ((2,), {"fastmath": True})]]  # fmt: skip
        assert digests[0] == digests[1]
        assert len(set(digests)) == 3

    def digest(self, folder, number, more="", seed="0", compiled="1"):
        (folder / "script.py").write_text(DIGEST.format(number=number, more=more))
        env = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONDONTWRITEBYTECODE": compiled}
        done = subprocess.run(
            [sys.executable, "script.py"],
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
            env=env,
        )
        return done.stdout

    def test_is_the_same_in_every_process_and_another_for_other_code(self, tmp_path):
        helper = tmp_path / "helper.py"
        helper.write_text("def other(x):\n    return x.sum(), 'a text with spaces'\n")
        first = self.digest(tmp_path, 2)
        # Without compiled bytes, with them, and with other orders of sets.
        assert {self.digest(tmp_path, 2, seed=str(i), compiled="") for i in range(3)} == {first}
        assert (
            self.digest(tmp_path, 2, more="import numpy.polynomial, numpy.fft, email.parser")
            == first
        )
        assert self.digest(tmp_path, 3) != first
        helper.write_text("\n\ndef other(x):\n    return x.sum(), 'a text with spaces'\n")
        assert self.digest(tmp_path, 2) == first  # lines have moved
        helper.write_text("def other(x):\n    return x.max(), 'a text with spaces'\n")
        assert self.digest(tmp_path, 2) != first


class Named:
    """A result that is a file."""

    def __init__(self, path):
        self.paths = [str(path)]

    def is_there(self):
        return all(Path(path).exists() for path in self.paths)

    def __add__(self, other):
        both = Named("")
        both.paths = self.paths + other.paths
        return both


def leave(piece, folder):
    name = f"{piece.start}-{len(list(Path(folder).glob(f'{piece.start}-*')))}"
    (Path(folder) / name).touch()
    return Named(Path(folder) / name)


def test_results_whose_files_are_gone_are_made_again(tmp_path):
    pickle.dumps(Named(""))  # from then on its class has a list of slots
    write = partial(leave, folder=str(tmp_path))
    pieces = batch.simulated(300, 100)
    for _ in range(2):
        paths = batch.run(write, pieces, RANGE, keep=tmp_path / "keep").value.paths
        assert [Path(p).name for p in paths] == ["0-0", "100-0", "200-0"]
    (tmp_path / "100-0").rename(tmp_path / "100-x")
    for kept_before in (2, 3):
        outcome = batch.run(write, pieces, RANGE, keep=tmp_path / "keep")
        assert [Path(p).name for p in outcome.value.paths] == ["0-0", "100-1", "200-0"]
        assert outcome.kept == kept_before


def test_files_without_a_uuid_of_their_own(tmp_path):
    """ROOT writes zeros where files are to be reproducible: these are no identity."""
    work = kept.Shipped(b"", "digest")
    keys = set()
    for name in "ab":
        (tmp_path / name).write_text(name)
        piece = fj.Range("x", str(tmp_path / name), "Events", 0, 5, str(UUID(int=0)))
        keys.add(kept.key(piece, work, "1"))
    assert len(keys) == 2


class Elsewhere(Executor):
    """What it is given and gives back is sent."""

    def submit(self, function, task):
        future = Future()
        future.set_result(pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(task))))))
        return future


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_errors_as_they_were_raised(monkeypatch):
    # distributed, once imported, teaches pickle to make errors of such classes again.
    monkeypatch.delitem(copyreg.dispatch_table, Odd, raising=False)

    def fail(piece):
        raise fj.io.ReadError("broken.root: no branch 'x'") if piece.start else Odd("a", "b")

    for engine in (None, Elsewhere()):
        pieces = batch.simulated(20, 10)
        outcome = batch.run(fail, pieces, RANGE, executor=engine, on_error="report")
        odd, read = (f.error for f in sorted(outcome.failed, key=lambda f: f.range.start))
        assert type(read) is fj.io.ReadError
        assert str(read) == "broken.root: no branch 'x'"
        assert type(odd) is (Odd if engine is None else type(None))  # pickle cannot make it again
