"""Toy dijet events with the candidates in and around their jets, in PFNano's columns.

A light model, not a simulation: flavours differ in multiplicity, width and displaced tracks as
quark, gluon and heavy-flavour jets do, and counts are like those of CMS PFNano simulation. Jets are
the sums of their constituents' four-momenta; constituents lie within 0.4 of the parton.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.jagged import Jagged
from fastjag.neighbours import wrap_phi
from fastjag.toys.chunks import cut_into_chunks

#: Events per chunk: the unit of random streams, of memory and of baskets.
EVENTS_PER_CHUNK = 1000

CONE = 0.4
_PION, _KAON = 0.13957, 0.49761  # GeV
#: Kinds of candidates: pdgId, mass [GeV], charge of the particle, share.
_KINDS = (
    (211, _PION, 1, 0.62), (22, 0.0, 0, 0.25), (130, _KAON, 0, 0.105),
    (11, 0.000511, -1, 0.010), (13, 0.10566, -1, 0.015),
)  # fmt: skip
# Flavours: share, constituents and transverse scale [GeV] relative to light quarks, share of displaced
# tracks, their decay length [cm], vertices per jet.
_FLAVOURS = {
    21: (0.60, 1.55, 1.6, 0.004, 1.0, 0.03),
    1: (0.20, 1.0, 1.0, 0.004, 1.0, 0.03),
    2: (0.05, 1.0, 1.0, 0.004, 1.0, 0.03),
    3: (0.04, 1.0, 1.0, 0.010, 2.0, 0.05),
    4: (0.05, 1.15, 1.1, 0.15, 0.03, 0.40),
    5: (0.04, 1.30, 1.2, 0.30, 0.06, 0.85),
    0: (0.02, 1.2, 1.3, 0.004, 1.0, 0.03),  # undefined
}


@dataclass(frozen=True)
class JetToyParameters:
    """What may be changed about the toys."""

    pileup: float = 1100.0  #: mean number of candidates outside jets, |eta| < 3
    pthat: tuple[float, float] = (30.0, 2000.0)  #: GeV, uniform in its logarithm
    power: float = 4.5  #: of the spectrum that the weights bring about
    displaced: float = 1.0  #: factor on the shares of displaced tracks

    def __post_init__(self) -> None:
        for name, value in (("pileup", self.pileup), ("displaced", self.displaced)):
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} must be a number >= 0, got {value!r}")
        low, high = self.pthat
        if not 0 < low < high < np.inf:
            raise ValueError(f"pthat must be two numbers with 0 < low < high, got {self.pthat!r}")
        if not 1 < self.power < np.inf:
            raise ValueError(f"power must be a number above 1, got {self.power!r}")


def generate_jets(
    n_events: int, seed: int = 0, parameters: JetToyParameters | None = None
) -> Iterator[dict[str, Any]]:
    """Events in chunks of `EVENTS_PER_CHUNK`; the first n are the same for any larger number.

    Yields
    ------
    dict
        "Jet" (by descending pt), "PFCands", "JetPFCands" (links) and "JetSVs" as
        :class:`fastjag.Jagged`, and "run", "luminosityBlock", "event", "genWeight", "pthat",
        "Pileup_nTrueInt", "fixedGridRhoFastjetAll" and "PV_npvsGood" as arrays: names of PFNano,
        except for pthat. Candidates outside tracking (pt < 0.5 GeV, or neutral) have -1 as d0, dz
        and errors, as there.
    """
    chosen = parameters or JetToyParameters()
    return cut_into_chunks(lambda index: _chunk(index, seed, chosen), n_events, EVENTS_PER_CHUNK)


def _chunk(index: int, seed: int, p: JetToyParameters) -> dict[str, Any]:
    rng = np.random.default_rng([seed, index])
    n = EVENTS_PER_CHUNK
    low, high = p.pthat
    pthat = low * (high / low) ** rng.random(n)
    n_jets = 2 + np.minimum(rng.poisson(1.3, n), 8)
    of_jet = np.repeat(np.arange(n), n_jets)
    jets = offsets_of(n_jets)
    target = _target_pt(rng, pthat, jets, of_jet)
    flavour, traits = _flavours(rng, len(target))
    _, multiplicity, width, displaced, length, vertices = traits.T
    mean = (9 + 5 * np.log(target / 30)) * multiplicity
    counts = np.clip(rng.poisson(mean * rng.gamma(6, 1 / 6, len(mean))), 3, 100)
    inside = _constituents(rng, target, counts, width)
    parton_eta = rng.uniform(-2.4, 2.4, len(target))
    parton_phi = _parton_phi(rng, jets, of_jet)
    jet_of = np.repeat(np.arange(len(target)), counts)
    inside["eta"] = parton_eta[jet_of] + inside["eta"]
    inside["phi"] = wrap_phi(parton_phi[jet_of] + inside["phi"])
    inside |= _impact(
        rng, inside["pt"], inside["charge"], displaced[jet_of] * p.displaced, length[jet_of]
    )
    axis = _sum(inside, offsets_of(counts))

    n_outside = rng.poisson(p.pileup, n)
    outside = _candidates(rng, 0.2 + rng.exponential(0.7, n_outside.sum()))
    outside["eta"] = rng.uniform(-3, 3, len(outside["pt"]))
    outside["phi"] = rng.uniform(-np.pi, np.pi, len(outside["pt"]))
    outside |= _impact(rng, outside["pt"], outside["charge"], 0.02 * p.displaced, 3.0)
    outside["fromPV"] = rng.integers(0, 3, len(outside["pt"]))
    inside["fromPV"] = np.full(len(jet_of), 3)

    in_event = np.add.reduceat(counts, jets[:-1])
    offsets, place = _merge(in_event, n_outside)
    columns = {name: np.empty(offsets[-1], _dtype(name)) for name in inside}
    for name, values in columns.items():
        values[place[0]], values[place[1]] = inside[name], outside[name]
    links = offsets_of(in_event)
    first_jet = np.repeat(jets[:-1], in_event)
    jet_columns = {
        **axis, "pt": target, "area": rng.normal(0.5, 0.01, len(target)),
        "rawFactor": 1 - axis["pt"] / target, "qgl": 1 / (1 + np.exp((counts - mean / multiplicity * 1.25) / 4)),
        "nConstituents": counts, "partonFlavour": flavour,
        "hadronFlavour": np.where(np.isin(np.abs(flavour), (4, 5)), np.abs(flavour), 0),
    }  # fmt: skip
    return {
        "Jet": Jagged(jets, {k: v.astype(_dtype(k)) for k, v in jet_columns.items()}),
        "PFCands": Jagged(offsets, columns),
        "JetPFCands": Jagged(
            links,
            {"jetIdx": (jet_of - first_jet).astype(np.int32),
             "pFCandsIdx": (place[0] - np.repeat(offsets[:-1], in_event)).astype(np.int32)},
        ),
        "JetSVs": _vertices(rng, target, vertices, length, jets, of_jet),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (1 + (index * n + np.arange(n)) // 500).astype(np.uint32),
        "event": (1 + index * n + np.arange(n)).astype(np.uint64),
        "genWeight": ((pthat / low) ** (1 - p.power)).astype(np.float32),
        "pthat": pthat.astype(np.float32),
        **_pileup(rng, n_outside),
        "PV_npvsGood": np.maximum(1, rng.poisson(18, n)).astype(np.int32),
    }  # fmt: skip


_INTEGERS = {
    "charge",
    "pdgId",
    "fromPV",
    "nConstituents",
    "partonFlavour",
    "hadronFlavour",
    "jetIdx",
}


def _dtype(name: str) -> type:
    return np.int32 if name in _INTEGERS else np.float32


def _target_pt(rng: Any, pthat: Array, jets: Offsets, of_jet: Array) -> Array:
    """Descending in each event: two around pthat, the others anywhere below."""
    pt = np.maximum(pthat[of_jet] * rng.normal(1, 0.1, len(of_jet)), 31)
    others = np.ones(len(pt), bool)
    others[jets[:-1]] = others[jets[:-1] + 1] = False
    least = np.minimum(pt[jets[:-1]], pt[jets[:-1] + 1])[of_jet]
    pt = np.where(others, 30 + (least - 30) * rng.random(len(pt)) ** 3, pt)
    return np.asarray(pt[np.lexsort((-pt, of_jet))])


def _parton_phi(rng: Any, jets: Offsets, of_jet: Array) -> Array:
    """The first two back to back, the others across."""
    first = rng.uniform(-np.pi, np.pi, len(jets) - 1)[of_jet]
    side = rng.choice([-1, 1], len(of_jet)) * rng.normal(np.pi / 2, 0.3, len(of_jet))
    side[jets[:-1]] = 0
    side[jets[:-1] + 1] = rng.normal(np.pi, 0.15, len(jets) - 1)
    return wrap_phi(first + side)


def _flavours(rng: Any, n: int) -> tuple[Array, Array]:
    """Signed flavour of the parton, and its row of `_FLAVOURS`."""
    table = np.array(list(_FLAVOURS.values()))
    kind = np.searchsorted(np.cumsum(table[:, 0]), rng.random(n) * table[:, 0].sum())
    flavour = np.array(list(_FLAVOURS))[kind]
    sign = np.where(flavour == 21, 1, rng.choice([-1, 1], n))
    return flavour * sign, table[kind]


def _candidates(rng: Any, pt: Array) -> dict[str, Array]:
    shares = np.cumsum([share for *_, share in _KINDS])
    kind = np.searchsorted(shares, rng.random(len(pt)) * shares[-1])
    ids, masses, charges = (np.array([k[i] for k in _KINDS])[kind] for i in range(3))
    sign = np.where(charges == 0, 1, rng.choice([-1, 1], len(pt)))
    return {"pt": pt, "mass": masses, "pdgId": ids * sign, "charge": charges * sign}


def _constituents(rng: Any, target: Array, counts: Array, width: Array) -> dict[str, Array]:
    """Shares of the jet's pt; angles to the parton fall with pt and end at the cone."""
    starts = offsets_of(counts)[:-1]
    share = rng.gamma(0.35, 1, counts.sum())
    share /= np.repeat(np.add.reduceat(share, starts), counts)
    softest = 0.2
    pt = softest + share * np.repeat(target - softest * counts, counts)
    scale = 0.02 + np.repeat(width, counts) * 0.5 / (1 + pt)
    r = -scale * np.log1p(-rng.random(len(pt)) * -np.expm1(-CONE / scale))
    angle = rng.uniform(-np.pi, np.pi, len(pt))
    return _candidates(rng, pt) | {"eta": r * np.cos(angle), "phi": r * np.sin(angle)}


