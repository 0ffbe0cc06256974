"""What people who know awkward, coffea, uproot or ROOT type first: it works, or the error names what does.

A line that works stands with what it gives, all others with a piece of their error.
"""

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vector

import fastjag as fj
from fastjag.io.batches import Source

EVENTS = [[41.5, 18.2], [], [33.0], [12.0, 9.0, 4.0]]


def muons():
    return fj.Jagged([0, 2, 2, 3, 6], {
        "pt": [41.5, 18.2, 33.0, 12.0, 9.0, 4.0],
        "eta": [0.1, -1.2, 2.1, 0.0, 0.5, -0.5],
        "phi": [0.0, 3.0, 1.0, 0.0, 1.5, 3.0],
        "charge": [1, -1, 1, 1, -1, 1],
        "keep": [1, 1, 0, 0, 1, 1],  # called like a method
    })  # fmt: skip


def batch():
    return fj.Batch({"Muon": muons()}, {"MET_pt": np.array([10.0, 60.0, 30.0, 80.0])},
                    Source("a.root", "Events", 100, 104))  # fmt: skip


def scope():
    some = muons()
    array = some.to_awkward()
    return {
        "ak": ak, "np": np, "pd": pd, "pa": pa, "fj": fj, "vector": vector, "muons": some,
        "jets": some, "batch": batch(), "pairs": fj.dimuon(some, "any", pairs="all"),
        "array": some.to_awkward(),
        "cartesian": ak.zip({
            "px": array.pt * np.cos(array.phi), "py": array.pt * np.sin(array.phi),
            "pz": array.pt * np.sinh(array.eta), "charge": array.charge,
        }), "plain": lambda x: np.asarray(x).tolist(),
    }  # fmt: skip


