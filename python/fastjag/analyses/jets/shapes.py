"""Spectra, shapes and images of jets by flavour, in one pass over the files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.common.varied import Varied
from fastjag.analyses.jets.observables import images, rapidity, substructure
from fastjag.analyses.jets.reading import (
    Fragment,
    JetBatch,
    JetFormat,
    JetReader,
    cut_ends,
    join_ends,
    whole_event,
)
from fastjag.analyses.jets.results import ShapeHistograms
from fastjag.analyses.jets.variations import fill as fill_variations
from fastjag.batch import merge as add_up
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.core.devices import namespace, to_host
from fastjag.histograms import histogram
from fastjag.io import Batch
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
    xp = namespace(jets["pt"])
    masks = {"all": xp.ones(len(batch), bool)}
    heavy = xp.zeros(len(batch), bool)
    if "hadron_flavour" in jets:
        masks |= {"c": jets["hadron_flavour"] == 4, "b": jets["hadron_flavour"] == 5}
        heavy = masks["b"] | masks["c"]
    if "parton_flavour" in jets:
        parton = jets["parton_flavour"]
        masks |= {"quark": (parton >= 1) & (parton <= 3) & ~heavy, "gluon": (parton == 21) & ~heavy}
    return {name: masks[name] for name in FLAVOURS if name in masks}


def shapes(
    reader: JetReader, *, workers: Workers = HERE, threads: int | None = None,
    variations: Sequence[VariationSettings] = (),
) -> ShapeHistograms:  # fmt: skip
    """Fill all histograms, of files that ``workers`` read. Raises ValueError where no jet is selected."""
    needs("hist", "hist")
    import hist

    log = {"log": hist.axis.transform.log, "regular": None}
    axes = {
        name: hist.axis.Regular(n, low, high, transform=log[kind], name=name, label=label)
        for name, (kind, n, low, high, label) in _AXES.items()
    }
    started = time.perf_counter()
    fill = _Fill(reader.form, axes, threads, tuple(variations))
    read = reader.read(fill, workers, fill.merge)
    sums: _Sums = read.value or _Sums()
    reader.check_not_empty(sums.counts.get("jets", 0), sums.n_jets, read.reasons)
    for end in sums.ends:
        fill.add_dijets(sums, whole_event(end))
    images = {name: image / sums.weights[name] for name, image in sums.images.items()
              if sums.weights[name]}  # fmt: skip
    n = sums.counts["jets"]
    compared = {s: {k: v / n for k, v in values.items()} for s, values in sums.compared.items()}
    gen = sums.gen
    if matched := gen.get("jets"):
        gen = {k: v if k == "jets" else v / matched for k, v in gen.items()}
    result = ShapeHistograms({name: sums.histograms.get(name, {}) for name in _AXES}, images, compared,
                             sums.counts, gen, read.files, reader.format, read.skipped)  # fmt: skip
    result.varied = sums.varied
    result.seconds = time.perf_counter() - started
    return result


@dataclass
class _Sums:
    """Of the jets of some events; merged, of all."""

    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, Array] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)  #: of the images
    compared: dict[str, dict[str, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    gen: dict[str, float] = field(default_factory=dict)
    n_jets: int = 0  #: read
    varied: Varied | None = None
    #: Jets of the events at both ends, which may go on elsewhere, and are in no count of events.
    ends: list[Fragment] = field(default_factory=list)

    def count(self, name: str, n: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


@dataclass(frozen=True)
class _Fill:
    """What workers do with a batch of events."""

    form: JetFormat
    axes: dict[str, Any]
    threads: int | None
    variations: tuple[VariationSettings, ...] = ()

    def __call__(self, events: Batch) -> _Sums:
        every = self.form.every(events)
        batch = self.form.selected(every)
        sums = _Sums(n_jets=len(every))
        if self.variations and len(every):
            sums.varied = fill_variations(
                self.form, every, self.variations, self.axes, flavours, self.threads
            )
        if len(batch) == 0:
            return sums
        self.add(sums, batch)
        if all(name in batch.jets for name in ("run", "lumi", "event")):
            # Two jets of an event are no work for a GPU.
            sums.ends, between = cut_ends({name: to_host(c) for name, c in batch.jets.items()})
            sums.count("events", 0)
            if between is not None:
                self.add_dijets(sums, between)
        return sums

    def merge(self, a: _Sums, b: _Sums) -> _Sums:
        """The second one's events follow those of the first."""
        ends, whole = join_ends(a.ends, b.ends)
        both: _Sums = add_up(replace(a, ends=[]), replace(b, ends=[]))
        both.ends = ends
        for event in whole:
            self.add_dijets(both, event)
        return both

    def add(self, sums: _Sums, batch: JetBatch) -> None:
        observables = substructure(batch) | {"pt": batch.jets["pt"]}
        pictures, w = images(batch), batch.jets["weight"].astype(np.float64)
        for flavour, mask in flavours(batch).items():
            sums.count("jets" if flavour == "all" else f"{flavour} jets", int(mask.sum()))
            for name, values in observables.items():
                if name in self.axes:
                    self.fill(sums, name, flavour, values[mask], w[mask])
            c = batch.constituents[np.flatnonzero(mask)] if flavour != "all" else batch.constituents
            self.fill(sums, "constituent_pt", flavour, c["pt"], c.broadcast(w[mask]))
            flat = pictures[mask].reshape(-1, pictures[0].size)
            sums.images[flavour] = (w[mask][None] @ flat).reshape(pictures.shape[1:])
            sums.weights[flavour] = float(w[mask].sum())
        _compare(sums, batch, observables)

    def fill(self, sums: _Sums, name: str, flavour: str, values: Array, weights: Array) -> None:
        known = sums.histograms.setdefault(name, {})
        known[flavour] = histogram(
            values, self.axes[name], weights=weights, out=known.get(flavour), threads=self.threads
        )

    def add_dijets(self, sums: _Sums, events: Jagged) -> None:
        """Mass of the two leading jets of each event."""
        sums.count("events", len(events))
        two = events[np.flatnonzero(events.counts >= 2)]
        if len(two):
            pairs = two.pad(2, ["pt", "eta", "phi", "mass"], by="pt").values.astype(np.float64)
            weights = two["weight"][two.offsets[:-1]]
            self.fill(sums, "dijet_mass", "all", dijet_mass(pairs), weights)


