"""Events of so many particles that all blocks of a GPU share them: their parts, and 10^6 of them at once."""

import numpy as np
import pytest
from strategies import DTYPES, assert_same, column
from traffic import counted

from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import reference
from fastjag.kernels.gpu import device_of

EXACT = ("count", "min", "max", "argmin", "argmax", "any", "all")
# At the borders of a part (1024), of what is a part's work (8192), and in between.
SIZES = [8191, 8192, 8193, 9215, 9216, 9217, 20_000]


def uneven(seed):
    """Offsets, not from 0, of huge events among short and empty ones; entries of the content."""
    rng = np.random.default_rng(seed)
    counts = np.r_[3, 0, 8193, 40, 1, 12_345, 0, 2, rng.integers(0, 5, 30), 9216]
    return 5 + np.r_[0, np.cumsum(rng.permutation(counts))]


def one(n):
    return np.array([0, n])


def check(offsets, values, found):
    names = EXACT if values.dtype.kind == "f" else (*EXACT, "sum")
    for name in names:
        expected = CPU.aggregate(offsets, values, [name])[name]
        assert_same(found[name], expected)
    scale = np.abs(values.astype(np.float64)[np.isfinite(values)]).sum() + 1
    for name in ("sum", "mean", "std"):
        expected = CPU.aggregate(offsets, values, [name])[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, atol=1e-12 * scale)


CPU = kernels


