"""Pictures of trainings and of significances against cuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import CLASSES
from fastjag.reporting.plots import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    RED,
    VIOLET,
    figure,
    legend_beside,
    panels,
)
from fastjag.reporting.points import mark_outside
from fastjag.reporting.titles import axis_title
from fastjag.statistics import log_p

SHARE = "Share of sideband pairs that passes"
_COLOURS = (RED, BLUE, ORANGE, VIOLET)  # of curves; grey is what is cut at random
_LINES, _MARKERS = ("-", "--", "-."), ("o", "s", "v")
_LEAST = 2.3  # sigma that an axis of p-values holds


def flow_losses(flows: Sequence[Mapping[str, Any]]) -> Any:
    """Losses of every flow against epochs, a panel for each; arrows: losses above the panel."""
    every = np.concatenate([r["validation_loss"][1:] or r["validation_loss"] for r in flows])
    every = np.concatenate([every, *(r["train_loss"][1:] for r in flows)])
    low, high = np.quantile(every, [0, 0.98])
    margin = max(0.15 * (high - low), 0.01)
    size = (9.0, 6.0) if len(flows) == 1 else (5.6, 4.8)
    with panels(len(flows), 3, size, font=14, sharey=True) as (fig, axes):
        for ax, record in zip(axes, flows, strict=True):
            _losses(ax, record["train_loss"], record["validation_loss"], record["best_epoch"], 0)
            ax.set_title(f"flow of seed {record['seed']}", loc="left", fontsize=13)
            ax.set(xlabel="Epoch", ylim=(low - margin, high + margin))
            for colour, name in ((BLUE, "train_loss"), (RED, "validation_loss")):
                mark_outside(ax, np.arange(len(record[name])), record[name], color=colour)
        for ax in axes[::3]:
            ax.set_ylabel(r"Mean $-\ln L$")
        legend_beside(fig, axes[0])
    return fig


def classifier_losses(
    losses: Sequence[Mapping[str, Sequence[float]]], best: Sequence[Sequence[int]], folds: int
) -> Any:
    """Training and validation losses of the first member of every fold, of ``folds`` for each flow."""
    with panels(len(losses), 3, (4.6, 3.4), sharey=True) as (fig, axes):
        for i, (ax, curves) in enumerate(zip(axes, losses, strict=True)):
            _losses(ax, curves["train"], curves["validation"], best[i][0], 1)
            if i >= len(losses) - 3:
                ax.set_xlabel("Round")
            of_flow = f"flow {i // folds + 1}, " if len(losses) > folds else ""
            ax.set_title(f"{of_flow}fold {i % folds + 1}", fontsize=12, loc="left")
        for ax in axes[::3]:
            ax.set_ylabel("Log loss")
        legend_beside(fig, axes[0])
    return fig


def _losses(ax: Any, train: Any, validation: Any, best: int, first: int) -> None:
    steps = first + np.arange(len(train))
    ax.plot(steps, train, color=BLUE, lw=1.8, label="training")
    ax.plot(steps, validation, color=RED, lw=1.8, ls="--", label="validation")
    ax.axvline(best, color="0.5", ls=":", label="kept")


@contextmanager
def _stacked(record: Mapping[str, Any], shares: tuple[float, float]) -> Iterator[Any]:
    """(figure, charge class to axes): the class that is learned from above its control, if any."""
    classes = sorted(
        (c for c in CLASSES if c in record), key=lambda c: bool(record[c].get("alternate"))
    )
    rows = len(classes)
    height = 8.5 if rows == 1 else 11.0
    with figure(13, height, rows, squeeze=False, sharex=True,
                height_ratios=shares[:rows]) as (fig, axes):  # fmt: skip
        by_class = dict(zip(classes, axes[:, 0], strict=True))
        for name, ax in by_class.items():
            control = " (control)" if record[name].get("alternate") else ""
            ax.set_title(f"{CLASSES[name][0]}{control}", loc="left", fontsize=16)
            ax.set_xscale("log")
        axes[-1, 0].set_xlabel(SHARE)
        axes[-1, 0].invert_xaxis()
        fig.align_ylabels()
        yield fig, by_class


def significances(record: Mapping[str, Any]) -> Any:
    """p-values against the share of the sidebands that passes, for each charge class.

    Curves of the classifier, every feature and a random number; a line for likelihood reweighting.
    The axis is the logarithm of p, which may be too small for a number. Without an excess p is 0.5.
    """
    with _stacked(record, (2.4, 1)) as (fig, axes):
        for charge_class, ax in axes.items():
            own = record[charge_class]
            for name, curve in own["curves"].items():
                style = _style(name, list(own["curves"]))
                _p_band(ax, own.get("bands"), name, style["color"])
                ax.plot(
                    curve["rates"], _power(curve["Z"]), ms=5, lw=1.8, label=_named(name), **style
                )
            weighted = own.get("reweighted")
            if weighted is not None:
                ax.axhline(_power(weighted["Z"]), color="k", ls="--", lw=1.5,
                           label="likelihood\nreweighting")  # fmt: skip
            highest = _highest(own)
            ax.set_ylim(1.06 * _power(highest), 0)
            _sigma_guides(ax, highest)
            ax.set_ylabel("p-value" if own.get("alternate") else "Background-only p-value")
            ax.locator_params(axis="y", integer=True, nbins=8)
            ax.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")
        legend_beside(fig, *axes.values(), size=15)
    return fig


def _named(name: str) -> str:
    return {"classifier": "classifier", "random": "random number"}.get(
        name, axis_title(name, unit=False)
    )


def _style(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Of a curve: four colours, then the same ones with other lines and markers; grey is random."""
    if name == "random":
        return {"color": GREY, "ls": ":", "marker": "o"}
    others = [n for n in names if n != "random"]
    again, place = divmod(others.index(name), len(_COLOURS))
    return {"color": _COLOURS[place], "ls": _LINES[again % 3], "marker": _MARKERS[again % 3]}