def _impact(rng: Any, pt: Array, charge: Array, share: Any, length: Any) -> dict[str, Array]:
    """d0, dz and their errors [cm]; resolution a + b / pt, tails from decays."""
    n = len(pt)
    result: dict[str, Array] = {}
    far = (rng.random(n) < share) * rng.exponential(length, n)
    for name, floor, slope in (("d0", 0.002, 0.006), ("dz", 0.004, 0.010)):
        error = floor + slope / pt
        value = error * rng.standard_normal(n) + far * rng.choice([-1, 1], n)
        tracked = (charge != 0) & (pt >= 0.5)
        result[name] = np.where(tracked, value, -1)
        result[f"{name}Err"] = np.where(tracked, error, -1)
    return result


def _sum(c: dict[str, Array], offsets: Offsets) -> dict[str, Array]:
    """pt, eta, phi and mass of the summed four-momenta of each list."""
    pz = c["pt"] * np.sinh(c["eta"])
    energy = np.sqrt(c["mass"] ** 2 + c["pt"] ** 2 + pz**2)
    parts = (c["pt"] * np.cos(c["phi"]), c["pt"] * np.sin(c["phi"]), pz, energy)
    px, py, pz, energy = (np.add.reduceat(x, offsets[:-1]) for x in parts)
    pt = np.hypot(px, py)
    mass = np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0))
    return {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}


