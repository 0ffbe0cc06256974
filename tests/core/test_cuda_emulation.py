"""The emulation that executes CUDA kernels on the CPU: right on correct kernels, and each of its
detectors finds the defects planted for it (``cuda_emulation/planted``) in every schedule."""

import ctypes
import re
import sysconfig
from importlib import util
from pathlib import Path

import numpy as np
import pytest

BUILD = Path(__file__).parents[2] / "build" / "emulation"
MODULE = BUILD / f"_planted{sysconfig.get_config_var('EXT_SUFFIX')}"
if not MODULE.exists():
    pytest.skip("make -C tests/cuda_emulation builds it", allow_module_level=True)
_spec = util.spec_from_file_location("_planted", MODULE)
planted = util.module_from_spec(_spec)
_spec.loader.exec_module(planted)

SCHEDULES = ["forward", "reverse", 1, 2, 3, 4, 5]
rng = np.random.default_rng(7)


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    planted.reset()
    planted.set_schedule(request.param)
    yield request.param
    planted.reset()


class Buffer:
    """Device memory of the emulation that NumPy sees too: ``array`` is what it holds."""

    def __init__(self, content, dtype=np.int32):
        unwritten = isinstance(content, int)
        array = np.empty(content, dtype) if unwritten else np.ascontiguousarray(content, dtype)
        self.nbytes = array.nbytes
        self.address = planted.allocate(self.nbytes, initialised=not unwritten)
        memory = (ctypes.c_char * self.nbytes).from_address(self.address)
        self.array = np.frombuffer(memory, dtype)
        if not unwritten:
            self.array[:] = array.ravel()

    def unwritten(self):
        return planted.unwritten(self.address, 0, self.nbytes)

    def free(self):
        planted.free(self.address)


def run(kernel, source, out, n=0, **launch):
    getattr(planted, kernel)(source.address, out.address, n, **launch)
    return out.array


def values(n):
    return Buffer(rng.integers(-50, 50, n))


