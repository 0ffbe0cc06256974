"""Pictures of a comparison of models, from its numbers alone, fresh or read back from JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastjag.reporting.plots import PALETTE, figure
from fastjag.reporting.titles import plain

Numbers = Mapping[str, Any]

_FEWEST = 10  # effective events in a bin of a calibration curve
_SHOWN = 15  # features with the largest importances

CAPTIONS = {
    "accuracies": "Balanced accuracy: mean recall of the classes. Dotted: chance.",
    "confusion": "Share of the events of a true class (row) that is called by a name (column).",
    "weighted_confusion": "Expected events in percent of each column: what the events of a "
    "category are, by expected yield.",
    "roc": "Each class against all others, with the area under the curve; classes weigh the same.",
    "calibration": "Share of a class among events of one predicted probability; classes weigh the "
    "same. On the diagonal, probabilities can be taken literally. Bins of 10 events or more.",
    "importances": "Left: mean gain of the splits. Right: loss of balanced accuracy when a column "
    "is permuted among events that were not learned from.",
    "particles": "Loss of balanced accuracy of DeepSets when particles of a type, or the missing "
    "transverse momentum, come from other events.",
    "costs": "Time and additional memory for one fold.",
}


def comparison_pictures(numbers: Numbers) -> Iterator[tuple[str, Any]]:
    """(name, figure) of each picture that there are numbers for."""
    yield "accuracies", _accuracies(numbers)
    yield "confusion", _matrices(numbers, "confusion", 1)
    yield "weighted_confusion", _matrices(numbers, "weighted_confusion", 0)
    yield "roc", _panels(numbers, _roc_panel)
    yield "calibration", _panels(numbers, _calibration_panel)
    importances = numbers["importances"]
    if importances["gain"] or "XGBoost" in importances["permutation"]:
        yield "importances", _importances(importances)
    if "DeepSets" in importances["permutation"]:
        yield "particles", _particles(importances["permutation"]["DeepSets"])
    yield "costs", _costs(numbers)


def _accuracies(numbers: Numbers) -> Any:
    models = numbers["models"]
    with figure(10, 1.5 + 0.6 * len(models)) as (fig, ax):
        for i, (colour, m) in enumerate(zip(PALETTE, models.values(), strict=False)):
            a = m["balanced_accuracy"]
            ax.errorbar(a["mean"], i, xerr=a["error"] or 0, fmt="o", ms=9, color=colour, capsize=4)
        chance = 1 / len(numbers["classes"])
        ax.axvline(chance, color="0.4", ls=":")
        ax.set_yticks(range(len(models)), list(models), fontsize=15)
        ax.tick_params(axis="y", which="minor", length=0)
        ax.invert_yaxis()
        ax.set_xlim(0.9 * chance, None)
        ax.set_xlabel("Balanced accuracy", fontsize=16)
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
                text = f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"
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


def _panels(numbers: Numbers, draw: Callable[[Any, str, Numbers], None]) -> Any:
    """A panel per class, and one for the names of the models."""
    classes = numbers["classes"]
    high = len(classes) // 3 + 1
    with figure(5.4 * 3, 5.0 * high, high, 3) as (fig, axes):
        panels = axes.ravel()
        for panel, name in zip(panels, classes, strict=False):
            draw(panel, name, numbers["models"])
            panel.set(xlim=(0, 1), ylim=(0, 1.02))
            panel.tick_params(labelsize=13)
            panel.set_title(plain(name), fontsize=17)
        for spare in panels[len(classes) :]:
            spare.axis("off")
        names = panels[len(classes)]
        for colour, model in zip(PALETTE, numbers["models"], strict=False):
            names.plot([], [], color=colour, lw=3, label=model)
        names.legend(loc="center", fontsize=15)
    return fig


def _roc_panel(panel: Any, name: str, models: Numbers) -> None:
    panel.plot([0, 1], [0, 1], color="0.7", lw=1, ls=":")
    for i, (colour, m) in enumerate(zip(PALETTE, models.values(), strict=False)):
        curve = m["roc"][name]
        panel.plot(curve["background"], curve["signal"], color=colour, lw=1.6)
        if curve["auc"] is not None:
            panel.text(0.96, 0.04 + 0.065 * (len(models) - 1 - i), f"{curve['auc']:.3f}",
                       color=colour, ha="right", fontsize=13,
                       transform=panel.transAxes)  # fmt: skip
    panel.set_xlabel("Share of other classes", fontsize=14)
    panel.set_ylabel("Share of the class", fontsize=14)


def _calibration_panel(panel: Any, name: str, models: Numbers) -> None:
    panel.plot([0, 1], [0, 1], color="0.7", lw=1, ls=":")
    for colour, m in zip(PALETTE, models.values(), strict=False):
        curve = m["calibration"][name]
        known = np.asarray(curve["events"]) >= _FEWEST
        x, y, error = (np.asarray(curve[c])[known] for c in ("probability", "share", "error"))
        panel.errorbar(x, y, error, color=colour, lw=1.4, marker="o", ms=4)
    panel.set_xlabel("Predicted probability", fontsize=14)
    panel.set_ylabel("Share of the class", fontsize=14)


def _importances(importances: Numbers) -> Any:
    gains = importances["gain"]
    drops = importances["permutation"].get("XGBoost", {})
    with figure(16, 8, columns=bool(gains) + bool(drops), squeeze=False) as (fig, axes):
        if gains:
            panel = axes[0, 0]
            mean = {
                f: np.mean([g[f]["mean"] for g in gains.values()])
                for f in next(iter(gains.values()))
            }
            top = sorted(mean, key=lambda f: -mean[f])[:_SHOWN]
            height = 0.8 / len(gains)
            for i, (colour, (model, gain)) in enumerate(zip(PALETTE, gains.items(), strict=False)):
                panel.barh(np.arange(len(top)) + (i + 0.5) * height - 0.4,
                           [gain[f]["mean"] for f in top], height, color=colour,
                           label=model)  # fmt: skip
            panel.set_xlabel("Share of the gain", fontsize=15)
            panel.legend(fontsize=13, loc="lower right")
            _name_rows(panel, top)
        if drops:
            _bars(axes[0, -1], drops, "Loss of balanced accuracy (XGBoost)")
    return fig


def _particles(drops: Numbers) -> Any:
    with figure(9, 1.5 + 0.6 * len(drops)) as (fig, ax):
        _bars(ax, drops, "Loss of balanced accuracy (DeepSets)")
    return fig


def _bars(panel: Any, drops: Numbers, label: str) -> None:
    top = sorted(drops, key=lambda f: -drops[f]["mean"])[:_SHOWN]
    panel.barh(range(len(top)), [drops[f]["mean"] for f in top], color=PALETTE[0],
               xerr=[drops[f]["error"] or 0 for f in top], error_kw={"lw": 1.2})  # fmt: skip
    panel.axvline(0, color="0.4", lw=1)
    panel.set_xlabel(label, fontsize=15)
    _name_rows(panel, top)


def _name_rows(panel: Any, names: list[str]) -> None:
    panel.minorticks_off()
    panel.set_yticks(range(len(names)), [plain(n) for n in names], fontsize=13)
    panel.tick_params(axis="x", labelsize=13)
    panel.invert_yaxis()


def _costs(numbers: Numbers) -> Any:
    models = numbers["models"]
    with figure(16, 1.8 + 0.5 * len(models), columns=2) as (fig, panels):
        units = (("seconds", "Seconds"), ("memory_MB", "Memory [MB]"))
        for i, (panel, (unit, label)) in enumerate(zip(panels, units, strict=True)):
            for j, what in enumerate(("training", "prediction")):
                values = [m[f"{what}_{unit}"] or np.nan for m in models.values()]
                panel.barh(np.arange(len(models)) + 0.4 * j - 0.2, values, 0.4, color=PALETTE[j],
                           label=what)  # fmt: skip
            panel.set_xscale("log")
            panel.set_xlabel(label, fontsize=15)
            _name_rows(panel, list(models) if i == 0 else [""] * len(models))
            if i == 1:
                panel.legend(fontsize=13, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return fig
