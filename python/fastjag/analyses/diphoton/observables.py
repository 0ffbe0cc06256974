"""Observables of whole events: photon pair, jets, leptons, missing momentum."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.column_statistics import Floats, total
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.simulation.detector import WORKING_POINTS
from fastjag.jagged import Jagged
from fastjag.neighbours import delta_phi, in_cone, nearest

W_MASS, Z_MASS, HIGGS_MASS = 80.4, 91.2, 125.0  # GeV, for the nearest pair only
_EVERYWHERE = 1e3  # a cone that holds the event

PHOTONS = {
    "pt_yy": "pt of the photon pair [GeV]",
    "ptt_yy": "pt of the pair across its thrust axis, 2 |px1 py2 - px2 py1| / |pt1 - pt2| [GeV]",
    "eta_yy": "pseudorapidity of the pair",
    "delta_eta_yy": "|delta_eta| of the two photons",
    "delta_phi_yy": "|delta_phi| of the two photons",
    "delta_r_yy": "delta_r of the two photons",
    "cos_theta_star": "|cos theta*| in the Collins-Soper frame",
    "pt1_over_m": "pt of the first photon over m_yy",
    "pt2_over_m": "pt of the second photon over m_yy",
}
JETS = {
    "ht": "sum of jet pt [GeV]",
    "mht": "|vector sum of jet pt| [GeV]",
    "n_jets_25": "jets above 25 GeV",
    "n_jets_30": "jets above 30 GeV",
    "n_jets_40": "jets above 40 GeV",
    "n_jets_50": "jets above 50 GeV",
    "n_central_jets": "jets with |eta| < 2.5",
    "n_forward_jets": "jets with |eta| > 2.5",
    "m_jj": "mass of the two leading jets [GeV]",
    "pt_jj": "pt of the two leading jets [GeV]",
    "delta_eta_jj": "|delta_eta| of the two leading jets",
    "delta_phi_jj": "|delta_phi| of the two leading jets",
    "delta_r_jj": "delta_r of the two leading jets",
    "max_m_jj": "largest mass of two jets [GeV]",
    "min_m_jj": "smallest mass of two jets [GeV]",
    "m_jj_near_w": "mass of two jets nearest to 80.4 GeV",
    "m_jj_near_z": "mass of two jets nearest to 91.2 GeV",
    "m_jj_near_h": "mass of two jets nearest to 125 GeV",
    "max_delta_eta_jj": "largest |delta_eta| of two jets",
    "m_jets": "mass of all jets [GeV]",
    "zeppenfeld": "|eta_yy - (eta1 + eta2) / 2| with the two leading jets",
    "delta_phi_yy_jj": "|delta_phi| of photon pair and two leading jets",
    "pt_yyjj": "pt of photon pair and two leading jets together [GeV]",
    "min_delta_r_photon_jet": "smallest delta_r of a photon and a jet",
    "mean_delta_r_photon_jet": "mean delta_r of photons and jets",
}
TAGS = {
    "n_b_85": "jets above the b-tag working point of 85 %",
    "n_b_77": "jets above the b-tag working point of 77 %",
    "n_b_70": "jets above the b-tag working point of 70 %",
    "n_b_60": "jets above the b-tag working point of 60 %",
    "btag_1": "largest b-tag score",
    "btag_2": "second largest b-tag score",
}
LEPTONS = {
    "n_electrons": "electrons",
    "n_muons": "muons",
    "lt": "sum of lepton pt [GeV]",
    "total_charge": "sum of lepton charges",
    "n_os_pairs": "pairs of leptons of opposite charge",
    "n_sf_pairs": "pairs of leptons of the same flavour",
    "n_ossf_pairs": "pairs of leptons of opposite charge and the same flavour",
    "m_ll": "mass of the two leading leptons [GeV]",
    "m_ll_near_z": "mass of an ossf pair nearest to 91.2 GeV",
    "min_delta_r_lep_photon": "smallest delta_r of a lepton and a photon",
    "min_delta_r_lep_jet": "smallest delta_r of a lepton and a jet",
}
MET = {
    "met": "missing transverse momentum [GeV]",
    "met_over_sqrt_ht": "met / sqrt(ht) [sqrt(GeV)]",
    "met_over_sqrt_sum": "met / sqrt(ht + lt + photons' pt) [sqrt(GeV)]",
    "meff": "ht + lt + met [GeV]",
    "st": "meff + photons' pt [GeV]",
    "min_delta_phi_jet_met": "smallest |delta_phi| of met and one of the four leading jets",
    "delta_phi_yy_met": "|delta_phi| of photon pair and met",
    "delta_phi_lep_met": "|delta_phi| of leading lepton and met",
    "mt_lep_met": "transverse mass of leading lepton and met [GeV]",
    "pt_lep_met": "pt of leading lepton and met together [GeV]",
}


class View:
    """An event sample as observables need it: by descending pt, momenta, pairs; each made once."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._sorted: dict[str, Jagged] = {}
        self._pairs: dict[tuple[str, str], Jagged] = {}

    def kind(self, name: str) -> Jagged:
        """Particles by descending pt with px, py, pz, in float64."""
        if name not in self._sorted:
            given = self.events.particles[name]
            some = {c: given[c] for c in given.columns}
            pt, eta, phi = (np.asarray(given[c], np.float64) for c in ("pt", "eta", "phi"))
            momenta = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
            # Files hold energies of less precision than a mass needs that is small beside them.
            energy = np.maximum(np.asarray(given["E"], np.float64), pt * np.cosh(eta))
            some |= {"pt": pt, "eta": eta, "phi": phi, "E": energy, **momenta}
            self._sorted[name] = Jagged(given.offsets, some).sort("pt")
        return self._sorted[name]

    def first(self, name: str, k: int) -> list[dict[str, Floats]]:
        """The k leading particles of each event, NaN where there are fewer."""
        columns = ["pt", "eta", "phi", "E", "px", "py", "pz"]
        particles = self.kind(name)
        padded = particles.pad(k, columns, fill=np.nan, dtype=np.float64).values
        return [{c: padded[:, i, j] for j, c in enumerate(columns)} for i in range(k)]

    def pairs(self, left: str, right: str) -> Jagged:
        """All pairs of an event (each once): columns first, second, delta_r."""
        if (left, right) not in self._pairs:
            a, b = self.kind(left), self.kind(right)
            cones = in_cone(a, b, _EVERYWHERE)
            first = np.repeat(np.arange(len(cones)), cones.counts)
            pairs = Jagged(
                cones.offsets[a.offsets],
                {"first": first, "second": cones["index"], "delta_r": cones["delta_r"]},
            )
            if left == right:
                pairs = pairs.keep(pairs["first"] < pairs["second"])
            self._pairs[left, right] = pairs
        return self._pairs[left, right]

    @cached_property
    def photons(self) -> list[dict[str, Floats]]:
        return self.first("photon", 2)

    @cached_property
    def diphoton(self) -> dict[str, Floats]:
        return add_momenta(*self.photons)

    @cached_property
    def ht(self) -> Floats:
        return total(self.kind("jet"), self.kind("jet")["pt"])

    @cached_property
    def lt(self) -> Floats:
        return total(self.kind("lep"), self.kind("lep")["pt"])

    @cached_property
    def met(self) -> dict[str, Floats]:
        pt, phi = (np.asarray(self.events.flat[n], np.float64) for n in ("met_et", "met_phi"))
        return {"pt": pt, "phi": phi, "px": pt * np.cos(phi), "py": pt * np.sin(phi)}


