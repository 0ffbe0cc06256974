"""The models that are compared, and what each of them sees of the events."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from fastjag import Jagged, PyramidMatch
from fastjag.analyses.diphoton.evaluation import Floats
from fastjag.analyses.diphoton.events import Events

#: What DeepSets sees of each type of particles, as far as the events have it: nothing that only
#: simulation knows; isolation, b-tags and taus of both ATLAS releases. Photons as they are make the
#: diphoton mass, so cuts on it can sculpt the spectrum.
COLUMNS = {
    "photon": ("pt", "eta", "phi", "E", "ptcone30", "etcone20", "convType", "ptcone20",
               "topoetcone40"),
    "lep": ("pt", "eta", "phi", "E", "charge", "type"),
    "jet": ("pt", "eta", "phi", "E", "jvt", "MV2c10", "btag_quantile"),
    "tau": ("pt", "eta", "phi", "E", "charge", "nTracks", "BDTid", "RNNJetScore"),
    "largeRjet": ("pt", "eta", "phi", "E", "m", "D2", "tau32"),
}  # fmt: skip
FLAT = ("met_et", "met_phi")

_EXTENT = {"log_pt": (2.0, 7.0), "eta": (-5.0, 5.0), "phi": (-np.pi, np.pi), "MV2c10": (-1.0, 1.0)}

MODELS = (
    "random forest",
    "XGBoost",
    "undersampling",
    "balanced bagging",
    "balanced forest",
    "EasyEnsemble",
    "pyramid SVM",
    "pyramid linear",
    "DeepSets",
)


def in_own_frame(events: Events, kinds: Container[str] | None = None) -> Events:
    """Known particles as seen from the diphoton system: physics knows no direction.

    phi from that of the diphoton system, on the side that makes the photon of highest pt positive;
    eta on the side that makes the diphoton system's positive.
    """
    photons = events.particles["photon"]
    pt, eta, phi = (photons[c].astype(np.float64) for c in ("pt", "eta", "phi"))
    p = photons.with_columns(x=pt * np.cos(phi), y=pt * np.sin(phi), z=pt * np.sinh(eta))
    x, y, z = (p.aggregate(c, ["sum"])["sum"] for c in "xyz")
    axis = np.arctan2(y, x)
    first = photons.pad(1, ["phi"], by="pt", dtype="float64").values[:, 0, 0]
    side, forward = np.where(_wrap(first - axis) < 0, -1, 1), np.where(z < 0, -1, 1)
    particles = {
        name: part.with_columns(
            phi=_wrap(part["phi"] - np.repeat(axis, part.counts)) * np.repeat(side, part.counts),
            eta=part["eta"] * np.repeat(forward, part.counts),
        )
        for name, part in events.particles.items()
        # Known, and there in some event; or as other events have them.
        if name in COLUMNS and (part.n_particles if kinds is None else name in kinds)
    }
    flat = dict(events.flat)
    if "met_phi" in flat:
        flat["met_phi"] = _wrap(flat["met_phi"] - axis) * side
    return Events(particles, flat, events.classes)


def _wrap(phi: Floats) -> Floats:
    return np.remainder(phi + np.pi, 2 * np.pi) - np.pi


def pyramid_sets(events: Events) -> dict[str, Jagged]:
    """Particles as points for the kernels: log pt, eta, phi, b-tag of jets; MET as a particle."""
    sets = {name: _points(particles) for name, particles in events.particles.items()}
    if set(FLAT) <= set(events.flat):
        columns = {"pt": events.flat["met_et"], "phi": events.flat["met_phi"]}
        sets["met"] = _points(Jagged(np.arange(len(events) + 1), columns))
    return sets


def _points(particles: Jagged) -> Jagged:
    columns = {"log_pt": np.log(np.maximum(particles["pt"], 1.0))}
    columns |= {name: particles[name] for name in ("eta", "phi", "MV2c10") if name in particles}
    return Jagged(particles.offsets, columns)


def estimators(
    events: Events,
    sets: Mapping[str, Jagged],
    *,
    negative: str,
    fast: bool,
    seed: int,
    device: str,
    threads: int | None,
) -> dict[str, tuple[str, Any]]:
    """Model to what it sees and the estimator, not fitted."""
    from fastjag.models.boosted_trees import BoostedTrees
    from fastjag.models.deepsets import DeepSets
    from fastjag.models.forests import (
        BalancedForest,
        Forest,
        balanced_bagging,
        easy_ensemble,
        undersampling,
    )
    from fastjag.models.pyramid_classifiers import PyramidLinear, PyramidSVM

    trees, rounds, rate = (60, 100, 0.2) if fast else (300, 500, 0.1)
    kernels = {
        name: PyramidMatch(
            3, {c: _EXTENT[c] for c in points.columns}, circular=["phi"], shifts=2, seed=seed
        )
        for name, points in sets.items()
    }  # fmt: skip
    inputs = {
        name: [c for c in COLUMNS[name] if c in particles]
        for name, particles in events.particles.items()
    }
    flat = [name for name in FLAT if name in events.flat]
    boosted = BoostedTrees(rounds, learning_rate=rate, threads=threads, device=device)
    subsets, boosts = (3, 15) if fast else (10, 30)
    # Steps enough where events are few.
    batch = int(np.clip(len(events) // 64, 128, 1024))
    network = DeepSets(inputs, flat, epochs=10 if fast else 30, device=device, batch_size=batch)
    models = {
        "random forest": ("table", Forest(trees, threads=threads)),
        "XGBoost": ("table", boosted),
        "undersampling": ("table", undersampling(trees=trees, threads=threads)),
        "balanced bagging": ("table", balanced_bagging(subsets=trees // 5)),
        "balanced forest": ("table", BalancedForest(trees, threads=threads)),
        "EasyEnsemble": ("table", easy_ensemble(subsets=subsets, rounds=boosts)),
        "pyramid SVM": ("sets", PyramidSVM(kernels, most=1500 if fast else 4000)),
        "pyramid linear": ("sets", PyramidLinear(kernels)),
        "DeepSets": ("events", network),
    }
    for _, model in models.values():
        model.set_params(negative=negative, seed=seed)
    return models
