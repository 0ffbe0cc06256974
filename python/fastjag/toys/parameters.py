"""What the toys look like: yields, spectra and efficiencies, with their sources."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lobe:
    """A smooth part of a mass continuum, log-normal in 2p*, with m^2 = (2p*)^2 + 4 m_mu^2."""

    fraction: float
    median: float  #: of 2p* [GeV]
    spread: float  #: of ln(2p*)


@dataclass(frozen=True)
class Resonance:
    """A Breit-Wigner peak, cut at ten widths."""

    name: str
    mass: float  #: [GeV]
    width: float  #: full width [GeV]
    fraction: float  #: of the opposite-sign pairs
    nonprompt: float = 0.0  #: fraction from b decays


@dataclass(frozen=True)
class Trigger:
    """A dimuon path: nominal thresholds [GeV] on the leading two muons and its plateau."""

    name: str
    leading: float
    subleading: float
    plateau: float


#: The dimuon paths that the files have; their thresholds are parameters.
TRIGGER_NAMES = ("HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx", "HLT_Mu17_Mu8", "HLT_DoubleMu0")


@dataclass(frozen=True)
class ToyParameters:
    """Parameters of the toys; energies in GeV, lengths in cm.

    Masses and widths: Particle Data Group, Phys. Rev. D 110 (2024) 030001. Yields, continuum lobes,
    multiplicity, thresholds and resolution: fits to 100,000 events of CMS 2012 DoubleMuParked
    (doi:10.7483/OPENDATA.CMS.LVG5.QT81), of which events with exactly two muons gave the masses.
    The mixture of lobes has no other meaning than to be smooth. Isolation, impact parameters and
    jets are plausible, not fitted: b and c decays are displaced (c tau of a B meson 0.045 cm gives
    impact parameters around 0.01 cm) and amid hadrons, Z and Upsilon are prompt and isolated.
    """

    #: Probability of 0, 1, 2, ... muons in an event; normalised.
    multiplicity: tuple[float, ...] = (
        0.032, 0.134, 0.490, 0.217, 0.080, 0.0275, 0.0107, 0.0041, 0.0020, 0.0008, 0.0006, 0.0002,
        0.0002,
    )  # fmt: skip
    #: Fraction of the pairs that have opposite charges.
    opposite_sign: float = 0.76
    #: Opposite-sign continuum: cascades b -> c mu -> s mu mu, Drell-Yan, b b-bar, Drell-Yan.
    #: Fractions are relative to each other; the resonances take theirs first.
    continuum: tuple[Lobe, ...] = (
        Lobe(0.030, 0.23, 0.55),
        Lobe(0.110, 1.10, 0.55),
        Lobe(0.096, 2.29, 0.29),
        Lobe(0.122, 9.40, 0.65),
        Lobe(0.136, 28.7, 0.22),
        Lobe(0.228, 39.4, 0.547),
    )
    #: Same-sign continuum: combinatorial pairs.
    same_sign: tuple[Lobe, ...] = (
        Lobe(0.030, 0.20, 0.60),
        Lobe(0.068, 0.85, 0.50),
        Lobe(0.154, 2.37, 0.284),
        Lobe(0.317, 13.6, 1.03),
        Lobe(0.104, 28.4, 0.175),
        Lobe(0.338, 32.9, 0.453),
    )
    resonances: tuple[Resonance, ...] = (
        Resonance("rho", 0.77526, 0.1474, 0.004, 0.5),
        Resonance("omega", 0.78266, 0.00868, 0.002, 0.5),
        Resonance("phi", 1.019461, 0.004249, 0.002, 0.5),
        Resonance("J/psi", 3.0969, 92.6e-6, 0.083, 0.3),
        Resonance("psi(2S)", 3.6861, 294e-6, 0.0046, 0.3),
        Resonance("Upsilon(1S)", 9.4604, 54.0e-6, 0.0102),
        Resonance("Upsilon(2S)", 10.0234, 32.0e-6, 0.0045),
        Resonance("Upsilon(3S)", 10.3551, 20.3e-6, 0.0036),
        Resonance("Z", 91.188, 2.4955, 0.180),
    )
    #: Of the opposite-sign continuum n/(1 + (m/scale)^3) comes from b and c decays: (n, scale).
    nonprompt_continuum: tuple[float, float] = (0.92, 45.0)
    #: Of the same-sign pairs.
    nonprompt_same_sign: float = 0.97
    #: A hidden signal: this fraction of the pairs, prompt but within jets, so that neither muon is
    #: isolated.
    signal: float = 0.0
    #: (mass, share) of its narrow states; by default one, the Upsilon(1S).
    signal_states: tuple[tuple[float, float], ...] = ((9.4604, 1.0),)
    #: Mean of its pair pt above the least, relative to that of the other pairs.
    signal_pt: float = 1.0

    #: Recorded pairs: (probability, least leading pt, least subleading pt), whatever the mass.
    thresholds: tuple[tuple[float, float, float], ...] = (
        (0.80, 13.0, 8.0),
        (0.13, 8.0, 3.0),
        (0.07, 3.0, 3.0),
    )
    max_abs_eta: float = 2.4
    max_abs_rapidity: float = 2.3
    #: Pair pt above the least that the thresholds leave at its mass: mean at m = 0, rise with m.
    pair_pt: tuple[float, float] = (5.5, 0.03)
    #: Mean scalar pt sum of hadrons around a muon from a jet: at pt = 0, rise with pt.
    hadrons: tuple[float, float] = (4.0, 0.45)
    #: Mean displacement of b and c decays per axis [cm].
    displacement: float = 0.013
    #: Momentum resolution: sigma(pt)/pt = a + b eta^2; sigma(m)/m is about that over sqrt(2).
    resolution: tuple[float, float] = (0.012, 0.0028)
    #: Probability that a muon's pt is junk from a power law above 50 GeV.
    mismeasured: float = 0.006

    #: Mean number of vertices, of jets without muons, and the MET resolution per axis.
    vertices: float = 25.0
    jets: float = 2.5
    met: float = 12.0
    #: Thresholds are smeared by the online resolution; plateaus are per pair (no prescales).
    triggers: tuple[Trigger, ...] = (
        Trigger(TRIGGER_NAMES[0], 15.0, 5.0, 0.85),
        Trigger(TRIGGER_NAMES[1], 17.0, 8.0, 0.93),
        Trigger(TRIGGER_NAMES[2], 3.5, 3.5, 0.80),
    )

    def __post_init__(self) -> None:
        for name in ("opposite_sign", "nonprompt_same_sign", "signal", "mismeasured"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0 and 1, got {getattr(self, name)}")
        tables: dict[str, list[float]] = {
            "multiplicity": list(self.multiplicity),
            "continuum": [lobe.fraction for lobe in self.continuum],
            "same_sign": [lobe.fraction for lobe in self.same_sign],
            "thresholds": [row[0] for row in self.thresholds],
            "resonances": [r.fraction for r in self.resonances] or [1.0],
            "signal_states": [share for _, share in self.signal_states],
        }
        for name, weights in tables.items():
            if not weights or min(weights) < 0 or not 0 < sum(weights) < math.inf:
                raise ValueError(f"{name} must hold fractions >= 0, not all zero, got {weights}")
        if sum(r.fraction for r in self.resonances) > 1:
            raise ValueError("the fractions of the resonances must not add up to more than 1")
        if tuple(t.name for t in self.triggers) != TRIGGER_NAMES:
            raise ValueError(f"triggers must be, in this order, {', '.join(TRIGGER_NAMES)}")
        for name in ("signal_pt", "displacement"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("vertices", "jets"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} must be within 0 and 100, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, for JSON."""
        return asdict(self)


