"""Titles of axes: the name of a column, branch or feature to its symbol and unit, for every picture.

A name is known as a whole (`_WHOLE`), or by its parts: an object (`Muon_pt`, `mu0_eta`,
`hardest_jet_pt`), a quantity, and a statistic of it (`jet_pt_max`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GEV, CM, RAD = "GeV", "cm", "rad"


class Title(NamedTuple):
    """Of an axis: what it shows, and its unit."""

    text: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.text} [{self.unit}]" if self.unit else self.text


_MM, _YY, _JJ, _LL = r"{\mu\mu}", r"{\gamma\gamma}", "{jj}", r"{\ell\ell}"
_LEAD = ("Leading", "Second", "Third", "Fourth", "Fifth")

_WHOLE: Mapping[str, Title] = {
    # pairs of muons
    "dimu_mass": Title(rf"$m_{_MM}$", GEV), "dimu_pt": Title(rf"$p_T^{_MM}$", GEV),
    "dimu_eta": Title(rf"$\eta^{_MM}$"), "dimu_phi": Title(rf"$\phi^{_MM}$", RAD),
    "mumu_deltaR": Title(r"$\Delta R(\mu,\mu)$"),
    "mumu_deltapT": Title(r"$\Delta p_T(\mu,\mu)$", GEV),
    "n_muons": Title("Muons"), "n_jets": Title("Jets"),
    "dimujet_deltaR": Title(r"$\Delta R(\mu\mu,\,\mathrm{jet})$"),
    # pairs of photons
    "m_yy": Title(rf"$m_{_YY}$", GEV), "pt_yy": Title(rf"$p_T^{_YY}$", GEV),
    "ptt_yy": Title(rf"$p_{{Tt}}^{_YY}$", GEV), "eta_yy": Title(rf"$\eta^{_YY}$"),
    "delta_eta_yy": Title(rf"$|\Delta\eta_{_YY}|$"),
    "delta_phi_yy": Title(rf"$|\Delta\phi_{_YY}|$", RAD),
    "delta_r_yy": Title(rf"$\Delta R_{_YY}$"), "cos_theta_star": Title(r"$|\cos\theta^*|$"),
    "pt1_over_m": Title(rf"$p_T^{{\gamma 1}} / m_{_YY}$"),
    "pt2_over_m": Title(rf"$p_T^{{\gamma 2}} / m_{_YY}$"),
    # jets of an event
    "ht": Title("$H_T$", GEV), "mht": Title(r"$H_T^{\mathrm{miss}}$", GEV),
    **{f"n_jets_{pt}": Title(rf"Jets, $p_T > {pt}$ GeV") for pt in (25, 30, 40, 50)},
    "n_central_jets": Title(r"Jets, $|\eta| < 2.5$"),
    "n_forward_jets": Title(r"Jets, $|\eta| > 2.5$"),
    "m_jj": Title(f"$m_{_JJ}$", GEV), "pt_jj": Title(f"$p_T^{_JJ}$", GEV),
    "delta_eta_jj": Title(rf"$|\Delta\eta_{_JJ}|$"),
    "delta_phi_jj": Title(rf"$|\Delta\phi_{_JJ}|$", RAD),
    "delta_r_jj": Title(rf"$\Delta R_{_JJ}$"),
    "max_m_jj": Title(f"Largest $m_{_JJ}$", GEV), "min_m_jj": Title(f"Smallest $m_{_JJ}$", GEV),
    **{f"m_jj_near_{b.lower()}": Title(f"$m_{_JJ}$ nearest to $m_{b}$", GEV) for b in "WZH"},
    "max_delta_eta_jj": Title(rf"Largest $|\Delta\eta_{_JJ}|$"),
    "m_jets": Title(r"$m_{\mathrm{jets}}$", GEV),
    "zeppenfeld": Title(rf"$|\eta^{_YY} - (\eta_{{j1}} + \eta_{{j2}})/2|$"),
    "delta_phi_yy_jj": Title(r"$|\Delta\phi(\gamma\gamma,\,jj)|$", RAD),
    "pt_yyjj": Title(r"$p_T^{\gamma\gamma jj}$", GEV),
    "min_delta_r_photon_jet": Title(r"Smallest $\Delta R(\gamma,\,j)$"),
    "mean_delta_r_photon_jet": Title(r"Mean $\Delta R(\gamma,\,j)$"),
    **{f"n_b_{wp}": Title(f"Jets, b-tagged at {wp} %") for wp in (85, 77, 70, 60)},
    "btag_1": Title("Largest b-tag score"), "btag_2": Title("Second largest b-tag score"),
    # leptons and missing momentum
    "n_electrons": Title("Electrons"), "lt": Title("$L_T$", GEV),
    "total_charge": Title("Total charge of leptons"),
    "n_os_pairs": Title("Lepton pairs of opposite charge"),
    "n_sf_pairs": Title("Lepton pairs of same flavour"),
    "n_ossf_pairs": Title("OSSF lepton pairs"), "m_ll": Title(rf"$m_{_LL}$", GEV),
    "m_ll_near_z": Title(rf"$m_{_LL}$ (OSSF) nearest to $m_Z$", GEV),
    "min_delta_r_lep_photon": Title(r"Smallest $\Delta R(\ell,\,\gamma)$"),
    "min_delta_r_lep_jet": Title(r"Smallest $\Delta R(\ell,\,j)$"),
    "met": Title(r"$p_T^{\mathrm{miss}}$", GEV), "met_et": Title(r"$p_T^{\mathrm{miss}}$", GEV),
    "met_phi": Title(r"$\phi^{\mathrm{miss}}$", RAD),
    "met_over_sqrt_ht": Title(r"$p_T^{\mathrm{miss}} / \sqrt{H_T}$", r"$\sqrt{\mathrm{GeV}}$"),
    "met_over_sqrt_sum": Title(r"$p_T^{\mathrm{miss}} / \sqrt{\sum p_T}$", r"$\sqrt{\mathrm{GeV}}$"),
    "meff": Title(r"$m_{\mathrm{eff}}$", GEV), "st": Title("$S_T$", GEV),
    "min_delta_phi_jet_met": Title(r"Smallest $|\Delta\phi(j,\,p_T^{\mathrm{miss}})|$", RAD),
    "delta_phi_yy_met": Title(r"$|\Delta\phi(\gamma\gamma,\,p_T^{\mathrm{miss}})|$", RAD),
    "delta_phi_lep_met": Title(r"$|\Delta\phi(\ell,\,p_T^{\mathrm{miss}})|$", RAD),
    "mt_lep_met": Title(r"$m_T(\ell,\,p_T^{\mathrm{miss}})$", GEV),
    "pt_lep_met": Title(r"$p_T(\ell,\,p_T^{\mathrm{miss}})$", GEV),
    # shapes of events
    "n_objects": Title("Photons, leptons, taus and jets"),
    "m_all": Title("Mass of all objects", GEV), "centrality": Title("Centrality"),
    "sphericity": Title("Sphericity"), "aplanarity": Title("Aplanarity"),
    "transverse_sphericity": Title("Transverse sphericity"), "thrust": Title("Thrust"),
    **{f"fox_wolfram_{i}": Title(f"Fox-Wolfram $H_{i}$") for i in range(5)},
    # photon and jet
    "alpha": Title(r"$\alpha$"), "mpf": Title("MPF response"), "balance": Title("Balance"),
    "delta_r": Title(r"$\Delta R(\gamma,\,\mathrm{parton})$"),
    # jets, their shapes and their particles
    "multiplicity": Title("Constituents"), "charged_multiplicity": Title("Charged constituents"),
    "neutral_multiplicity": Title("Neutral constituents"), "girth": Title("Girth"),
    "pt_d": Title(r"$p_T D$"), "axis2": Title(r"$\sigma_2$"), "dijet_mass": Title("$m_{jj}$", GEV),
    "abs_d0": Title(r"$|d_{xy}|$", CM),
}  # fmt: skip

#: Quantities of an object.
_QUANTITIES: Mapping[str, Title] = {
    "pt": Title("$p_T$", GEV), "eta": Title(r"$\eta$"), "phi": Title(r"$\phi$", RAD),
    "mass": Title("mass", GEV), "m": Title("mass", GEV), "E": Title("energy", GEV),
    "energy": Title("energy", GEV), "charge": Title("charge"), "type": Title("type"),
    "ip3d": Title(r"$d_{3D}$", CM), "dxy": Title("$d_{xy}$", CM), "dz": Title("$d_z$", CM),
    "iso04": Title("isolation, $R < 0.4$"), "pfRelIso04_all": Title("isolation, $R < 0.4$"),
    "pfRelIso03_all": Title("isolation, $R < 0.3$"),
    "jetiso": Title("isolation from its jet"), "jetRelIso": Title("isolation from its jet"),
    "btag": Title("b-tag score"), "btagDeepB": Title("b-tag score"),
    "MV2c10": Title("b-tag score (MV2c10)"), "btag_quantile": Title("b-tag quantile"),
    "jvt": Title("vertex tagger"), "D2": Title("$D_2$"), "tau32": Title(r"$\tau_{32}$"),
    "BDTid": Title("BDT score"), "RNNJetScore": Title("RNN score"), "nTracks": Title("tracks"),
    "convType": Title("conversion type"), "z0": Title("$z_0$"), "trackd0": Title("$d_0$"),
    "ptcone20": Title("track isolation, $R < 0.2$", GEV),
    "ptcone30": Title("track isolation, $R < 0.3$", GEV),
    "ptvarcone30": Title("track isolation, $R < 0.3$", GEV),
    "etcone20": Title("calorimeter isolation, $R < 0.2$", GEV),
    "topoetcone40": Title("calorimeter isolation, $R < 0.4$", GEV),
    # of particles in a jet, as networks see them
    "delta_eta": Title(r"$\Delta\eta$"), "delta_phi": Title(r"$\Delta\phi$"),
    "delta_r": Title(r"$\Delta R$"), "log_pt": Title(r"$\ln(p_T/\mathrm{GeV})$"),
    "log_e": Title(r"$\ln(E/\mathrm{GeV})$"), "log_pt_rel": Title(r"$\ln(p_T / p_T^{\mathrm{jet}})$"),
    "log_e_rel": Title(r"$\ln(E / E^{\mathrm{jet}})$"), "d0": Title("$d_0$", CM),
    "tanh_d0": Title(r"$\tanh(d_0/\mathrm{cm})$"), "tanh_dz": Title(r"$\tanh(d_z/\mathrm{cm})$"),
    "d0_error": Title(r"$\sigma(d_0)$", CM), "dz_error": Title(r"$\sigma(d_z)$", CM),
    "is_charged_hadron": Title("charged hadron"), "is_neutral_hadron": Title("neutral hadron"),
    "is_photon": Title("photon"), "is_electron": Title("electron"), "is_muon": Title("muon"),
}  # fmt: skip

#: Objects by the prefix of a name.
_OBJECTS: Mapping[str, str] = {
    "Muon": "Muon", "Electron": "Electron", "Photon": "Photon", "Jet": "Jet", "MET": "MET", "Tau": "Tau",
    "mu0": "Leading muon", "mu1": "Second muon", "hardest_jet": "Leading jet",
    "photon": "Photon", "lep": "Lepton", "jet": "Jet", "tau": "Tau", "largeRjet": "Large-R jet",
    "fj": "Jet", "pfcand": "Constituent", "constituent": "Constituent", "track": "Track",
    "sv": "Secondary vertex",
}  # fmt: skip

#: Statistics of the values of a quantity in an event, by the end of a name. "{}" is the quantity,
#: behind its object; without a unit where one would be wrong.
_STATISTICS: Mapping[str, tuple[str, bool]] = {
    **{f"lead{i + 1}": (f"{rank} {{}}", True) for i, rank in enumerate(_LEAD)},
    "max": ("Largest {}", True), "min": ("Smallest {}", True), "mean": ("Mean {}", True),
    "median": ("Median {}", True), "range": ("Range of {}", True), "sum": ("Sum of {}", True),
    "std": ("Std. dev. of {}", True), "samplestd": ("Sample std. dev. of {}", True),
    "wmean": ("$p_T$-weighted mean {}", True), "circmean": ("Circular mean {}", True),
    "absmax": ("Largest |{}|", True), "sumabs": ("Sum of |{}|", True),
    "sumsq": ("Sum of squares of {}", False), "var": ("Variance of {}", False),
    "skew": ("Skewness of {}", False), "kurt": ("Excess kurtosis of {}", False),
    "argmin": ("Position of smallest {}", False), "argmax": ("Position of largest {}", False),
    "any": ("Any {}", False), "all": ("All {}", False),
    "ratio": ("Second / leading {}", False), "share": ("Leading share of {}", False),
    "dispersion": ("Dispersion of {}", False), "circvar": ("Circular variance of {}", False),
}  # fmt: skip


def axis_title(name: str, *, unit: bool = True) -> str:
    """A title such as ``$p_T^{\\mu\\mu}$ [GeV]``; the name itself (:func:`plain`) if it is not known.

    Without ``unit`` it is a name for a legend or a row: ``$p_T^{\\mu\\mu}$``.
    """
    title = known_title(name)
    if title is None:
        return plain(name)
    return str(title) if unit else title.text


def known_title(name: str) -> Title | None:
    """The title of a name, None for those that this table does not know."""
    if name in _WHOLE:
        return _WHOLE[name]
    if name in _QUANTITIES:  # of whatever the picture shows
        return _first_large(_QUANTITIES[name])
    if name.startswith("HLT_"):
        return None
    for prefix in sorted(_OBJECTS, key=len, reverse=True):
        if name.startswith(f"{prefix}_"):
            return _of_object(_OBJECTS[prefix], name.removeprefix(f"{prefix}_"))
    return None


def _of_object(thing: str, rest: str) -> Title | None:
    if rest == "n":
        return Title(f"{thing}s")
    if rest in _WHOLE:  # a shape of a jet
        return _WHOLE[rest]
    if rest in _QUANTITIES:
        return Title(f"{thing} {_QUANTITIES[rest].text}", _QUANTITIES[rest].unit)
    quantity, _, statistic = rest.rpartition("_")
    if statistic not in _STATISTICS or not quantity:
        return None
    form, has_unit = _STATISTICS[statistic]
    said, unit = _QUANTITIES.get(quantity, Title(plain(quantity)))
    return Title(form.format(f"{_small(thing)} {said}"), unit if has_unit else "")


def _small(text: str) -> str:
    return text[0].lower() + text[1:]


def _first_large(title: Title) -> Title:
    return Title(title.text[0].upper() + title.text[1:], title.unit)


def plain(name: str) -> str:
    """A name from outside (column, class, trigger, file) as a label: no formula, never left out.

    Matplotlib reads what stands between two $ as a formula, and leaves labels that begin with an
    underscore out of legends.
    """
    text = name.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