def add_momenta(*parts: dict[str, Floats]) -> dict[str, Floats]:
    """Momentum and mass of particles together; NaN where one is missing."""
    p = {c: np.sum([part[c] for part in parts], axis=0) for c in ("px", "py", "pz", "E")}
    return _kinematics(p)


def photon_observables(view: View) -> dict[str, Floats]:
    a, b = view.photons
    yy = view.diphoton
    delta_eta, apart = a["eta"] - b["eta"], delta_phi(a["phi"], b["phi"])
    m2 = 2 * a["pt"] * b["pt"] * (np.cosh(delta_eta) - np.cos(apart))
    m = np.sqrt(m2)
    across = np.hypot(a["px"] - b["px"], a["py"] - b["py"])
    return {
        "pt_yy": yy["pt"],
        "ptt_yy": 2 * np.abs(a["px"] * b["py"] - b["px"] * a["py"]) / across,
        "eta_yy": yy["eta"],
        "delta_eta_yy": np.abs(delta_eta),
        "delta_phi_yy": apart,
        "delta_r_yy": np.hypot(delta_eta, apart),
        "cos_theta_star": np.abs(np.sinh(delta_eta)) / np.sqrt(1 + yy["pt"] ** 2 / m2)
        * 2 * a["pt"] * b["pt"] / m2,
        "pt1_over_m": a["pt"] / m,
        "pt2_over_m": b["pt"] / m,
    }  # fmt: skip


