"""Pictures of the background's test and of what uncertainties do to the signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.pictures.masses import CLASSES
from fastjag.reporting.plots import BLUE, RED, panels

_ALLOWED = 0.2  # errors of the signal


def spurious_signals(tests: Mapping[str, Mapping[str, Any]]) -> Any | None:
    """Spurious signals of the table's model and of the profiled choice, for each charge class.

    ``tests`` are the records of ``inference``. None where no other family describes any data.
    """
    shown = {c: test for c, test in tests.items() if test["truths"]}
    if not shown:
        return None
    with panels(len(shown), 2, (8.5, 5.0), font=14) as (fig, axes):
        for ax, (c, test) in zip(axes, shown.items(), strict=True):
            at = np.arange(len(test["truths"]))
            ax.axvspan(-_ALLOWED, _ALLOWED, color="0.9", lw=0, label="allowed: 0.2 errors")
            ax.axvline(0, color="0.5", lw=1)
            ax.plot(test["bias"], at + 0.1, "o", color=RED, ms=8, label=test["family"])
            ax.plot(test["profiled"], at - 0.1, "s", color=BLUE, ms=7, label="choice profiled")
            reach = 1.15 * max(0.3, *np.abs([*test["bias"], *test["profiled"]]))
            ax.set(xlim=(-reach, reach), ylim=(-0.7, len(at) - 0.3),
                   xlabel="Spurious signal / its error")  # fmt: skip
            ax.set_yticks(at, [f"truth: {name}" for name in test["truths"]])
            ax.minorticks_off()
            ax.set_title(CLASSES[c][0], loc="left", fontsize=15)
            ax.legend(fontsize=12, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def impacts(record: Mapping[str, Any]) -> Any | None:
    """Pulls, and impacts on the signal, of each uncertainty; None without any."""
    rows = record["nuisances"]
    if not rows:
        return None
    with panels(2, 2, (7.0, 2.6 + 0.9 * len(rows)), font=14, sharey=True) as (fig, axes):
        at = np.arange(len(rows))[::-1]
        pulls, changes = axes[0], axes[1]
        pulls.axvspan(-1, 1, color="0.9", lw=0)
        pulls.errorbar(
            [r["pull"] for r in rows], at, xerr=[r["error"] for r in rows], fmt="ko", ms=6
        )
        pulls.set(xlabel="Pull", xlim=(-2, 2), ylim=(-0.7, len(rows) - 0.3))
        pulls.set_yticks(at, [r["name"] for r in rows])
        for key, colour, label in (
            ("up", RED, "parameter + its error"),
            ("down", BLUE, "parameter - its error"),
        ):
            changes.barh(at, [r[key] for r in rows], 0.5, color=colour, alpha=0.8, label=label)
        changes.axvline(0, color="0.4", lw=1)
        for y, row in zip(at, rows, strict=True):
            for key in ("up", "down"):
                right = row[key] >= 0
                changes.annotate(f"{row[key]:+.2g}", (row[key], y), (5 if right else -5, 0),
                                 textcoords="offset points", va="center", fontsize=12,
                                 ha="left" if right else "right")  # fmt: skip
        reach = 1.5 * max(1e-9, *(abs(r[key]) for r in rows for key in ("up", "down")))
        changes.set(xlabel="Change of the signal [pairs]", xlim=(-reach, reach))
        changes.legend(fontsize=11, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        for ax in axes:
            ax.minorticks_off()
    return fig
