"""Pictures of trainings and of significances against cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import CLASSES
from fastjag.reporting.plots import BLUE, GREY, PALETTE, RED, figure, panels
from fastjag.reporting.titles import plain
from fastjag.statistics import log_p

SHARE = "Share of sideband pairs that passes"
COLOURS = [colour for colour in PALETTE if colour != GREY][:7]  # grey is what is cut at random


def flow_losses(flows: Sequence[Mapping[str, Any]]) -> Any:
    """Losses of every flow against epochs; the epoch that was kept is marked."""
    with figure(10, 6.5) as (fig, ax):
        for i, record in enumerate(flows):
            colour = COLOURS[i % 7]
            train, validation = np.array(record["train_loss"]), np.array(record["validation_loss"])
            ax.plot(train, color=colour, lw=1, alpha=0.5)
            smooth = _running_mean(validation, 5) if len(validation) > 20 else validation
            ax.plot(smooth, color=colour, lw=1.8, ls="--", label=f"seed {record['seed']}")
            best = record["best_epoch"]
            ax.plot(best, validation[best], "o", color=colour, ms=7)
        ax.set(xlabel="Epoch", ylabel="Mean negative log likelihood")
        every = np.concatenate([r["validation_loss"][1:] or r["validation_loss"] for r in flows])
        low, high = np.quantile(every, [0, 0.98])
        margin = max(0.15 * (high - low), 0.01)
        ax.set_ylim(low - 2 * margin, high + 3 * margin)  # the first epochs may lie far above
        ax.legend(fontsize=13, ncols=2, title="solid: training, dashed: validation, dot: kept",
                  title_fontsize=13, loc="upper right")  # fmt: skip
    return fig


def _running_mean(values: Any, width: int) -> Any:
    half = width // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def classifier_losses(
    losses: Sequence[Mapping[str, Sequence[float]]], best: Sequence[Sequence[int]], folds: int
) -> Any:
    """Training and validation losses of the first member of every fold, of ``folds`` for each flow."""
    with panels(len(losses), 5, (3.9, 3.8), sharey=True) as (fig, axes):
        for i, (ax, curves) in enumerate(zip(axes, losses, strict=True)):
            rounds = 1 + np.arange(len(curves["train"]))
            ax.plot(rounds, curves["train"], color=BLUE, label="training")
            ax.plot(rounds, curves["validation"], color=RED, label="validation")
            ax.axvline(best[i][0], color="0.5", ls=":", label="kept")
            ax.set_xlabel("Round")
            of_flow = f"flow {i // folds + 1}, " if len(losses) > folds else ""
            ax.set_title(f"{of_flow}fold {i % folds + 1}", fontsize=12, loc="left")
        axes[0].set_ylabel("Log loss")
        axes[0].legend()
    return fig


def significances(record: Mapping[str, Any]) -> Any:
    """p-values against the share of the sidebands that passes, for each charge class.

    Curves of the classifier, every feature and a random number; a line for likelihood reweighting.
    The axis is the logarithm of p, which may be too small for a number.
    """
    classes = [c for c in CLASSES if c in record]
    every = [z for c in classes for curve in record[c]["curves"].values() for z in curve["Z"]]
    every += [record[c]["reweighted"]["Z"] for c in classes if record[c].get("reweighted")]
    highest = float(np.max(every, initial=0, where=np.isfinite(every)))
    with panels(len(classes), 2, (8.5, 7.5), font=16, sharey=True) as (fig, axes):
        for ax, charge_class in zip(axes, classes, strict=True):
            own = record[charge_class]
            for i, (name, curve) in enumerate(own["curves"].items()):
                random = {"color": GREY, "ls": ":"}
                style = random if name == "random" else {"color": COLOURS[(i + 2) % 7]}
                _p_band(ax, own.get("bands"), name, style["color"])
                ax.plot(
                    curve["rates"], _power(curve["Z"]), marker="o", ms=4, label=plain(name), **style
                )
            weighted = own.get("reweighted")
            if weighted is not None:
                ax.axhline(_power(weighted["Z"]), color="k", ls="--",
                           label=f"likelihood reweighting: Z = {weighted['Z']:.2f}")  # fmt: skip
            ax.set(xscale="log", xlabel=SHARE)
            ax.invert_xaxis()
            _sigma_guides(ax, highest)
            ax.set_title(CLASSES[charge_class][0], loc="left", fontsize=15)
            ax.legend(fontsize=12, loc="lower left")
        axes[0].set_ylabel("Background-only p-value")
        axes[0].set_ylim(1.45 * _power(highest) - 2, 0)
        axes[0].locator_params(axis="y", integer=True)
        axes[0].yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")
    return fig


def _power(Z: Any) -> Any:
    """log10 of p."""
    return log_p(np.array(Z, float)) / np.log(10)


def _p_band(ax: Any, bands: Mapping[str, Any] | None, name: str, colour: str) -> None:
    """68 % of the pseudo-experiments, where there are any."""
    if not bands or name not in bands["curves"]:
        return
    high, low = (_power(bands["curves"][name][side]) for side in ("low68", "high68"))
    ax.fill_between(bands["wanted"], low, high, color=colour, alpha=0.2, lw=0)


def null_runs(null: Mapping[str, Any] | None) -> Any | None:
    """Median, 68 and 95 % of the classifier's significance where there is no signal."""
    if not null:
        return None
    own = {k: np.array(v, float) for k, v in null["curves"]["classifier"].items() if k != "Z"}
    with figure(10, 6.5) as (fig, ax):
        for level, shade in (("95", 0.2), ("68", 0.4)):
            ax.fill_between(null["wanted"], own[f"low{level}"], own[f"high{level}"], lw=0,
                            color=BLUE, alpha=shade, label=f"{level} % of the runs")  # fmt: skip
        ax.plot(null["wanted"], own["median"], color="k", label="median")
        for z in (1.0, 1.645):
            ax.axhline(z, color="0.5", ls=":", lw=1)
        ax.set(xscale="log", xlabel=SHARE, ylabel="Z")
        ax.set_ylim(0, 1.4 * max(2, float(np.nanmax(own["high95"]))))
        ax.invert_xaxis()
        ax.legend(title=f"{null['experiments']} null runs; dotted: 1 and 1.645", title_fontsize=14)
    return fig


