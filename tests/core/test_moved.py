"""What version 0.1.0 left: its pickles and flows load, its modules are named where they are now."""

import pickle
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fastjag.core import moved

OLD = Path(__file__).parents[1] / "data" / "version-0.1.0"
MODULES = [f"fastjag.{line}" for line in (OLD / "modules.txt").read_text().split()]
# What each object of a pickle gave, from the arguments beside it.
GIVES = {
    "Jagged": lambda jagged: jagged["pt"],
    "Padded": lambda padded: padded.values,
    "Dimuons": lambda pairs: pairs.mass,
    "CutHistograms": lambda cuts: cuts.counts,
    "PyramidMatch": lambda kernel, muons: kernel.transform(muons).toarray(),
    "Nystroem": lambda kernel, muons: kernel.transform(muons),
    "BoostedTrees": lambda model, x: model.predict_proba(x),
    "FoldScores": lambda scores: scores.data,
    "ConditionalFlow": lambda flow, x, mass: flow.log_prob(x, mass),
    "DeepSets": lambda model, events: model.predict_proba(events),
}
NEEDS = {"CutHistograms": "hist", "PyramidMatch": "sklearn", "Nystroem": "sklearn",
         "BoostedTrees": "xgboost", "FoldScores": "xgboost", "ConditionalFlow": "zuko",
         "DeepSets": "torch"}  # fmt: skip


@pytest.mark.parametrize("name", GIVES)
@pytest.mark.filterwarnings("ignore:.*older version of XGBoost")
def test_pickles_load_and_give_what_they_gave(name):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    thing, arguments, expected = pickle.loads((OLD / f"{name}.pickle").read_bytes())
    np.testing.assert_allclose(GIVES[name](thing, *arguments), expected, rtol=1e-5, atol=1e-6)
    again = pickle.loads(pickle.dumps(thing))
    assert type(again).__module__ not in moved.MOVED
    np.testing.assert_array_equal(GIVES[name](again, *arguments), GIVES[name](thing, *arguments))


def test_pairs_are_whole():
    pairs = pickle.loads((OLD / "Dimuons.pickle").read_bytes())[0]
    assert len(pairs) == len(pairs["mass"]) == pairs.offsets[-1]
    assert "delta_r" in pairs.fields
    assert not pairs.offsets.flags.writeable


@pytest.mark.parametrize("kind", ["spline", "affine"])
def test_saved_flows_load(kind):
    flows = pytest.importorskip("fastjag.models.flow")
    expected = np.load(OLD / "flows.npz")
    flow = flows.ConditionalFlow.load(OLD / f"{kind}.pt")
    given = flow.log_prob(expected["x"], expected["mass"])
    np.testing.assert_allclose(given, expected[kind], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["ensembles.Forest", "ensembles.BalancedForest", "ensembles.BalancedSubsets",
     "pyramids.PyramidLinear", "pyramids.PyramidSVM", "pyramids.SumOfPyramids",
     "sets.EventSets", "training.FlowSettings", "trees.TreeSettings"],
)  # fmt: skip
def test_classes_that_pickles_name(name):
    """Of models by scikit-learn, whose own pickles are of one version of it."""
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    pytest.importorskip("zuko")
    module, cls = name.split(".")
    loaded = pickle.loads(f"cfastjag.models.{module}\n{cls}\n.".encode())
    assert loaded.__name__ == cls
    assert loaded.__module__.removeprefix("fastjag.") in moved.MOVED[f"models.{module}"].split()


@pytest.mark.parametrize("name", MODULES)
def test_every_old_module_is_there_or_in_the_table(name):
    parts = name.removeprefix("fastjag.").split(".")
    if not any(".".join(parts[:n]) in moved.MOVED for n in range(1, len(parts) + 1)):
        assert find_spec(name), f"{name} is in no table: add it to core/moved.py"


def test_new_names_are_there():
    for old, new in moved.MOVED.items():
        for name in new.split():
            assert find_spec(f"fastjag.{name}"), f"{old} is not {name}"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import fastjag.arrays", "fastjag.arrays of .* is fastjag.core.arrays now: import from"),
        ("from fastjag.report import Report", "is fastjag.reporting.report now"),
        ("import fastjag.analyses.jettrack.tagging", "is fastjag.analyses.jets now"),
        ("from fastjag.models.ensembles import as_table", "is fastjag.models.boosted_trees and "),
        ("from fastjag.models.trees import with_changes", "is fastjag.models.fold_scores now"),
    ],
)
def test_imports_name_the_new_module(statement, message):
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    with pytest.raises(ImportError, match=message):
        exec(statement)  # noqa: S102


def test_a_pickle_that_cannot_load_says_what_to_do():
    gone = b"cfastjag.models.boosted\nBoostedTrees\n."  # functions of a booster now
    with pytest.raises(ImportError, match="If a pickle asks for it, load that with fastjag 0"):
        pickle.loads(gone)


def test_other_names_are_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'fastjag.nothing'$"):
        import_module("fastjag.nothing")
    before = list(sys.meta_path)
    moved.announce()
    assert sys.meta_path == before
