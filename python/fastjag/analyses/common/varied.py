"""Histograms with all variations of a configuration, and what reports say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common.variations import VariationSettings, add_variations
from fastjag.reporting.report import Report
from fastjag.variations import Plan, Variations

#: Of a histogram whose first axis are variations: names of its parts, and the bins of each.
Parts = Mapping[str, slice]


@dataclass
class Varied:
    """Of some events; merged by :func:`fastjag.batch.merge`, of all."""

    histograms: dict[str, Any]  #: "STEP" or "COLUMN STEP", with an axis "variation" in front
    outside: dict[str, int]  #: entries outside of the range of corrections, by correction and input

    def record(self) -> dict[str, Any]:
        """Plain data for JSON; contents (variations, bins + 2) with those beside the axis."""
        return {
            "names": next(([*h.axes[0]] for h in self.histograms.values()), []),
            "outside": self.outside,
            "histograms": {
                name: {"edges": h.axes[1].edges, "values": h.values(flow=True)[: len(h.axes[0])],
                       "variances": h.variances(flow=True)[: len(h.axes[0])]}
                for name, h in self.histograms.items()
            },
        }  # fmt: skip


def fill(
    v: Variations, variations: Sequence[VariationSettings], batch: Any, plan: Plan,
    threads: int | None = None,
) -> Varied:  # fmt: skip
    """The histograms of a plan of one batch, for steps that ``v`` has and these variations."""
    outside: dict[str, int] = {}
    add_variations(v, variations, outside)
    filled = v.histograms(batch, plan, threads=threads)
    named = {
        step if len(columns) == 1 else f"{column} {step}": h
        for step, columns in filled.items()
        for column, h in columns.items()
    }
    return Varied(named, outside)


def ratios(names: Sequence[str], values: Any, parts: Parts) -> list[tuple[str, ...]]:
    """Rows of a table: every variation, and its sums (variations, bins) in each part over nominal's."""
    sums = {name: np.asarray(values)[:, part].sum(axis=1) for name, part in parts.items()}
    return [
        (name, *(f"{own[i] / own[0]:.4f}" if own[0] else "" for own in sums.values()))
        for i, name in enumerate(names)
        if i
    ]


def outside_section(page: Report, outside: Mapping[str, int]) -> None:
    """How many entries were outside of the ranges of corrections, where there were any."""
    if outside:
        page.heading("Corrections outside of their range")
        page.text(
            "Entries of particles or events for which a file of corrections has no bin. They got what the file "
            "says about its flow."
        )
        page.table(("correction and input", "entries"), [(k, f"{n:,}") for k, n in outside.items()])
