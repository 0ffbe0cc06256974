"""report: pictures, one table of results, and a page that holds both."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.output import results_directory, write_json
from fastjag.plots import figure, save
from fastjag.report import Report
from fastjag.statistics import background, sideband_cuts

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.search import Search

_SHOWN_RATES = (1.0, 0.1, 0.01, 0.001)
_COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300")
_CAPTIONS = {
    "masses": "Masses of what passes the classifier at four sideband rates, with the fits to the "
    "sidebands; dotted: the signal region.",
    "significance": "Background-only p-value against the share of the sidebands that passes.",
    "variations": "The classifier's curve for other degrees of the background and other bins.",
    "features": "The features in the signal region: data, and what the flows expect.",
    "training": "Training of the flows: mean negative logarithm of the likelihood.",
}


def write_report(search: Search) -> None:
    """Everything of the earlier stages in pictures, ``results.json`` and ``report.html``."""
    found = json.loads((search.folder("significance") / "significance.json").read_text())
    closure = json.loads((search.folder("check") / "closure.json").read_text())
    cutflow = json.loads((search.folder("prepare") / "cutflow.json").read_text())
    training = json.loads((search.folder("flow") / "training.json").read_text())
    rows = [row for charge_class in ("OS", "SS") for row in _table(charge_class, found)]
    with results_directory(search.folder("report")) as directory:
        pictures = {
            "significance": _significance(found),
            "variations": _variations(found),
            "masses": _masses(search),
            "features": _features(search),
            "training": _training(training),
        }
        for name, fig in pictures.items():
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
        write_json(
            directory / "results.json",
            {"config": asdict(search.config), "cutflow": cutflow, "closure": closure,
             "table": [dict(zip(_COLUMNS, row, strict=True)) for row in rows], **found},
        )  # fmt: skip
        page = Report(
            f"Dimuon search: {search.config.name}",
            f"Features {', '.join(search.config.features)}; window {_window(search)} GeV.",
        )
        page.heading("Significances")
        page.table(_COLUMNS, rows)
        for name in ("significance", "masses"):
            page.figure(directory / f"{name}.png", _CAPTIONS[name])
        page.heading("Do the samples describe the sidebands?")
        page.table(
            ("part", "AUC", "error", "AUC with mass", "verdict", "events"),
            [(part, c["auc"], c["auc_error"], c["auc_with_mass"],
              "as it should be" if c["passes"] else "samples differ from data", c["n_data"])
             for part, c in closure.items()],
        )  # fmt: skip
        page.table(
            ("part", "feature", "KS statistic", "p-value"),
            [(part, f, *ks) for part, c in closure.items() for f, ks in c["ks"].items()],
        )
        for name in ("features", "training", "variations"):
            page.figure(directory / f"{name}.png", _CAPTIONS[name])
        page.heading("Cutflow")
        page.table(("step", "events or pairs"), list(cutflow["cutflow"].items()))
        if cutflow["absent_triggers"]:
            page.text(f"Absent from some files: {', '.join(cutflow['absent_triggers'])}.")
        page.heading("Settings")
        page.settings({k: v for k, v in asdict(search.config).items() if k != "window"})
        page.write(directory / "report.html", "fastjag")


_COLUMNS = ("pairs", "discriminant", "Z", "sideband rate", "S", "B", "converged")


def _table(charge_class: str, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The inclusive fit, the best cut on each discriminant, and the reweighted likelihood."""
    curves = found[charge_class]["curves"]
    rows = []
    for name, curve in curves.items():
        points = [("", int(np.argmax(curve["Z"])))]
        if name == "classifier":
            points.insert(0, ("none", int(np.argmax(curve["rates"]))))
        elif name == "random":
            continue
        for label, i in points:
            rows.append(
                (charge_class, label or f"{name} cut", curve["Z"][i], curve["rates"][i],
                 curve["S"][i], curve["B"][i], curve["converged"][i])
            )  # fmt: skip
    weighted = found[charge_class]["reweighted"]
    if weighted is not None:
        rows.append(
            (charge_class, "likelihood reweighting", weighted["Z"], None, weighted["S"],
             weighted["B"], weighted["converged"])
        )  # fmt: skip
    return rows


def _window(search: Search) -> str:
    w = search.config.window
    return f"{w.sb_left:g} | {w.sr_left:g} - {w.sr_right:g} | {w.sb_right:g}"


