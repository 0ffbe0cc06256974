"""ScoredPairs events of a search, that several test modules share."""

import numpy as np

from fastjag.analyses.dimuon.config import FINE, DimuonConfig, SignificanceSettings
from fastjag.analyses.dimuon.cuts import Cuts, fit_cuts
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.prepare import prepare
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.significance import ScoredPairs
from fastjag.statistics import Window

WINDOW = Window(5, 9, 10.6, 16, sr_edges=6)
PASSED = {"closure": {"passes": True, "says": ""}, "background": {"passes": True, "says": ""}}


CONFIG = DimuonConfig(
    name="toy", files=("toys.root",), window=WINDOW, features=("dimu_pt", "mu0_ip3d"), seed=4,
    significance=SignificanceSettings(
        degree=2, degrees=(2, 3), edges=(6, 8), rates=(1.0, 0.3, 0.1), toys=30, limits=False
    ),
)  # fmt: skip


def toy_pairs(seed=1, n=3000, signal=0):
    """A falling mass spectrum, two features, and a peak at 9.5 GeV of high pt."""
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(7, 3 * n)
    mass = mass[mass < 16][:n]
    pt, ip3d = rng.exponential(10, len(mass)), rng.lognormal(-4, 0.5, len(mass))
    mass = np.r_[mass, rng.normal(9.5, 0.1, signal)]
    pt = np.r_[pt, rng.normal(45, 5, signal)]
    ip3d = np.r_[ip3d, rng.lognormal(-4.5, 0.3, signal)]
    sideband = (mass < 9) | (mass >= 10.6)
    return WindowPairs(mass, {"dimu_pt": pt, "mu0_ip3d": ip3d}, sideband)


def cut_curve(pairs, discriminant, window, *, degree=5, rates=FINE):
    """The curve of one discriminant."""
    return fit_cuts([Cuts.at(pairs, discriminant, rates)], window, [degree])[0][0]


def prepared(config, out, **options):
    """What ``cutflow.json`` says of the tables that are in ``out / "prepare"`` after that."""
    results = DimuonResults(config, out)
    prepare(results, **options)
    return results.json("prepare", "cutflow")


def scored(seed=1, n=3000, signal=80, hole=False):
    rng = np.random.default_rng(seed)
    mass = 5 + rng.exponential(7, 3 * n)
    mass = mass[mass < 16][:n]
    if hole:  # half of the signal region is missing
        mass = mass[(mass < 9) | (mass >= 10.6) | (rng.random(len(mass)) < 0.5)]
    score = np.clip(0.3 + 0.05 * rng.normal(size=len(mass)), 0.01, 0.99)
    values = rng.normal(size=(len(mass), 2))
    mass = np.r_[mass, rng.normal(9.8, 0.1, signal)]
    score = np.r_[score, rng.uniform(0.3, 0.6, signal)]
    values = np.r_[values, rng.normal([1.5, -1.0], 0.5, (signal, 2))]
    events = WindowPairs(mass, {}, (mass < 9) | (mass >= 10.6))
    return ScoredPairs.of(events, ("dimu_pt", "mu0_ip3d"), values, score, seed)