def _compare(sums: _Sums, batch: JetBatch, computed: dict[str, Array]) -> None:
    """With shapes that the file stores, and with gen jets."""
    for stored in [name for name in STORED if name in batch.jets]:
        theirs, ours = batch.jets[stored].astype(np.float64), computed[STORED[stored]]
        sums.compared[stored] = {
            "stored": float(theirs.sum()),
            "computed": _sum(ours),
            "difference": _sum(np.abs(ours - theirs)),
        }
    if batch.gen is not None:
        matched = batch.jets["gen_match"]
        response = batch.jets["pt"][matched] / batch.jets["gen_pt"][matched].astype(np.float64)
        sums.gen = {
            "jets": float(matched.sum()),
            "response": float(response.sum()),
            "gen multiplicity": float(batch.gen.counts.sum()),
        }


def _sum(values: Array) -> float:
    """Of those that are numbers."""
    return float(np.where(np.isnan(values), 0.0, values).sum())


def dijet_mass(pairs: Array) -> Array:
    """(n,) GeV of pairs (n, 2, 4) of pt, eta, phi, mass.

    M² = m1² + m2² + 2 (mT1 mT2 cosh(dy) - pT1 pT2 cos(dphi)) with rapidities y.
    """
    pt, eta, phi, mass = np.moveaxis(pairs, 2, 0)
    transverse, y = np.hypot(pt, mass), rapidity(pt, eta, mass)
    cosh, cos = np.cosh(y[:, 0] - y[:, 1]), np.cos(phi[:, 0] - phi[:, 1])
    squared = (mass**2).sum(1) + 2 * (transverse.prod(1) * cosh - pt.prod(1) * cos)
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