def _significance(found: dict[str, Any]) -> Any:
    with figure(11, 8) as (fig, ax):
        for i, (name, curve) in enumerate(found["OS"]["curves"].items()):
            style = {"color": "0.6", "ls": ":"} if name == "random" else {"color": _COLOURS[i % 7]}
            ax.plot(curve["rates"], curve["p"], marker="o", ms=4, label=name, **style)
        weighted = found["OS"]["reweighted"]
        if weighted is not None:
            ax.axhline(weighted["p"], color="k", ls="--", label="likelihood reweighting")
        same = found["SS"]["curves"]["classifier"]
        ax.plot(same["rates"], same["p"], color="k", ls=":", label="classifier, same sign")
        lowest = min(min(c["p"]) for c in found["OS"]["curves"].values())
        lowest = min(lowest, weighted["p"]) if weighted else lowest
        from scipy.special import erfc

        for z in range(1, 40):
            p = 0.5 * erfc(z / np.sqrt(2))
            if p < lowest / 30:
                break
            ax.axhline(p, color="0.85", lw=0.8, zorder=0)
            ax.text(1.05, p, rf"{z}$\sigma$", va="center", fontsize=12, color="0.4")
        ax.set(xscale="log", yscale="log", xlabel="Share of sideband events that pass",
               ylabel="Background-only p-value")  # fmt: skip
        ax.set_ylim(max(lowest / 30, 1e-300), 1)
        ax.invert_xaxis()
        ax.legend(fontsize=13, loc="lower left")
    return fig


def _variations(found: dict[str, Any]) -> Any:
    with figure(11, 7) as (fig, ax):
        for i, variation in enumerate(found["OS"]["variations"]):
            ax.plot(
                variation["rates"], variation["Z"], marker="o", ms=3, color=_COLOURS[i // 3 % 7],
                ls=("-", "--", ":")[i % 3],
                label=f"degree {variation['degree']}, {variation['sr_edges']} edges",
            )  # fmt: skip
        ax.set(xscale="log", xlabel="Share of sideband events that pass", ylabel="Z")
        ax.invert_xaxis()
        ax.legend(fontsize=12, ncols=3, loc="upper left")
        ax.set_ylim(0, 1.35 * max(0.5, ax.get_ylim()[1]))
    return fig


def _masses(search: Search) -> Any:
    events, _ = search.preprocessed("OS")
    scores = search.scores("OS")
    w = search.config.window
    cuts, rates = sideband_cuts(scores, events.sideband, _SHOWN_RATES)
    edges = np.concatenate([w.left, w.signal[1:], w.right[1:]])
    grid = np.linspace(w.left[0], w.right[-1], 300)
    from fastjag.statistics import significance

    with figure(11, 8) as (fig, ax):
        for colour, cut, rate in zip(_COLOURS, cuts, rates, strict=False):
            masses = events.mass[scores >= cut]
            ax.stairs(np.histogram(masses, edges)[0], edges, color=colour, lw=1.6,
                      label=f"{rate:.2g} of the sidebands: {len(masses):,}")  # fmt: skip
            left, signal, right, _ = w.count(masses)
            if left.sum() + right.sum() > 0:
                fit = significance(left, signal, right, window=w, degree=search.degree)
                curve = background(fit.coefficients, grid, w)
                ax.plot(grid, np.where(curve > 0, curve, np.nan), color=colour, ls="--", lw=1)
        for border in (w.sr_left, w.sr_right):
            ax.axvline(border, color="0.4", ls=":")
        ax.set(yscale="log", xlabel=r"$m_{\mu\mu}$ [GeV]", ylabel="Pairs per bin")
        ax.set_ylim(0.3, None)
        ax.set_xlim(edges[0], edges[-1])
        ax.legend(fontsize=13)
    return fig


def _features(search: Search) -> Any:
    events, values = search.preprocessed("OS")
    drawn = search.samples()["signal_region"]
    names = search.config.features
    with figure(5 * len(names), 5.5) as (fig, ax):
        ax.remove()
        inside = ~events.sideband
        for i, name in enumerate(names):
            panel = fig.add_subplot(1, len(names), i + 1)
            both = np.concatenate([drawn[:, i], values[inside, i]])
            low, high = (float(q) for q in np.quantile(both, [0.001, 0.999]))
            edges = np.linspace(low, high, 31)
            panel.hist(drawn[:, i], edges, density=True, color="#3f90da", alpha=0.5, label="flow")
            counts = np.histogram(values[inside, i], edges)[0]
            norm = max(1, counts.sum()) * np.diff(edges)
            middle = (edges[1:] + edges[:-1]) / 2
            panel.errorbar(middle, counts / norm, np.sqrt(counts) / norm, fmt="k.", label="data")
            panel.set_xlabel(f"{name} (preprocessed)", fontsize=14)
            panel.legend(fontsize=12)
    return fig


def _training(training: dict[str, Any]) -> Any:
    with figure(9, 6) as (fig, ax):
        for colour, record in zip(_COLOURS * 10, training["flows"], strict=False):
            ax.plot(record["train_loss"], color=colour, lw=1, alpha=0.6)
            ax.plot(
                record["validation_loss"], color=colour, ls="--", label=f"seed {record['seed']}"
            )
            ax.plot(record["best_epoch"], record["validation_loss"][record["best_epoch"]], "o",
                    color=colour)  # fmt: skip
        ax.set(xlabel="Epoch", ylabel="Loss (dashed: validation)")
        ax.legend(fontsize=12)
    return fig


def results_path(search: Search) -> Path:
    return search.folder("report") / "report.html"
