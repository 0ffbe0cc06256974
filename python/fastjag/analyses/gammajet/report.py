"""Stage: responses, comparisons of the samples and the stitching in one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastjag import __version__
from fastjag.analyses.common.servers import recorded
from fastjag.analyses.gammajet.comparison import COMPARED, compare
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.pictures.comparison import distributions
from fastjag.analyses.gammajet.pictures.responses import alpha_dependence, closure
from fastjag.analyses.gammajet.pictures.stitching import border
from fastjag.analyses.gammajet.profiles import Line, Profile, extrapolate, profile
from fastjag.analyses.gammajet.response import ESTIMATORS
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.core.arrays import Array
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report, with_error
from fastjag.statistics import bad_fits, fit_warning

_DELTA_R_EDGES = np.linspace(0, 2, 41)
_WORDS = {"balance": "balance", "mpf": "MPF"}


def report(results: GammaJetResults) -> None:
    """Pictures, ``results.json`` and ``report.html``."""
    config, measured, totals = results.config, results.responses(), results.totals()
    rows = {"data": results.rows(data=True), "simulation": results.rows(data=False)}
    rows = {name: content for name, content in rows.items() if content}
    with results_directory(results.folder("report")) as directory:
        lines = _lines(rows, config)
        page = Report(f"Photon+jet response: {config.name}", sentence_of(lines))
        page.text(_selection_text(config))

        def show(name: str, fig: Any, caption: str) -> None:
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
            page.figure(directory / f"{name}.png", caption)

        for warning in (warnings := warnings_of(measured)):
            page.warning(warning)
        page.heading("Response")
        for i, (low, high) in enumerate(config.eta_ranges):
            show(f"closure{i}", closure(measured, [low, high]),
                 f"Jets with {low:g} <= |eta| < {high:g}: the mean response for alpha < "
                 f"{config.max_alpha:g} (points) and extrapolated to alpha = 0 (bands), and "
                 f"data over simulation of both (open points: of the limits).")  # fmt: skip
        show("alpha", alpha_dependence(lines),
             "Mean response in bins of alpha, all photons, with the lines that give the response at "
             "alpha = 0.")  # fmt: skip
        page.table(*response_table(measured))
        page.heading("Decomposition of the recoil")
        page.text(f"MPF in parts along the photon: the leading jet, other jets, and what is in no jet, "
                  f"whose response is taken as {config.unclustered_response:g}.")  # fmt: skip
        page.table(*hdm_table(measured["hdm"]))
        if "bands" in measured:
            page.heading("Variations of the simulated response")
            page.text("Shifts of the mean for alpha < "
                      f"{config.max_alpha:g}, up and down; the band adds the larger one of each source in "
                      "quadrature.")  # fmt: skip
            page.table(*bands_table(measured["bands"]))
        compared = {}
        if len(rows) == 2:
            page.heading("Data and simulation")
            compared = {c: compare(rows["data"], rows["simulation"], c) for c in COMPARED}
            show("comparison", distributions(compared), "Normalised to one another; the p-value is "
                 "that of a Kolmogorov-Smirnov test. Bands: statistical errors of simulation; arrows: "
                 "ratios beyond the axis, and the share of the data beside it.")  # fmt: skip
        if "continuity" in measured:
            page.heading("Stitching at delta_r = 0.4")
            show("stitching", border(*_delta_r_spectra(rows["simulation"], config)),
                 "Distance of the prompt photon to the nearest parton: each sample gives one side "
                 "of the border. Arrow: share of the events beyond the axis.")  # fmt: skip
            c = measured["continuity"]
            page.text(f"At the border the spectrum is {c['below']:.4g} from below and "
                      f"{c['above']:.4g} from above: {c['pull']:.1f} standard deviations apart.")  # fmt: skip
        page.heading("Cutflow")
        steps = list(dict.fromkeys(k for t in totals.values() for k in t["cutflow"]))
        page.table(("sample", *steps),
                   [(n, *(t["cutflow"].get(s, 0) for s in steps)) for n, t in totals.items()])  # fmt: skip
        page.heading("Files and settings")
        page.files([f"{s.name}: {file}" for s in config.samples for file in s.files])
        settings = recorded(config)
        page.settings({k: v for k, v in settings.items() if k != "samples"})
        page.table(("sample", "kind", "cross-section [pb]", "k-factor", "sum of weights"),
                   [(s.name, s.kind, s.cross_section, s.k_factor,
                     s.sum_of_weights or totals[s.name]["sum_of_weights"])
                    for s in config.samples])  # fmt: skip
        write_json(directory / "results.json", {
            "fastjag": __version__, "config": settings, "totals": totals, "warnings": warnings,
            **measured,
            "comparisons": {name: content["test"]._asdict() for name, content in compared.items()},
        })  # fmt: skip
        page.write(directory / "report.html", f"fastjag {__version__}")


def _selection_text(config: GammaJetConfig) -> str:
    s = config.selection
    return (
        f"Exactly one tight photon, pt > {s.photon_pt:g} GeV, |eta| < {s.photon_abs_eta:g}; a tight "
        f"jet, pt > {s.jet_pt:g} GeV, |eta| < {s.jet_abs_eta:g}; no loose lepton above "
        f"{s.lepton_pt:g} GeV."
    )


def sentence_of(lines: Sequence[tuple[str, str, Profile, Line]]) -> str:
    """What was found, and how sure that is: data over simulation at alpha = 0, or the response of one."""
    samples = list(dict.fromkeys(name for name, *_ in lines))
    known = {(name, estimator): line for name, estimator, _, line in lines
             if np.isfinite(line.intercept) and line.error > 0}  # fmt: skip
    said = []
    for estimator, word in _WORDS.items():
        own = [known[name, estimator] for name in samples if (name, estimator) in known]
        if not own or len(own) < len(samples):
            continue
        value = own[0].intercept / (own[1].intercept if len(own) > 1 else 1.0)
        error = value * float(np.hypot.reduce([line.error / line.intercept for line in own]))
        said.append(f"{with_error(value, error)} by {word} "
                    f"({abs(value - 1) / error:.1f} standard deviations from 1)")  # fmt: skip
    if not said:
        return "There are too few events to say what the response is at alpha = 0."
    what = f"the responses of {' and '.join(samples)} have the ratio" if len(samples) > 1 else (
        f"the mean response of {samples[0]} is"
    )  # fmt: skip
    return f"At alpha = 0, {what} {' and '.join(said)}; errors are statistical."


def _lines(
    rows: Mapping[str, Mapping[str, Array]], config: GammaJetConfig
) -> list[tuple[str, str, Profile, Line]]:
    """Means of all photons in bins of alpha, and the lines through them."""
    lines = []
    for name, content in rows.items():
        for estimator in ESTIMATORS:
            near = np.abs(content[estimator] - 1) < config.max_deviation
            alpha, r, w = (content[c][near] for c in ("alpha", estimator, "weight"))
            means = profile(alpha, r, w, edges=config.alpha_edges)
            lines.append(
                (name, estimator, means, extrapolate(alpha, r, w, edges=config.alpha_edges))
            )
    return lines


def _delta_r_spectra(
    simulation: Mapping[str, Array], config: GammaJetConfig
) -> tuple[dict[str, tuple[Array, Array]], Array, dict[str, float]]:
    """Events of each simulated sample in bins of delta_r, and variances; edges; events beyond them."""
    spectra, beyond = {}, {}
    for i in np.unique(simulation["sample"]).tolist():
        own = simulation["sample"] == i
        delta_r, weight = simulation["delta_r"][own], simulation["weight"][own]
        sums, squares = (
            np.histogram(delta_r, _DELTA_R_EDGES, weights=weight**k)[0] for k in (1, 2)
        )
        name = config.samples[i].name
        spectra[name] = (sums, squares)
        beyond[name] = float(weight[delta_r > _DELTA_R_EDGES[-1]].sum())
    return spectra, _DELTA_R_EDGES, beyond


def _bins(
    measured: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, str, str, str], dict[str, Any]]]:
    """(sample, |eta|, estimator, photon pt) of every bin with events, and its numbers."""
    for name in ("data", "simulation"):
        for part in measured.get(name, []):
            for b in part["bins"]:
                if b["entries"]:
                    yield (name, "{:g}-{:g}".format(*part["eta"]), part["estimator"],
                           f"{b['low']:g}-{b['high']:g}"), b  # fmt: skip


def warnings_of(measured: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fits of a measurement, for its summary; empty where nothing is."""
    fits, humps = {}, []
    for where, b in _bins(measured):
        name = "{} |eta| {} {} {} GeV".format(*where)
        for kind in ("core", "line"):
            fits[f"{kind} of {name}"] = (b[kind]["chi2"], b[kind]["dof"])
        if b["core"]["humps"] > 1:
            humps.append(f"{name} ({b['core']['humps']})")
    said = [bad_fits(fits)]
    if humps:
        said.append("! More than one hump, of which the core is the highest: " + ", ".join(humps))
    return [text for text in said if text]