class TestAggregate:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_every_dtype(self, kernels, dtype):
        offsets = uneven(1)
        values = column(np.random.default_rng(2), dtype, int(offsets[-1]) + 3)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=1, posinf=2, neginf=-3)
        check(offsets, values, kernels.aggregate(offsets, values, [*EXACT, "sum", "mean", "std"]))

    @pytest.mark.parametrize("n", SIZES)
    @pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
    def test_sizes_and_what_is_not_finite(self, kernels, n, special):
        values = np.random.default_rng(n).normal(size=n).astype("f4")
        values[[n // 3, n - 1]] = special
        names = [*EXACT, "sum", "mean"]
        expected = CPU.aggregate(one(n), values, names)
        found = kernels.aggregate(one(n), values, names)
        for name in names:
            assert_same(found[name], expected[name])

    @pytest.mark.parametrize("n", SIZES)
    def test_extremes_of_equals_are_the_first(self, kernels, n):
        values = np.full(n, 7, "i4")
        values[[n // 2, n - 1]] = 9
        values[[n // 2 + 1, n - 2]] = 1
        found = kernels.aggregate(one(n), values, ["argmin", "argmax"])
        assert found["argmin"].tolist() == [n // 2 + 1]
        assert found["argmax"].tolist() == [n // 2]
        assert kernels.aggregate(one(n), values * 0, ["argmin", "any", "all"]) == {
            "argmin": [0], "any": [False], "all": [False]
        }  # fmt: skip

    def test_any_order_of_blocks(self, emulation):
        """The same to the last bit, whoever comes first."""
        xp, offsets = devices.cupy(), uneven(3)
        values = np.random.default_rng(4).normal(size=int(offsets[-1])).astype("f8")
        there = xp.asarray(offsets), xp.asarray(values)
        found = []
        for schedule in ("forward", "reverse", "1", "2"):
            emulation.set_schedule(schedule)
            found.append(kernels.aggregate(*there, ["sum", "mean", "std"]))
        for other in found[1:]:
            for name, expected in found[0].items():
                assert_same(other[name].get(), expected.get())

    def test_is_no_work_of_one_warp(self, emulation):
        """However many such events there are, in whatever warps and blocks they are found."""
        xp = devices.cupy()
        counts = np.zeros(900, np.int64)
        counts[[0, 1, 40, 300, 899]] = 8193, 9000, 8200, 8193, 8300
        offsets = np.r_[0, np.cumsum(counts)]
        values = np.random.default_rng(1).integers(0, 9, offsets[-1]).astype("i4")
        with counted(emulation) as rows:
            found = kernels.aggregate(xp.asarray(offsets), xp.asarray(values), ["sum", "argmax"])
        assert_same(found["sum"].get(), CPU.aggregate(offsets, values, ["sum"])["sum"])
        reads = {
            name: sum(
                r["accesses"] for r in rows if name in r["kernel"] and r["kind"] == "global read"
            )
            for name in ("aggregate_events", "aggregate_parts")
        }
        assert reads["aggregate_parts"] > 1000
        assert reads["aggregate_events"] < 300  # offsets

    def test_a_million(self, emulation):
        n, xp = 1_000_000, devices.cupy()
        values = np.random.default_rng(5).normal(size=n).astype("f4")
        offsets = np.array([0, 2, n - 1, n])
        given = xp.asarray(offsets), xp.asarray(values)
        found = kernels.aggregate(*given, ["sum", "max", "argmin"])
        expected = CPU.aggregate(offsets, values, ["sum", "max", "argmin"])
        np.testing.assert_allclose(found["sum"].get(), expected["sum"], rtol=1e-11)
        for name in ("max", "argmin"):
            assert_same(found[name].get(), expected[name])


class TestSelect:
    def test_a_million(self, gpu):
        n = 1_000_000
        rng = np.random.default_rng(6)
        mask, offsets = rng.random(n) < 0.3, np.array([0, 2, n - 1, n])
        bounds, (kept,) = kernels.keep(
            gpu.asarray(offsets), gpu.asarray(mask), [gpu.arange(n, dtype=np.int64)]
        )
        assert_same(bounds.get(), np.r_[0, np.cumsum(mask)][offsets])
        assert_same(kept.get(), np.flatnonzero(mask))

    def test_blocks_have_equal_work(self, emulation):
        """However particles are spread over events: a tile after the other."""
        xp = devices.cupy()
        mask, values = xp.ones(20_000, bool), xp.ones(20_000, np.float32)
        reads = []
        for offsets in (one(20_000), np.arange(0, 20_001, 4)):
            given = xp.asarray(offsets)
            with counted(emulation) as rows:
                kernels.keep(given, mask, [values])
            reads.append([r["accesses"] for r in rows if r["kernel"].startswith("compact")])
        assert reads[0] == reads[1]


class TestDimuon:
    def columns(self, n, seed=7):
        rng = np.random.default_rng(seed)
        pt, eta, phi = (rng.normal(size=n) for _ in "pep")
        return np.abs(pt), eta, phi, rng.choice(np.array([-1, 1, 0], "i4"), n)

    @pytest.mark.parametrize("charge", ["any", "opposite", "same"])
    @pytest.mark.parametrize("n", [8193, 9216, 9217])
    def test_leading(self, kernels, n, charge):
        pt, eta, phi, charges = self.columns(n)
        pt[[5, n - 1]] = 50, 40  # one of them beyond what a byte holds
        charges[[5, n - 1]] = 1, 1 if charge == "same" else -1
        offsets = np.array([0, n])
        for mask in (None, np.arange(n) % 7 != 5):
            options = {"charge": charge, "mask": mask, "particle_mass": 0.1}
            found = kernels.dimuon(offsets, pt, eta, phi, charges, **options)
            expected = CPU.dimuon(offsets, pt, eta, phi, charges, **options)
            assert_same(found[0], expected[0])
            for name, values in expected[1].items():
                assert_same(found[1][name], values)

    def test_leading_among_others(self, kernels):
        offsets = uneven(8)
        pt, eta, phi, charges = self.columns(int(offsets[-1]) + 2)
        pt[::3] = np.nan
        found = kernels.dimuon(offsets, pt, eta, phi, charges, particle_mass=0.1)
        expected = CPU.dimuon(offsets, pt, eta, phi, charges, particle_mass=0.1)
        assert_same(found[0], expected[0])
        for name, values in expected[1].items():
            assert_same(found[1][name], values)

    @pytest.mark.parametrize("charge", ["any", "opposite", "same"])
    def test_all_of_those_that_pass(self, kernels, charge):
        offsets = uneven(9)
        pt, eta, phi, charges = self.columns(int(offsets[-1]) + 2)
        mask = np.random.default_rng(10).random(len(pt)) < 0.002
        options = {"charge": charge, "pairs": "all", "mask": mask, "particle_mass": 0.1}
        found = kernels.dimuon(offsets, pt, eta, phi, charges, **options)
        expected = CPU.dimuon(offsets, pt, eta, phi, charges, **options)
        assert_same(found[0], expected[0])
        assert found[0][-1] > 50
        for name, values in expected[1].items():
            assert_same(found[1][name], values)

    def test_all_of_few_charges(self, kernels):
        """Without a mask: those without a charge form no pairs."""
        offsets = np.array([0, 3, 8200, 8203])
        pt, eta, phi, charges = self.columns(8203)
        charges[3:8200] = 0
        charges[[100, 4000, 4001, 8199]] = 1, -1, -1, 1
        options = {"pairs": "all", "particle_mass": 0.1, "fields": ["first", "second", "mass"]}
        found = kernels.dimuon(offsets, pt, eta, phi, charges, **options)
        expected = CPU.dimuon(offsets, pt, eta, phi, charges, **options)
        assert_same(found[0], expected[0])
        assert found[0][2] - found[0][1] == 4
        for name, values in expected[1].items():
            assert_same(found[1][name], values)

    @pytest.mark.parametrize("charge", ["any", "opposite", "same"])
    def test_all_whose_rows_are_shared(self, kernels, charge):
        """Events of more than 128 particles: strips of 8 rows go to warps of all blocks."""
        offsets = 3 + np.r_[0, np.cumsum([2, 129, 128, 0, 136, 40, 137, 1, 300])]
        pt, eta, phi, charges = self.columns(int(offsets[-1]) + 2)
        if charge == "any":
            charges = None
        fields = ["event", "first", "second", "mass"]
        options = {"charge": charge, "pairs": "all", "particle_mass": 0.1, "fields": fields}
        found = kernels.dimuon(offsets, pt, eta, phi, charges, **options)
        expected = CPU.dimuon(offsets, pt, eta, phi, charges, **options)
        assert_same(found[0], expected[0])
        for name, values in expected[1].items():
            assert_same(found[1][name], values)

    @pytest.mark.usefixtures("emulation")
    @pytest.mark.parametrize("charge", [0, 1, 2])
    def test_counts_of_many_parts(self, charge):
        """More parts than a warp has lanes, of an event whose pairs would not fit into memory."""
        n = 40_000
        charges = np.random.default_rng(3).choice(np.array([-1, 1, 0], "i4"), n)
        there = [devices.to_gpu(a) for a in (one(n), np.ones(n), charges)]
        place = device_of(offsets=there[0])
        found = place.empty(2, np.int64)
        where = place.where(1, scratch=place.scratch("dimuon", 1, n))
        place.kernels.dimuon_count(*there, None, charge, 1, found, None, where)
        place.add_up(found)
        plus, minus = int((charges > 0).sum()), int((charges < 0).sum())
        same = (plus * (plus - 1) + minus * (minus - 1)) // 2
        assert found.tolist() == [0, [n * (n - 1) // 2, plus * minus, same][charge]]

    @pytest.mark.parametrize("pairs", ["leading", "all"])
    def test_huge_events_are_no_work_of_one_warp(self, emulation, pairs):
        xp, offsets = devices.cupy(), np.array([0, 8200, 8203])
        pt, eta, phi, charges = self.columns(8203)
        charges[2:] = 0
        given = [xp.asarray(x) for x in (offsets, pt, eta, phi, charges)]
        with counted(emulation) as rows:
            kernels.dimuon(*given, pairs=pairs, particle_mass=0.1, fields=["first"])
        reads = sum(
            r["accesses"]
            for r in rows
            if r["kernel"].startswith("count") and r["kind"] == "global read"
        )
        assert 0 < reads < 64  # offsets, and the short event

    def test_all_pairs_are_no_work_of_one_warp(self, emulation):
        """However many events there are whose rows are shared."""
        xp, offsets = devices.cupy(), np.r_[0, np.cumsum([130] * 40)]
        given = [xp.asarray(x) for x in (offsets, *self.columns(int(offsets[-1])))]
        with counted(emulation) as rows:
            found = kernels.dimuon(*given, pairs="all", particle_mass=0.1, fields=["first"])
        expected = CPU.dimuon(
            *(x.get() for x in given), pairs="all", particle_mass=0.1, fields=["first"]
        )
        assert_same(found[1]["first"].get(), expected[1]["first"])
        writes = {
            name: sum(
                r["accesses"]
                for r in rows
                if r["kernel"].startswith(name) and r["kind"] == "global write"
            )
            for name in ("observe_all", "observe_strips")
        }
        assert writes["observe_all"] == 0
        assert writes["observe_strips"] > 1000

    def test_a_million(self, gpu):
        n = 1_000_000
        pt, eta, phi, charges = self.columns(n)
        pt[[7, n - 7]], charges[[7, n - 7]] = (90, 80), (1, -1)
        given = [gpu.asarray(x) for x in (one(n), pt, eta, phi, charges)]
        offsets, found = kernels.dimuon(*given, particle_mass=0.1, fields=["first", "second"])
        assert offsets.tolist() == [0, 1]
        assert found["first"].tolist() == [7]
        assert found["second"].tolist() == [n - 7]


class TestOrder:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_every_dtype(self, kernels, dtype):
        offsets = uneven(1)
        key = column(np.random.default_rng(2), dtype, int(offsets[-1]) + 3)
        assert_same(kernels.order(offsets, key), CPU.order(offsets, key))

    @pytest.mark.parametrize("n", [*SIZES, 16_384, 16_385, 65_536, 65_537])
    def test_sizes_and_ties(self, kernels, n):
        key = np.random.default_rng(n).integers(0, 50, n)
        assert_same(kernels.order(one(n), key), np.argsort(-key, kind="stable"))

    @pytest.mark.parametrize("schedule", ["forward", "reverse", "1"])
    def test_any_order_of_blocks(self, emulation, schedule):
        emulation.set_schedule(schedule)
        xp, offsets = devices.cupy(), uneven(3)
        key = np.random.default_rng(4).integers(0, 999, int(offsets[-1]))
        found = kernels.order(xp.asarray(offsets), xp.asarray(key))
        assert_same(found.get(), CPU.order(offsets, key))

    def test_is_no_work_of_one_block(self, emulation):
        xp, n = devices.cupy(), 20_000
        key = xp.asarray(np.random.default_rng(5).normal(size=n))
        with counted(emulation) as rows:
            kernels.order(xp.asarray(one(n)), key)
        written = {r["kernel"] for r in rows if r["kind"] == "global write" and r["accesses"] > 99}
        assert {name.strip("(").partition("<")[0] for name in written} == {
            "order_parts", "merge_runs"
        }  # fmt: skip

    @pytest.mark.parametrize("n", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
    def test_many(self, gpu, n):
        key = np.random.default_rng(6).integers(0, 10**5, n).astype("f4")
        found = kernels.order(gpu.asarray(one(n)), gpu.asarray(key))
        assert_same(found.get(), np.argsort(-key, kind="stable"))


class TestNearest:
    def test_many_right_particles_are_no_work_of_one_warp(self, emulation):
        """Left particles of events with more than 1024 right ones go to warps of all blocks."""
        xp, rng = devices.cupy(), np.random.default_rng(8)
        sides = []
        for counts in ([2, 70, 0, 5], [3, 1025, 1030, 1024]):
            offsets = np.r_[0, np.cumsum(counts)]
            sides.append((offsets, *(rng.normal(size=offsets[-1]) for _ in "ep")))
        there = [tuple(xp.asarray(x) for x in side) for side in sides]
        with counted(emulation) as rows:
            found = kernels.nearest(*there)
            cones = kernels.in_cone(*there, 0.3)
        for found_one, expected in zip(
            (*found, *cones), (*CPU.nearest(*sides), *CPU.in_cone(*sides, 0.3)), strict=True
        ):
            assert_same(found_one.get(), expected)
        reads = {
            name: sum(
                r["accesses"]
                for r in rows
                if r["kernel"].lstrip("(").startswith(name) and r["kind"] == "global read"
            )
            for name in ("each_left", "each_of_many")
        }
        # Two columns of the 5 left particles with 1024 right ones, thrice; and of the 70 others.
        assert reads["each_left"] < 3 * 3 * 1100
        assert reads["each_of_many"] > 3 * 70 * 2 * 1025 / 32


def test_reference_knows_long_events_too():
    """What is compared with here is the CPU's kernel: on an event of this length it is the reference's."""
    values = np.random.default_rng(1).normal(size=9000)
    found = CPU.aggregate(one(9000), values, ["sum", "argmax"])
    assert found["argmax"][0] == reference.aggregate(one(9000), values, "argmax")[0]
