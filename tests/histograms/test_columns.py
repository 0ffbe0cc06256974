"""What fj.histogram takes as columns: tables and names, numbers for all entries, weights."""

import awkward as ak
import hist
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import fastjag as fj
from fastjag import toys

A = hist.axis
REGULAR = A.Regular(4, 0, 40)
MUONS = fj.Jagged([0, 2, 2, 3], {"pt": [41.5, 18.2, 33.0], "eta": [0.1, -1.2, 2.1]})
TABLE = {"pt": np.array([41.5, 18.2, 33.0]), "eta": np.array([0.1, -1.2, 2.1])}
TABLES = {
    "dict": TABLE,
    "Jagged": MUONS,
    "pandas": pd.DataFrame(TABLE),
    "arrow": pa.table(TABLE),
    "awkward records": ak.zip(TABLE),
    "polars-like": type("Frame", (dict,), {"columns": ["pt", "eta"]})(TABLE),
}


def names(h):
    return [(axis.name, axis.label) for axis in h.axes]


class TestTables:
    @pytest.mark.parametrize("kind", TABLES)
    def test_a_dict_of_axes_picks_columns(self, kind):
        h = fj.histogram(TABLES[kind], {"eta": (2, -2, 2), "pt": [0, 20, 50]})
        assert names(h) == [("eta", "eta"), ("pt", "pt")]
        assert h.values().tolist() == [[1, 0], [0, 1]]
        h = fj.histogram(TABLES[kind], {"pt": (1, 0, 50)})
        assert h.sum() == 3

    @pytest.mark.parametrize("kind", TABLES)
    def test_named_axes_pick_columns(self, kind):
        eta, pt = A.Regular(2, -2, 2, name="eta"), A.Regular(1, 0, 50, name="pt", label="$p_T$")
        h = fj.histogram(TABLES[kind], (eta, pt))
        assert names(h) == [("eta", "eta"), ("pt", "$p_T$")]
        assert h.values().tolist() == [[1], [1]]
        assert fj.histogram(TABLES[kind], pt).values().tolist() == [3]

    @pytest.mark.parametrize("kind", TABLES)
    def test_others_take_columns_in_order(self, kind):
        h = fj.histogram(TABLES[kind], ([0, 20, 50], A.Regular(2, -2, 2, name="other")))
        assert names(h) == [("pt", "pt"), ("other", "other")]
        assert h.values().tolist() == [[1, 0], [0, 1]]

    def test_one_column(self):
        for column in (MUONS[["pt"]], {"pt": TABLE["pt"]}, pd.Series(TABLE["pt"], name="pt")):
            h = fj.histogram(column, REGULAR)
            assert names(h) == [("pt", "pt")]
            assert h.values().tolist() == [0, 1, 0, 1]
        h = fj.histogram((MUONS[["pt"]], MUONS[["eta"]]), ([0, 20, 50], [-2, 0, 2]))
        assert names(h) == [("pt", "pt"), ("eta", "eta")]

    def test_a_batch(self, tmp_path):
        toys.write(tmp_path / "events.root", 200, seed=1)
        names_read = ["Muon_pt", "Muon_eta", "MET_pt"]
        (batch,) = fj.iterate(tmp_path / "events.root", names_read)
        muons, pt = batch.Muon, (10, 0, 100)
        h = fj.histogram(batch, {"Muon_pt": pt, "Muon_eta": (4, -3, 3)})
        assert names(h) == [("Muon_pt", "Muon_pt"), ("Muon_eta", "Muon_eta")]
        plain = fj.histogram((muons["pt"], muons["eta"]), (pt, (4, -3, 3)))
        np.testing.assert_array_equal(h.view(flow=True), plain.view(flow=True))
        assert fj.histogram(batch, {"MET_pt": pt}).sum(flow=True) == 200
        assert names(fj.histogram(batch["Muon_pt"], pt)) == [("pt", "pt")]
        with pytest.raises(KeyError, match="'Muon_ptt' was read: did you mean 'Muon_pt'"):
            fj.histogram(batch, {"Muon_ptt": pt})
        with pytest.raises(
            ValueError, match=r"must have one column, got .*: pick one by \[\['pt'\]\]"
        ):
            fj.histogram(batch, {"Muon": pt})

    def test_columns_named_like_attributes(self):
        odd = ["columns", "column_names", "fields", "name", "traits", "ndim"]
        table = fj.Jagged([0, 2], {name: [1.0, 2.0] for name in odd})
        for name in odd:
            assert names(fj.histogram(table, {name: REGULAR})) == [(name, name)]
            assert fj.histogram(table[[name]], REGULAR).sum() == 2
            assert fj.histogram((table[[name]], [1.0, 2.0]), (REGULAR, REGULAR)).sum() == 2

    def test_pairs(self):
        particles = fj.Jagged.from_counts(
            [2, 2], {"pt": [20.0, 30, 40, 50], "eta": [0.0, 1, 2, 0], "phi": [0.0, 3, 1, 1],
                     "charge": [1, -1, 1, -1]},
        )  # fmt: skip
        pairs = fj.dimuon(particles)
        h = fj.histogram(pairs, {"mass": (100, 0, 200), "pt": [0.0, 20, 100]})
        assert names(h) == [("mass", "mass"), ("pt", "pt")]
        assert h.sum() == 2

    @pytest.mark.parametrize(
        ("values", "axes", "error", "message"),
        [
            (TABLE, {"ptt": REGULAR}, KeyError, "no column 'ptt' for an axis: did you mean 'pt'"),
            (TABLE, REGULAR, ValueError, "table of 2 columns needs as many axes, got 1; pick colu"),
            ({}, {}, ValueError, "needs at least one column and its axis"),
            ([1.0], [], ValueError, "bin edges must be at least two"),
            ([1.0], {}, ValueError, "at least one column"),
            (TABLE["pt"], {"pt": REGULAR, "eta": REGULAR}, ValueError, "1 columns need as many axes"),
            ({"pt": [1.0], "eta": [1, 2]}, (REGULAR, REGULAR), ValueError,
             "column 'eta' has 2 entries, but there are 1 entries of column 'pt'"),
            ({"pt": ["a"]}, REGULAR, TypeError, "column 'pt' has dtype"),
            ((MUONS, [1.0]), (REGULAR, REGULAR), ValueError,
             "a table among columns must have one column, got .'pt', 'eta'"),
            ([1.0], "mass", ValueError, "an axis is one of hist, .* got 'mass'"),
            ([1.0], 10, ValueError, "an axis is one of hist, .* got 10"),
            ([1.0], A, ValueError, "an axis is one of hist"),
        ],
    )  # fmt: skip
    def test_errors(self, values, axes, error, message):
        with pytest.raises(error, match=message):
            fj.histogram(values, axes)