WORK = [
    # columns
    ("muons.pt.tolist()", [41.5, 18.2, 33.0, 12.0, 9.0, 4.0]),
    ('muons["pt"].sum()', 117.7),
    ('muons["keep"].tolist()', [1, 1, 0, 0, 1, 1]),
    ("(muons.pt > 20).sum()", 2),
    ("muons.keep(muons.pt > 20).counts.tolist()", [1, 0, 1, 0]),
    ("muons[muons.counts == 2].pt.tolist()", [41.5, 18.2]),
    ("'eta' in muons", True),
    ("muons.columns[:2]", ("pt", "eta")),
    ("ak.fields(muons)[:2]", ["pt", "eta"]),
    # events
    ("muons[muons.counts.argmax()].pt.max()", 12.0),
    ("muons[np.array(2)].pt.tolist()", [33.0]),
    ("muons[0].pt.tolist()", [41.5, 18.2]),
    ("muons[-1]['pt'].tolist()", [12.0, 9.0, 4.0]),
    ("[event.pt.tolist() for event in muons]", EVENTS),
    ("[len(event) for event in muons]", [2, 0, 1, 3]),
    ("muons[:2].counts.tolist()", [2, 0]),
    ("muons[[3, 0]].counts.tolist()", [3, 2]),
    ("len(muons)", 4),
    # awkward's functions
    ("ak.num(muons).to_list()", [2, 0, 1, 3]),
    ("ak.Array(muons).pt.to_list()", EVENTS),
    ("ak.max(ak.Array(muons).pt, axis=1).to_list()", [41.5, None, 33.0, 12.0]),
    ("ak.concatenate([muons, muons]).ndim", 2),
    ("ak.to_dataframe(muons).shape", (6, 5)),
    ("fj.Jagged.from_awkward(array).pt.tolist()[:2]", [41.5, 18.2]),
    # joining, broadcasting, statistics
    ("fj.concatenate([muons, muons]).counts.tolist()", [2, 0, 1, 3] * 2),
    ("muons.broadcast(batch.MET_pt).tolist()", [10.0, 10.0, 30.0, 80.0, 80.0, 80.0]),
    ('muons.aggregate("pt", ["prod"])["prod"].round(6).tolist()', [755.3, 1.0, 33.0, 432.0]),
    ('muons.aggregate("pt", "max")["max"].tolist()[0]', 41.5),
    ("fj.equal(muons, muons[:])", True),
    ("fj.equal(muons, array)", True),
    # batches
    ("batch.fields", ("Muon", "MET_pt")),
    ("list(batch)", ["Muon", "MET_pt"]),
    ("'Muon' in batch and 'Muon_pt' in batch and 'Jet' not in batch", True),
    ('batch["Muon"].counts.tolist()', [2, 0, 1, 3]),
    ('batch["Muon_pt"].offsets.tolist()', [0, 2, 2, 3, 6]),
    ('batch["Muon_pt"].pt.tolist()[:2]', [41.5, 18.2]),
    ("batch.MET_pt.tolist()", [10.0, 60.0, 30.0, 80.0]),
    ('batch[batch["MET_pt"] > 40].Muon.counts.tolist()', [0, 3]),
    ('batch[batch["MET_pt"] > 40].entries.tolist()', [101, 103]),
    ("len(batch[:2])", 2),
    ("fj.equal(fj.concatenate([batch[:1], batch[1:]]), batch)", True),
    ("batch.to_awkward().Muon.pt.to_list()", EVENTS),
    ('batch.to_pandas()["MET_pt"].tolist()', [10.0, 60.0, 30.0, 80.0]),
    ('batch.to_arrow()["Muon_pt"].to_pylist()', EVENTS),
    # pairs
    ("len(pairs)", 4),
    ("pairs[['mass', 'pt']].fields", ("mass", "pt")),
    ("len(pairs[pairs.mass > 15])", 2),
    ("pairs.to_awkward().event.to_list()", [0, 3, 3, 3]),
    ("len(pairs.to_pandas())", 4),
    ("pairs.to_arrow().num_rows", 4),
    ("pairs.to_jagged().counts.tolist()", [1, 0, 0, 3]),
    # other libraries
    ("fj.nearest(muons, cartesian)[0].tolist()", [0, 1, 2, 3, 4, 5]),
    ("pa.array(muons)[2].as_py()[0]['pt']", 33.0),
    ("muons.to_pandas().loc[3, 1]['pt']", 9.0),
    ('(muons.to_torch("pt") * muons.to_torch("eta")).shape[0]', 4),
    ('muons.to_torch("pt").to_padded_tensor(0.0).shape[1]', 3),
    ('muons.pad(2, "pt").to_torch().mask.sum().item()', 5),
    ("fj.pair_mass(*ak.unzip(ak.combinations(muons, 2))).shape", (4,)),
    ('fj.dimuon(muons[["pt", "eta", "phi"]], "any", fields="event").event.tolist()', [0, 3]),
    ("fj.dimuon(vector.zip({k: array[k] for k in array.fields})).event.tolist()", [0, 3]),
    ("fj.dimuon(cartesian).event.tolist()", [0, 3]),
]  # fmt: skip