class TestCleanKernels:
    def test_grid_stride(self, schedule):
        source, out = values(1000), Buffer(1000)
        assert out.unwritten() == 0
        np.testing.assert_array_equal(run("doubled", source, out, 1000), 2 * source.array)
        assert out.unwritten() == -1

    def test_shuffle_sum(self, schedule):
        source, out = values(1000), Buffer(8)
        run("shuffle_sum", source, out, 1000, blocks=8, threads=128, shared_bytes=32)
        assert out.array.sum() == source.array.sum()

    def test_ballot_compaction(self, schedule):
        source, out = values(1000), Buffer(1000)
        run("ballot_compaction", source, out, 1000, blocks=1, threads=32)
        kept = source.array[source.array > 0]
        np.testing.assert_array_equal(out.array[: len(kept)], kept)
        assert out.unwritten() == 4 * len(kept)

    def test_histogram(self, schedule):
        source, out = values(3000), Buffer(np.zeros(64))
        run("histogram", source, out, 3000, blocks=3, threads=128, shared_bytes=256)
        np.testing.assert_array_equal(out.array, np.bincount(source.array & 63, minlength=64))

    def test_transpose(self, schedule):
        source, out = values(70 * 70), Buffer(70 * 70)
        run("transpose", source, out, 70, blocks=4, threads=256, shared_bytes=33 * 32 * 4)
        np.testing.assert_array_equal(out.array.reshape(70, 70), source.array.reshape(70, 70).T)

    def test_syncwarp(self, schedule):
        source, out = values(288), Buffer(288)
        run("turned_in_warps", source, out, blocks=3, threads=96, shared_bytes=384)
        turned = source.array.reshape(9, 32)[:, ::-1]
        np.testing.assert_array_equal(out.array.reshape(9, 32), turned)

    def test_vectors_of_four(self, schedule):
        source, out = values(1000), Buffer(1000)
        expected = source.array.reshape(-1, 4) + np.outer(source.array[::4], [0, 0, 0, 1])
        np.testing.assert_array_equal(
            run("copied_by_four", source, out, 1000).reshape(-1, 4), expected
        )

    def test_bytes_beside_each_other(self, schedule):
        source, out = values(1000), Buffer(1000, np.uint8)
        np.testing.assert_array_equal(run("flags_in_bytes", source, out, 1000), source.array > 0)

    def test_passed_on_through_barriers(self, schedule):
        source, out = values(128), Buffer(128)
        run("passed_on", source, out)
        expected = 64 * (source.array[[0, 64]] + 1)
        np.testing.assert_array_equal(out.array, expected.repeat(64))

    def test_intrinsics(self, schedule):
        x = rng.integers(1, 1000, 32).astype(np.int32)
        x[11] = 0
        source, out = Buffer(x), Buffer(np.zeros(20 * 32 + 14))
        out.array[644:646] = [-1, 0]  # where bits are cleared, the unsigned maximum
        out.array[642] = 2000
        out.array[650:652] = np.array([5000], np.int64).view(np.int32)
        run("intrinsics", source, out, blocks=1, threads=32)
        lane = np.arange(32)
        segment = lane // 8 * 8
        bits = [format(v, "b") for v in x.tolist()]
        expected = [
            x[np.full(32, 5)],
            x[segment + 1],
            x[np.where(lane >= 3, lane - 3, lane)],
            x[np.where(lane % 8 >= 3, lane - 3, lane)],
            x[np.where(lane + 3 < 32, lane + 3, lane)],
            x[np.where(lane % 8 + 3 < 8, lane + 3, lane)],
            x[lane ^ 6],
            *[np.full(32, x[7])] * 3,
            np.full(32, np.packbits(x > 0, bitorder="little").view(np.int32)[0]),
            *[np.full(32, one) for one in (1, 0, 1)],
            *[np.array([b.count("1") for b in bits])] * 2,
            np.array([len(b) - b.rfind("1") if "1" in b else 0 for b in bits]),
            np.array([32 - len(b.lstrip("0")) for b in bits]),
            np.array([32 + len(b) - b.rfind("1") if "1" in b else 0 for b in bits]),
            np.array([64 - len(b.lstrip("0")) for b in bits]),
        ]
        np.testing.assert_array_equal(out.array[:640].reshape(20, 32), expected)
        both = np.bitwise_or.reduce(x), np.bitwise_and.reduce(x)
        cells = [x.sum(), x.max(), x.min(), *both, x.max(), x.sum(), x[0], 0]
        np.testing.assert_array_equal(out.array[640:649], cells)
        assert out.array[650:654].view(np.int64).tolist() == [x.min(), x.sum()]

    def test_memset_and_memcpy(self):
        source, out = values(100), Buffer(200)
        run("cleared_and_copied", source, out, 100)
        np.testing.assert_array_equal(out.array, [*[0] * 100, *source.array])
        assert out.unwritten() == -1
        with pytest.raises(ValueError, match="no buffer holds these bytes"):
            run("cleared_and_copied", source, out, 101)
        with pytest.raises(ValueError, match="reads unwritten memory"):
            run("cleared_and_copied", Buffer(100), out, 100)

    def test_random_schedules_differ(self):
        """Which of many atomics comes last shows the order: it must not be one and the same."""
        order = set()
        for s in SCHEDULES:
            planted.set_schedule(s)
            source, out = Buffer(np.arange(64)), Buffer(np.zeros(1))
            run("last_one", source, out, 64, blocks=2, threads=32)
            order.add(int(out.array[0]))
        planted.reset()
        assert len(order) >= 5


RACES = [
    ("histogram_without_first_barrier", {"shared_bytes": 256}),
    ("histogram_without_last_barrier", {"shared_bytes": 256}),
    ("transpose_without_first_barrier", {"blocks": 1, "threads": 256, "shared_bytes": 33 * 128}),
    ("transpose_without_last_barrier", {"blocks": 1, "threads": 256, "shared_bytes": 33 * 128}),
    ("sum_without_barrier", {"shared_bytes": 8}),
    ("turned_without_syncwarp", {"shared_bytes": 256}),
    ("turned_after_ballot", {"shared_bytes": 256}),
    ("store_beside_atomic", {}),
    ("same_value_by_all", {}),
]
RACES_BETWEEN_BLOCKS = [
    "blocks_write_one_place",
    "block_reads_what_another_writes",
    "block_stores_beside_atomic",
]