class TestNames:
    def test_of_arrays_by_a_dict_of_axes(self):
        h = fj.histogram((TABLE["pt"], TABLE["eta"]), {"a": REGULAR, "b": (1, -5, 5)})
        assert names(h) == [("a", "a"), ("b", "b")]
        assert names(fj.histogram([1, 2], {"n": A.Integer(0, 3)})) == [("n", "n")]

    def test_none_where_there_is_none(self):
        assert names(fj.histogram(TABLE["pt"], REGULAR)) == [("", "Axis 0")]

    def test_those_of_the_axis_stay_and_the_axis_stays_as_it_was(self):
        column = pd.Series([1.0], name="column")
        for axis, expected in [
            (A.Regular(1, 0, 2, name="n"), ("n", "n")),
            (A.Regular(1, 0, 2, label="l"), ("", "l")),
            (A.Regular(1, 0, 2), ("column", "column")),
            (A.Integer(0, 2, growth=True), ("column", "column")),
        ]:
            before = axis.name, axis.label
            value = column.astype(int) if isinstance(axis, A.Integer) else column
            assert names(fj.histogram(value, axis)) == [expected]
            assert (axis.name, axis.label) == before

    @pytest.mark.parametrize("word", ["weight", "sample", "threads"])
    def test_keywords_of_hist_are_labels(self, word):
        assert names(fj.histogram({word: [1.0]}, REGULAR)) == [("", word)]

    def test_a_name_twice_is_a_label(self):
        s = pd.Series([1.0], name="pt")
        assert names(fj.histogram((s, s), (REGULAR, REGULAR))) == [("", "pt")] * 2
        named = A.Regular(2, 0, 2, name="pt")
        assert names(fj.histogram((s, [1.0]), (REGULAR, named))) == [("", "pt"), ("pt", "pt")]

    def test_names_that_are_no_words(self):
        assert names(fj.histogram(pd.DataFrame({7: [1.0]}), REGULAR)) == [("7", "7")]
        assert names(fj.histogram(pd.Series([1.0], name=7), REGULAR)) == [("", "Axis 0")]

    def test_batches_of_other_names_fill_one(self):
        h = fj.histogram(pd.Series([1.0], name="first"), REGULAR)
        fj.histogram(pd.Series([2.0], name="second"), REGULAR, out=h)
        assert names(h) == [("first", "first")]
        assert h.sum() == 2

    def test_they_go_to_root(self, tmp_path):
        import uproot

        with uproot.recreate(tmp_path / "h.root") as file:
            file["h"] = fj.histogram(MUONS[["pt"]], REGULAR)
        with uproot.open(tmp_path / "h.root") as file:
            assert file["h"].axis().member("fTitle") == "pt"


