"""benchmarks/gpu_node.sh, with programs in place of nvidia-smi, compute-sanitizer and Python."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_node.sh"


@pytest.fixture
def node(tmp_path):
    """Runs the script on a machine with these programs: name to body."""

    def run(*stages, **programs):
        for name, body in programs.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(0o755)
        environment = os.environ | {
            "PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out"), "PYTHON": "stub-python",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", SCRIPT, *stages], capture_output=True, text=True, check=False, env=environment
        )
        summary = tmp_path / "out" / "summary.txt"
        return done, summary.read_text().splitlines()[-len(stages) :] if summary.exists() else []

    return run


GPU = "echo 'NVIDIA Test, 580.1'"


def test_without_a_gpu(node):
    done, summary = node("tests", nvidia_smi="exit 9")
    assert (done.returncode, summary) == (1, [])
    assert done.stderr == "there is no GPU here: nvidia-smi finds none\n"


def test_every_stage_runs_and_the_summary_names_those_that_failed(node):
    python = 'case "$*" in *pytest*) echo "1 failed"; exit 1;; *) echo "ran";; esac'
    sanitizer = 'case "$*" in *racecheck*) echo "race"; exit 9;; *) echo "0 errors";; esac'
    done, summary = node(
        "tests", "sanitize", "bench",
        nvidia_smi=GPU, stub_python=python, compute_sanitizer=sanitizer,
    )  # fmt: skip
    assert done.returncode == 1
    assert summary == ["tests: FAILED (1); 1 failed", "sanitize: FAILED (1); 0 errors", "bench: passed; ran"]  # fmt: skip


def test_all_is_well(node):
    done, summary = node("build", "bench", nvidia_smi=GPU, stub_python="echo well")
    assert (done.returncode, summary) == (0, ["build: passed; well", "bench: passed; well"])


def test_what_is_counted(node):
    """Nsight Compute, where it is installed: it runs every job."""
    _, summary = node("study", "ncu", nvidia_smi=GPU, stub_python="echo well")
    expected = "ncu: passed; ncu (Nsight Compute) is not installed: nothing was counted"
    assert summary == ["study: passed; well", expected]
    done, summary = node("ncu", nvidia_smi=GPU, stub_python="echo well", ncu='shift 7; "$@"')
    assert (done.returncode, summary) == (0, ["ncu: passed; well"])


def test_a_stage_that_there_is_not(node):
    done, _ = node("bnech", nvidia_smi=GPU)
    assert done.returncode == 2
    assert "unknown stage bnech: build, tests, sanitize, bench, study, ncu" in done.stderr
