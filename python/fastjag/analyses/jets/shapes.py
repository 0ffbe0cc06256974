"""Spectra, shapes and images of jets by flavour, in one pass over the files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

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
    sums = _Sums(threads)
    for events in whole_events(sums.named(reader)):
        sums.add_dijets(events)
    reader.check_not_empty()
    result = sums.result
    result.images = {name: image / sums.weights[name] for name, image in result.images.items()
                     if sums.weights[name]}  # fmt: skip
    n = result.counts["jets"]
    for values in result.compared.values():
        for key in values:
            values[key] /= n
    if matched := result.gen.get("jets"):
        result.gen = {k: v if k == "jets" else v / matched for k, v in result.gen.items()}
    result.files, result.format = [f for f, _ in reader.files], reader.format
    result.seconds = time.perf_counter() - started
    return result


class _Sums:
    """Histograms, sums of images and of what is compared, of the batches so far."""

    def __init__(self, threads: int | None) -> None:
        import hist

        log = {"log": hist.axis.transform.log, "regular": None}
        self.axes = {
            name: hist.axis.Regular(n, low, high, transform=log[kind], name=name, label=label)
            for name, (kind, n, low, high, label) in _AXES.items()
        }
        self.threads = threads
        self.result = ShapeHistograms({name: {} for name in _AXES}, {}, {}, {}, {})
        self.weights: dict[str, float] = {}  #: of the images

    def named(self, batches: Iterable[JetBatch]) -> Iterator[JetBatch]:
        """The batches, after their jets were added; those that name their events."""
        for batch in batches:
            self.add(batch)
            if all(name in batch.jets for name in ("run", "lumi", "event")):
                yield batch

    def add(self, batch: JetBatch) -> None:
        observables = substructure(batch) | {"pt": batch.jets["pt"]}
        pictures, w = images(batch), batch.jets["weight"].astype(np.float64)
        totals = self.result.images
        for flavour, mask in flavours(batch).items():
            self.count("jets" if flavour == "all" else f"{flavour} jets", int(mask.sum()))
            for name, values in observables.items():
                if name in self.axes:
                    self.fill(name, flavour, values[mask], w[mask])
            c = batch.constituents[np.flatnonzero(mask)] if flavour != "all" else batch.constituents
            self.fill("constituent_pt", flavour, c["pt"], np.repeat(w[mask], c.counts))
            image = np.tensordot(w[mask], pictures[mask], 1)
            totals[flavour] = totals.get(flavour, 0) + image
            self.weights[flavour] = self.weights.get(flavour, 0.0) + float(w[mask].sum())
        self.compare(batch, observables)

    def count(self, name: str, n: int) -> None:
        self.result.counts[name] = self.result.counts.get(name, 0) + n

    def fill(self, name: str, flavour: str, values: Array, weights: Array) -> None:
        known = self.result.histograms[name]
        known[flavour] = histogram(
            values, self.axes[name], weights=weights, out=known.get(flavour), threads=self.threads
        )

    def compare(self, batch: JetBatch, computed: dict[str, Array]) -> None:
        """With shapes that the file stores, and with gen jets."""
        for stored in [name for name in STORED if name in batch.jets]:
            theirs, ours = batch.jets[stored].astype(np.float64), computed[STORED[stored]]
            sums = self.result.compared.setdefault(
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
                self.result.gen[name] = self.result.gen.get(name, 0.0) + float(value)

    def add_dijets(self, events: Jagged) -> None:
        """Mass of the two leading jets of each event."""
        self.count("events", len(events))
        two = events[np.flatnonzero(events.counts >= 2)]
        if len(two):
            pairs = two.pad(2, ["pt", "eta", "phi", "mass"], by="pt").values.astype(np.float64)
            self.fill("dijet_mass", "all", dijet_mass(pairs), two["weight"][two.offsets[:-1]])


def dijet_mass(pairs: Array) -> Array:
    """(n,) GeV of pairs (n, 2, 4) of pt, eta, phi, mass.

    M² = m1² + m2² + 2 (mT1 mT2 cosh(dy) - pT1 pT2 cos(dphi)) with rapidities y.
    """
    pt, eta, phi, mass = np.moveaxis(pairs, 2, 0)
    transverse, y = np.hypot(pt, mass), rapidity(pt, eta, mass)
    cosh, cos = np.cosh(y[:, 0] - y[:, 1]), np.cos(phi[:, 0] - phi[:, 1])
    squared = (mass**2).sum(1) + 2 * (transverse.prod(1) * cosh - pt.prod(1) * cos)
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
