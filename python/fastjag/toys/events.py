"""One chunk of events: muons, jets and event columns from one seed and the chunk's number."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np

from fastjag import kernels
from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.dimuons import MUON_MASS
from fastjag.jagged import Jagged
from fastjag.toys.kinematics import (
    DISPLACED,
    NONISOLATED,
    Mixture,
    draw_pairs,
    exponential,
    normal,
    uniform,
    wrap,
)
from fastjag.toys.parameters import BRANCHES, ToyParameters

#: Events per chunk: the unit of random streams, of memory and of baskets.
CHUNK = 100_000
_EVENTS_PER_LUMINOSITY_BLOCK = 1000
# sigma = constant + slope / pt [cm, cm GeV] of dxy and dz.
_IMPACT_RESOLUTION = ((0.0012, 0.010), (0.003, 0.020))
_CONE = 0.4  # anti-kt jets


def _table(weights: Collection[float]) -> Array:
    """A discrete distribution as 65,536 equally probable answers: drawn by one lookup."""
    upper = np.cumsum(np.array(list(weights), np.float64))
    steps = (np.arange(65536) + 0.5) / 65536 * upper[-1]
    table: Array = np.searchsorted(upper, steps, side="right").astype(np.int64)
    return table


def _poisson(mean: float) -> Array:
    most = int(mean + 10 * math.sqrt(mean) + 10)
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) if mean else 0.0 for k in range(most)]
    return _table([math.exp(x) for x in logs] if mean else [1.0])


def _draw(rng: np.random.Generator, table: Array, n: int) -> Array:
    drawn: Array = table[rng.integers(0, 65536, n, dtype=np.uint16)]
    return drawn


def _phi(rng: np.random.Generator, n: int) -> Array:
    phi = uniform(rng, n)
    phi -= 0.5
    phi *= np.float32(2 * np.pi)
    return phi


def _from_b(rng: np.random.Generator, n: int) -> Array:
    """Origins of muons without a partner: most come from b and c decays, or decays in flight."""
    return (rng.random(n, np.float32) < 0.7) * np.int8(DISPLACED | NONISOLATED)


class Maker:
    """Makes chunks; holds what does not change between them."""

    def __init__(self, seed: int, parameters: ToyParameters, columns: Collection[str]) -> None:
        self.seed = seed
        self.parameters = parameters
        self.columns = list(columns)
        self.mixture = Mixture(parameters)
        self.multiplicity = _table(parameters.multiplicity)
        self.jets = _poisson(parameters.jets)
        self.vertices = _poisson(parameters.vertices)

    def chunk(self, index: int) -> dict[str, Any]:
        """The events [index * CHUNK, (index + 1) * CHUNK): Jagged and arrays by name."""
        events = _Events(self, index)
        result: dict[str, Any] = {}
        for name in ("Muon", "Jet"):
            fields = [c.removeprefix(name + "_") for c in self.columns if c.startswith(name + "_")]
            if fields:
                offsets, columns = getattr(events, name.lower() + "s")
                if name == "Muon" and not {"jetIdx", "jetRelIso"}.isdisjoint(fields):
                    columns = columns | events.links
                if name == "Muon" and not _FEATURES.isdisjoint(fields):
                    columns = columns | events.features
                columns.setdefault("mass", np.full(len(columns["pt"]), MUON_MASS, np.float32))
                # Not by the checking constructor: the columns are right as they are made.
                result[name] = Jagged(offsets, {f: columns[f] for f in fields})
        for column in self.columns:
            if not column.startswith(("Muon_", "Jet_")):
                result[column] = events.flat(column)
        return result


_FEATURES = {"pfRelIso03_all", "pfRelIso04_all", "dxy", "dz", "ip3d", "tightId"}


class _Events:
    """The parts of a chunk, each made when first asked for and from a random stream of its own.

    So a column does not depend on which others are written.
    """

    def __init__(self, maker: Maker, index: int) -> None:
        self.maker, self.p, self.index = maker, maker.parameters, index
        self.kinematics = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([maker.seed, index]))
        )
        self.quality, self.hadrons, self.whole = self.kinematics.spawn(3)

    @cached_property
    def muons(self) -> tuple[Offsets, dict[str, Array]]:
        """Muons sorted by pt, with their origin."""
        rng, p = self.kinematics, self.p
        counts = _draw(rng, self.maker.multiplicity, CHUNK)
        offsets = offsets_of(counts)
        n = int(offsets[-1])
        pt, eta, phi = (np.empty(n, np.float32) for _ in range(3))
        charge = 2 * (rng.random(n, np.float32) < 0.5).astype(np.int32) - 1
        origin = np.empty(n, np.int8)

        first = offsets[:-1][counts >= 2]
        pairs = draw_pairs(rng, len(first), self.maker.mixture, p)
        for slot, rows in ((first, pairs.kinematics[:3]), (first + 1, pairs.kinematics[3:])):
            pt[slot], eta[slot], phi[slot] = rows
            origin[slot] = pairs.origin
        charge[first + 1] = charge[first] * (2 * pairs.same_sign.astype(np.int32) - 1)

        # Single muons: soft ones, and those of single-muon triggers above 8 GeV.
        alone = offsets[:-1][counts == 1]
        k = len(alone)
        hard = uniform(rng, k) < 0.65
        pt[alone] = 3 + 5 * hard + (np.float32(2.3) + np.float32(5.7) * hard) * exponential(rng, k)
        eta[alone], phi[alone] = p.max_abs_eta * (2 * uniform(rng, k) - 1), _phi(rng, k)
        origin[alone] = _from_b(rng, k)

        # Further muons: soft, a third of them in the jet of the first muon.
        more = np.flatnonzero(counts >= 3)
        of_event = np.repeat(more, counts[more] - 2)
        begin = offsets_of(counts[more] - 2)[:-1]
        slot = np.arange(len(of_event)) - np.repeat(begin - offsets[more] - 2, counts[more] - 2)
        k = len(slot)
        pt[slot] = 3 + 3.1 * exponential(rng, k)
        wide, near = 2 * uniform(rng, k) - 1, uniform(rng, k) < 0.35
        spread = normal(rng, 2 * k).reshape(2, k) * np.float32(0.2)
        lead = offsets[of_event]
        close = np.clip(eta[lead] + spread[0], -p.max_abs_eta, p.max_abs_eta)
        eta[slot] = np.where(near, close, p.max_abs_eta * wide)
        turned = phi[lead] + spread[1]
        wrap(turned)
        phi[slot] = np.where(near, turned, _phi(rng, k))
        origin[slot] = _from_b(rng, k)

        a, b = p.resolution
        pt *= 1 + (a + b * eta * eta) * normal(rng, n)
        junk = rng.integers(0, max(n, 1), int(rng.binomial(n, p.mismeasured)))
        pt[junk] = np.minimum(50 * uniform(rng, len(junk)) ** np.float32(-1 / 1.1), 3e4)
        columns: dict[str, Array] = {
            "pt": pt, "eta": eta, "phi": phi, "charge": charge, "origin": origin,
        }  # fmt: skip
        order = kernels.order(offsets, pt, threads=1)
        return offsets, {name: values[order] for name, values in columns.items()}

    @cached_property
    def vertices(self) -> Array:
        return _draw(self.whole, self.maker.vertices, CHUNK).astype(np.int32)

    @cached_property
    def features(self) -> dict[str, Array]:
        """Isolation, impact parameters and identification from origin and pt."""
        offsets, muons = self.muons
        rng, pt, origin = self.quality, muons["pt"], muons["origin"]
        n = len(pt)
        pileup = np.repeat((self.vertices / 25).astype(np.float32), np.diff(offsets))
        hadronic = (origin >> 1).astype(np.float32)
        # Scalar pt sum in the cone: fragments of the b quark, or pileup after its subtraction.
        sum_pt = np.float32(1.2) * pileup
        constant, slope = self.p.hadrons
        sum_pt += hadronic * (constant + np.float32(slope) * pt - sum_pt)
        sum_pt *= exponential(rng, n)
        sum_pt -= np.float32(0.3) * pileup
        iso04 = np.maximum(sum_pt, 0, out=sum_pt)
        iso04 /= pt
        displaced = (origin & DISPLACED).astype(np.float32)
        displaced *= np.float32(self.p.displacement)
        impact = []
        for constant, slope in _IMPACT_RESOLUTION:
            side = uniform(rng, n)  # one number gives size and sign of the flight: a Laplace law
            side *= 2
            side -= 1
            flight = np.log(np.maximum(np.abs(side), np.float32(1e-7)))
            np.copysign(flight, side, out=flight)
            flight *= displaced
            flight += (constant + slope / pt) * normal(rng, n)
            impact.append(flight)
        dxy, dz = impact
        efficiency = 0.97 * (1 - 0.5 * np.exp((3 - pt) / 3))
        return {
            "pfRelIso04_all": iso04,
            "pfRelIso03_all": iso04 * (0.4 + 0.6 * uniform(rng, n)),
            "dxy": dxy,
            "dz": dz,
            "ip3d": np.sqrt(dxy * dxy + dz * dz),
            "tightId": uniform(rng, n) < efficiency,
        }

    @cached_property
    def _jets_and_links(self) -> tuple[Offsets, dict[str, Array], dict[str, Array]]:
        offsets, muons = self.muons
        rng, pt = self.hadrons, muons["pt"]
        iso04 = self.features["pfRelIso04_all"]
        with_hadrons = pt * (1 + iso04)
        inside = np.flatnonzero((iso04 > 0.2) & (with_hadrons > 15))
        event = np.repeat(np.arange(CHUNK), np.diff(offsets))[inside]
        # Collinear muons of an event share a jet, that of the harder one.
        eta, phi = muons["eta"][inside], muons["phi"][inside]
        separation = np.abs(np.diff(phi))
        separation = np.minimum(separation, np.float32(2 * np.pi) - separation)
        shared = np.zeros(len(inside), np.bool_)
        shared[1:] = np.diff(eta) ** 2 + separation**2 < _CONE**2
        shared[1:] &= np.diff(event) == 0
        jet = np.cumsum(~shared) - 1
        own = np.flatnonzero(~shared)
        jet_pt = with_hadrons[inside[own]] + np.bincount(
            jet[shared], pt[inside[shared]], len(own)
        ).astype(np.float32)

        matched = np.bincount(event[own], minlength=CHUNK)
        counts = matched + _draw(rng, self.maker.jets, CHUNK)
        jets = offsets_of(counts)
        n = int(jets[-1])
        rank = np.arange(len(own)) - offsets_of(matched)[event[own]]
        slot = jets[event[own]] + rank
        unsorted = 15 + 11 * exponential(rng, n)
        unsorted[slot] = jet_pt
        order = kernels.order(jets, unsorted, threads=1)
        place = np.empty(n, np.int32)
        place[order] = np.arange(n, dtype=np.int32)

        # The other columns are drawn in the final order; jets with muons take theirs' direction.
        jet_pts = unsorted[order]
        btag = uniform(rng, n)
        btag *= btag * btag
        etas = np.float32(4.7) * (2 * uniform(rng, n) - 1)
        phis = _phi(rng, n)
        at, k = place[slot], len(slot)
        etas[at] = eta[own] + np.float32(0.04) * normal(rng, k)
        turned = phi[own] + np.float32(0.04) * normal(rng, k)
        wrap(turned)
        phis[at] = turned
        btag[at] = 1 - 0.8 * uniform(rng, k) ** 2
        constituents = np.sqrt(jet_pts) * (1 + 3 * uniform(rng, n))
        columns = {
            "pt": jet_pts,
            "eta": etas,
            "phi": phis,
            "mass": jet_pts * (np.float32(0.06) + np.float32(0.05) * exponential(rng, n)),
            "btagDeepB": btag,
            "nConstituents": np.minimum(2 + constituents, 255).astype(np.uint8),
        }
        index = np.full(len(pt), -1, np.int32)
        index[inside] = (at - jets[event[own]])[jet]
        relative = iso04.copy()
        relative[inside] = jet_pt[jet] / pt[inside] - 1
        links = {"jetIdx": index, "jetRelIso": relative}
        return jets, columns, links

    @property
    def jets(self) -> tuple[Offsets, dict[str, Array]]:
        return self._jets_and_links[:2]

    @property
    def links(self) -> dict[str, Array]:
        return self._jets_and_links[2]

    @cached_property
    def _missing(self) -> dict[str, Array]:
        self.vertices  # noqa: B018  drawn first from this stream, whoever asks first
        rng = self.whole
        met = np.float32(self.p.met) * np.sqrt(2 * exponential(rng, CHUNK))
        return {"MET_pt": met, "MET_phi": _phi(rng, CHUNK)}

    @cached_property
    def _triggers(self) -> dict[str, Array]:
        self._missing  # noqa: B018  as above
        rng = self.whole
        offsets, muons = self.muons
        pair = np.flatnonzero(np.diff(offsets) >= 2)
        slot = offsets[pair]
        online = [
            muons["pt"][s] * (1 + np.float32(0.05) * normal(rng, len(pair)))
            for s in (slot, slot + 1)
        ]
        result = {}
        for trigger in self.p.triggers:
            fired = (online[0] > trigger.leading) & (online[1] > trigger.subleading)
            fired &= uniform(rng, len(pair)) <= trigger.plateau
            result[trigger.name] = np.zeros(CHUNK, np.bool_)
            result[trigger.name][pair] = fired
        return result

    def flat(self, name: str) -> Array:
        """A column with one entry per event."""
        if name == "PV_npvsGood":
            return self.vertices
        if name.startswith("MET_"):
            return self._missing[name]
        if name.startswith("HLT_"):
            return self._triggers[name]
        number = self.index * CHUNK + np.arange(CHUNK, dtype=np.uint64)
        if name == "event":
            return number + np.uint64(1)
        block = number // np.uint64(_EVENTS_PER_LUMINOSITY_BLOCK) + np.uint64(1)
        # As simulation has it: run 1, and luminosity blocks of equal size.
        return (block if name == "luminosityBlock" else np.ones(CHUNK)).astype(BRANCHES[name])