def upsilon_search(signal: float = 0.0) -> ToyParameters:
    """Pairs around the Upsilon within jets: a smooth spectrum in which a signal can be hidden.

    Background: displaced pairs in jets, opposite-sign 63 %, whose pt rises with mass. The share
    ``signal`` of the pairs, 0 to 1, is prompt Upsilon(1S, 2S, 3S) in the same jets, with higher pt.
    After mu0_pt >= 17, mu1_pt >= 8 GeV, both iso04 >= 0.55 and the TrkMu15 trigger, 36 % of the
    signal are left; of the opposite-sign background, 14 % of the events lie in 5-16 GeV. Figures of
    that search in data (arXiv:2502.14036), S = 97 on B = 1595, need 80,000 events with 270 of signal.
    """
    return ToyParameters(
        multiplicity=(0.0, 0.0, 0.80, 0.16, 0.04),
        opposite_sign=0.63,
        continuum=(Lobe(1.0, 6.5, 0.55),),
        same_sign=(Lobe(1.0, 7.0, 0.60),),
        resonances=(),
        nonprompt_continuum=(1.0, 1e6),
        nonprompt_same_sign=1.0,
        signal=signal,
        signal_states=((9.460, 0.55), (10.023, 0.27), (10.355, 0.18)),
        signal_pt=2.0,
        thresholds=((1.0, 17.0, 8.0),),
        pair_pt=(4.0, 0.3),
        hadrons=(6.0, 1.2),
        displacement=0.009,
        mismeasured=0.001,
    )


_F4, _I4 = np.dtype(np.float32), np.dtype(np.int32)

#: Branch name to type of what `generate` and `write` can produce, in the order of the file.
BRANCHES: dict[str, np.dtype[Any]] = {
    **{f"Muon_{name}": _F4 for name in ("pt", "eta", "phi", "mass")},
    "Muon_charge": _I4,
    **{f"Muon_{name}": _F4 for name in ("pfRelIso03_all", "pfRelIso04_all", "jetRelIso")},
    **{f"Muon_{name}": _F4 for name in ("ip3d", "dxy", "dz")},
    "Muon_tightId": np.dtype(np.bool_),
    "Muon_jetIdx": _I4,
    **{f"Jet_{name}": _F4 for name in ("pt", "eta", "phi", "mass", "btagDeepB")},
    "Jet_nConstituents": np.dtype(np.uint8),
    "MET_pt": _F4,
    "MET_phi": _F4,
    "PV_npvsGood": _I4,
    "run": np.dtype(np.uint32),
    "luminosityBlock": np.dtype(np.uint32),
    "event": np.dtype(np.uint64),
    **{name: np.dtype(np.bool_) for name in TRIGGER_NAMES},
}
