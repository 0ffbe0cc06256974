"""How version 0.1.0 wrote the files beside this one: each is (object, arguments, what it gave).

git archive 7fa6b6f python | tar x -C OLD && cp _cpu*.so OLD/python/fastjag/
PYTHONPATH=OLD/python python make.py
"""

import pickle
from pathlib import Path

import numpy as np
from fastjag.models.ensembles import BoostedTrees
from fastjag.models.sets import EventSets
from fastjag.models.trees import TreeSettings, fold_scores

import fastjag as fj
from fastjag.models.deepsets import DeepSets
from fastjag.models.flow import ConditionalFlow, FlowSettings

HERE = Path(__file__).parent
RNG = np.random.default_rng(1)

counts = RNG.integers(0, 5, 12)
n = int(counts.sum())
muons = fj.Jagged(
    np.concatenate([[0], np.cumsum(counts)]),
    {"pt": RNG.exponential(30, n) + 1, "eta": RNG.normal(size=n),
     "phi": RNG.uniform(-np.pi, np.pi, n), "charge": RNG.choice([-1, 1], n)},
)  # fmt: skip
tensor = muons.pad(3)
pairs = fj.dimuon(muons)
cuts = fj.histogram_cuts(RNG.normal(size=(50, 2)), [-2.0, -1, 0, 1, 2], RNG.random(50), [0.2, 0.5])
kernel = fj.PyramidMatch(
    3, {"eta": (-3, 3), "phi": (-np.pi, np.pi)}, circular=["phi"], shifts=2, seed=1
).fit(muons)
nystroem = fj.Nystroem(kernel, 5).fit(muons)
y = np.arange(60) % 2
x = RNG.normal(size=(60, 3)) + y[:, None]
trees = BoostedTrees(2, max_depth=2, threads=1).fit(x, y)
scores = fold_scores(
    x, x + 1, np.ones(60, bool), settings=TreeSettings(folds=3, members=1, rounds=2), progress=False
)
mass = RNG.normal(size=60)
spline, affine = (
    ConditionalFlow(FlowSettings(kind, 1, (8,), 4, epochs=2), seed=1).fit(x, mass, progress=False)
    for kind in ("spline", "affine")
)
events = EventSets({"muon": muons}, {"met_et": RNG.exponential(20, 12)})
sets = DeepSets({"muon": ("pt", "eta", "phi")}, ("met_et",), (4,), (4,), epochs=2).fit(
    events, np.arange(12) % 2, progress=False
)
for name, content in {
    "Jagged": (muons, (), muons["pt"]),
    "Padded": (tensor, (), tensor.values),
    "Dimuons": (pairs, (), pairs.mass),
    "CutHistograms": (cuts, (), cuts.counts),
    "PyramidMatch": (kernel, (muons,), kernel.transform(muons).toarray()),
    "Nystroem": (nystroem, (muons,), nystroem.transform(muons)),
    "BoostedTrees": (trees, (x,), trees.predict_proba(x)),
    "FoldScores": (scores, (), scores.data),
    "ConditionalFlow": (affine, (x, mass), affine.log_prob(x, mass)),
    "DeepSets": (sets, (events,), sets.predict_proba(events)),
}.items():
    (HERE / f"{name}.pickle").write_bytes(pickle.dumps(content))
for name, flow in {"spline": spline, "affine": affine}.items():
    flow.save(HERE / f"{name}.pt")
np.savez(HERE / "flows.npz", x=x, mass=mass, spline=spline.log_prob(x, mass),
         affine=affine.log_prob(x, mass))  # fmt: skip
