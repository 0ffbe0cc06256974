"""One function of many ranges: every event once, whatever workers do."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from batch.engines import AsThreads, Chaos
from batch.jobs import PIECES, SERIAL, same, sums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag import batch, toys
from fastjag.batch import RANGE
from fastjag.selection import Step, survivors


class TestHere:
    def test_value_and_coverage(self):
        outcome = batch.run(sums, PIECES, RANGE)
        assert outcome.value["events"] == outcome.n_events == 10_000
        assert outcome.value["starts"] == list(range(0, 10_000, 270))
        assert outcome.coverage() == {"simulated": (10_000, 10_000)}
        assert outcome.complete
        assert len(outcome.missing()) == 0
        assert str(outcome) == "38 of 38 ranges, 10,000 of 10,000 events"

    def test_nothing(self):
        outcome = batch.run(sums, batch.simulated(0, 10), RANGE)
        assert outcome.value is None
        assert outcome.complete

    def test_a_function_that_gives_one_object_twice(self):
        found = []
        with pytest.raises(batch.BatchError, match="the same list for two batches"):
            batch.run(lambda piece: found, PIECES, RANGE)

    @pytest.mark.parametrize("where", ["here", "kept", "threads", "processes", "many"])
    @pytest.mark.parametrize(
        "form", [lambda h: h, lambda h: {"h": h}, lambda h: (1, h[:1]), lambda h: h[:1]]
    )
    def test_a_function_that_fills_one_object(self, form, where, tmp_path):
        """Each result would have the events of all before it."""
        total = np.zeros(2)

        def function(piece):
            total[0] += len(piece)
            return form(total)

        pieces, options = batch.simulated(60, 10), {}
        if where == "many":  # several ranges of one task
            pieces = batch.simulated(4002, 1)
        if where == "kept":
            options = {"keep": tmp_path}
        if where == "processes":
            options = {"executor": batch.processes(1)}
        if where == "threads":
            options = {"executor": ThreadPoolExecutor(2)}
        with pytest.raises(batch.BatchError, match=r"the same .* for two batches"):
            batch.run(function, pieces, RANGE, on_error="report", progress=False, **options)

    def test_what_is_the_same_and_harmless(self):
        names, known, edges = {"unit": "GeV"}, {"a", "b"}, np.arange(3)

        def function(piece):
            return {"names": names, "known": known, "events": len(piece), "none": None}

        expected = {"names": names, "known": known, "events": 10_000, "none": None}
        assert batch.run(function, PIECES, RANGE).value == expected
        outcome = batch.run(lambda piece: (edges, len(piece)), PIECES, RANGE,
                            merge=lambda a, b: (a[0], a[1] + b[1]))  # fmt: skip
        assert outcome.value == (edges, 10_000)

    def test_overlaps(self):
        with pytest.raises(
            ValueError, match=r"two ranges have the same events: .* 0 to 270 and .* 0 to 270"
        ):
            batch.run(sums, [*PIECES, PIECES[0]], RANGE)

    @pytest.mark.parametrize(
        ("option", "error"),
        [
            ({"retries": -1}, "retries"),
            ({"on_error": "ignore"}, "on_error"),
            ({"in_flight": 0}, "in_flight"),
            ({"device": "tpu"}, "device"),
        ],
    )
    def test_options(self, option, error):
        with pytest.raises(ValueError, match=error):
            batch.run(sums, PIECES, RANGE, **option)

    def test_what_cannot_be_sent(self, tmp_path):
        lock = threading.Lock()
        with pytest.raises(TypeError, match="the function cannot be sent to workers"):
            batch.run(lambda piece: lock, PIECES, RANGE, keep=tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i in range(3):
        toys.write(folder / f"{i}.root", 2_000 + i, seed=i)
    return folder


class TestFiles:
    def test_events_of_files(self, files):
        pieces = fj.ranges(str(files / "*.root"), size=700)
        mass = (40, 2.0, 14.0)

        def masses(events):
            return fj.histogram(fj.dimuon(events.Muon).mass, mass)

        columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
        outcome = batch.run(masses, pieces, columns)
        h = fj.histogram([], mass)
        for events in fj.iterate(files, columns):
            h += masses(events)
        assert outcome.value == h
        assert outcome.n_events == 6_003
        both = batch.run(masses, pieces, columns, executor=batch.processes(2))
        assert both.value == h

    def test_datasets(self, files):
        fileset = {
            "data": {"files": {str(files / "0.root"): "Events"}},
            "signal": {"files": {str(files / "1.root"): "Events", str(files / "2.root"): "Events"}},
        }
        outcome = batch.run(
            lambda b: {b.source.dataset: len(b)}, fj.ranges(fileset), "MET_pt", step=500
        )
        assert outcome.value == {"data": 2_000, "signal": 4_003}
        assert outcome.coverage() == {"data": (2_000, 2_000), "signal": (4_003, 4_003)}

    def test_a_selection(self, files):
        steps = (
            Step("two", ["nMuon"], lambda b: b["nMuon"] >= 2),
            Step("met", ["MET_pt"], lambda b: b["MET_pt"] > 10),
        )

        def function(alive):
            pts = [b.Muon["pt"].sum(dtype=np.float64) for b in alive]
            return {
                "cuts": {cut.name: cut.events for cut in alive.cutflow},
                "pt": sum(pts),
                "baskets": alive.counters.baskets_read,
            }

        selection = batch.Selection(steps, ("Muon_pt",), batch_size=300)
        outcome = batch.run(function, fj.ranges(str(files / "*.root"), size=700), selection)
        whole = survivors(str(files / "*.root"), steps, ["Muon_pt"])
        pts = sum(b.Muon["pt"].sum(dtype=np.float64) for b in whole)
        assert outcome.value["cuts"] == {cut.name: cut.events for cut in whole.cutflow}
        assert outcome.value["cuts"]["all"] == 6_003
        np.testing.assert_allclose(outcome.value["pt"], pts, rtol=1e-12)

    def test_a_file_that_is_gone(self, files, tmp_path):
        toys.write(tmp_path / "x.root", 100, seed=1)
        pieces = fj.ranges([tmp_path / "x.root", files / "0.root"], size=1000)
        (tmp_path / "x.root").unlink()
        outcome = batch.run(len, pieces, ["MET_pt"], on_error="report")
        assert outcome.value == 2_000
        (failed,) = outcome.failed
        assert (failed.kind, failed.attempts) == ("read", 3)
        assert "x.root" in failed.message
        assert [piece.file for piece in outcome.missing()] == [str(tmp_path / "x.root")]


class TestExecutors:
    @pytest.mark.parametrize("seed", range(6))
    def test_any_order(self, seed):
        with Chaos(seed, twice=0.2) as engine:
            outcome = batch.run(sums, PIECES, RANGE, executor=engine)
            same(outcome.value, SERIAL)

    def test_threads(self):
        with ThreadPoolExecutor(3) as engine:
            same(batch.run(sums, PIECES, RANGE, executor=engine).value, SERIAL)

    def test_groups_of_ranges(self):
        """More ranges than tasks: subtrees are merged on workers."""
        pieces = batch.simulated(9_000, 1)

        def tiny(piece):
            return 0.1 * piece.start

        alone = batch.run(tiny, pieces, RANGE)
        with Chaos(1) as engine:
            both = batch.run(tiny, pieces, RANGE, executor=engine)
            assert both.value == alone.value
            assert engine.ran < 4_000

    @given(st.integers(0, 10_000), st.integers(1, 60))
    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    def test_failures_of_all_kinds(self, seed, n):
        """Coverage is exact, the poison is named, what was missing completes, no event comes twice."""
        rng = np.random.default_rng(seed)
        fate = rng.choice(["well", "disk", "memory", "poison"], n, p=[0.77, 0.16, 0.02, 0.05])
        tried = {}
        lock = threading.Lock()

        def function(piece):
            kind = fate[piece.start // 100]
            with lock:
                times = tried[piece.start // 100] = tried.get(piece.start // 100, 0) + 1
            if kind == "disk" and times < 3:
                raise OSError("the disk is away")
            if kind == "memory" and len(piece) > 30:
                raise MemoryError
            if kind == "poison":
                raise ZeroDivisionError("bad event")
            return {"events": len(piece), "entries": [*range(piece.start, piece.stop)]}

        pieces = batch.simulated(100 * n, 100)
        with Chaos(seed, loses=0.02, twice=0.05) as engine:
            # Threads of one process: the function is not sent, so that it can count.
            engine_run = batch.run(function, pieces, RANGE, executor=AsThreads(engine),
                                   on_error="report", retries=4)  # fmt: skip
        poison = [100 * i for i in range(n) if fate[i] == "poison"]
        lost = [f.range.start for f in engine_run.failed if f.kind == "lost"]
        assert sorted(f.range.start for f in engine_run.failed if f.kind == "error") == poison
        assert all(
            "ZeroDivisionError: bad event" in f.message
            for f in engine_run.failed
            if f.kind == "error"
        )
        missing = sorted({*poison, *lost})
        assert [piece.start for piece in engine_run.missing()] == missing
        done = [
            e for i in range(n) if 100 * i not in missing for e in range(100 * i, 100 * i + 100)
        ]
        value = engine_run.value or {"events": 0, "entries": []}
        assert value["entries"] == done
        assert value["events"] == len(done) == engine_run.coverage().get("simulated", (0, 0))[0]
        fate[:] = "well"
        again = batch.run(function, engine_run.missing(), RANGE)
        rest = again.value or {"entries": []}
        assert sorted(done + rest["entries"]) == [*range(100 * n)]

    def test_raise_names_range_and_host(self):
        def function(piece):
            if piece.start == 2_700:
                raise KeyError("Muon_px")
            return 1

        with pytest.raises(
            batch.BatchError,
            match=r"entries 2700 to 2970 \(error, 1 attempt on .*KeyError: 'Muon_px'",
        ) as error:
            batch.run(function, PIECES, RANGE)
        assert error.value.outcome.n_events == 2_700
        assert "in function" in str(error.value)

    def test_results_that_cannot_be_added(self):
        def function(piece):
            return lambda: piece

        with pytest.raises(TypeError, match="results of function and function cannot be merged"):
            batch.run(function, PIECES, RANGE, executor=batch.processes(1))


class TestProcesses:
    def test_a_worker_that_is_killed_in_the_middle(self, tmp_path):
        def once(piece):
            marker = tmp_path / str(piece.start)
            if piece.start in (0, 2_700, 5_400) and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return sums(piece)

        outcome = batch.run(once, PIECES, RANGE, executor=batch.processes(2))
        same(outcome.value, SERIAL)
        assert outcome.complete

    def test_the_range_that_kills_is_named(self):
        def poison(piece):
            if piece.start == 1_350:
                os._exit(1)
            return sums(piece)

        outcome = batch.run(
            poison, PIECES, RANGE, executor=batch.processes(2), retries=1, on_error="report"
        )
        (failed,) = outcome.failed
        assert (failed.range.start, failed.kind, failed.attempts) == (1_350, "lost", 2)
        assert outcome.n_events == 10_000 - 270

    def test_an_executor_that_cannot_be_made_anew(self):
        def poison(piece):
            os._exit(1)

        engine = batch.processes(1)()
        with pytest.raises(
            batch.BatchError, match=r"running were .*entries 0 to 270.*batch.processes\(8\)"
        ):
            batch.run(poison, PIECES, RANGE, executor=engine)

    def test_a_script_without_a_main_guard(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent("""
            import numpy as np
            from fastjag import batch
            offset = np.arange(3)
            class Result:
                def __init__(self, n): self.n = n
                def __add__(self, other): return Result(self.n + other.n)
            out = batch.run(lambda r: Result(len(r) + int(offset[1])), batch.simulated(100, 10), batch.RANGE,
                            executor=batch.processes(2))
            print(out.value.n, isinstance(out.value, Result))
        """)
        )
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert done.stdout == "110 True\n"
        assert done.stderr.count("Error") == 0


class TestLargeFunctions:
    """What a function closes over goes to each process once, not with every task."""

    def test_it_is_a_file_for_processes(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        table = np.arange(300_000.0)  # 2.4 MB
        sizes = []
        submit = ProcessPoolExecutor.submit

        def spied(self, function, task):
            sizes.append(len(pickle.dumps(task)))
            (name,) = tmp_path.glob(".fastjag-*")
            assert name.stat().st_size > table.nbytes
            return submit(self, function, task)

        monkeypatch.setattr(ProcessPoolExecutor, "submit", spied)
        outcome = batch.run(
            lambda piece: float(table[piece.start : piece.stop].sum()), batch.simulated(300_000, 30_000),
            RANGE, executor=batch.processes(1),
        )  # fmt: skip
        assert outcome.value == table.sum()
        assert max(sizes) < 2_000
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("full", [False, True])
    def test_it_is_a_file_in_the_folder_that_all_see(self, tmp_path, monkeypatch, full):
        table = np.arange(300_000.0)
        chaos = Chaos(1)
        sent = []
        submit = chaos.submit
        monkeypatch.setattr(
            chaos, "submit", lambda do, task: (sent.append(task.work.content), submit(do, task))[1]
        )
        if full:  # as it was

            def no_room(*_):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr("tempfile.mkstemp", no_room)
        outcome = batch.run(
            lambda piece: float(table[piece.start : piece.stop].sum()), batch.simulated(300_000, 30_000),
            RANGE, executor=chaos, keep=tmp_path,
        )  # fmt: skip
        assert outcome.value == table.sum()
        assert {isinstance(content, bytes) for content in sent} == {full}
        assert not list(tmp_path.glob(".fastjag-*"))
