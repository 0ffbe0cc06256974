"""check: facts of offsets and bools, on every device as NumPy sees them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_device import moved

import fastjag as fj
from fastjag import kernels
from fastjag.core import arrays


@given(st.lists(st.integers(-3, 9), min_size=1, max_size=300))
def test_facts(device, numbers):
    offsets = np.array(numbers)
    assert kernels.Glance().facts_of(moved(offsets, device)) == arrays.facts_of(offsets)


@pytest.mark.parametrize("n", [1, 2, 4096, 4097, 5000])
@pytest.mark.parametrize("place", ["first", "last", "all", "none"])
def test_the_first_event_that_falls(device, n, place):
    offsets = np.arange(n + 1)
    if place != "none":
        where = {"first": slice(1, 2), "last": slice(n, n + 1), "all": slice(1, None)}[place]
        offsets[where] = -offsets[where]
    event = {"first": 0, "last": n - 1, "all": 0, "none": None}[place]
    assert kernels.Glance().facts_of(moved(offsets, device)) == (0, int(offsets[-1]), event)


@pytest.mark.parametrize("n", [1, 31, 4096, 4097, 5000])
@pytest.mark.parametrize("byte", [2, 255])
def test_bytes_that_are_no_bools(device, n, byte):
    """As columns they become 0 and 1, wherever the byte is; those that are bools stay what they are."""
    for place in (0, n // 2, n - 1, slice(None)):
        bits = np.ones(n, np.uint8)
        bits[place] = byte
        right, wrong = moved(np.ones(n, bool), device), moved(bits, device).view(bool)
        other = moved(np.arange(n), device)
        jagged = fj.Jagged(
            moved(np.array([0, n]), device), {"a": right, "b": wrong, "c": other, "d": right}
        )
        assert moved(jagged["b"].view(np.uint8), "cpu").tolist() == [1] * n
        for name in "ad":
            assert np.may_share_memory(jagged[name], right)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i4"])
def test_offsets_of_every_integer(device, dtype):
    x = {"x": moved(np.arange(4.0), device)}
    jagged = fj.Jagged(moved(np.array([1, 2, 2, 4], dtype), device), x)
    assert moved(jagged.offsets, "cpu").tolist() == [0, 1, 1, 3]
    with pytest.raises(ValueError, match="event 1 would run from 3 to 2"):
        fj.Jagged(moved(np.array([0, 3, 2], dtype), device), x)
    with pytest.raises(ValueError, match="offsets end at 5, but the columns have 4"):
        fj.Jagged(moved(np.array([0, 5], dtype), device), x)


@pytest.mark.parametrize("offsets", [[0, 2**63], [2**63, 2**63 + 1], [0, 2**64 - 1, 3]])
def test_offsets_that_do_not_fit(device, offsets):
    given = moved(np.array(offsets, np.uint64), device)
    with pytest.raises(ValueError, match=f"offsets must fit into int64, got {max(offsets)}"):
        fj.Jagged(given, {"x": moved(np.arange(4.0), device)})


@pytest.mark.parametrize("pairs", ["leading", "all"])
def test_masks_of_any_byte(device, pairs):
    """What is not looked at counts as true wherever it is not 0."""
    rng = np.random.default_rng(1)
    offsets = np.arange(0, 601, 3)
    columns = {name: rng.random(600) for name in ("pt", "eta", "phi")}
    muons = fj.Jagged(offsets, columns)
    for n, call in (
        (600, lambda m, mask: fj.dimuon(m, "any", fields=["mass"], pairs=pairs, mask=mask)["mass"]),
        (600, lambda m, mask: m.keep(mask)["pt"]),
        (200, lambda m, mask: m[mask]["pt"]),
        (200, lambda m, mask: fj.dimuon(m, "any", fields=["mass"])[mask]["mass"]),
    ):
        bits = rng.choice(np.array([0, 0, 1, 2, 4, 128, 255], np.uint8), n)
        given = muons.to("cuda") if device == "cuda" else muons
        found = call(given, moved(bits, device).view(bool))
        expected = call(muons, bits != 0)
        assert moved(found, "cpu").tolist() == expected.tolist()
