"""What calls cost on a GPU besides the work: waits of the host, and launches. Counted by the emulation."""

import sys
from pathlib import Path

import numpy as np
import pytest

import fastjag as fj
from fastjag.core import devices

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import gpu_calls

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


@pytest.fixture
def given(emulation):
    return gpu_calls.inputs()


def cost(call):
    with gpu_calls.counting() as so_far:
        result = call()
        found = so_far()
    del result
    return found


@pytest.mark.usefixtures("emulation")
def test_the_table_says_what_calls_cost():
    page = PAGE.read_text().partition("<!-- calls -->\n")[2].partition("\n<!-- end of calls -->")[0]
    assert gpu_calls.table().splitlines() == page.splitlines()


class TestWaits:
    WAITS = {  # noqa: RUF012
        "`Jagged(offsets, columns)` of 5 columns": 1,
        "`keep(mask)` of 5 columns": 1,
        "`muons[mask of events]`": 2,
        "`muons[10:20]`": 1,
        "`sort`": 0,
        "`pad` of 3 columns, and the mask": 0,
        "`pad(by=)`, 3 columns": 0,
        "`aggregate`, sum and max": 0,
        "`dimuon`": 1,
        "`dimuon(mask=)`": 1,
        '`dimuon(pairs="all")`': 1,
        "`nearest`": 0,
        "`in_cone`": 1,
    }

    @pytest.mark.parametrize("call", WAITS)
    def test_of_the_host(self, given, call):
        assert cost(lambda: gpu_calls.CALLS[call](given)).waits == self.WAITS[call]

    @pytest.mark.parametrize("n", [1, 9])
    def test_of_any_number_of_columns(self, given, n):
        xp, muons = devices.cupy(), given["muons"]
        columns = {f"x{i}": xp.ones(muons.n_particles, bool) for i in range(n)}
        assert cost(lambda: fj.Jagged(muons.offsets, columns)).waits == 1
        jagged = fj.Jagged(muons.offsets, columns)
        assert cost(lambda: jagged.keep(given["mask"])).waits == 1

    def test_what_is_looked_at_twice_is_waited_for_twice(self, given):
        """More than 64 right particles: the second pass calculates again."""
        rng, xp = np.random.default_rng(1), devices.cupy()
        angles = [xp.asarray(rng.normal(size=65)) for _ in "ep"]
        right = fj.Jagged(
            xp.asarray(np.array([0, 65])), dict(zip(("eta", "phi"), angles, strict=True))
        )
        assert cost(lambda: fj.in_cone(right, right, 0.4)).waits == 2

    def test_emulation_counts(self, given):
        """Each of these asks the host to wait; what CuPy answers by itself does not."""
        x = given["mask"]
        for call in (
            lambda: int(x.sum()), x.get, x.tolist, lambda: bool(x[0]), lambda: repr(x), lambda: x[x],
            lambda: np.flatnonzero(x), lambda: np.unique(x), lambda: float(x.max()), x.item if len(x) == 1
            else x.tobytes,
        ):  # fmt: skip
            assert cost(call).waits == 1
        assert cost(lambda: (x & x).sum().astype(int) + 1).waits == 0


class TestLaunches:
    @pytest.mark.parametrize("weights", ["", "weights="])
    def test_histogram_cuts(self, given, weights):
        name = "`histogram_cuts(weights=)`" if weights else "`histogram_cuts`, 10 columns, 12 cuts"
        found = cost(lambda: gpu_calls.CALLS[name](given))
        assert sum(found.launches.values()) == 2 + bool(weights)
        assert found.cupy <= 6  # memory that is cleared, edges that are copied: whatever is filled
        assert found.waits == 0

    def test_one_of_padding_for_each_dtype(self, given):
        found = cost(lambda: gpu_calls.CALLS["`pad` of float32, int32 and bool"](given))
        assert found.launches == {"pad_cells": 3, "pad_mask": 1}

    def test_every_launch_is_counted(self, given):
        found = cost(lambda: given["muons"].aggregate("pt", ["sum"]))
        assert found.launches == {"aggregate_events": 1}


def test_all_launches_take_their_grid_from_one_place():
    """Which asks how many blocks run at once: never a second wave that is not full."""
    files = [p for p in (PAGE.parents[1] / "cuda").glob("*.cu*") if "<<<" in p.read_text()]
    assert [p.name for p in files] == ["launch.cuh"]
    assert files[0].read_text().count("<<<") == 1
    assert "<<<static_cast<unsigned>(grid_)" in files[0].read_text()


def test_an_interface_is_built_once(emulation):
    """numba and others build it anew whenever they are asked."""
    asked = []

    class Foreign:
        def __init__(self, array):
            self.array = array

        @property
        def __cuda_array_interface__(self):
            asked.append(1)
            return self.array.__cuda_array_interface__

    values = devices.cupy().arange(4.0)
    assert devices.as_cupy(Foreign(values)).tolist() == [0, 1, 2, 3]
    assert len(asked) == 1
    assert devices.place(Foreign(values)) == "on GPU 0"
    assert len(asked) == 2
    found = values[:2]
    emulation.check_bools(Foreign(found.view(np.uint8)), devices.zeros(1, np.int64), 0)
    assert len(asked) == 3


def test_lengths_of_pairs_are_known(given):
    pairs = fj.dimuon(given["muons"])
    assert cost(lambda: len(pairs)).waits == 0