def _merge(first: Array, second: Array) -> tuple[Offsets, tuple[Array, Array]]:
    """Offsets of lists that hold the first ones' entries, then the second ones'; their places."""
    a, b = offsets_of(first), offsets_of(second)
    return a + b, (
        np.arange(a[-1]) + np.repeat(b[:-1], first),
        np.arange(b[-1]) + np.repeat(a[1:], second),
    )


def _pileup(rng: Any, n_outside: Array) -> dict[str, Array]:
    """Interactions and energy densities [GeV per unit area], from what is outside the jets."""
    rho = n_outside * 0.9 / (6 * 2 * np.pi)
    n = len(rho)
    true = rng.normal(23, 5, n).clip(1)
    floats = {
        "Pileup_nTrueInt": true, "fixedGridRhoFastjetAll": rho,
        "fixedGridRhoFastjetCentral": rho * rng.normal(0.95, 0.05, n),
        "fixedGridRhoFastjetCentralNeutral": 0.14 * rho * rng.normal(1, 0.1, n),
        "fixedGridRhoFastjetCentralChargedPileUp": 0.6 * rho * rng.normal(1, 0.1, n),
    }  # fmt: skip
    return {k: v.astype(np.float32) for k, v in floats.items()} | {
        "Pileup_nPU": rng.poisson(true).astype(np.int32)
    }


def _vertices(
    rng: Any, pt: Array, mean: Array, length: Array, jets: Offsets, of_jet: Array
) -> Jagged:
    """Secondary vertices as PFNano links them to jets."""
    owner = np.repeat(np.arange(len(pt)), rng.poisson(mean))
    n = len(owner)
    distance = rng.exponential(1, n) * np.maximum(length[owner], 0.02) * 10
    error = 0.02 + 0.05 * rng.random(n)
    columns = {
        "pt": pt[owner] * rng.beta(2, 3, n), "mass": rng.gamma(3, 0.7, n),
        "ntracks": 2.0 + rng.poisson(1.2, n), "deltaR": rng.exponential(0.05, n),
        "dxy": 0.8 * distance, "dxysig": 0.8 * distance / error, "d3d": distance,
        "d3dsig": distance / error, "costhetasvpv": 1 - rng.exponential(0.003, n),
    }  # fmt: skip
    per_event = np.bincount(of_jet[owner], minlength=len(jets) - 1)
    return Jagged(
        offsets_of(per_event),
        {k: v.astype(np.float32) for k, v in columns.items()}
        | {"jetIdx": (owner - jets[of_jet[owner]]).astype(np.int32)},
    )