def _sigma_guides(ax: Any, highest: float) -> None:
    shown = 0.0
    for z in range(1, int(highest) + 2):
        power = _power(z)
        if shown - power > 0.02 * (2 - 1.45 * _power(highest)):  # room for its label
            shown = power
            ax.axhline(power, color="0.85", lw=0.8, zorder=0)
            ax.text(0.995, power, rf"{z}$\sigma$", va="center", ha="right", fontsize=11,
                    color="0.4", transform=ax.get_yaxis_transform())  # fmt: skip


def variations(record: Mapping[str, Any]) -> Any:
    """The classifier's curve for every degree of the background and number of edges."""
    classes = [c for c in CLASSES if c in record]
    styles = ("-", "--", ":", "-.")
    with panels(len(classes), 2, (8.5, 6.5), font=16, sharey=True) as (fig, axes):
        for ax, charge_class in zip(axes, classes, strict=True):
            curves = record[charge_class]["variations"]
            degrees = list(dict.fromkeys(v["degree"] for v in curves))
            edges = list(dict.fromkeys(v["sr_edges"] for v in curves))
            for v in curves:
                ax.plot(
                    v["rates"], v["Z"], marker="o", ms=3, lw=1.5,
                    color=COLOURS[degrees.index(v["degree"]) % 7],
                    ls=styles[edges.index(v["sr_edges"]) % 4],
                    label=f"degree {v['degree']}, {v['sr_edges']} edges",
                )  # fmt: skip
            ax.set(xscale="log", xlabel=SHARE)
            ax.invert_xaxis()
            ax.set_title(CLASSES[charge_class][0], loc="left", fontsize=15)
        axes[0].set_ylabel("Z")
        axes[0].set_ylim(0, 1.45 * max(0.7, axes[0].get_ylim()[1]))
        axes[0].legend(fontsize=11, ncols=3, loc="upper left")
    return fig
