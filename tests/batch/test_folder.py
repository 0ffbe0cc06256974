"""Jobs as folders: tasks that share nothing else, killed and sent again, give what one process gives."""

import json
import os
import pickle
import subprocess
import sys
import time

import pytest
import uproot
from slurm_server import slurm
from typer.testing import CliRunner

import fastjag as fj
from fastjag import batch, toys
from fastjag.__main__ import app
from fastjag.batch.folder import JobFolder

FUNCTION = """
import os, signal, time
import numpy as np
import fastjag as fj

def masses(events):
    mark = os.environ.get("TEST_MARK")
    if mark and events.source.start == 0 and "1.root" in events.source.file and not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    mass = fj.dimuon(events.Muon).mass
    weights = np.random.default_rng(events.source.start).random(len(mass))
    return {"mass": fj.histogram({"mass": mass}, {"mass": (60, 2.0, 14.0)}, weights=weights),
            "events": len(events), "sum": float(weights.sum())}
"""


@pytest.fixture
def job(tmp_path):
    for i in range(3):
        toys.write(tmp_path / f"{i}.root", 1_000 + i, seed=i)
    (tmp_path / "analysis.py").write_text(FUNCTION)
    toml = tmp_path / "job.toml"
    toml.write_text(
        'function = "analysis.py:masses"\nfiles = ["*.root"]\nsize = 400\n'
        'columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]\n'
    )
    return toml


def command(*words, code=0):
    done = CliRunner().invoke(app, ["batch", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def serial(job):
    folder = JobFolder.plan(job, job.parent / "serial", 1)
    columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
    return batch.run(folder.function(), folder.pieces, columns).value


class TestCommands:
    def test_shares_are_the_whole(self, job, tmp_path, monkeypatch):
        folder = tmp_path / "job"
        assert "3,003" in command("plan", job, "--out", folder, "--tasks", 4)
        monkeypatch.chdir("/")
        for task in (2, 0, 3):
            command("work", folder, "--task", task, "--of", 4)
        with pytest.raises(ValueError, match=r"job: 1 of \d ranges have no result yet"):
            JobFolder.read(folder).merge()
        assert "2,003" in command("status", folder) or "files" in command("status", folder)
        command("merge", folder, "--partial")
        missing = fj.ranges(folder / "merged" / "missing.json")
        assert len(missing) == 1
        command("work", folder, "--task", 1, "--of", 4)
        assert "3,003 of 3,003 events" in command("merge", folder)
        value = pickle.loads((folder / "merged" / "result.pickle").read_bytes())
        expected = serial(job)
        assert value["mass"] == expected["mass"]
        assert value["sum"] == expected["sum"]
        assert json.loads((folder / "merged" / "result.json").read_text())["events"] == 3_003
        with uproot.open(folder / "merged" / "result.root") as file:
            assert file["mass"].values().tolist() == value["mass"].values().tolist()

    def test_a_task_that_is_killed_goes_on(self, job, tmp_path):
        folder = tmp_path / "job"
        command("plan", job, "--out", folder)
        words = [sys.executable, "-m", "fastjag", "batch", "work", str(folder)]
        env = {**os.environ, "TEST_MARK": str(tmp_path / "mark")}
        assert subprocess.run(words, env=env, check=False).returncode == -9
        before = len(list(folder.rglob("*.result")))
        assert before > 0
        done = subprocess.run(words, env=env, check=True, capture_output=True, text=True)
        assert "3,003 of 3,003" in done.stdout
        assert JobFolder.read(folder).merge().value["mass"] == serial(job)["mass"]

    def test_what_fails_is_told(self, job, tmp_path):
        text = FUNCTION.replace(
            "    mass =", "    if len(events) == 1_002: raise KeyError('Muon_px')\n    mass ="
        )
        (tmp_path / "analysis.py").write_text(text)
        folder = tmp_path / "job"
        command("plan", job, "--out", folder)
        assert "KeyError: 'Muon_px'" in command("work", folder, code=1)
        assert "KeyError: 'Muon_px'" in command("status", folder)
        (failed,) = JobFolder.read(folder).status().failed
        assert failed.range.file.endswith("2.root")

    def test_a_function_that_has_changed(self, job, tmp_path):
        command("plan", job, "--out", tmp_path / "job")
        (tmp_path / "analysis.py").write_text(FUNCTION + "\n# another\n")
        with pytest.raises(ValueError, match=r"analysis.py: has changed since .*job was planned"):
            JobFolder.read(tmp_path / "job").work(0, 1)
        with pytest.raises(FileExistsError, match="holds another job"):
            JobFolder.plan(job, tmp_path / "job", 1)

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("function = 1", "files has to be given"),
            ('function = "x"\nfiles = "*.root"', "function must be FILE.py:NAME or MODULE:NAME"),
            ('function = "y.py:f"\nfiles = "*.root"', r"y.py: no such file"),
            (
                'function = "analysis.py:mases"\nfiles = "*.root"',
                "no function 'mases': did you mean 'masses'",
            ),
            ('functio = "x"', "no key 'functio': did you mean 'function'"),
            ('function = "analysis.py:masses"\nfiles = [1]', "files must be a list of texts"),
            ('function = "analysis.py:masses"\nfiles = "*.root"\nsize = "x"', "size"),
        ],
    )
    def test_files_of_jobs(self, job, text, error):
        job.write_text(text)
        with pytest.raises((ValueError, FileNotFoundError), match=error):
            JobFolder.plan(job, job.parent / "job", 1)
        assert not (job.parent / "job").exists()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


