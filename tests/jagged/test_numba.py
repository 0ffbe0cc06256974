"""Jagged inside functions that numba compiles: the same numbers, without copies, compiled once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError
from strategies import column

import fastjag as fj


def muons(n_events=2000, seed=1):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2.0, n_events)
    n = int(counts.sum())
    columns = {"pt": rng.exponential(20, n), "eta": rng.normal(size=n),
               "phi": rng.uniform(-3.1, 3.1, n), "charge": rng.choice([-1, 1], n)}  # fmt: skip
    return fj.Jagged.from_counts(counts, columns)


@numba.njit
def leading_pair_mass(muons):
    """What fj.dimuon gives, the textbook way."""
    masses = np.full(len(muons), np.nan)
    for i in range(len(muons)):
        event = muons[i]
        if len(event) < 2:
            continue
        pt, eta, phi, charge = event["pt"], event["eta"], event["phi"], event["charge"]
        order = np.argsort(-pt, kind="mergesort")
        a, b = order[0], order[1]
        if charge[a] * charge[b] > 0:
            continue
        px = pt[a] * np.cos(phi[a]) + pt[b] * np.cos(phi[b])
        py = pt[a] * np.sin(phi[a]) + pt[b] * np.sin(phi[b])
        pz = pt[a] * np.sinh(eta[a]) + pt[b] * np.sinh(eta[b])
        e = 0.0
        for k in (a, b):
            e += np.sqrt(0.1056583755**2 + (pt[k] * np.cosh(eta[k])) ** 2)
        masses[i] = np.sqrt(e**2 - px**2 - py**2 - pz**2)
    return masses


@numba.njit
def sums(muons):
    result = np.zeros(len(muons))
    for i, event in enumerate(muons):
        for pt in event["pt"]:
            result[i] += pt
    return result


@numba.njit(parallel=True)
def parallel_sums(muons):
    result = np.zeros(len(muons))
    for i in numba.prange(len(muons)):
        result[i] = muons[i]["pt"].sum()
    return result


@numba.njit
def slices(muons, i):
    event = muons[i]
    return len(event), event["pt"], event["charge"]


class TestValues:
    def test_an_observable_of_ones_own(self):
        data = muons()
        pairs = fj.dimuon(data, "opposite")
        masses = leading_pair_mass(data)
        assert np.flatnonzero(~np.isnan(masses)).tolist() == pairs.event.tolist()
        np.testing.assert_allclose(masses[pairs.event], pairs.mass, rtol=1e-6)

    def test_every_event_by_number_and_by_iteration(self):
        data = muons(300)
        assert sums(data).tolist() == parallel_sums(data).tolist()
        np.testing.assert_allclose(sums(data), data.aggregate("pt", ["sum"])["sum"], rtol=1e-14)
        for i in (0, 7, 299, -1, -300):
            n, pt, charge = slices(data, i)
            start, stop = data.offsets[i % 300], data.offsets[i % 300 + 1]
            assert n == stop - start
            np.testing.assert_array_equal(pt, data["pt"][start:stop])
            np.testing.assert_array_equal(charge, data["charge"][start:stop])

    def test_no_events_and_empty_events(self):
        data = muons(5)
        assert sums(data[:0]).shape == (0,)
        empty = fj.Jagged([0, 0, 0], {name: data[name][:0] for name in data.columns})
        assert sums(empty).tolist() == [0, 0]
        assert leading_pair_mass(empty).tolist() == pytest.approx([np.nan] * 2, nan_ok=True)

    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4"])
    def test_dtypes_and_odd_names(self, dtype):
        @numba.njit
        def columns(jagged):
            return jagged["a b"], jagged["π"], jagged.offsets, jagged[1]["a b"]

        values = column(np.random.default_rng(2), dtype, 9)
        data = fj.Jagged([2, 4, 7], {"a b": values, "π": values[::-1]})
        first, second, offsets, event = columns(data)
        for found, expected in (
            (first, values[2:7]), (second, values[::-1][2:7]), (event, values[4:7]),
        ):  # fmt: skip
            assert found.dtype == values.dtype
            np.testing.assert_array_equal(found, expected)
        assert offsets.tolist() == [0, 2, 5]

    def test_nothing_is_copied_and_nothing_is_lost(self):
        @numba.njit
        def column_of(jagged):
            return jagged["pt"]

        @numba.njit
        def generate(jagged):
            for event in jagged:
                yield event["pt"].sum()

        data = muons(50)
        before = [sys.getrefcount(data._columns[name]) for name in data.columns]
        expected = data["pt"].copy()
        pt = column_of(data)
        _, event_pt, _ = slices(data, 0)
        assert np.shares_memory(pt, data["pt"])
        assert np.shares_memory(event_pt, data["pt"])
        assert not event_pt.flags.writeable
        generator = generate(data)
        assert next(generator) == expected[: data.counts[0]].sum()
        assert len(list(generator)) == 49
        del generator
        for _ in range(20):
            sums(data)
            parallel_sums(data)
            leading_pair_mass(data)
        after = [sys.getrefcount(data._columns[name]) for name in data.columns]
        after[data.columns.index("pt")] -= 2  # pt and event_pt
        assert after == before
        n = data.counts[0]
        del data
        np.testing.assert_array_equal(pt, expected)
        np.testing.assert_array_equal(event_pt, expected[:n])

    def test_in_threads_without_the_gil(self):
        work = numba.njit(nogil=True)(leading_pair_mass.py_func)
        batches = [muons(500, seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            for data, found in zip(batches, pool.map(work, batches), strict=True):
                np.testing.assert_array_equal(found, leading_pair_mass(data))


class TestCompilation:
    def test_once_for_all_batches(self):
        work = numba.njit(sums.py_func)
        data = muons(100)
        read_only = data["pt"].copy()
        read_only.flags.writeable = False
        for batch in (data, muons(7, 2), data[3:9], data.with_columns(pt=read_only), data[:0]):
            assert len(work(batch)) == len(batch)
        assert len(work.signatures) == 1
        work(data.with_columns(pt=data["pt"].astype("f4")))
        work(data[["pt"]])
        assert len(work.signatures) == 3

    def test_cached_on_disk(self, tmp_path):
        (tmp_path / "observable.py").write_text(
            "import numba\n"
            "@numba.njit(cache=True)\n"
            "def total(jagged):\n"
            "    x = 0.0\n"
            "    for event in jagged:\n"
            "        x += event['x'].sum()\n"
            "    return x\n"
        )
        code = (
            "import fastjag as fj; from observable import total\n"
            "print(total(fj.Jagged([0, 1, 3], {'x': [1.0, 2.0, 4.0]})))\n"
            "print(sum(total.stats.cache_hits.values()))\n"
        )
        paths = os.pathsep.join([str(tmp_path), *sys.path])
        env = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path)}
        for hits in "01":
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", code],
                env=env, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert done.stdout.split() == ["7.0", hits]


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("jagged['ptt']", "no column 'ptt': did you mean 'pt'"),
            ("jagged[0]['mass']", "no column 'mass': accepted are 'pt', 'eta', 'phi', 'charge'"),
            (
                "jagged[name]",
                "the index must be a column's name as a constant or an event's number",
            ),
            ("jagged[0][0]", "the index must be a column's name as a constant, got"),
            ("jagged[0.5]", "the index must be a column's name as a constant or an event's number"),
        ],
    )
    def test_typing(self, body, message):
        scope = {}
        exec(f"def function(jagged, name):\n    return {body}\n", scope)  # noqa: S102
        with pytest.raises(TypingError, match=message):
            numba.njit(scope["function"])(muons(5), "pt")

    def test_columns_are_read_only(self):
        @numba.njit
        def spoil(jagged):
            jagged["pt"][0] = 0

        with pytest.raises(TypingError, match="Cannot modify readonly array"):
            spoil(muons(5))

    @pytest.mark.parametrize("number", [5, -6, 10**12])
    def test_no_such_event(self, number):
        with pytest.raises(IndexError, match="the Jagged has no event of this number"):
            slices(muons(5), number)

    def test_a_jagged_is_not_returned(self):
        with pytest.raises(TypeError, match=r"cannot convert native fastjag\.Jagged"):
            numba.njit(lambda jagged: jagged)(muons(5))