class TestColumnsAndScalars:
    def test_tuples_of_numbers_are_one_column(self):
        for values in ((1.0, 15.0, 35.0), (1.0, 15.0), (1,), [1.0, 2.0]):
            assert fj.histogram(values, REGULAR).sum() == len(values)
        words = fj.histogram(("a", "b", "a"), A.StrCategory(["a", "b"]))
        assert words.values().tolist() == [2, 1]

    def test_a_number_stands_for_all_entries(self):
        x = np.array([1.0, 15.0])
        for one in (15, 15.0, np.float32(15), np.array(15)):
            h = fj.histogram((one, x), (REGULAR, REGULAR))
            assert h.values()[1].tolist() == [1, 1, 0, 0]
        assert fj.histogram((1, x), (A.Integer(0, 2), REGULAR)).values()[1].tolist() == [1, 1, 0, 0]
        assert fj.histogram((np.nan, x), (REGULAR, REGULAR)).metadata["nan"] == 2

    def test_lists_of_axes(self):
        one = fj.histogram([1.0], [REGULAR])
        assert one.ndim == 1
        assert fj.histogram(([1.0], [2.0]), [REGULAR, (2, 0, 2)]).ndim == 2
        assert fj.histogram([1.0], one.axes).ndim == 1


class TestWeights:
    @pytest.mark.parametrize("axis", [REGULAR, A.Regular(4, 0, 40, flow=False)])
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_a_number_is_the_weight_of_every_entry(self, axis, dtype):
        x = np.array([1.0, 2.0, 15.0, np.nan], dtype)
        for one in (0.1, np.float64(0.1), np.array(0.1)):
            found = fj.histogram(x, axis, weights=one)
            expected = fj.histogram(x, axis, weights=np.full(4, 0.1))
            np.testing.assert_array_equal(found.view(flow=True), expected.view(flow=True))
            assert found.metadata == {"nan": 0.1}
        assert fj.histogram(x, axis, weight=2).values().tolist() == [4, 2, 0, 0]
        assert fj.histogram(x, axis, weight=True).variances().tolist() == [2, 1, 0, 0]
        assert np.isnan(fj.histogram(x, axis, weight=np.nan).values()[0])
        assert fj.histogram([], axis, weight=3).sum().value == 0

    def test_both_words(self):
        a = fj.histogram([1.0], REGULAR, weight=[3.0])
        assert a == fj.histogram([1.0], REGULAR, weights=[3.0])
        with pytest.raises(TypeError, match="weights and weight mean the same: give one of them"):
            fj.histogram([1.0], REGULAR, weight=[3.0], weights=[3.0])

    def test_on_a_gpu(self, gpu):
        x = gpu.asarray(np.array([1.0, 15.0]))
        assert fj.histogram((5, x), (REGULAR, REGULAR), weight=2).values()[0, :2].tolist() == [2, 2]
        assert names(fj.histogram(MUONS.to("cuda"), {"pt": REGULAR})) == [("pt", "pt")]


class TestCuts:
    SCORE = np.array([0.2, 0.9, 0.8])

    def test_a_histogram_behind_a_cut_bears_the_name_of_its_feature(self):
        axes = {"eta": (2, -2, 2), "pt": [0, 20, 50]}
        behind = fj.histogram_cuts(TABLE, axes, self.SCORE, [0.5])
        for name, axis in axes.items():
            expected = fj.histogram(TABLE[name][self.SCORE >= 0.5], {name: axis})
            assert names(behind.hist(name, 0)) == names(expected) == [(name, name)]

    def test_an_axis_with_a_label_keeps_it(self):
        axis = A.Regular(4, 0, 40, label="$p_T$ [GeV]")
        behind = fj.histogram_cuts({"pt": TABLE["pt"]}, axis, self.SCORE, [0.5])
        assert names(behind.hist("pt", 0)) == [("", "$p_T$ [GeV]")]
        assert names(fj.histogram_cuts([TABLE["pt"]], (4, 0, 40), self.SCORE, [0.5]).hist(0, 0)) \
            == [("", "Axis 0")]  # fmt: skip