def jet_observables(view: View) -> dict[str, Floats]:
    jets = view.kind("jet")
    a, b = view.first("jet", 2)
    jj, yy = add_momenta(a, b), view.diphoton
    both = add_momenta(jj, yy)
    pt, abs_eta = jets["pt"], np.abs(jets["eta"])
    values = {
        "ht": view.ht,
        "mht": np.hypot(total(jets, jets["px"]), total(jets, jets["py"])),
        **{f"n_jets_{cut}": total(jets, pt > cut) for cut in (25, 30, 40, 50)},
        "n_central_jets": total(jets, abs_eta < 2.5),
        "n_forward_jets": total(jets, abs_eta > 2.5),
        "m_jj": jj["m"],
        "pt_jj": jj["pt"],
        "delta_eta_jj": np.abs(a["eta"] - b["eta"]),
        "delta_phi_jj": delta_phi(a["phi"], b["phi"]),
        "delta_r_jj": np.hypot(a["eta"] - b["eta"], delta_phi(a["phi"], b["phi"])),
        "zeppenfeld": np.abs(yy["eta"] - (a["eta"] + b["eta"]) / 2),
        "delta_phi_yy_jj": delta_phi(yy["phi"], jj["phi"]),
        "pt_yyjj": both["pt"],
    }
    pairs = view.pairs("jet", "jet")
    mass = _pair_masses(jets, pairs)
    ends = pairs.with_columns(m=mass).aggregate("m", ["min", "max"])
    values |= {"max_m_jj": ends["max"], "min_m_jj": ends["min"]}
    for name, target in (("w", W_MASS), ("z", Z_MASS), ("h", HIGGS_MASS)):
        values[f"m_jj_near_{name}"] = _mass_near(pairs, mass, target)
    eta = jets.aggregate("eta", ["min", "max"])
    values["max_delta_eta_jj"] = np.where(jets.counts > 1, eta["max"] - eta["min"], np.nan)
    everything = {c: total(jets, jets[c]) for c in ("px", "py", "pz", "E")}
    values["m_jets"] = np.where(jets.counts > 0, _kinematics(everything)["m"], np.nan)
    distance = view.pairs("photon", "jet").aggregate("delta_r", ["min", "mean"])
    values["min_delta_r_photon_jet"] = distance["min"]
    values["mean_delta_r_photon_jet"] = distance["mean"]
    return values


def tag_observables(view: View) -> dict[str, Floats]:
    jets = view.kind("jet")
    score = jets["MV2c10"]
    above = dict(zip((85, 77, 70, 60), WORKING_POINTS, strict=True))
    best = jets.pad(2, "MV2c10", by="MV2c10", fill=np.nan, dtype=np.float64).values
    return {
        **{f"n_b_{point}": total(jets, score > cut) for point, cut in above.items()},
        "btag_1": best[:, 0],
        "btag_2": best[:, 1],
    }


