"""--executor: processes, dask and Slurm give the same to the last bit, though workers are killed."""

import json
import os
import pickle
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import uproot
from batch.engines import Chaos
from batch.jobs import SERIAL, same, sums
from cut_files import cut_files
from slurm_server import slurm
from typer.testing import CliRunner

from fastjag import batch, toys
from fastjag.__main__ import app
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.common.workers import WorkersSection
from fastjag.batch import RANGE
from fastjag.commands.executors import executor_of, workers_of

PIECES = batch.simulated(10_000, 270)


def slow(piece):
    """As ``sums``, in a time that allows to kill who does it."""
    time.sleep(0.1)
    return sums(piece)


class TestText:
    @pytest.mark.parametrize("text", [None, "none"])
    def test_none(self, text):
        assert executor_of(text) is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "none:1",
            "processes:0",
            "processes:x",
            "threads:2",
            "dask",
            "dask:",
            "slurm",
            "spark:x",
        ],
    )
    def test_what_is_not_accepted(self, text):
        with pytest.raises(
            ValueError, match=r"--executor (accepts none, processes|processes:N needs)"
        ):
            executor_of(text or "?")

    def test_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"options\.toml: no such file"):
            executor_of(f"slurm:{tmp_path}/options.toml")
        options = tmp_path / "options.toml"
        for text, error in [
            ("jobs", "no TOML"),
            ("jobs = 0", "jobs must be"),
            ("jobs = 1", "needs cores"),
        ]:
            options.write_text(text)
            with pytest.raises(ValueError, match=f"options.toml: {error}"):
                executor_of(f"slurm:{options}")
        with pytest.raises(FileNotFoundError, match=r"scheduler\.json: no such file"):
            executor_of(f"dask:{tmp_path}/scheduler.json")()

    def test_processes(self):
        outcome = batch.run(sums, PIECES, RANGE, executor=executor_of("processes:2"))
        same(outcome.value, SERIAL)


def functions(table):
    """Of the kinds that people write: lambdas, closures, methods, and those of a notebook's namespace."""
    by_default = lambda piece, t=table: float(t[piece.start : piece.stop].sum())

    class Model:
        def __init__(self):
            self.table = table

        def __call__(self, piece):
            return float(self.table[piece.start : piece.stop].sum())

    cell = {"__name__": "__main__", "table": table}
    exec("def f(piece):\n    return float(table[piece.start : piece.stop].sum())", cell)  # noqa: S102
    closure = partial(lambda t, piece: float(t[piece.start : piece.stop].sum()), table)
    return [by_default, Model(), cell["f"], closure]


@pytest.mark.parametrize("kind", ["threads", "processes", "chaos"])
def test_functions_of_all_kinds(kind):
    table = np.arange(400_000.0)
    pieces = batch.simulated(400_000, 80_000)
    make = {"threads": lambda: ThreadPoolExecutor(2), "processes": batch.processes(1),
            "chaos": lambda: Chaos(1, twice=0.5)}[kind]  # fmt: skip
    with make() as engine:
        for function in functions(table):
            assert batch.run(function, pieces, RANGE, executor=engine).value == table.sum()


@pytest.fixture(scope="module")
def toy_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    for i in range(3):
        toys.write(folder / f"toys{i}.root", 1_500, seed=i)
    return folder