NAME_THE_WAY = [
    ("muons > 20", TypeError, "no array, .* a column is one"),
    ("muons * 2", TypeError, r"muons\['pt'\]"),
    ("2 * muons", TypeError, r"muons\['pt'\]"),
    ("np.sqrt(muons)", TypeError, r"muons\['pt'\]"),
    ("np.asarray(muons)", TypeError, r"\.pad\(4\) makes a dense array"),
    ("np.sum(muons)", TypeError, r'aggregate\("pt", \["sum"\]\)'),
    ("np.concatenate([muons, muons])", TypeError, "fj.concatenate joins them"),
    ("pd.DataFrame(muons)", TypeError, r"\.to_pandas\(\) a frame"),
    ("muons[:, 0]", TypeError, "leading-2"),
    ("muons['pt', 'eta']", TypeError, "a list picks columns"),
    ("muons[muons.pt > 20]", ValueError, r"\.keep\(mask\)"),
    ("muons[7]", IndexError, "event 7 is out of range for 4 events"),
    ("muons.Pt", AttributeError, "did you mean 'pt'"),
    ("muons.mass", AttributeError, "accepted are 'pt', 'eta', 'phi'"),
    ("muons.fields", AttributeError, r"names are \.columns"),
    ("muons.px", AttributeError, r'to_awkward\("Momentum4D"\)\.px'),
    ("muons.sum('pt')", AttributeError, r'\.aggregate\("pt", \["sum"\]\)'),
    ("muons.mask[muons.pt > 20]", AttributeError, r"\.keep\(mask\)"),
    ("muons.to_numpy()", AttributeError, r"\.pad\(4\)"),
    ("muons.nearest(jets)", AttributeError, "fj.nearest"),
    ("muons[0][0]", TypeError, r"event\['pt'\]\[0\]"),
    ("muons[0].Pt", AttributeError, "did you mean 'pt'"),
    ("muons[0] + 1", TypeError, "a column is one"),
    ("batch[0]", TypeError, r"batch\[0:1\] is one event, batch.Muon\[0\] its muons"),
    ("batch['muon_pt']", KeyError, "did you mean 'Muon_pt'"),
    ("batch.Muons", AttributeError, "did you mean 'Muon'"),
    ("batch.keys()", AttributeError, "batch.fields"),
    ("batch > 3", TypeError, "batch.fields"),
    ("np.asarray(batch)", TypeError, "batch.fields"),
    ("batch[['Muon_pt']]", TypeError, "takes one name"),
    ("batch[[True]]", ValueError, "has 1 entries, but there are 4 events"),
    ("pairs[0]", TypeError, r"pairs\[0:1\]"),
    ("pairs.m", AttributeError, r"it is \.mass"),
    ("pairs.deltaR", AttributeError, r"it is \.delta_r"),
    ("pairs.sort('mass')", AttributeError, r"\.to_jagged\(\)\.sort"),
    ("pairs.Mass", AttributeError, "did you mean 'mass'"),
    ("fj.concatenate(muons)", TypeError, "takes a list"),
    ("fj.concatenate([muons, pairs])", TypeError, "all of one kind, got Jagged and Dimuons"),
    ("fj.concatenate([muons.pt, muons.pt])", TypeError, "numpy.concatenate joins arrays"),
    ("fj.concatenate([muons, muons[['pt']]])", KeyError, "part 1 has no column 'eta'"),
    ("muons.broadcast(muons.pt)", ValueError, "values has 6 entries, but there are 4 events"),
    ("fj.pair_mass(muons, 3)", TypeError, "needed are pt"),
    ("fj.pair_mass(muons, muons, muons.pt)", TypeError, "pt2 is missing"),
    ("fj.dimuon(muons[['pt', 'phi']], 'any')", KeyError, "no column 'eta': .*needed are pt"),
    ("fj.dimuon(muons[['pt', 'eta', 'phi']])", KeyError, "charge='any' needs none"),
    ("fj.dimuon(muons[['pt', 'eta', 'phi']], 'any')", KeyError, "fields without 'charge' need none"),
    ("fj.dimuon(batch)", TypeError, "a batch has collections, such as batch.Muon"),
    ("fj.dimuon(pairs)", TypeError, r"\.to_jagged\(\) makes one of pairs"),
    ("fj.Jagged(array)", TypeError, "from_awkward"),
    ("np.shape(muons)", TypeError, r"len\(muons\) is the number of events"),
    ("fj.num(muons)", AttributeError, "muons.counts"),
    ("fj.combinations(muons, 2)", AttributeError, 'pairs="all"'),
    ("fj.open('a.root')", AttributeError, "fj.iterate"),
    ("fj.to_torch(muons)", AttributeError, r'muons.to_torch\("pt"\)'),
    ("fj.delta_r(muons, jets)", AttributeError, "fj.nearest"),
    ("muons.head()", AttributeError, r"muons\[:5\]"),
    ("batch.to_numpy()", AttributeError, r"batch\[name\] is an array"),
    ("fj.histogram([muons.pt, muons.eta], [(4, 0, 40), (3, -2, 2)])", ValueError,
     "several columns are a tuple"),
    ("fj.Hist", AttributeError, "fj.histogram"),
    ("fj.iterat", AttributeError, "did you mean 'iterate'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), WORK, ids=[line for line, _ in WORK])
def test_it_works(line, expected):
    result = eval(line, scope())
    if isinstance(expected, float):
        assert result == pytest.approx(expected)
    else:
        assert result == expected


@pytest.mark.parametrize(
    ("line", "error", "way"), NAME_THE_WAY, ids=[line for line, *_ in NAME_THE_WAY]
)
def test_the_error_names_the_way(line, error, way):
    with pytest.raises(error, match=way):
        eval(line, scope())


def test_there_are_sixty():
    lines = [row[0] for row in WORK + NAME_THE_WAY]
    assert len(set(lines)) == len(lines) >= 60
