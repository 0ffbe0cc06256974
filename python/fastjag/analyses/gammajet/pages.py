"""Closure plots of the response, comparisons of the samples, and the page that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.analyses.gammajet.response import extrapolate, profile, weighted_ks
from fastjag.core.arrays import Array
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import BLUE, RED, figure, plain, save
from fastjag.reporting.report import Report
from fastjag.statistics import bad_fits, fit_warning

if TYPE_CHECKING:
    from fastjag.analyses.gammajet.run import GammaJet

_LABEL = {"balance": "Balance", "mpf": "MPF"}
_STYLE = {"data": {"fmt": "ko"}, "simulation": {"fmt": "s", "color": RED, "mfc": "white"}}
_COLOUR = {"balance": BLUE, "mpf": RED}
_COMPARED = {
    "photon_pt": r"Photon $p_T$ [GeV]", "photon_eta": r"Photon $\eta$",
    "jet_pt": r"Leading jet $p_T$ [GeV]", "jet_eta": r"Leading jet $\eta$",
    "alpha": r"$\alpha$", "mpf": "MPF response",
}  # fmt: skip


def write_report(job: GammaJet) -> None:
    """Pictures, ``results.json`` and ``report.html``."""
    from fastjag import __version__

    found = json.loads((job.folder("response") / "response.json").read_text())
    totals = json.loads((job.folder("select") / "totals.json").read_text())
    rows = {
        name: content
        for name, data in (("data", True), ("simulation", False))
        if (content := job.rows(data=data))
    }
    with results_directory(job.folder("report")) as directory:
        page = Report(f"Photon+jet response: {job.config.name}", _selection_text(job))
        for warning in (warnings := warnings_of(found)):
            page.text(warning)
        page.heading("Response")
        for i, (low, high) in enumerate(job.config.eta_ranges):
            save(_closure(found, [low, high]), *_names(directory, f"closure{i}"))
            page.figure(
                directory / f"closure{i}.png",
                f"Jets with {low:g} <= |eta| < {high:g}: the mean response for alpha < "
                f"{job.config.max_alpha:g} (points) and extrapolated to alpha = 0 (bands), and "
                f"data over simulation.",
            )
        save(_alpha(rows, job), *_names(directory, "alpha"))
        page.figure(directory / "alpha.png", "Mean response in bins of alpha, all photons, with "
                    "the lines that give the response at alpha = 0.")  # fmt: skip
        page.table(*_table(found))
        comparisons: dict[str, Any] = {}
        if len(rows) == 2:
            page.heading("Data and simulation")
            fig, comparisons = _comparison(rows)
            save(fig, *_names(directory, "comparison"))
            page.figure(directory / "comparison.png", "Normalised to one another; the p-value is "
                        "that of a Kolmogorov-Smirnov test.")  # fmt: skip
        if "continuity" in found:
            page.heading("Stitching at delta_r = 0.4")
            save(_stitching(rows["simulation"], job), *_names(directory, "stitching"))
            page.figure(directory / "stitching.png", "Distance of the prompt photon to the nearest "
                        "parton: each sample gives one side of the border.")  # fmt: skip
            c = found["continuity"]
            page.text(f"At the border the spectrum is {c['below']:.4g} from below and "
                      f"{c['above']:.4g} from above: {c['pull']:.1f} standard deviations apart.")  # fmt: skip
        page.heading("Cutflow")
        steps = list(dict.fromkeys(k for t in totals.values() for k in t["cutflow"]))
        page.table(("sample", *steps),
                   [(n, *(t["cutflow"].get(s, 0) for s in steps)) for n, t in totals.items()])  # fmt: skip
        page.heading("Settings")
        settings = asdict(job.config)
        page.settings({k: v for k, v in settings.items() if k != "samples"})
        page.table(("sample", "kind", "cross-section [pb]", "k-factor", "sum of weights"),
                   [(s.name, s.kind, s.cross_section, s.k_factor,
                     s.sum_of_weights or totals[s.name]["sum_of_weights"])
                    for s in job.config.samples])  # fmt: skip
        write_json(directory / "results.json", {
            "fastjag": __version__, "config": settings, "totals": totals, "warnings": warnings,
            **found,
            "comparisons": comparisons,
        })  # fmt: skip
        page.write(directory / "report.html", f"fastjag {__version__}")


def _names(directory: Any, name: str) -> list[Any]:
    return [directory / f"{name}.png", directory / f"{name}.pdf"]


def _selection_text(job: GammaJet) -> str:
    s = job.config.selection
    return (
        f"Exactly one tight photon, pt > {s.photon_pt:g} GeV, |eta| < {s.photon_abs_eta:g}; a tight "
        f"jet, pt > {s.jet_pt:g} GeV, |eta| < {s.jet_abs_eta:g}; no loose lepton above "
        f"{s.lepton_pt:g} GeV."
    )


def _points(found: Mapping[str, Any], name: str, estimator: str, eta: list[float]) -> Any:
    """The bins of one profile that have a mean."""
    (part,) = (p for p in found[name] if p["estimator"] == estimator and p["eta"] == eta)
    return [b for b in part["bins"] if b["mean"] is not None and b["error"] is not None]


def _closure(found: Mapping[str, Any], eta: list[float]) -> Any:
    names = [n for n in ("data", "simulation") if n in found]
    with figure(15, 8) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(2, 2, height_ratios=[3, 1.3])
        for i, estimator in enumerate(("balance", "mpf")):
            top = fig.add_subplot(grid[0, i])
            below = fig.add_subplot(grid[1, i], sharex=top)
            points = {n: {b["low"]: b for b in _points(found, n, estimator, eta)} for n in names}
            for name in names:
                bins = list(points[name].values())
                x = np.array([b["pt"] for b in bins])
                top.errorbar(x, [b["mean"] for b in bins], [b["error"] for b in bins],
                             xerr=[x - [b["low"] for b in bins], [b["high"] for b in bins] - x],
                             label=name, ms=6, lw=1.4, **_STYLE[name])  # fmt: skip
                lines = [b for b in bins if b["line"]["intercept"] is not None]
                for k, b in enumerate(lines):
                    a, e = b["line"]["intercept"], b["line"]["error"]
                    top.fill_between(
                        [b["low"], b["high"]], a - e, a + e, alpha=0.25, lw=0,
                        color="k" if name == "data" else RED,
                        label=rf"{name}, $\alpha\to 0$" if k == 0 else None,
                    )  # fmt: skip
            top.axhline(1, color="0.6", lw=1, ls=":")
            top.set(xscale="log", ylabel=f"{_LABEL[estimator]} response")
            top.tick_params(which="both", labelbottom=False)
            low, high = top.get_ylim()
            top.set_ylim(low, high + 0.45 * (high - low))
            top.legend(fontsize=12, ncols=2, loc="upper right", columnspacing=1.2)
            if len(names) == 2:
                both = [(points["data"][k], points["simulation"][k])
                        for k in points["data"] if k in points["simulation"]]  # fmt: skip
                ratio = [d["mean"] / s["mean"] for d, s in both]
                error = [r * np.hypot(d["error"] / d["mean"], s["error"] / s["mean"])
                         for r, (d, s) in zip(ratio, both, strict=True)]  # fmt: skip
                below.errorbar([d["pt"] for d, _ in both], ratio, error, fmt="ko", ms=6, lw=1.4)
            below.axhline(1, color="0.6", lw=1, ls=":")
            below.set(xlabel=r"Photon $p_T$ [GeV]", ylabel="Data / sim.")
    return fig


def _alpha(rows: Mapping[str, Mapping[str, Array]], job: GammaJet) -> Any:
    edges = job.config.alpha_edges
    with figure(10, 7) as (fig, ax):
        for name, content in rows.items():
            for estimator in ("balance", "mpf"):
                near = np.abs(content[estimator] - 1) < job.config.max_deviation
                alpha, r, w = (content[c][near] for c in ("alpha", estimator, "weight"))
                found = profile(alpha, r, w, edges=edges)
                line = extrapolate(alpha, r, w, edges=edges)
                colour = _COLOUR[estimator]
                ax.errorbar(found.x, found.mean, found.error, fmt="o" if name == "data" else "s",
                            color=colour, mfc=colour if name == "data" else "white",
                            label=f"{_LABEL[estimator]}, {name}: "
                                  f"{line.intercept:.4f} $\\pm$ {line.error:.4f}")  # fmt: skip
                x = np.array([0, np.nanmax(found.x)])
                ax.plot(x, line.intercept + line.slope * x, color=colour,
                        ls="-" if name == "data" else "--", lw=1.4)  # fmt: skip
        ax.set(xlabel=r"$\alpha$", ylabel="Mean response")
        ax.set_xlim(left=0)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.3 * (high - low))
        ax.legend(fontsize=14, loc="upper right", title=r"response at $\alpha=0$",
                  title_fontsize=14)  # fmt: skip
    return fig


def _comparison(rows: Mapping[str, Mapping[str, Array]]) -> tuple[Any, dict[str, Any]]:
    data, simulation = rows["data"], rows["simulation"]
    tests = {}
    with figure(18, 12) as (fig, first):
        first.remove()
        grid = fig.add_gridspec(4, 3, height_ratios=[3, 1, 3, 1])
        for i, (name, label) in enumerate(_COMPARED.items()):
            top = fig.add_subplot(grid[2 * (i // 3), i % 3])
            below = fig.add_subplot(grid[2 * (i // 3) + 1, i % 3], sharex=top)
            low, high = np.quantile(np.concatenate([data[name], simulation[name]]), [0.001, 0.995])
            edges = np.linspace(low, high, 31)
            middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
            shape, error = {}, {}
            for key, content in rows.items():
                w = content["weight"] / content["weight"].sum()
                shape[key] = np.histogram(content[name], edges, weights=w)[0] / width
                error[key] = np.sqrt(np.histogram(content[name], edges, weights=w**2)[0]) / width
            top.stairs(shape["simulation"], edges, color=RED, lw=1.6, label="simulation")
            top.errorbar(middle, shape["data"], error["data"], fmt="ko", ms=4, label="data")
            found = weighted_ks(data[name], simulation[name], data["weight"], simulation["weight"])
            tests[name] = found._asdict()
            top.set_ylim(0, 1.4 * max(s.max() for s in shape.values()))
            top.legend(fontsize=13, loc="upper right", title=f"KS p = {found.p:.2g}",
                       title_fontsize=13)  # fmt: skip
            top.tick_params(labelbottom=False)
            top.set_ylabel("Density")
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = shape["data"] / shape["simulation"]
                spread = ratio * np.hypot(error["data"] / shape["data"],
                                          error["simulation"] / shape["simulation"])  # fmt: skip
            below.errorbar(middle, ratio, spread, fmt="ko", ms=4)
            below.axhline(1, color="0.6", ls=":")
            below.set_ylim(0.5, 1.5)
            below.set_xlabel(label)
            below.set_ylabel("Ratio")
    return fig, tests


def _stitching(simulation: Mapping[str, Array], job: GammaJet) -> Any:
    edges = np.linspace(0, 2, 41)
    with figure(10, 7) as (fig, ax):
        stack = np.zeros(40)
        for i, sample in enumerate(job.config.samples):
            mine = simulation["sample"] == i
            if sample.kind == "data" or not mine.any():
                continue
            counts = np.histogram(simulation["delta_r"][mine], edges,
                                  weights=simulation["weight"][mine])[0]  # fmt: skip
            ax.stairs(stack + counts, edges, baseline=stack, fill=True, label=plain(sample.name))
            stack = stack + counts
        ax.axvline(0.4, color="k", ls=":")
        ax.set(xlabel=r"$\Delta R$(photon, nearest parton)", ylabel="Events / 0.05")
        ax.set_ylim(0, 1.3 * stack.max())
        ax.legend()
    return fig


def _bins(found: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, str, str], dict[str, Any]]]:
    """(sample, |eta|, estimator, photon pt) of every bin with events, and its numbers."""
    for name in ("data", "simulation"):
        for part in found.get(name, []):
            for b in part["bins"]:
                if b["entries"]:
                    yield (name, "{:g}-{:g}".format(*part["eta"]), part["estimator"],
                           f"{b['low']:g}-{b['high']:g}"), b  # fmt: skip


def warnings_of(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fits of a measurement, for its summary; empty where nothing is."""
    fits, humps = {}, []
    for where, b in _bins(found):
        name = "{} |eta| {} {} {} GeV".format(*where)
        for kind in ("core", "line"):
            fits[f"{kind} of {name}"] = (b[kind]["chi2"], b[kind]["dof"])
        if b["core"]["humps"] > 1:
            humps.append(f"{name} ({b['core']['humps']})")
    said = [bad_fits(fits)]
    if humps:
        said.append("! More than one hump, of which the core is the highest: " + ", ".join(humps))
    return [text for text in said if text]


def _table(found: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns = ("sample", "|eta|", "estimator", "photon pt [GeV]", "events", "mean", "error", "core",
               "at alpha = 0", "error ", "slope", "fits")  # fmt: skip
    rows = []
    for where, b in _bins(found):
        core, line = b["core"], b["line"]
        said = [f"core {fit_warning(core['chi2'], core['dof'])}",
                f"line {fit_warning(line['chi2'], line['dof'])}"]  # fmt: skip
        said = [text for text in said if "!" in text]
        said += [f"core ! one of {core['humps']} humps"] if core["humps"] > 1 else []
        rows.append((*where, b["entries"], b["mean"], b["error"], core["mean"], line["intercept"],
                     line["error"], line["slope"], "; ".join(said)))  # fmt: skip
    return columns, rows