def _highest(own: Mapping[str, Any]) -> float:
    """The largest Z that a panel has to hold, upper ends of bands included."""
    every = [z for curve in own["curves"].values() for z in curve["Z"]]
    every += [own["reweighted"]["Z"]] if own.get("reweighted") else []
    every += [
        z for c in (own.get("bands") or {"curves": {}})["curves"].values() for z in c["high68"]
    ]
    found = np.array(every, float)
    return float(np.max(found, initial=_LEAST, where=np.isfinite(found)))


def _power(Z: Any) -> Any:
    """log10 of p."""
    return log_p(np.array(Z, float)) / np.log(10)


def _p_band(ax: Any, bands: Mapping[str, Any] | None, name: str, colour: str) -> None:
    """68 % of the pseudo-experiments, where there are any."""
    if not bands or name not in bands["curves"]:
        return
    high, low = (_power(bands["curves"][name][side]) for side in ("low68", "high68"))
    ax.fill_between(bands["wanted"], low, high, color=colour, alpha=0.2, lw=0)


def _sigma_guides(ax: Any, highest: float) -> None:
    shown, lowest = 0.0, 1.06 * _power(highest)
    for z in range(1, int(highest) + 2):
        power = _power(z)
        if power > lowest and shown - power > -0.035 * lowest:  # room for its label
            shown = power
            ax.axhline(power, color="0.85", lw=0.8, zorder=0)
            ax.text(1.008, power, rf"{z}$\sigma$", va="center", ha="left", fontsize=13,
                    color="0.3", transform=ax.get_yaxis_transform())  # fmt: skip


def null_runs(null: Mapping[str, Any] | None) -> Any | None:
    """Median, 68 and 95 % of the classifier's significance where there is no signal."""
    if not null:
        return None
    own = {k: np.array(v, float) for k, v in null["curves"]["classifier"].items() if k != "Z"}
    with figure(11, 7) as (fig, ax):
        for level, shade in (("95", 0.2), ("68", 0.4)):
            ax.fill_between(null["wanted"], own[f"low{level}"], own[f"high{level}"], lw=0,
                            color=BLUE, alpha=shade, label=f"{level} % of the runs")  # fmt: skip
        ax.plot(null["wanted"], own["median"], color="k", lw=1.8, label="median")
        ax.axhline(1, color="0.5", ls=":", label="84 % of a Gaussian")
        ax.axhline(1.645, color="0.5", ls="--", label="95 % of a Gaussian")
        ax.set(xscale="log", xlabel=SHARE, ylabel="Local Z")
        ax.set_ylim(0, 1.5 * max(2, float(np.nanmax(own["high95"]))))
        ax.set_xlim(max(null["wanted"]), min(null["wanted"]))
        ax.legend(title=f"{null['experiments']} runs without signal", title_fontsize=14, fontsize=14,
                  ncols=2, loc="upper right")  # fmt: skip
    return fig


def variations(record: Mapping[str, Any]) -> Any:
    """The classifier's curve for every degree of the background and number of edges."""
    with _stacked(record, (2.4, 1)) as (fig, axes):
        for charge_class, ax in axes.items():
            curves = record[charge_class]["variations"]
            degrees = list(dict.fromkeys(v["degree"] for v in curves))
            edges = list(dict.fromkeys(v["sr_edges"] for v in curves))
            for v in curves:
                ax.plot(
                    v["rates"], v["Z"], marker="o", ms=4, lw=1.6,
                    color=PALETTE[degrees.index(v["degree"]) % 5],
                    ls=("-", "--", ":", "-.")[edges.index(v["sr_edges"]) % 4],
                    label=f"degree {v['degree']}, {v['sr_edges']} edges",
                )  # fmt: skip
            top = np.max([z for v in curves for z in v["Z"] if z is not None], initial=1.0)
            ax.set(ylabel="Local Z", ylim=(0, 1.08 * float(top)))
        legend_beside(fig, *axes.values(), size=14)
    return fig