class TestRaces:
    @pytest.mark.parametrize(("kernel", "launch"), RACES)
    def test_within_a_block(self, schedule, kernel, launch):
        with pytest.raises(RuntimeError, match=r"\n  data race by block \d thread \d+ at "):
            run(kernel, values(4096), Buffer(np.zeros(4096)), 64, **launch)

    @pytest.mark.parametrize("kernel", RACES_BETWEEN_BLOCKS)
    def test_between_blocks(self, schedule, kernel):
        with pytest.raises(
            RuntimeError, match=r"data race between blocks by block \d thread 0 at "
        ):
            run(kernel, values(8), Buffer(np.zeros(8)))

    def test_not_between_launches(self, schedule):
        source, out = values(1000), Buffer(1000)
        run("doubled", source, out, 1000)
        run("doubled", out, source, 1000)
        run("doubled", source, out, 1000, blocks=3, threads=96)


class TestAddresses:
    @pytest.mark.parametrize(
        ("kernel", "what"),
        [
            ("reads_behind", r"99 at defects.cu:\d+: 4 bytes are read at .* of 400 bytes \+ 400"),
            ("reads_before", r"0 at defects.cu:\d+: .* read at buffer \d+ of 4 bytes \+ 508"),
            ("writes_behind", r"100 at .* written at buffer \d+ of 400 bytes \+ 400"),
            ("atomic_behind", r"\d+ at defects.cu:\d+: .* changed atomically at .* \+ 400"),
        ],
    )
    def test_out_of_bounds(self, schedule, kernel, what):
        Buffer(1)  # what lies before
        with pytest.raises(RuntimeError, match="out of bounds by block 0 thread " + what):
            run(kernel, values(100), Buffer(np.zeros(100)), 100, blocks=1, threads=128)

    def test_behind_shared_memory(self, schedule):
        with pytest.raises(
            RuntimeError, match=r"out of bounds by block \d thread 63 .* 256 bytes \+ 256"
        ):
            run("reads_behind_shared", values(128), Buffer(128), shared_bytes=256)

    def test_host_memory(self, schedule):
        host, device = values(10), Buffer(10)
        host.address = np.zeros(10, np.int32).ctypes.data
        for source, out, verb in ((host, device, "read"), (device, host, "written")):
            planted.mark_written(device.address, 0, device.nbytes)
            with pytest.raises(RuntimeError, match=f"outside device memory are {verb}"):
                run("doubled", source, out, 10)

    def test_released(self, schedule):
        source, out = values(10), Buffer(10)
        source.free()
        with pytest.raises(RuntimeError, match=r"out of bounds by .* released buffer"):
            run("doubled", source, out, 10)
        with pytest.raises(ValueError, match="no buffer begins"):
            source.free()

    def test_misaligned(self, schedule):
        with pytest.raises(
            RuntimeError, match=r"misaligned access by .* thread 0 .*: buffer \d+ .* \+ 8"
        ):
            run("misaligned", values(8), Buffer(8))

    def test_index_of_a_local_array(self, schedule):
        with pytest.raises(RuntimeError, match=r"index out of bounds by .*: index 4, line \d+"):
            run("index_of_local_array", values(8), Buffer(8), 4)

    def test_unwritten(self, schedule):
        source, out = values(100), Buffer(100)
        run("leaves_one_out", source, out, 100)
        assert out.unwritten() == 200
        with pytest.raises(
            RuntimeError, match=r"read of unwritten memory by .* of 400 bytes \+ 200"
        ):
            run("doubled", out, source, 100)
        planted.mark_written(out.address, 200, 4)
        run("doubled", out, source, 100)
        planted.poison(out.address, 8, 4)
        assert out.unwritten() == 8

    def test_unwritten_shared(self, schedule):
        with pytest.raises(
            RuntimeError, match=r"read of unwritten memory by .*: shared memory .* \(\d+ ti"
        ):
            run("reads_unwritten_shared", values(64), Buffer(128), shared_bytes=256)

    def test_buffers_are_counted(self):
        before = planted.live_buffers()
        buffer = values(3)
        assert planted.live_buffers() == before + 1
        assert buffer.address % 256 == 0
        buffer.free()
        assert planted.live_buffers() == before

    def test_memory_begins_again_around_live_buffers(self):
        kept, new = values(1000), 0
        for _ in range(300_000):
            last, new = new, planted.allocate(0, True)
            planted.free(new)
            assert not kept.address <= new < kept.address + kept.nbytes + 256
            if new < last:
                break
        else:
            pytest.fail("device memory has no end")
        run("doubled", kept, Buffer(1000), 1000)


