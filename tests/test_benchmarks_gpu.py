"""What benchmarks/ says about GPUs is right before any GPU is asked."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import fastjag as fj
from fastjag.kernels import gpu as kernels_device

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import bench_awkward_study
import bench_gpu
import gpu_code
import gpu_jobs
import gpu_peers
import static_gpu


@pytest.mark.usefixtures("emulation")
def test_all_jobs_equal_the_cpu():
    assert bench_gpu.compare(400) == []


@pytest.mark.usefixtures("emulation")
@pytest.mark.parametrize("version", bench_awkward_study.OURS)
def test_the_study_equals_awkward(version):
    here = bench_awkward_study.events(300)
    expected = bench_awkward_study.awkward({k: v.to_awkward() for k, v in here.items()})
    assert sum(len(masses) for masses in expected.values()) > 50
    given = {name: particles.to("cuda") for name, particles in here.items()}
    bench_awkward_study.check(bench_awkward_study.OURS[version](given), expected)


@pytest.mark.usefixtures("emulation")
def test_every_launch_is_timed(monkeypatch):
    """A second for each event that is recorded: a launch lies between two of them."""
    clock = iter(range(1000))
    monkeypatch.setattr(bench_gpu, "recorded", lambda: next(clock))
    module = kernels_device.cuda_module()
    jagged = fj.Jagged.from_counts([2, 3], {"pt": np.arange(5.0)}).to("cuda")
    with bench_gpu.watched() as watch:
        jagged.aggregate("pt", ["sum"])
    assert watch.spans == [(0, 1)]
    assert kernels_device.cuda_module() is module
    watch.problem()
    assert len(watch.spans) == 1


def test_a_difference_is_named():
    job = gpu_jobs.JOBS[0]
    ours = {"values": np.zeros(3), "mask": np.ones(3)}
    assert bench_gpu.differences(job, ours, ours, 0) == []
    other = ours | {"mask": np.ones(3, np.float32)}
    assert "mask differs" in bench_gpu.differences(job, ours, other, 0)[0]
    close = ours | {"mask": np.ones(3) + 1e-9}
    assert bench_gpu.differences(job, ours, close, 1e-8) == []
    assert len(bench_gpu.differences(job, ours, close, 1e-12)) == 1


PEERS = [(work, name) for work, peers in gpu_peers.PEERS.items() for name in peers]


@pytest.mark.parametrize(("work", "name"), PEERS, ids=[f"{w}-{n}" for w, n in PEERS])
def test_peers_do_the_same_work(work, name):
    if name == "FBGEMM" and not find_spec("fbgemm_gpu"):
        pytest.skip("fbgemm_gpu is not installed")
    job = next(job for job in gpu_jobs.JOBS if job.work == work)
    arrays = job.arrays(1000)
    theirs = {k: np.asarray(v) for k, v in gpu_peers.PEERS[work][name](np, arrays).items()}
    assert theirs
    assert bench_gpu.differences(job, job.run(arrays), theirs, 1e-5) == []


class TestMeasuring:
    """Without a GPU's clock: a run that ends early leaves what it has measured."""

    DEVICE: ClassVar = {"name": "none", "processors": 2, "data sheet": 1e12, "copy": 1e12}

    @pytest.fixture
    def measured(self, emulation, monkeypatch, tmp_path):
        monkeypatch.setattr(
            bench_gpu, "milliseconds", lambda call, rounds, kernels=False: [call() and 1.0]
        )
        monkeypatch.setattr(gpu_jobs, "JOBS", gpu_jobs.JOBS[:2])
        peers = {gpu_jobs.JOBS[0].work: {}}
        monkeypatch.setattr(gpu_peers, "PEERS", peers)

        def run(**of_first):
            peers[gpu_jobs.JOBS[0].work] = of_first
            failed = bench_gpu.measure_all(self.DEVICE, 100, 1, tmp_path)
            rows = json.loads((tmp_path / "benchmarks-gpu.json").read_text())["rows"]
            return failed, rows, (tmp_path / "benchmarks-gpu.md").read_text()

        return run

    @pytest.mark.parametrize("error", [ValueError, MemoryError, KeyError, RuntimeError])
    def test_a_peer_that_fails_leaves_a_line(self, measured, error):
        def peer(xp, arrays):
            raise error("no\nmore")

        failed, rows, page = measured(Peer=peer)
        assert failed == []
        absent = {row["candidate"]: row["absent"] for row in rows if "absent" in row}
        assert list(absent) == ["Peer"]
        assert absent["Peer"].startswith(f"{error.__name__}: ")
        assert [row["work"] for row in rows if row["candidate"] == "fastjag"] == [
            job.work for job in gpu_jobs.JOBS
        ]
        assert f"| Peer | {error.__name__}: " in page

    def test_a_peer_that_fails_while_it_is_timed(self, measured):
        calls = []

        def peer(xp, arrays):
            calls.append(1)
            if len(calls) > 1:
                raise MemoryError("full")
            return gpu_jobs.JOBS[0].run(arrays)

        _, rows, _ = measured(Peer=peer)
        absent = {row["candidate"]: row["absent"] for row in rows if "absent" in row}
        assert absent == {"Peer": "MemoryError: full"}

    def test_jobs_before_one_that_fails_are_written(self, measured, monkeypatch, tmp_path):
        measure, seen = bench_gpu.measure, []

        def second_fails(job, events, rounds):
            if job is gpu_jobs.JOBS[1]:
                seen.extend(json.loads((tmp_path / "benchmarks-gpu.json").read_text())["rows"])
                raise MemoryError("full")
            return measure(job, events, rounds)

        monkeypatch.setattr(bench_gpu, "measure", second_fails)
        failed, rows, _ = measured()
        assert failed == [f"{gpu_jobs.JOBS[1].name} ({gpu_jobs.JOBS[1].work})"]
        assert seen == rows[:1]
        assert "best" in rows[0]
        assert rows[1]["absent"] == "MemoryError: full"