def response_table(measured: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns = ("sample", "|eta|", "estimator", "photon pt [GeV]", "events", "mean", "core",
               "at alpha = 0", "slope", "fits")  # fmt: skip
    rows = []
    for where, b in _bins(measured):
        core, line = b["core"], b["line"]
        said = [f"core {fit_warning(core['chi2'], core['dof'])}",
                f"line {fit_warning(line['chi2'], line['dof'])}"]  # fmt: skip
        said = [text for text in said if "!" in text]
        said += [f"core ! one of {core['humps']} humps"] if core["humps"] > 1 else []
        rows.append((*where, b["entries"], _rounded(b["mean"], b["error"]),
                     _rounded(core["mean"], core["error"]),
                     _rounded(line["intercept"], line["error"]),
                     _rounded(line["slope"], line["slope_error"]), "; ".join(said)))  # fmt: skip
    return columns, rows


def hdm_table(
    measured: Mapping[str, Any],
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns = ("sample", "|eta|", "photon pt [GeV]", "events", "response", "leading jet", "other jets",
               "unclustered")  # fmt: skip
    rows = [
        (name, "{:g}-{:g}".format(*part["eta"]), f"{b['low']:g}-{b['high']:g}", b["entries"],
         _rounded(b["mean"], b["error"]), *(f"{b[k]:.4f}" for k in ("lead", "others", "unclustered")))
        for name, parts in measured.items() for part in parts for b in part["bins"]
        if b["mean"] is not None
    ]  # fmt: skip
    return columns, rows


def bands_table(
    bands: list[Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    names = list(bands[0]["bins"][0]["shifts"])
    columns = ("|eta|", "estimator", "photon pt [GeV]", "mean", *names, "band")
    rows = [
        ("{:g}-{:g}".format(*part["eta"]), part["estimator"], f"{b['low']:g}-{b['high']:g}",
         f"{b['mean']:.4f}", *(f"{b['shifts'][n]:+.4f}" for n in names), f"{b['band']:.4f}")
        for part in bands for b in part["bins"] if b["band"] is not None
    ]  # fmt: skip
    return columns, rows


def _rounded(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return "" if value is None else f"{value:.4f}"
    return with_error(value, error)