def compare(folder, executor, kill, tmp_path, monkeypatch):
    """fastjag spectrum on an executor, one of whose workers is killed when some results are there."""
    cut_files(monkeypatch, 75)  # 60 ranges
    keep, results = tmp_path / "keep", []

    def later():
        end = time.monotonic() + 100
        while time.monotonic() < end and len(list(keep.glob("*/*.result"))) < 5:
            time.sleep(0.02)
        kill()

    thread = threading.Thread(target=later)
    for where in ("none", executor):
        out = tmp_path / f"out{len(results)}"
        command = ["--json", "spectrum", folder, "--no-pictures", "--out", out, "--executor", where]
        if where != "none":
            thread.start()
            usual = ThreadPoolExecutor.__init__
            monkeypatch.setattr(ThreadPoolExecutor, "__init__", _no_threads(usual))
            command += ["--keep", keep]
        done = CliRunner().invoke(app, [str(a) for a in command])
        assert done.exit_code == 0, done.output
        said = json.loads((out / "spectrum.json").read_text())
        said.pop("seconds")
        with uproot.open(out / "spectrum.root") as file:
            for name in ("opposite_sign", "same_sign"):
                said[name] = (
                    file[name].values(flow=True).tobytes(),
                    file[name].variances().tobytes(),
                )
        results.append(said)
    thread.join()
    assert results[0] == results[1]
    assert results[0]["cutflow"]["events read"] == 4_500
    assert len(list(keep.glob("*/*.result"))) == 60
    state = json.loads((keep / "status.json").read_text())
    assert (state["state"], state["ranges_done"], state["failed"]) == ("ended", 60, [])


def _no_threads(usual):
    """Nobody opens files in threads of the driver."""

    def init(self, *args, **kwargs):
        assert "fastjag-look" not in (*args, *kwargs.values())
        usual(self, *args, **kwargs)

    return init


@pytest.mark.filterwarnings("ignore")  # of dask and its libraries
class TestDask:
    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls):
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster:  # fmt: skip
            yield cluster

    def test_a_worker_that_is_killed(self, cluster):
        address = cluster.scheduler_address
        killed = []

        def kill():
            pid = next(iter(cluster.workers.values())).pid
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(0.7, kill)
        timer.start()
        outcome = batch.run(slow, PIECES, RANGE, executor=executor_of(f"dask:{address}"))
        timer.join()
        assert killed
        assert outcome.complete
        same(outcome.value, SERIAL)

    def test_a_function_that_fails(self, cluster):
        def function(piece):
            if piece.start == 2_700:
                raise KeyError("Muon_px")
            return {"events": len(piece)}

        outcome = batch.run(
            function, PIECES, RANGE, executor=executor_of(f"dask:{cluster.scheduler_address}"), on_error="report"
        )  # fmt: skip
        (failed,) = outcome.failed
        assert (failed.range.start, failed.kind) == (2_700, "error")
        assert outcome.value["events"] == 10_000 - 270

    def test_a_command(self, cluster, toy_files, tmp_path, monkeypatch):
        """Workers open the files, and one of them is killed in the middle."""
        killed = []

        def kill():
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

        compare(toy_files, f"dask:{cluster.scheduler_address}", kill, tmp_path, monkeypatch)
        assert killed

    def test_what_functions_close_over(self, cluster):
        """Large arrays go to each worker once, not with every task."""
        from distributed import Client

        sent = []
        table = np.arange(400_000.0)  # 3.2 MB
        with Client(cluster) as client:
            engine = client.get_executor()
            submit = engine.submit

            def spied(function, task, *more):
                sent.append(len(pickle.dumps(task)))
                return submit(function, task, *more)

            engine.submit = spied
            for function in functions(table):
                outcome = batch.run(
                    function, batch.simulated(400_000, 20_000), RANGE, executor=engine
                )
                assert outcome.value == table.sum()
        assert len(sent) == 20 * len(functions(table))
        assert max(sent) < 10_000

    @pytest.mark.slow
    def test_a_worker_that_had_what_was_spread(self, cluster):
        """It is killed, with all workers: what is sent again brings all that it needs."""
        table = np.arange(400_000.0)
        killed = []

        def kill():
            for worker in list(cluster.workers.values()):
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        timer = threading.Timer(0.5, kill)
        timer.start()

        def function(piece):
            time.sleep(0.05)
            return float(table[piece.start : piece.stop].sum())

        outcome = batch.run(
            function, batch.simulated(400_000, 20_000), RANGE,
            executor=executor_of(f"dask:{cluster.scheduler_address}"), retries=9,
        )  # fmt: skip
        timer.join()
        assert len(killed) >= 2
        assert outcome.value == table.sum()

    def test_no_scheduler(self):
        from servers import free_port

        with pytest.raises(OSError, match="no scheduler answers there"):
            executor_of(f"dask:tcp://127.0.0.1:{free_port()}")()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.mark.filterwarnings("ignore")
