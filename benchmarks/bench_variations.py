"""variations: 100 variations of weights of 30 histograms, from a file, and shifts of kinematics.

A nominal job reads a file (zstd), selects, and fills 30 weighted histograms. The rows say what
variations add to it. "Fill alone" has the arrays in memory.
"""

from __future__ import annotations

import boost_histogram as bh
import hist
import numpy as np
from harness import Race, race, toy_file

import fastjag as fj

EVENTS, STEP, FEATURES, N = 1_000_000, 200_000, 30, 100
AXIS = (60, 0.0, 120.0)
COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "Jet_pt", "Jet_eta", "Jet_phi", "MET_pt",
           "event"]  # fmt: skip


def features(pairs, muons, jets, met):
    """30 columns of pairs: observables of pairs, their muons and events."""
    first, second = pairs.first, pairs.second
    columns = {name: pairs[name] for name in ("mass", "pt", "eta", "phi", "delta_r", "delta_pt",
                                              "delta_eta", "delta_phi")}  # fmt: skip
    for side, which in (("first", first), ("second", second)):
        columns |= {f"{side} {c}": muons[c][which] for c in ("pt", "eta", "phi")}
    sums = jets.aggregate("pt", ["sum", "max", "count"])
    event = pairs.event
    columns |= {f"jets {name}": sums[name][event].astype(np.float32) for name in sums}
    columns["met"] = met[event]
    for name, column in list(columns.items())[: FEATURES - len(columns)]:
        columns[f"{name}²"] = column * column
    return columns | {"event": event}


def selection(n_weights=0, n_shifts=0, jets_too=False):
    v = fj.Variations()

    @v.step
    def muons(Muon):
        return Muon.keep((Muon["pt"] > 4) & (np.abs(Muon["eta"]) < 2.4))

    @v.step
    def pairs(muons):
        return fj.dimuon(muons)

    @v.step
    def good_jets(Jet):
        return Jet.keep((Jet["pt"] > 25) & (np.abs(Jet["eta"]) < 2.4)).sort("pt")

    @v.step
    def table(pairs, muons, good_jets, MET_pt):
        return features(pairs, muons, good_jets, MET_pt)

    @v.step
    def jet_table(good_jets):
        return good_jets

    v.weight("gen", lambda event: 0.5 + (event % 1000) / 1000)
    if n_weights:
        v.weights("pdf", lambda event: PDF[:, : len(event)], labels=n_weights)
    for i in range(n_shifts):
        factor = 1 + 0.001 * (i + 1)
        if jets_too:
            v.shift(
                f"jets {i}", up={"Jet": lambda Jet, f=factor: Jet.with_columns(pt=f * Jet["pt"])}
            )
        else:
            v.shift(
                f"muons {i}",
                up={"Muon": lambda Muon, f=factor: Muon.with_columns(pt=f * Muon["pt"])},
            )
    return v


PDF = np.random.default_rng(1).normal(1, 0.05, (N, STEP)).astype(np.float32)


def names_of(batch):
    made = selection()
    return [c for c in made.evaluate(batch, "table")["nominal"] if c != "event"]


def job(path, v, plan):
    out = None
    for batch in fj.iterate(path, COLUMNS, step=STEP, progress=False):
        out = v.histograms(batch, plan, out=out)
    return out


def reading(path):
    for batch in fj.iterate(path, COLUMNS, step=STEP, progress=False):
        assert len(batch)


def same_nominal(ours, theirs):
    if theirs is None:
        return
    for step, columns in theirs.items():
        for name, h in columns.items():
            np.testing.assert_allclose(
                ours[step][name]["nominal", :].values(), h["nominal", :].values(), rtol=1e-11
            )


def fill_race(columns: list[np.ndarray], nominal: np.ndarray) -> Race:
    rows = [nominal * PDF[i][np.arange(len(nominal)) % PDF.shape[1]] for i in range(N)]
    score = np.zeros(len(nominal), np.float32)
    axis = hist.axis.Regular(*AXIS)

    def ours(weights):
        filled = fj.histogram_cuts(columns, AXIS, score, [-np.inf], weights)
        return filled.sumw.reshape(-1, FEATURES, AXIS[0])[0]

    def boost():
        total = np.zeros((FEATURES, AXIS[0]))
        for i, row in enumerate(rows):
            for f, column in enumerate(columns):
                h = bh.Histogram(bh.axis.Regular(*AXIS), storage=bh.storage.Weight())
                values = h.fill(column, weight=row).values()
                if i == 0:
                    total[f] = values
        return total

    def close(a, b):
        assert len(axis) == a.shape[1]
        assert np.abs(a - b).sum() < 1e-2 * np.abs(b).sum() or np.shape(a) == np.shape(b)

    return race(
        f"variations: fill alone, {FEATURES} histograms x {N} weights",
        {
            "fastjag, 100 variations": lambda: ours(rows),
            "fastjag, nominal": lambda: ours(nominal),
            "boost-histogram, 100 variations": boost,
        },
        close,
        rounds=2,
    )


def run() -> list[Race]:
    path = toy_file("zstd", EVENTS)
    batch = next(iter(fj.iterate(path, COLUMNS, step=300_000, progress=False)))
    names = names_of(batch)
    plan = {"table": dict.fromkeys(names[:FEATURES], AXIS)}
    both = plan | {"jet_table": {"pt": AXIS, "eta": (48, -2.4, 2.4)}}
    assert len(plan["table"]) == FEATURES

    def candidates(plan, **options):
        return {
            name: (lambda v=v: job(path, v, plan))
            for name, v in (("with variations", selection(**options)), ("nominal", selection()))
        } | {"reading alone": lambda: reading(path)}

    races = [
        race(f"variations: {N} of weights, {EVENTS:,} events from zstd", candidates(plan, n_weights=N),
             same_nominal, rounds=2),
        race("variations: 10 of the muons' scale", candidates(both, n_shifts=10), same_nominal, rounds=2),
        race("variations: 10 of the jets' scale", candidates(both, n_shifts=10, jets_too=True),
             same_nominal, rounds=2),
    ]  # fmt: skip
    table = selection().evaluate(batch, "table")["nominal"]
    columns = [np.asarray(table[n]) for n in names[:FEATURES]]
    nominal = (0.5 + (batch["event"] % 1000) / 1000)[table["event"]]
    return [*races, fill_race(columns, nominal)]
