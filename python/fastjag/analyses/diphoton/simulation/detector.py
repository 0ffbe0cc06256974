"""From generated particles to what a detector would have recorded: a fast, documented smearing.

No pile-up, no magnetic field, no showers: every number below is a parametrisation. What the
analysis depends on (mass resolution, tagging efficiencies, missing momentum, acceptance) is near
that of ATLAS in Run 2.

=========== ===================================================== ==================================
object      acceptance                                            response
=========== ===================================================== ==================================
photons     of the hard process; pt > 25 GeV, |eta| < 2.37        E: 10 %/sqrt(E) (15 % beyond
                                                                  |eta| = 0.8) + 1.2 %; tight ID 90 %
electrons   not from hadrons; pt > 7 GeV, |eta| < 2.47            as photons; 85 %
muons       not from hadrons; pt > 7 GeV, |eta| < 2.5             pt: 1.5 % + pt 1e-4 / GeV; 95 %
taus        hadronic decays; pt > 20 GeV, |eta| < 2.5             12 %; 60 %, and 2 % of other jets
jets        anti-kt 0.4; pt > 20 GeV, |eta| < 4.5                 80 %/sqrt(pt) + 5 %
large jets  anti-kt 1.0; pt > 200 GeV, |eta| < 2                  5 %
met         minus all that is visible within |eta| < 4.9,         10 GeV per component on top
            corrected for the responses above
=========== ===================================================== ==================================

Terms of a response are added in quadrature. b-tagging has the efficiencies of the working points
of MV2c10 (ATL-PHYS-PUB-2016-012), the score between them being uniform. Photons convert with a
probability of 20 % at eta = 0 that rises to 55 % at the end of the acceptance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.diphoton.events import merge
from fastjag.analyses.diphoton.simulation.clustering import cluster, kinematics, substructure
from fastjag.jagged import Jagged
from fastjag.neighbours import in_cone, nearest

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: b-tag score at the working points, and the share of b, c, tau and light jets above it.
WORKING_POINTS = (0.1758, 0.6459, 0.8244, 0.9349)  # 85 %, 77 %, 70 %, 60 % of b jets
_ABOVE = {
    5: (0.85, 0.77, 0.70, 0.60),
    4: (1 / 3.1, 1 / 6.0, 1 / 12.0, 1 / 34.0),
    15: (1 / 8.2, 1 / 22.0, 1 / 55.0, 1 / 184.0),
    0: (1 / 33.0, 1 / 134.0, 1 / 381.0, 1 / 1538.0),
}
#: Conversion classes 1 to 5: one or two tracks with or without silicon hits.
_CONVERSION_SHARES = (0.20, 0.25, 0.40, 0.05, 0.10)


def reconstruct(
    particles: Jagged, rng: np.random.Generator
) -> tuple[dict[str, Jagged], dict[str, Any]]:
    """What is recorded of generated events.

    Parameters
    ----------
    particles
        The generator's event record: columns ``id`` (PDG), ``status`` (positive: final),
        ``mother`` (index of the first mother within the event), ``px py pz e`` [GeV], ``charge``
        and ``hadron`` (bool).

    Returns
    -------
    collections, flat
        "photon", "lep", "jet", "tau", "largeRjet" by descending pt, with the columns of the 2020
        release (without prefix) in GeV; and per event "met_et", "met_phi", and the triggers.
    """
    record = _Record(particles)
    visible = record.final & ~record.neutrino & (np.abs(record.eta) < 4.9)
    met = [-record.per_event(visible, name) for name in ("px", "py")]
    tracks = record.take(visible & (record.charge != 0) & (record.pt > 1))
    deposits = record.take(visible & (np.abs(record["id"]) != 13))

    photons = _photons(record, rng, tracks, deposits)
    leptons, dressing = _leptons(record, rng, tracks, deposits)
    inside = visible & ~record.hard_photon & ~record.prompt_lepton & ~dressing
    constituents = record.take(inside)
    jets = cluster(constituents, 0.4, 10.0)
    taus = _taus(record, rng)
    jets, fakes = _jets(jets, record, taus, rng)
    taus = merge([taus, fakes], taus.columns).sort("pt")
    large = _large_jets(constituents, rng)

    for objects in (photons, leptons, jets):
        for i, name in enumerate(("dpx", "dpy")):
            met[i] += objects.aggregate(name, ["sum"])["sum"]
    met = [component + rng.normal(0, 10, len(particles)) for component in met]

    tight = photons.keep(photons["isTightID"])
    two = tight.aggregate("pt", ["leading-2"])["leading-2"]
    fired = (two[:, 0] > 35) & (two[:, 1] > 25) & (rng.random(len(two)) < 0.98)
    flat: dict[str, Any] = {
        "met_et": np.hypot(*met),
        "met_phi": np.arctan2(met[1], met[0]),
        "trigP": fired,
    }
    for trigger, flavour, threshold in (("trigE", 11, 26), ("trigM", 13, 26)):
        of_kind = leptons.keep((leptons["type"] == flavour) & (leptons["pt"] > threshold))
        flat[trigger] = of_kind.counts > 0
    flat["trigT"] = taus.keep(taus["pt"] > 160).counts > 0
    flat["trigDT"] = taus.keep(taus["pt"] > 40).counts > 1
    collections = {"photon": photons, "lep": leptons, "jet": jets, "tau": taus, "largeRjet": large}
    return {n: _without(c, "dpx", "dpy", "index") for n, c in collections.items()}, flat


def photon_resolution(energy: Any, eta: Any) -> Floats:
    """Relative resolution of photon (and electron) energies [GeV]."""
    stochastic = np.where(np.abs(eta) < 0.8, 0.10, 0.15)
    result: Floats = np.hypot(stochastic / np.sqrt(energy), 0.012)
    return result


class _Record:
    """The event record as flat columns, with what they say about ancestors."""

    def __init__(self, particles: Jagged) -> None:
        self.particles = particles
        self.event = np.repeat(np.arange(len(particles)), particles.counts)
        self.mother = particles.offsets[self.event] + particles["mother"]
        px, py, pz = (particles[name] for name in ("px", "py", "pz"))
        self.pt = np.hypot(px, py)
        self.eta = np.arcsinh(pz / np.maximum(self.pt, 1e-9))
        self.phi = np.arctan2(py, px)
        self.charge = particles["charge"]
        kind = np.abs(particles["id"])
        self.final = particles["status"] > 0
        self.neutrino = np.isin(kind, (12, 14, 16))
        beam = np.abs(particles["status"]) < 20  # protons, too, are hadrons
        from_hadron = self._inherited(particles["hadron"] & ~beam)
        self.prompt_lepton = self.final & np.isin(kind, (11, 13)) & ~from_hadron
        self.prompt_photon = self.final & (kind == 22) & ~from_hadron
        hard = (kind == 22) & (np.abs(particles["status"]) == 23)
        self.hard_photon = self.prompt_photon & self._inherited(hard, kind == 22)
        taus = (kind == 15) & ~from_hadron
        taus[self.mother[taus]] = False  # copies: the last one decays
        self.tau = taus

    def __getitem__(self, name: str) -> Any:
        return self.particles[name]

    def _inherited(self, flag: Flags, among: Flags | None = None) -> Flags:
        """Whether a particle or one of its ancestors has the flag; heirs are ``among`` these."""
        while True:
            new = flag[self.mother] if among is None else flag[self.mother] & among
            new |= flag
            if np.array_equal(new, flag):
                return flag
            flag = new

    def tau_of(self) -> NDArray[np.int64]:
        """Index of the decaying tau that a particle comes from, -1 where there is none."""
        owner = np.where(self.tau, np.arange(len(self.tau)), -1)
        while True:
            new = np.where(owner < 0, owner[self.mother], owner)
            if np.array_equal(new, owner):
                return owner
            owner = new

    def per_event(self, mask: Flags, name: str) -> Floats:
        values = self.particles[name][mask]
        return np.asarray(
            np.bincount(self.event[mask], values, minlength=len(self.particles)), np.float64
        )

    def take(self, mask: Flags) -> Jagged:
        """Particles of the mask with pt, eta, phi, E beside what is stored."""
        names = ["id", "px", "py", "pz", "e"]
        chosen = {name: self.particles[name][mask] for name in names}
        chosen["E"] = chosen.pop("e")
        for name in ("pt", "eta", "phi", "charge"):
            chosen[name] = getattr(self, name)[mask]
        counts = np.bincount(self.event[mask], minlength=len(self.particles))
        return Jagged.from_counts(counts, {**chosen, "index": np.flatnonzero(mask)})


def _scale(objects: Jagged, factor: Floats) -> Jagged:
    """With pt and E multiplied; dpx and dpy are true minus measured."""
    pt = objects["pt"] * factor
    lost = objects["pt"] - pt
    columns = {"dpx": lost * np.cos(objects["phi"]), "dpy": lost * np.sin(objects["phi"])}
    return objects.with_columns(pt=pt, E=objects["E"] * factor, **columns)


def _response(rng: np.random.Generator, resolution: Any) -> Floats:
    # A response below zero is no measurement.
    return np.maximum(0.05, 1 + np.asarray(resolution) * rng.standard_normal(len(resolution)))


def _isolation(
    objects: Jagged, tracks: Jagged, deposits: Jagged, rng: np.random.Generator
) -> Jagged:
    """Scalar sums of pt around objects, themselves excluded; the calorimeter adds 1 GeV of noise."""
    sums = {}
    for name, others, radius in (("ptcone30", tracks, 0.3), ("etcone20", deposits, 0.2)):
        cone = in_cone(objects, others, radius)
        pt = others["pt"][cone["index"]]
        own = others["index"][cone["index"]] == np.repeat(objects["index"], cone.counts)
        sums[name] = cone.with_columns(pt=np.where(own, 0, pt)).aggregate("pt", ["sum"])["sum"]
    sums["etcone20"] = sums["etcone20"] + rng.normal(0, 1, objects.n_particles)
    return objects.with_columns(**sums)


def _photons(record: _Record, rng: np.random.Generator, tracks: Jagged, deposits: Jagged) -> Jagged:
    photons = record.take(record.hard_photon)
    n = photons.n_particles
    factor = _response(rng, photon_resolution(photons["E"], photons["eta"]))
    photons = _isolation(_scale(photons, factor), tracks, deposits, rng)
    converts = rng.random(n) < 0.20 + 0.35 * np.abs(photons["eta"]) / 2.37
    kinds = rng.choice(5, n, p=_CONVERSION_SHARES) + 1
    photons = photons.with_columns(
        isTightID=rng.random(n) < 0.90, trigMatched=rng.random(n) < 0.98,
        convType=np.where(converts, kinds, 0),
    )  # fmt: skip
    return photons.keep((photons["pt"] > 25) & (np.abs(photons["eta"]) < 2.37)).sort("pt")


def _leptons(
    record: _Record, rng: np.random.Generator, tracks: Jagged, deposits: Jagged
) -> tuple[Jagged, Flags]:
    """Electrons and muons with the photons they radiate within 0.1, and which particles these are."""
    leptons = record.take(record.prompt_lepton)
    radiated = record.take(record.prompt_photon & ~record.hard_photon)
    near, distance = nearest(radiated, leptons)
    dressing = np.zeros(len(record.event), bool)
    close = distance < 0.1
    dressing[radiated["index"][close]] = True
    dressed = {}
    for name in ("px", "py", "pz", "E"):
        extra = np.bincount(near[close], radiated[name][close], minlength=leptons.n_particles)
        dressed[name] = leptons[name] + extra
    leptons = kinematics(leptons.with_columns(**dressed))
    kind = np.abs(leptons["id"])
    electron = kind == 11
    resolution = np.where(
        electron, photon_resolution(leptons["E"], leptons["eta"]),
        np.hypot(0.015, 1e-4 * leptons["pt"]),
    )  # fmt: skip
    leptons = _isolation(_scale(leptons, _response(rng, resolution)), tracks, deposits, rng)
    n = leptons.n_particles
    sigma = np.full(n, 0.015)
    leptons = leptons.with_columns(
        type=kind.astype(np.uint32), charge=-np.sign(leptons["id"]), isTightID=rng.random(n) < 0.9,
        trigMatched=leptons["pt"] > 26, z0=rng.normal(0, 0.05, n),
        trackd0pvunbiased=rng.normal(0, 1, n) * sigma, tracksigd0pvunbiased=sigma,
    )  # fmt: skip
    seen = rng.random(n) < np.where(electron, 0.85, 0.95)
    seen &= (leptons["pt"] > 7) & (np.abs(leptons["eta"]) < np.where(electron, 2.47, 2.5))
    return leptons.keep(seen).sort("pt"), dressing


def _taus(record: _Record, rng: np.random.Generator) -> Jagged:
    """The visible part of hadronic tau decays."""
    owner = record.tau_of()
    size = len(owner)
    product = record.final & (owner >= 0)
    seen = product & ~record.neutrino
    leptonic = np.bincount(owner[product & record.prompt_lepton], minlength=size) > 0
    hadronic = np.flatnonzero(record.tau & ~leptonic)
    columns = {
        name: np.bincount(owner[seen], record[of][seen], minlength=size)[hadronic]
        for name, of in (("px", "px"), ("py", "py"), ("pz", "pz"), ("E", "e"))
    }
    tracks = np.bincount(owner[seen & (record.charge != 0)], minlength=size)[hadronic]
    columns["nTracks"] = tracks
    columns["charge"] = -np.sign(record["id"][hadronic])
    counts = np.bincount(record.event[hadronic], minlength=len(record.particles))
    taus = kinematics(Jagged.from_counts(counts, columns))
    n = taus.n_particles
    taus = _scale(taus, _response(rng, np.full(n, 0.12)))
    taus = taus.with_columns(BDTid=1 - rng.exponential(0.15, n).clip(0, 1))
    seen = (taus["pt"] > 20) & (np.abs(taus["eta"]) < 2.5) & (rng.random(n) < 0.6)
    return _as_taus(taus.keep(seen), rng)


def _as_taus(taus: Jagged, rng: np.random.Generator) -> Jagged:
    taus = taus.with_columns(
        isTightID=taus["BDTid"] > 0.7, trigMatched=rng.random(taus.n_particles) < 0.8
    )
    names = ["pt", "eta", "phi", "E", "BDTid", "isTightID", "trigMatched", "nTracks", "charge"]
    return taus[names]


def _jets(
    jets: Jagged, record: _Record, taus: Jagged, rng: np.random.Generator
) -> tuple[Jagged, Jagged]:
    """Measured jets, those that are taus left out; and other jets that are taken for taus."""
    n = jets.n_particles
    resolution = np.hypot(0.8 / np.sqrt(jets["pt"]), 0.05)
    flavour = np.zeros(n, np.int32)
    for name, matches in (
        (15, record.tau),
        (4, record["hadron"] & _has_quark(record["id"], 4)),
        (5, record["hadron"] & _has_quark(record["id"], 5)),
    ):
        partners = record.take(matches & (record.pt > 5))
        flavour[nearest(jets, partners)[1] < 0.3] = name
    jets = _scale(jets, _response(rng, resolution)).with_columns(
        trueflav=flavour, MV2c10=_tag_scores(flavour, jets["eta"], rng),
        jvt=1 - rng.exponential(0.04, n).clip(0, 1),
    )  # fmt: skip
    jets = jets.keep(
        (jets["pt"] > 20) & (np.abs(jets["eta"]) < 4.5) & (nearest(jets, taus)[1] > 0.2)
    )
    fake = (rng.random(jets.n_particles) < 0.02) & (np.abs(jets["eta"]) < 2.5)
    fakes = jets.keep(fake)
    m = fakes.n_particles
    fakes = fakes.with_columns(
        nTracks=rng.choice([1, 3], m), charge=rng.choice([-1, 1], m), BDTid=rng.random(m) ** 2
    )
    return jets.keep(~fake).sort("pt"), _as_taus(fakes, rng)


def _has_quark(pdg: Any, quark: int) -> Flags:
    """Whether the heaviest quark of a hadron is this one, by its number."""
    digits = np.abs(pdg) % 10000
    heaviest = np.where(digits >= 1000, digits // 1000, digits // 100 % 10)
    result: Flags = heaviest == quark
    return result


def _tag_scores(flavour: Any, eta: Any, rng: np.random.Generator) -> Floats:
    """Scores that are uniform between the working points; beyond the tracker there is none."""
    u = rng.random(len(flavour))
    score = np.full(len(flavour), -1.0)
    for kind, above in _ABOVE.items():
        share = (0.0, *above[::-1], 1.0)
        values = (1.0, *WORKING_POINTS[::-1], -1.0)
        mine = (flavour == kind) & (np.abs(eta) < 2.5)
        score[mine] = np.interp(u[mine], share, values)
    return score


def _large_jets(constituents: Jagged, rng: np.random.Generator) -> Jagged:
    """Anti-kt 1.0 jets with D2 (beta = 1) and tau32, from the particles within 1.0 of the axis."""
    jets = cluster(constituents, 1.0, 150.0)
    jets = jets.keep((jets["pt"] > 200) & (np.abs(jets["eta"]) < 2.0))
    d2, tau32 = substructure(jets, constituents)
    factor = _response(rng, np.full(jets.n_particles, 0.05))
    jets = _scale(jets, factor)
    return jets.with_columns(m=jets["m"] * factor, D2=d2, tau32=tau32).sort("pt")


def _without(objects: Jagged, *names: str) -> Jagged:
    return objects[[name for name in objects.columns if name not in names]]