class TestSlurm:
    def test_a_command(self, cluster, toy_files, tmp_path, monkeypatch):
        """One of its jobs is cancelled in the middle."""
        monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
        (tmp_path / "options.toml").write_text(
            f'jobs = 2\ncores = 1\nprocesses = 1\nmemory = "1 GB"\ninterface = "lo"\nwalltime = "00:05:00"\n'
            f'local_directory = "{tmp_path}"\nlog_directory = "{tmp_path}"\n'
        )
        cancelled = []

        def cancel():
            asked = ["squeue", "-h", "-t", "R", "-o", "%i"]
            cancelled.extend(
                subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[:1]
            )
            subprocess.run(["scancel", *cancelled], check=True)

        compare(toy_files, f"slurm:{tmp_path}/options.toml", cancel, tmp_path, monkeypatch)
        assert len(cancelled) == 1

    def test_a_job_that_is_cancelled(self, cluster, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
        options = tmp_path / "options.toml"
        options.write_text(
            f'jobs = 2\ncores = 1\nprocesses = 1\nmemory = "1 GB"\ninterface = "lo"\nwalltime = "00:05:00"\n'
            f'local_directory = "{tmp_path}"\nlog_directory = "{tmp_path}"\n'
        )
        cancelled = []

        def cancel():
            for _ in range(100):
                jobs = subprocess.run(
                    ["squeue", "-h", "-t", "R", "-o", "%i"],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split()
                if len(jobs) == 2:
                    time.sleep(3)
                    cancelled.append(jobs[0])
                    subprocess.run(["scancel", jobs[0]], check=True)
                    return
                time.sleep(0.2)

        thread = threading.Thread(target=cancel)
        thread.start()
        pieces = batch.simulated(40_000, 270)
        outcome = batch.run(slow, pieces, RANGE, executor=executor_of(f"slurm:{options}"))
        thread.join()
        assert cancelled
        assert outcome.complete
        same(outcome.value, batch.run(sums, pieces, RANGE).value)


SEARCH = """
[workers]
executor = "{executor}"
keep = "kept"
[input]
files = ["toys.root"]
[window_definitions]
upsilon = {{ SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }}
[feature_sets]
one = ["dimu_pt"]
"""


class TestConfigurations:
    """[workers] says the same as options, which are stronger."""

    def test_files_beside_the_configuration(self, tmp_path):
        section = WorkersSection(executor="slurm:options.toml", keep=str(tmp_path / "keep"))
        with pytest.raises(FileNotFoundError, match=f"{tmp_path}/options.toml: no such file"):
            workers_of(None, None, None, section, tmp_path)
        workers = workers_of("none", None, "cuda", section, tmp_path)
        assert workers == Workers(None, tmp_path / "keep", "cuda")
        assert workers_of(None, None, "cpu", WorkersSection(), tmp_path) == Workers()
        with pytest.raises(ValueError, match="device must be"):
            workers_of(None, None, "tpu")

    def test_a_search(self, tmp_path, monkeypatch):
        """Its result is that of another executor: nothing is run again, and --executor comes first."""
        monkeypatch.chdir(tmp_path)
        toys.write("toys.root", 1_500, seed=1)
        config = tmp_path / "search.toml"

        def run(executor, *options):
            config.write_text(SEARCH.format(executor=executor))
            command = [
                "--json",
                "dimuon",
                "run",
                config,
                "--out",
                "out",
                "--until",
                "prepare",
                *options,
            ]
            return CliRunner().invoke(app, [str(a) for a in command])

        assert "--executor accepts none" in str(run("spark:2").exception)
        assert run("spark:2", "--executor", "processes:1").exit_code == 0
        assert len(list((tmp_path / "kept").glob("*/*.result"))) == 1
        again = run("none")
        assert again.exit_code == 0
        assert "prepare: is there" in again.output
