"""Jagged.pad and Jagged.aggregate: what the methods add to their kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_device import moved
from strategies import assert_same, jagged_arrays

import fastjag as fj
from fastjag import Padded
from fastjag.core.devices import to_host
from fastjag.kernels import reference


def muons():
    return fj.Jagged([1, 3, 3, 4], {"pt": [99.0, 1, 2, 3, 99], "n": [9, 10, 20, 30, 9]})


class TestPad:
    def test_all_columns(self, device):
        values, mask = muons().to(device).pad(2, fill=-1)
        assert values.tolist() == [[[1, 10], [2, 20]], [[-1, -1]] * 2, [[3, 30], [-1, -1]]]
        assert mask.tolist() == [[True, True], [False, False], [True, False]]
        assert values.dtype == np.float64

    def test_one_column(self, device):
        values, mask = muons().to(device).pad(2, "n")
        assert values.tolist() == [[10, 20], [0, 0], [30, 0]]
        assert values.dtype == np.int64
        assert mask.shape == values.shape

    def test_slots_inside(self, device):
        values = muons().to(device).pad(3, ["n", "pt"], layout="NFK").values
        assert values.shape == (3, 2, 3)
        assert values[0].tolist() == [[10, 20, 0], [1, 2, 0]]

    @given(jagged_arrays(n_columns=2, same_dtype=True), st.integers(1, 5))
    def test_by(self, device, parts, width):
        offsets, (values, key) = parts
        found = fj.Jagged(offsets, {"x": values, "key": key}).to(device).pad(width, "x", by="key")
        expected, mask = reference.padding(offsets, [values], width, 0, key=key)
        assert_same(found.values, expected[:, :, 0])
        assert_same(found.mask, mask)

    def test_wrap(self, device):
        values, mask = muons().to(device).pad(3, mode="wrap", by="pt", fill=[-1, -2])
        assert values.tolist() == [[[2, 20], [1, 10], [2, 20]], [[-1, -2]] * 3, [[3, 30]] * 3]
        assert mask.tolist() == [[True, True, False], [False] * 3, [True, False, False]]

    @given(
        jagged_arrays(dtypes=["f4", "f8"], n_columns=2),
        st.integers(1, 9),
        st.sampled_from(["NKF", "NFK"]),
        st.booleans(),
    )
    def test_wrap_of_every_row(self, device, parts, width, layout, by):
        offsets, (values, key) = parts
        jagged = fj.Jagged(offsets, {"x": values, "key": key}).to(device)
        options = {"mode": "wrap", "nan": 0.0, "by": "key" if by else None, "layout": layout}
        other = jagged[::-1].pad(width, ["x"], dtype="f8", **options)
        found = jagged.pad(width, ["x"], dtype="f8", out=other, clip=[(-1, 2)], **options)
        assert found.mask is other.mask
        expected, mask = reference.padding(
            offsets, [values], width, 0, key if by else None, clip=(-1, 2), dtype="f8",
            mode="wrap", nan=0.0,
        )  # fmt: skip
        assert_same(found.values.reshape(expected.shape), expected)
        assert_same(found.mask, mask)

    @pytest.mark.parametrize("columns", ["pt", ["pt"], ["pt", "n"]])
    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    def test_out_is_reused(self, device, columns, layout):
        first = muons().to(device).pad(2, columns, layout=layout)
        expected = muons().to(device)[::-1].pad(2, columns, layout=layout)
        again = muons().to(device)[::-1].pad(2, columns, layout=layout, out=first)
        assert np.shares_memory(again.values, first.values)
        assert again.mask is first.mask
        assert_same(again.values, expected.values)
        assert_same(first.values, expected.values)
        assert_same(again.mask, expected.mask)

    @pytest.mark.parametrize("columns", ["pt", ["pt", "n"]])
    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    def test_out_may_have_more_events(self, device, columns, layout):
        whole = muons().to(device).pad(2, columns, layout=layout)
        rest = whole.values[2:].copy()
        part = muons().to(device)[1:].pad(2, columns, layout=layout, out=whole)
        expected = muons().to(device)[1:].pad(2, columns, layout=layout)
        assert np.shares_memory(part.values, whole.values)
        assert_same(part.values, expected.values)
        assert_same(part.mask, expected.mask)
        assert_same(whole.values[2:], rest)
        with pytest.raises(ValueError, match=r"out.mask must have shape \(3, 2\)"):
            muons().to(device).pad(2, columns, layout=layout, out=part)

    def test_no_events(self, device):
        assert muons().to(device)[:0].pad(2, "pt").values.shape == (0, 2)
        assert muons().to(device)[:0].pad(2).values.shape == (0, 2, 2)

    @pytest.mark.parametrize("by", [None, "pt"])
    @pytest.mark.parametrize("width", [0, -1, 2.5, True, "2", None])
    def test_bad_widths(self, device, by, width):
        # Enough particles that ordering them up to a width below 0 would leave the array.
        many = fj.Jagged([0, 40], {"pt": np.arange(40.0)}).to(device)
        with pytest.raises(ValueError, match=f"width must be an integer >= 1, got {width!r}"):
            many.pad(width, "pt", by=by)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"columns": "eta"}, KeyError, "no column 'eta': accepted are 'pt', 'n'"),
            ({"by": "eta"}, KeyError, "no column 'eta'"),
            ({"columns": []}, ValueError, "columns must name at least one column"),
            ({"out": np.zeros((3, 2))}, TypeError, "out must be the Padded of an .* got ndarray"),
            ({"out": muons().pad(3)}, ValueError, r"out.mask must have shape \(3, 2\)"),
            ({"out": muons().pad(2, "pt")}, ValueError, r"out must have shape \(3, 2, 2\)"),
            ({"out": muons().pad(2), "dtype": "f4"}, ValueError, "and dtype float32, got"),
        ],
    )
    def test_errors(self, device, options, error, message):
        if isinstance(out := options.get("out"), Padded):
            options = {**options, "out": Padded(*(moved(a, device) for a in out))}
        with pytest.raises(error, match=message):
            muons().to(device).pad(2, **options)

    def test_read_only_mask(self):
        out = muons().pad(2)
        out.mask.flags.writeable = False
        with pytest.raises(ValueError, match=r"out.mask is read-only"):
            muons().pad(2, out=out)


class TestAggregate:
    def test_order_and_names(self, device):
        found = muons().to(device).aggregate("n", ["max", "leading-2", "count", "sum"])
        assert list(found) == ["max", "leading-2", "count", "sum"]
        assert found["sum"].tolist() == [30, 0, 30]
        assert found["count"].tolist() == [2, 0, 1]
        np.testing.assert_array_equal(to_host(found["max"]), [20, np.nan, 30])
        np.testing.assert_array_equal(
            to_host(found["leading-2"]), [[20, 10], [np.nan] * 2, [30, np.nan]]
        )

    def test_one_name(self, device):
        assert list(muons().to(device).aggregate("pt", "mean")) == ["mean"]

    @given(jagged_arrays(dtypes=["f4", "f8", "i4", "?"]), st.integers(1, 4))
    def test_leading(self, device, parts, k):
        offsets, (values,) = parts
        jagged = fj.Jagged(offsets, {"x": values}).to(device)
        found = jagged.aggregate("x", [f"leading-{k}"])[f"leading-{k}"]
        dtype = values.dtype if values.dtype.kind == "f" else np.float64
        expected, _ = reference.padding(offsets, [values], k, np.nan, key=values, dtype=dtype)
        assert_same(found, expected[:, :, 0])

    @pytest.mark.parametrize(
        "name", ["leading", "leading-0", "leading--1", "leading-²", "leading2"]
    )
    def test_bad_leading(self, name):
        with pytest.raises(
            ValueError, match=f"unknown statistic '{name}': did you mean 'leading-2"
        ):
            muons().aggregate("pt", [name])

    def test_errors(self, device):
        with pytest.raises(KeyError, match="no column 'eta'"):
            muons().to(device).aggregate("eta", ["sum"])
        with pytest.raises(ValueError, match=r"unknown statistic 'Max': did you mean 'max'"):
            muons().to(device).aggregate("pt", ["Max"])


class TestOverlap:
    def test_out_must_not_be_an_input(self, device):
        values = moved(np.arange(12, dtype=np.float32), device)
        jagged = fj.Jagged(moved(np.array([0, 1, 4, 6]), device), {"pt": values[:6]})
        out = Padded(values[:6].reshape(3, 2), moved(np.zeros((3, 2), bool), device))
        with pytest.raises(ValueError, match="out must not share memory with the columns"):
            jagged.pad(2, "pt", out=out)
