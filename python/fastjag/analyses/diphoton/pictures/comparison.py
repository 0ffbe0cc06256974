"""Pictures of a comparison of models, from its numbers alone, fresh or read back from JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import BLUE, ORANGE, figure, legend_below, line_style
from fastjag.reporting.points import efficiency_errors
from fastjag.reporting.titles import axis_title, plain

Numbers = Mapping[str, Any]

_FEWEST = 10  # effective events in a bin of a calibration curve
_SHOWN = 15  # features with the largest importances
_LEAST = 2e-3  # mistag rate at the bottom of ROC curves
_MARKERS = "os^vDPX*<>"
_PARTICLES = {"photon": "Photons", "lep": "Leptons", "jet": "Jets", "tau": "Taus",
              "largeRjet": "Large-R jets", "met": r"$p_T^{\mathrm{miss}}$"}  # fmt: skip

CAPTIONS = {
    "accuracies": "Balanced accuracy: mean recall of the classes, with its standard error over the "
    "folds.",
    "confusion": "Share of the events of a true class (row) that is called by a name (column).",
    "weighted_confusion": "Expected events in percent of each column: what the events of a "
    "category are, by expected yield.",
    "roc": "Each class against all others, whose events weigh the same. Bands: statistical errors "
    "of the mistag rate (68 % intervals of Clopper and Pearson). The table has the areas under the "
    "curves, which go on below the axis.",
    "calibration": "Share of a class among events of one predicted probability, with binomial "
    "errors; classes weigh the same. On the diagonal, probabilities can be taken literally. Bins of "
    "10 events or more. ECE: mean distance to the diagonal, over the classes.",
    "importances": "Left: mean gain of the splits. Right: loss of balanced accuracy when a column "
    "is permuted among events that were not learned from. Bars: standard errors over the folds.",
    "particles": "Loss of balanced accuracy of DeepSets when particles of a type, or the missing "
    "transverse momentum, come from other events, with standard errors over the folds.",
    "costs": "Time and additional memory for one fold.",
}


def comparison_pictures(numbers: Numbers) -> Iterator[tuple[str, Any]]:
    """(name, figure) of each picture that there are numbers for."""
    yield "accuracies", _accuracies(numbers)
    yield "confusion", _matrices(numbers, "confusion", 1)
    yield "weighted_confusion", _matrices(numbers, "weighted_confusion", 0)
    yield "roc", _rocs(numbers)
    yield "calibration", _calibrations(numbers)
    importances = numbers["importances"]
    if importances["gain"] or "XGBoost" in importances["permutation"]:
        yield "importances", _importances(importances)
    if "DeepSets" in importances["permutation"]:
        yield "particles", _particles(importances["permutation"]["DeepSets"])
    yield "costs", _costs(numbers)


def _accuracies(numbers: Numbers) -> Any:
    """Those of all models; chance is said where it is beyond the axis."""
    accuracies = [m["balanced_accuracy"] for m in numbers["models"].values()]
    mean = np.array([a["mean"] for a in accuracies])
    error = np.nan_to_num(np.array([a["error"] or 0 for a in accuracies], np.float64))
    with figure(10, 1.6 + 0.5 * len(mean)) as (fig, ax):
        ax.errorbar(mean, np.arange(len(mean)), xerr=error, fmt="ko", ms=7, capsize=4)
        low, high = float((mean - error).min()), float((mean + error).max())
        room = 0.15 * (high - low) or 0.05
        ax.set(xlim=(low - room, high + room), xlabel="Balanced accuracy")
        chance = 1 / len(numbers["classes"])
        if low - room < chance < high + room:
            ax.axvline(chance, color="0.4", ls=":", label="chance")
            legend_below(fig, ax)
        else:
            side, text = (
                ("left", "← chance: {:.2f}") if chance < low else ("right", "chance: {:.2f} →")
            )
            ax.set_title(text.format(chance), loc=side, fontsize=14, color="0.35")
        _name_rows(ax, list(numbers["models"]))
    return fig


def _matrices(numbers: Numbers, what: str, axis: int) -> Any:
    """A matrix per model, in percent of its rows (axis 1) or columns (axis 0)."""
    models, classes = numbers["models"], numbers["classes"]
    wide = min(3, len(models))
    high = -(-len(models) // wide)
    with figure(5.4 * wide, 5.2 * high, high, wide, squeeze=False) as (fig, axes):
        panels = axes.ravel()
        for spare in panels[len(models) :]:
            spare.remove()
        for i, (panel, (name, m)) in enumerate(zip(panels, models.items(), strict=False)):
            matrix = np.asarray(m[what], np.float64)
            total = matrix.sum(axis=axis, keepdims=True)
            share = 100 * np.divide(matrix, total, where=total > 0, out=np.zeros_like(matrix))
            panel.imshow(share, cmap="Blues", vmin=0, vmax=100)
            for (row, column), value in np.ndenumerate(share):
                text = f"{value:.0f}" if abs(value) >= 0.95 or not value else f"{value:.1f}"
                panel.text(column, row, text, ha="center", va="center", fontsize=13,
                           color="white" if value > 55 else "black")  # fmt: skip
            panel.set_title(name, fontsize=16)
            panel.minorticks_off()
            panel.tick_params(length=0)
            names = [plain(c) for c in classes]
            panel.set_xticks(range(len(names)), names, fontsize=13, rotation=45, ha="right")
            panel.set_yticks(range(len(names)), names if i % wide == 0 else [], fontsize=13)
            if i % wide == 0:
                panel.set_ylabel("True", fontsize=15)
            if i >= len(models) - wide:
                panel.set_xlabel("Predicted", fontsize=15)
    return fig


def _rocs(numbers: Numbers) -> Any:
    """A panel per class, and one for the names of the models."""
    classes, models = numbers["classes"], numbers["models"]
    high = len(classes) // 3 + 1
    with figure(5.4 * 3, 5.0 * high, high, 3) as (fig, axes):
        panels = axes.ravel()
        for panel, name in zip(panels, classes, strict=False):
            for i, m in enumerate(models.values()):
                _draw_roc(panel, m["roc"][name], line_style(i))
            grid = np.linspace(_LEAST, 1, 200)
            panel.plot(grid, grid, color="0.6", lw=1, ls=(0, (1, 3)))
            panel.set(xlim=(0, 1), yscale="log", ylim=(_LEAST, 1.3))
            panel.set_xlabel(f"Efficiency of {plain(name)}", fontsize=15)
            panel.set_ylabel("Mistag rate of other classes", fontsize=15)
            panel.tick_params(labelsize=13)
        for spare in panels[len(classes) :]:
            spare.axis("off")
        for i, model in enumerate(models):
            panels[len(classes)].plot([], [], lw=2.5, label=model, **line_style(i))
        panels[len(classes)].plot([], [], color="0.6", ls=(0, (1, 3)), label="no separation")
        panels[len(classes)].legend(loc="center", fontsize=16)
    return fig


def _draw_roc(panel: Any, curve: Numbers, style: Mapping[str, Any]) -> None:
    """With a band; where no other event passes there is no line."""
    efficiency, mistag = (np.asarray(curve[k], np.float64) for k in ("signal", "background"))
    some = mistag > 0
    panel.plot(efficiency[some], mistag[some], lw=1.6, **style)
    n = curve["background_events"]
    if n is not None and n > 0 and len(mistag):
        below, above = efficiency_errors(mistag.clip(0, 1) * n, n)
        panel.fill_between(efficiency[some], (mistag - below)[some], (mistag + above)[some],
                           color=style["color"], alpha=0.12, lw=0)  # fmt: skip


def _calibrations(numbers: Numbers) -> Any:
    """A panel per model, with the names of the classes above all."""
    models, classes = numbers["models"], numbers["classes"]
    wide = min(3, len(models))
    high = -(-len(models) // wide)
    with figure(5.4 * wide, 5.0 * high + 0.8, high, wide, squeeze=False) as (fig, axes):
        panels = axes.ravel()
        for panel, (model, m) in zip(panels, models.items(), strict=False):
            curves = [m["calibration"][c] for c in classes]
            panel.plot([0, 1], [0, 1], color="0.6", lw=1, ls=(0, (1, 3)))
            for i, curve in enumerate(curves):
                known = np.asarray(curve["events"]) >= _FEWEST
                x, y, error = (
                    np.asarray(curve[c])[known] for c in ("probability", "share", "error")
                )
                panel.errorbar(x, y, error, fmt=_MARKERS[i % len(_MARKERS)], ms=6, lw=1.4,
                               color=line_style(i)["color"])  # fmt: skip
            panel.set(xlim=(-0.03, 1.03), ylim=(-0.1, 1.15), title=model)
            panel.title.set_fontsize(16)
            mean = float(np.mean([curve["ece"] for curve in curves]))
            panel.text(
                0.05, 0.95, f"ECE {mean:.3f}", transform=panel.transAxes, va="top", fontsize=14
            )
            panel.set_xlabel("Predicted probability", fontsize=15)
            panel.set_ylabel("Share of the class", fontsize=15)
            panel.tick_params(labelsize=13)
        for spare in panels[len(models) :]:
            spare.axis("off")
        names = [
            panels[0].errorbar([], [], [], fmt=_MARKERS[i % len(_MARKERS)], ms=8,
                               color=line_style(i)["color"], label=plain(name))
            for i, name in enumerate(classes)
        ]  # fmt: skip
        fig.legend(
            handles=names, loc="outside upper center", ncols=min(6, len(classes)), fontsize=16
        )
    return fig


def _importances(importances: Numbers) -> Any:
    gains = importances["gain"]
    drops = importances["permutation"].get("XGBoost", {})
    with figure(17, 9, columns=bool(gains) + bool(drops), squeeze=False) as (fig, axes):
        if gains:
            panel = axes[0, 0]
            mean = {
                f: np.mean([g[f]["mean"] for g in gains.values()])
                for f in next(iter(gains.values()))
            }
            top = sorted(mean, key=lambda f: -mean[f])[:_SHOWN]
            step = 0.7 / len(gains)
            for i, (model, gain) in enumerate(gains.items()):
                panel.errorbar([gain[f]["mean"] for f in top],
                               np.arange(len(top)) + (i + 0.5) * step - 0.35,
                               xerr=[gain[f]["error"] or 0 for f in top], lw=1.2, label=model, ms=6,
                               fmt=_MARKERS[i % len(_MARKERS)], color=line_style(i)["color"])  # fmt: skip
            for i in range(1, len(top), 2):
                panel.axhspan(i - 0.5, i + 0.5, color="0.95", lw=0, zorder=0)
            panel.set(xlabel="Share of the gain", ylim=(-0.6, len(top) - 0.4))
            panel.set_xlim(left=-0.02 * panel.get_xlim()[1])
            legend_below(fig, panel, columns=3)
            _name_rows(panel, [axis_title(f, unit=False) for f in top])
        if drops:
            names = {f: axis_title(f, unit=False) for f in drops}
            _bars(axes[0, -1], drops, names, "Loss of balanced accuracy (XGBoost)")
    return fig


def _particles(drops: Numbers) -> Any:
    with figure(10, 1.8 + 0.6 * len(drops)) as (fig, ax):
        _bars(ax, drops, {f: _PARTICLES.get(f, plain(f)) for f in drops},
              "Loss of balanced accuracy (DeepSets)")  # fmt: skip
    return fig


def _bars(panel: Any, drops: Numbers, names: Mapping[str, str], label: str) -> None:
    top = sorted(drops, key=lambda f: -drops[f]["mean"])[:_SHOWN]
    panel.barh(range(len(top)), [drops[f]["mean"] for f in top], color=BLUE, height=0.7,
               xerr=[drops[f]["error"] or 0 for f in top],
               error_kw={"lw": 1.4, "capsize": 3})  # fmt: skip
    panel.axvline(0, color="0.4", lw=1)
    panel.set(xlabel=label, ylim=(-0.6, len(top) - 0.4))
    _name_rows(panel, [names[f] for f in top])


def _name_rows(panel: Any, names: list[str]) -> None:
    panel.set_yticks(range(len(names)), names, fontsize=14)
    panel.tick_params(axis="y", which="both", length=0)
    panel.tick_params(axis="x", labelsize=14)
    panel.xaxis.label.set_size(16)
    panel.invert_yaxis()


def _costs(numbers: Numbers) -> Any:
    models = numbers["models"]
    with figure(16, 1.8 + 0.5 * len(models), columns=2, sharey=True) as (fig, panels):
        units = (("seconds", "Time [s]"), ("memory_MB", "Memory [MB]"))
        for panel, (unit, label) in zip(panels, units, strict=True):
            for what, colour, marker in (("training", BLUE, "o"), ("prediction", ORANGE, "s")):
                values = [m[f"{what}_{unit}"] or np.nan for m in models.values()]
                panel.plot(values, range(len(models)), marker, ms=9, color=colour, label=what)
            panel.grid(axis="y", color="0.9")
            panel.set(xscale="log", xlabel=label)
        _name_rows(panels[0], list(models))
        panels[1].tick_params(axis="x", labelsize=14)
        panels[1].tick_params(axis="y", which="both", length=0)
        panels[1].xaxis.label.set_size(16)
        legend_below(fig, panels[1])
    return fig