SLOT = """
import os
from fastjag.batch import slot
slot.take_gpu()
import fastjag as fj
print(os.environ["CUDA_VISIBLE_DEVICES"], fj.get_num_threads(), slot.memory() // 2**20)
"""


class TestSlurm:
    @pytest.mark.parametrize(
        "gpus", [["--gpus-per-task=1"], ["--gres=gpu:2"]], ids=["one for each task", "all for all"]
    )
    def test_slots(self, cluster, gpus):
        """Two tasks of one step, each with a GPU, a core and half of the memory."""
        environment = {k: v for k, v in cluster.items() if not k.endswith("NUM_THREADS")}
        done = subprocess.run(
            ["salloc", "-n2", "-c1", "--mem=600", *gpus, "srun", "-c1", sys.executable, "-c", SLOT],
            env=environment, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        found = sorted(line.split() for line in done.stdout.splitlines())
        # A task that sees all works on the first of them, if it is the first itself.
        first = "0" if "--gpus-per-task=1" in gpus else "0,1"
        assert found == [[first, "1", "300"], ["1", "1", "300"]]

    def run(self, folder, cluster):
        """Send the array, and wait for its end."""
        subprocess.run(
            ["sbatch", folder / "slurm.sh"], env=cluster, check=True, capture_output=True
        )
        for _ in range(300):
            left = subprocess.run(
                ["squeue", "-h"], env=cluster, check=True, capture_output=True
            ).stdout
            if not left.strip():
                return
            time.sleep(0.2)
        raise AssertionError(left)

    def test_an_array_one_task_of_which_is_killed(self, job, tmp_path, cluster):
        folder = tmp_path / "job"
        JobFolder.plan(job, folder, 3)
        script = folder / "slurm.sh"
        script.write_text(script.read_text().replace("4G", "1G"))
        self.run(folder, {**cluster, "TEST_MARK": str(tmp_path / "mark")})
        assert (tmp_path / "mark").exists()
        with pytest.raises(ValueError, match="have no result yet"):
            JobFolder.read(folder).merge()
        before = len(list(folder.rglob("*.result")))
        self.run(folder, cluster)
        outcome = JobFolder.read(folder).merge()
        assert 0 < before < len(outcome.ranges)
        expected = serial(job)
        assert outcome.value["mass"] == expected["mass"]
        assert outcome.value["sum"] == expected["sum"]

    def test_a_gpu_for_each_task(self, job, tmp_path, cluster):
        """What a task sees of the GPUs of its node."""
        text = 'import os\ndef function(events):\n    return {os.environ.get("CUDA_VISIBLE_DEVICES", "none"): 1}\n'
        (tmp_path / "analysis.py").write_text(text)
        job.write_text('function = "analysis.py:function"\nfiles = "*.root"\ncolumns = "MET_pt"\n')
        folder = tmp_path / "job"
        JobFolder.plan(job, folder, 2)
        script = folder / "slurm.sh"
        script.write_text(
            script.read_text().replace("##SBATCH --gpus", "#SBATCH --gpus").replace("4G", "1G")
        )
        self.run(folder, cluster)
        assert set(JobFolder.read(folder).merge().value) <= {"0", "1"}


def test_templates_name_every_task(job, tmp_path):
    JobFolder.plan(job, tmp_path / "job", 7)
    assert "#SBATCH --array=0-6\n" in (tmp_path / "job" / "slurm.sh").read_text()
    condor = (tmp_path / "job" / "condor.sub").read_text()
    assert "queue 7\n" in condor
    assert "--task $(Process) --of 7" in condor
