"""Results that are kept in a folder: never computed twice, whatever happens to jobs and disks."""

import json
import subprocess
import sys
import textwrap
import threading
from functools import partial

import pytest
from batch.engines import Chaos
from batch.jobs import PIECES, SERIAL, same, shifted, sums

import fastjag as fj
from fastjag import batch, toys
from fastjag.batch import RANGE, kept


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