def test_without_a_gpu_it_says_so():
    try:
        kernels_device.cuda_module()
    except RuntimeError as error:
        reason = str(error)
    else:
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench_gpu.py"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip() == f"there is no GPU to measure: {reason}"


class TestCeilings:
    CODE = static_gpu.Code(2, 40, 0, 0, 128, 32)

    def test_what_is_within_them_passes(self):
        ceilings = static_gpu.accepted({"sm_80": {"k": self.CODE}}, {})
        assert static_gpu.failures("sm_80", {"k": self.CODE}, ceilings) == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"registers": 41}, "registers 41 > 40"),
            ({"local": 1}, "local 1 > 0"),
            ({"stack": 8}, "stack 8 > 0"),
            ({"load": 64}, "widest load 64 < 128 bits"),
            ({"generic": 2}, "generic 2 > 0"),
        ],
    )
    def test_what_is_worse_fails(self, change, message):
        ceilings = static_gpu.accepted({"sm_80": {"k": self.CODE}}, {})
        worse = static_gpu.Code(**(vars(self.CODE) | change))
        assert static_gpu.failures("sm_80", {"k": worse}, ceilings) == [f"sm_80 k: {message}"]

    def test_new_and_lost_kernels_fail(self):
        ceilings = static_gpu.accepted({"sm_80": {"k": self.CODE}}, {})
        found = static_gpu.failures("sm_80", {"new": self.CODE}, ceilings)
        assert found == [
            "sm_80 new: has no ceilings (--accept)", "sm_80 k: is gone (--accept)",
        ]  # fmt: skip

    def test_more_instructions_of_a_turn_fail(self):
        code = static_gpu.Code(**(vars(self.CODE) | {"turns": {"k<float>": 120}}))
        ceilings = static_gpu.accepted({"sm_80": {"k": code}}, {})
        assert static_gpu.failures("sm_80", {"k": code}, ceilings) == []
        for n in (121, 0):  # 0: there is no such loop any more
            worse = static_gpu.Code(**(vars(self.CODE) | {"turns": {"k<float>": n}}))
            found = static_gpu.failures("sm_80", {"k": worse}, ceilings)
            assert found == [f"sm_80 k<float>: {n} instructions for 4 cells > 120"]

    def test_blocks_without_work_are_named(self):
        waves = [
            static_gpu.Wave("a.b", "work", 792, rounds) for rounds in (0, 3.99, 12.33, 12.36, 99.1)
        ]
        assert static_gpu.idle(waves) == ["a.b (work): 12.3 rounds, 94.8% busy < 95%"]

    @pytest.mark.usefixtures("emulation")
    def test_blocks_have_work_to_the_end(self):
        ceilings = json.loads(static_gpu.CEILINGS.read_text())
        found = static_gpu.waves(list(static_gpu.emulated_jobs(accesses=False)), ceilings)
        assert static_gpu.idle(found) == []
        page = static_gpu.PAGE.read_text().partition("<!-- waves -->\n")[2]
        assert page.partition("\n<!-- end of waves -->")[0] == static_gpu.wave_table(found)

    def test_no_kernel_uses_local_memory(self):
        ceilings = json.loads(static_gpu.CEILINGS.read_text())
        assert ceilings
        bad = {n for n, c in ceilings.items() if c["local"] or c["stack"] or c["generic"]}
        assert bad == set()

    def test_instructions_of_a_padded_cell(self):
        """At most 35, and 50 standardised; of bytes that become floats one more."""
        turns = json.loads(static_gpu.CEILINGS.read_text())["padding.pad_cells"]["turns"]
        assert len(turns) == 44
        for instance, n in turns.items():
            column, tensor, standardised = instance.partition("<")[2].split(", ")[:3]
            most = 50 if standardised == "true" else 35
            assert n <= 4 * (most + ("char" in column and tensor == "float")), instance

    @pytest.mark.usefixtures("emulation")
    def test_blocks_are_busy(self):
        """To the last round of their loops, of 10 million events on an H100."""
        ceilings = json.loads(static_gpu.CEILINGS.read_text())
        found = static_gpu.waves(list(static_gpu.emulated_jobs()), ceilings)
        assert {w.kernel for w in found} >= {"padding.pad_cells", "select.mark_kept",
                                             "dimuon.count_leading", "nearest.each_left"}  # fmt: skip
        assert [w for w in found if w.busy < 0.945] == []

    SASS = """
        /*0010*/  MOV R1, R2 ;
        /*0020*/  ISETP.GE.AND P0, PT, R1, R2, PT ;
        /*0030*/  @P0 BRA 0x80 ;
        /*0040*/  FADD R1, R1, R2 ;
        /*0050*/  STG.E [R2.64], R1 ;
        /*0060*/  STG.E [R2.64+0x4], R1 ;
        /*0070*/  BRA 0x20 ;
        /*0080*/  @P1 BRA 0xb0 ;
        /*0090*/  STG.E [R2.64], R1 ;
        /*00a0*/  BRA 0x80 ;
        /*00b0*/  EXIT ;
    """

    def test_turns_of_loops(self):
        assert gpu_code.turn(self.SASS, 2) == 6  # from 0x20 to 0x70
        assert gpu_code.turn(self.SASS, 1) == 3
        assert gpu_code.turn(self.SASS, 3) is None

    def test_widest_access(self):
        assert gpu_code.widest("LDG.E.U8 R1 ; LDG.E.64 R2 ; STG.E.128 R4 ;", "LDG?") == 64
        assert gpu_code.widest("LDG.E.U8 R1 ;", "LDG?") == 8

    @pytest.mark.parametrize(
        ("registers", "threads", "shared", "part"),
        [
            (32, 256, 0, 1.0),
            (48, 256, 0, 0.625),  # 40 warps: 1536 registers each, in fours
            (255, 1024, 0, 0.0),
            (32, 256, 48 * 1024, 0.375),  # 3 blocks of 49 KB in 164
            (16, 32, 0, 0.5),  # 32 blocks
        ],
    )
    def test_occupancy(self, registers, threads, shared, part):
        assert static_gpu.occupancy("sm_80", registers, threads, shared) == part