def lepton_observables(view: View) -> dict[str, Floats]:
    leptons = view.kind("lep")
    flavour, charge = leptons["type"], leptons["charge"].astype(np.float64)
    pairs = view.pairs("lep", "lep")
    first, second = pairs["first"], pairs["second"]
    opposite = charge[first] * charge[second] < 0
    same = flavour[first] == flavour[second]
    ossf = pairs.keep(opposite & same)
    return {
        "n_electrons": total(leptons, flavour == 11),
        "n_muons": total(leptons, flavour == 13),
        "lt": view.lt,
        "total_charge": total(leptons, charge),
        "n_os_pairs": total(pairs, opposite),
        "n_sf_pairs": total(pairs, same),
        "n_ossf_pairs": total(pairs, opposite & same),
        "m_ll": add_momenta(*view.first("lep", 2))["m"],
        "m_ll_near_z": _mass_near(ossf, _pair_masses(leptons, ossf), Z_MASS),
        "min_delta_r_lep_photon": _smallest_distance(leptons, view.kind("photon")),
        "min_delta_r_lep_jet": _smallest_distance(leptons, view.kind("jet")),
    }


def met_observables(view: View) -> dict[str, Floats]:
    met, ht, lt = view.met, view.ht, view.lt
    photons = total(view.kind("photon"), view.kind("photon")["pt"])
    (lepton,) = view.first("lep", 1)
    to_lepton = delta_phi(lepton["phi"], met["phi"])
    to_jets = np.stack([delta_phi(jet["phi"], met["phi"]) for jet in view.first("jet", 4)])
    return {
        "met": met["pt"],
        "met_over_sqrt_ht": np.where(ht > 0, met["pt"] / np.sqrt(ht), np.nan),
        "met_over_sqrt_sum": met["pt"] / np.sqrt(ht + lt + photons),
        "meff": ht + lt + met["pt"],
        "st": ht + lt + photons + met["pt"],
        "min_delta_phi_jet_met": np.fmin.reduce(to_jets),
        "delta_phi_yy_met": delta_phi(view.diphoton["phi"], met["phi"]),
        "delta_phi_lep_met": to_lepton,
        "mt_lep_met": np.sqrt(2 * lepton["pt"] * met["pt"] * (1 - np.cos(to_lepton))),
        "pt_lep_met": np.hypot(lepton["px"] + met["px"], lepton["py"] + met["py"]),
    }


def _kinematics(p: dict[str, Any]) -> dict[str, Floats]:
    pt = np.hypot(p["px"], p["py"])
    m2 = p["E"] ** 2 - pt**2 - p["pz"] ** 2
    return {
        **p, "pt": pt, "eta": np.arcsinh(p["pz"] / pt), "phi": np.arctan2(p["py"], p["px"]),
        "m": np.sqrt(np.maximum(m2, 0)),
    }  # fmt: skip


def _pair_masses(particles: Jagged, pairs: Jagged) -> Floats:
    parts = [
        {c: particles[c][pairs[place]] for c in ("px", "py", "pz", "E")}
        for place in ("first", "second")
    ]
    return add_momenta(*parts)["m"]


def _mass_near(pairs: Jagged, mass: Floats, target: float) -> Floats:
    """The mass nearest to ``target`` in each event."""
    column = pairs.with_columns(m=mass, d=np.abs(mass - target))
    best = column.aggregate("d", ["argmin"])["argmin"]
    some = best >= 0
    result = np.full(len(pairs), np.nan)
    result[some] = mass[(pairs.offsets[:-1] + best)[some]]
    return result


def _smallest_distance(left: Jagged, right: Jagged) -> Floats:
    distance = np.where(np.isfinite(d := nearest(left, right)[1]), d, np.nan)
    return np.asarray(left.with_columns(d=distance).aggregate("d", ["min"])["min"], np.float64)
