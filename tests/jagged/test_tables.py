"""Jagged and Dimuons as awkward's own arguments, frames, tables and tensors."""

import gc
from importlib import util

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from strategies import FLOATS, assert_same, jagged_arrays

import fastjag as fj
from fastjag.jagged import arrow, interchange


def made():
    return fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0], "eta": [0.1, -1.2, 2.1]})


def pairs(n=3):
    return fj.dimuon(fj.Jagged(np.arange(n + 1) * 2, {
        "pt": np.arange(2.0 * n) + 1, "eta": np.zeros(2 * n), "phi": np.arange(2.0 * n),
        "charge": np.tile([1, -1], n),
    }))  # fmt: skip


class TestAwkward:
    @given(jagged_arrays(n_columns=2))
    def test_functions_take_a_jagged(self, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        array = ak.Array(jagged)
        assert_same(ak.num(jagged).to_numpy(), jagged.counts)
        assert ak.fields(jagged) == ["a", "b"]
        assert array.type == jagged.to_awkward().type
        assert ak.array_equal(array, jagged.to_awkward(), equal_nan=True)

    def test_within_lists_and_dicts(self):
        both = ak.concatenate([made(), made()])
        assert ak.num(both).to_list() == [2, 0, 1, 2, 0, 1]
        assert ak.zip({"muon": made()}, depth_limit=1).muon.pt.to_list() == [[41.5, 18.2], [], [33]]
        assert ak.to_list(made())[2] == [{"pt": 33.0, "eta": 2.1}]
        assert ak.flatten(made()).pt.to_list() == [41.5, 18.2, 33.0]

    def test_events(self):
        """They are dicts of columns, for awkward and pandas, too, never lists of names."""
        assert ak.Array(made()[0]).to_list() == [
            {"pt": 41.5, "eta": 0.1},
            {"pt": 18.2, "eta": -1.2},
        ]
        assert ak.Array([made()]).to_list()[0][0] == {"pt": [41.5, 18.2], "eta": [0.1, -1.2]}
        assert pd.DataFrame(made()[0])["pt"].tolist() == [41.5, 18.2]
        assert len(pd.DataFrame(made()[1])) == 0

    def test_pairs(self):
        for array in (pairs().to_awkward(), ak.Array(pairs())):
            assert len(array) == len(pairs()) == 3
            assert array.event.to_list() == [0, 1, 2]
        named = pairs().to_awkward("Momentum4D")
        np.testing.assert_allclose(named.px, pairs().pt * np.cos(pairs().phi))
        assert pairs().to_jagged().to_awkward().event.to_list() == [[0], [1], [2]]
        assert len(pairs(0).to_awkward()) == 0


class TestPandas:
    @given(jagged_arrays(n_columns=2))
    def test_as_of_awkward(self, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b})
        frame = jagged.to_pandas()
        assert frame.index.names == ["entry", "subentry"]
        assert len(frame) == jagged.n_particles
        assert frame.groupby(level="entry").size().sum() == jagged.n_particles
        for name in "ab":
            assert_same(frame[name].to_numpy(), jagged[name])
        if jagged.n_particles:
            pd.testing.assert_frame_equal(
                frame, ak.to_dataframe(jagged.to_awkward()), check_names=True
            )

    def test_is_a_copy(self):
        jagged = made()
        frame = jagged.to_pandas()
        frame.loc[:, "pt"] = 0.0
        assert jagged["pt"].tolist() == [41.5, 18.2, 33.0]

    def test_pairs(self):
        frame = pairs().to_pandas()
        assert list(frame) == list(pairs())
        assert frame["event"].tolist() == [0, 1, 2]
        assert len(pairs(0).to_pandas()) == 0

    def test_without_pandas(self, monkeypatch):
        found = util.find_spec
        monkeypatch.setattr(
            arrow, "find_spec", lambda name: None if name == "pandas" else found(name)
        )
        with pytest.raises(ModuleNotFoundError, match="needs pandas, which is not installed"):
            made().to_pandas()


class TestArrow:
    def test_arrays_and_tables(self):
        assert pa.array(made()).to_pylist()[2] == [{"pt": 33.0, "eta": 2.1}]
        assert pa.table({"muons": made()}).num_rows == 3
        kind = pa.list_(pa.struct([("pt", pa.float64()), ("eta", pa.float64())]))
        assert pa.array(made(), type=kind).type == kind
        table = pairs().to_arrow()
        assert table.column_names == list(pairs())
        assert table["event"].to_pylist() == [0, 1, 2]
        assert pairs(0).to_arrow().num_rows == 0


class TestTorch:
    @given(jagged_arrays(dtypes=FLOATS, n_columns=2))
    def test_columns_of_one_jagged_go_together(self, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b.astype(a.dtype)})
        first, second = jagged.to_torch("a"), jagged.to_torch("b")
        assert first.offsets() is second.offsets()
        with np.errstate(all="ignore"):
            assert_same((first * second).values().numpy(), jagged["a"] * jagged["b"])
        if jagged.n_particles:
            width = int(jagged.counts.max())
            padded = first.to_padded_tensor(0.0)
            assert padded.shape == (len(jagged), width)
            assert_same(padded.numpy(), jagged.pad(width, "a").values)

    def test_with_new_columns(self):
        jagged = made()
        with torch.no_grad():
            product = jagged.to_torch("pt") * jagged.with_columns(w=[1.0, 2.0, 3.0]).to_torch("w")
        assert product.values().tolist() == [41.5, 36.4, 99.0]
        assert jagged.to_torch().to_padded_tensor(0.0).shape == (3, 2, 2)

    def test_offsets_that_somebody_wrote_into(self):
        jagged = made()
        spoilt = jagged.to_torch("pt")
        spoilt.offsets()[1] = 10**15
        assert jagged.to_torch("pt").offsets().tolist() == [0, 2, 2, 3]

    def test_nothing_is_kept(self):
        jagged = made()
        tensor = jagged.to_torch("pt")
        assert id(jagged._offsets) in interchange._shared
        del tensor
        gc.collect()
        assert id(jagged._offsets) not in interchange._shared

    def test_padded(self):
        padded = made().pad(2, "pt")
        values, mask = padded.to_torch()
        assert values.tolist() == [[41.5, 18.2], [0, 0], [33, 0]]
        assert mask.dtype == torch.bool
        assert np.shares_memory(values.numpy(), padded.values)
        padded.values.flags.writeable = False
        padded.to_torch().values[0, 0] = 0.0
        assert padded.values[0, 0] == 41.5


def test_on_a_gpu(gpu):
    jagged, found = made().to("cuda"), pairs()
    there = fj.Dimuons(
        jagged.offsets[:1], dict.fromkeys(found, jagged["pt"][:0]), 0
    )  # as dimuon on a GPU gives
    for some in (jagged, there):
        for method in ("to_awkward", "to_pandas", "to_arrow"):
            with pytest.raises(ValueError, match=r'are on a GPU: call .to\("cpu"\) first'):
                getattr(some, method)()
    with pytest.raises(ValueError, match="are on a GPU"):
        ak.num(jagged)