class TestBarriersAndWarps:
    @pytest.mark.parametrize(
        ("kernel", "kind", "launch"),
        [
            ("divergent_barrier", "divergent barrier", {}),
            ("barrier_after_exit", "barrier after exit", {}),
            ("half_at_a_barrier", "deadlock", {}),
            ("absent_lanes", "mask names absent lanes", {"threads": 16}),
            ("exited_lanes", "mask names exited lanes", {}),
            ("mask_without_caller", "mask without the calling lane", {}),
            ("divergent_warp", "divergent warp", {}),
            ("shuffle_from_outside", "shuffle from a lane outside the mask", {}),
        ],
    )
    def test_defect(self, schedule, kernel, kind, launch):
        source, out = values(128), Buffer(128)
        with pytest.raises(RuntimeError, match=rf"{kernel} \(schedule .*\n  {kind} by .*line \d+"):
            run(kernel, source, out, **launch)
        # Threads left waiting do not disturb the next launch.
        run("doubled", source, out, 128)

    @pytest.mark.parametrize(
        ("launch", "what"),
        [
            ({"threads": 2048}, r"2048 threads per block \(1 to 1024\)"),
            ({"threads": 0}, "0 threads per block"),
            ({"blocks": 0}, "0 blocks"),
            ({"blocks": 1 << 31}, "2147483648 blocks"),
            ({"shared_bytes": 48 * 1024 + 1}, "49153 bytes of shared memory"),
        ],
    )
    def test_launch_limits(self, launch, what):
        with pytest.raises(RuntimeError, match="doubled: invalid launch: " + what):
            run("doubled", values(10), Buffer(10), 10, **launch)


class TestReports:
    def test_same_place_is_told_once(self):
        planted.set_schedule(3)
        with pytest.raises(RuntimeError) as caught:
            run("same_value_by_all", values(2), Buffer(2))
        planted.reset()
        text = str(caught.value)
        assert re.search(r"same_value_by_all \(schedule random 3\)\n", text)
        assert len(text.splitlines()) == 2
        assert re.search(r"at defects\.cu:\d+: .* \(\d+ times\)$", text)

    def test_nothing_is_left_for_the_next_launch(self, schedule):
        source, out = values(128), Buffer(128)
        with pytest.raises(RuntimeError):
            run("blocks_write_one_place", source, out)
        run("doubled", source, out, 128)


class TestTraffic:
    @pytest.fixture
    def traffic(self):
        planted.reset()
        planted.count_accesses(True)
        yield lambda: {row["kind"]: row for row in planted.statistics()}
        planted.reset()
        assert planted.statistics() == []

    def test_coalesced(self, traffic):
        run("doubled", values(1024), Buffer(1024), 1024, blocks=1, threads=32)
        for kind in ("global read", "global write"):
            row = traffic()[kind]
            assert (row["kernel"], row["accesses"]) == ("doubled", 32)
            assert row["where"].startswith("clean.cu:")
            assert row["sectors"] == row["ideal_sectors"] == 32 * 4

    def test_sixteen_bytes_are_one_access(self, traffic):
        run("copied_by_four", values(1024), Buffer(1024), 1024, blocks=1, threads=32)
        for kind in ("global read", "global write"):
            row = traffic()[kind]
            assert row["accesses"] == 8
            assert row["sectors"] == row["ideal_sectors"] == 8 * 16

    def test_strided(self, traffic):
        run("strided", values(4096), Buffer(128), 4096)
        assert traffic()["global read"]["sectors"] == 4 * 32
        assert traffic()["global read"]["ideal_sectors"] == 4 * 4
        assert traffic()["global write"]["sectors"] == 4 * 4

    def test_bank_conflicts(self, traffic):
        run("conflicts", values(32), Buffer(32), blocks=1, threads=32, shared_bytes=4096)
        assert traffic()["shared read"]["worst_conflict"] == 32
        assert traffic()["shared write"]["worst_conflict"] == 1

    def test_padded_tile_has_none(self, traffic):
        side = 64
        run("transpose", values(side**2), Buffer(side**2), side, threads=256, shared_bytes=33 * 128)
        assert traffic()["shared read"]["worst_conflict"] == 1
        assert traffic()["global write"]["sectors"] == traffic()["global write"]["ideal_sectors"]

    def test_atomics(self, traffic):
        run("histogram", values(64), Buffer(np.zeros(64)), 64, shared_bytes=256)
        assert {"shared atomic", "global atomic"} <= set(traffic())
