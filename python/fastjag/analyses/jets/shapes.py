"""Spectra, shapes and images of jets by flavour, in one pass over the files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastjag.analyses.jets.observables import images, rapidity, substructure
from fastjag.analyses.jets.reading import JetBatch, JetReader, whole_events
from fastjag.analyses.jets.results import ShapeHistograms
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.histograms import histogram
from fastjag.jagged import Jagged

#: Flavours as samples tell them: light quark and gluon by parton, b and c by hadrons.
FLAVOURS = ("all", "quark", "gluon", "c", "b")

_AXES = {
    "pt": ("log", 60, 15, 3000, r"jet $p_T$ [GeV]"),
    "constituent_pt": ("log", 60, 0.1, 1000, r"constituent $p_T$ [GeV]"),
    "multiplicity": ("regular", 40, -0.5, 119.5, "constituents"),
    "charged_multiplicity": ("regular", 30, -0.5, 59.5, "charged constituents"),
    "girth": ("regular", 25, 0, 0.4, "girth"),
    "pt_d": ("regular", 25, 0, 1, r"$p_T D$"),
    "axis2": ("regular", 25, 0, 0.15, r"$\sigma_2$"),
    "dijet_mass": ("log", 60, 30, 8000, r"$m_{jj}$ [GeV]"),
}
#: Stored columns and what is computed here.
STORED = {"jetGirth": "girth", "QG_ptD": "pt_d", "QG_axis2": "axis2", "jetMult": "multiplicity",
          "jetChargedMult": "charged_multiplicity", "jetNeutralMult": "neutral_multiplicity"}  # fmt: skip


def flavours(batch: JetBatch) -> dict[str, Array]:
    """Masks by flavour. Undefined partons (0) are neither quark nor gluon."""
    jets = batch.jets
    masks = {"all": np.ones(len(batch), bool)}
    heavy = np.zeros(len(batch), bool)
    if "hadron_flavour" in jets:
        masks |= {"c": jets["hadron_flavour"] == 4, "b": jets["hadron_flavour"] == 5}
        heavy = masks["b"] | masks["c"]
    if "parton_flavour" in jets:
        parton = jets["parton_flavour"]
        masks |= {"quark": np.isin(parton, (1, 2, 3)) & ~heavy, "gluon": (parton == 21) & ~heavy}
    return {name: masks[name] for name in FLAVOURS if name in masks}


def shapes(reader: JetReader, *, threads: int | None = None) -> ShapeHistograms:
    """Fill all histograms. Raises ValueError where no jet is selected."""
    needs("hist", "hist")
    started = time.perf_counter()
    axes = {name: _axis(name) for name in _AXES}
    result = ShapeHistograms({name: {} for name in _AXES}, {}, {}, {}, {})
    weights: dict[str, float] = {}
    for events in whole_events(_filled(reader, result, axes, weights, threads)):
        _dijets(result, axes["dijet_mass"], events)
    reader.check_not_empty()
    result.images = {name: image / weights[name] for name, image in result.images.items()
                     if weights[name]}  # fmt: skip
    n = result.counts["jets"]
    for values in result.compared.values():
        for key in values:
            values[key] /= n
    if matched := result.gen.get("jets"):
        result.gen = {k: v if k == "jets" else v / matched for k, v in result.gen.items()}
    result.files, result.format = [f for f, _ in reader.files], reader.format
    result.seconds = time.perf_counter() - started
    return result


def _axis(name: str) -> Any:
    import hist

    kind, n, low, high, label = _AXES[name]
    transform = hist.axis.transform.log if kind == "log" else None
    return hist.axis.Regular(n, low, high, transform=transform, name=name, label=label)


def _filled(
    reader: JetReader, result: ShapeHistograms, axes: dict[str, Any], weights: dict[str, float],
    threads: int | None,
) -> Iterator[JetBatch]:  # fmt: skip
    """The batches, after their jets were counted; those that name their events."""
    for batch in reader:
        observables = substructure(batch) | {"pt": batch.jets["pt"]}
        pictures = images(batch)
        w = batch.jets["weight"].astype(np.float64)
        for flavour, mask in flavours(batch).items():
            count = result.counts
            key = "jets" if flavour == "all" else f"{flavour} jets"
            count[key] = count.get(key, 0) + int(mask.sum())
            for name, values in observables.items():
                if name in axes:
                    _fill(result, name, flavour, values[mask], w[mask], axes[name], threads)
            c = batch.constituents[np.flatnonzero(mask)] if flavour != "all" else batch.constituents
            _fill(result, "constituent_pt", flavour, c["pt"], np.repeat(w[mask], c.counts),
                  axes["constituent_pt"], threads)  # fmt: skip
            image = np.tensordot(w[mask], pictures[mask], 1)
            result.images[flavour] = result.images.get(flavour, 0) + image
            weights[flavour] = weights.get(flavour, 0.0) + float(w[mask].sum())
        _compare(result, batch, observables)
        if all(name in batch.jets for name in ("run", "lumi", "event")):
            yield batch


def _fill(
    result: ShapeHistograms, name: str, flavour: str, values: Array, weights: Array, axis: Any,
    threads: int | None,
) -> None:  # fmt: skip
    known = result.histograms[name]
    known[flavour] = histogram(
        values, axis, weights=weights, out=known.get(flavour), threads=threads
    )


def _compare(result: ShapeHistograms, batch: JetBatch, computed: dict[str, Array]) -> None:
    for stored, name in STORED.items():
        if stored in batch.jets:
            theirs, ours = batch.jets[stored].astype(np.float64), computed[name]
            sums = result.compared.setdefault(
                stored, {"stored": 0.0, "computed": 0.0, "difference": 0.0}
            )
            sums["stored"] += float(theirs.sum())
            sums["computed"] += float(np.nansum(ours))
            sums["difference"] += float(np.nansum(np.abs(ours - theirs)))
    if batch.gen is not None:
        matched = batch.jets["gen_match"]
        response = batch.jets["pt"][matched] / batch.jets["gen_pt"][matched].astype(np.float64)
        for name, value in (("jets", matched.sum()), ("response", response.sum()),
                            ("gen multiplicity", batch.gen.counts.sum())):  # fmt: skip
            result.gen[name] = result.gen.get(name, 0.0) + float(value)


def _dijets(result: ShapeHistograms, axis: Any, events: Jagged) -> None:
    """Mass of the two leading jets of each event."""
    result.counts["events"] = result.counts.get("events", 0) + len(events)
    two = events[np.flatnonzero(events.counts >= 2)]
    if not len(two):
        return
    columns = ("pt", "eta", "phi", "mass")
    pairs = two.pad(2, list(columns), by="pt").values.astype(np.float64)
    weights = two["weight"][two.offsets[:-1]]
    _fill(result, "dijet_mass", "all", dijet_mass(pairs), weights, axis, None)


def dijet_mass(pairs: Array) -> Array:
    """(n,) GeV of pairs (n, 2, 4) of pt, eta, phi, mass.

    M² = m1² + m2² + 2 (mT1 mT2 cosh(dy) - pT1 pT2 cos(dphi)) with rapidities y.
    """
    pt, eta, phi, mass = np.moveaxis(pairs, 2, 0)
    transverse, y = np.hypot(pt, mass), rapidity(pt, eta, mass)
    cosh, cos = np.cosh(y[:, 0] - y[:, 1]), np.cos(phi[:, 0] - phi[:, 1])
    squared = (mass**2).sum(1) + 2 * (transverse.prod(1) * cosh - pt.prod(1) * cos)
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
