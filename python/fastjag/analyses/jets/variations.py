"""Spectra and shapes of jets for other scales and weights, in the pass that fills the nominal ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastjag.analyses.common import varied
from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.jets.observables import substructure
from fastjag.analyses.jets.reading import JetBatch, JetFormat
from fastjag.core.arrays import Array
from fastjag.reporting.report import Report
from fastjag.variations import Variations

#: The branch that the weight of a jet is, in each format.
_WEIGHT = {"JetNtuple": "eventWeight", "PFNano": "genWeight"}
OBSERVABLES = ("pt", "multiplicity", "charged_multiplicity", "girth", "pt_d", "axis2")


@dataclass(frozen=True)
class _Jets:
    """All jets of a batch as a table of columns, some of which a variation replaces."""

    batch: JetBatch

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, name: str) -> Array:
        return self.batch.jets[name]

    def with_columns(self, **columns: Array) -> _Jets:
        return _Jets(replace(self.batch, jets={**self.batch.jets, **columns}))


def branches(variations: Sequence[VariationSettings]) -> list[str]:
    """Branches of weights. ValueError for what is no column of jets."""
    for one in variations:
        if one.column is not None and one.column not in ("Jet_pt", "Jet_mass"):
            raise ValueError(
                f"variations: {one.name}: column must be Jet_pt or Jet_mass, got {one.column!r}"
            )
        if one.particles is not None:
            raise ValueError(
                f"variations: {one.name}: a jet is what is weighted: leave particles out, and name columns "
                "of jets such as pt and eta"
            )
    return [b for v in variations if v.file is None for b in v.branches]


def fill(
    form: JetFormat, every: JetBatch, variations: Sequence[VariationSettings],
    axes: Mapping[str, Any], flavours: Callable[[JetBatch], dict[str, Array]],
    threads: int | None,
) -> varied.Varied:  # fmt: skip
    """Observables of each flavour, "girth b", of all jets that were read, before the selection."""
    v = Variations()

    @v.step
    def observables(Jet: _Jets) -> tuple[dict[str, Array], dict[str, Array]]:
        places = replace(Jet.batch, jets={**Jet.batch.jets, "place": np.arange(len(Jet))})
        kept = form.selected(places)
        columns = substructure(kept) | {"pt": kept.jets["pt"], "event": kept.jets["place"]}
        return columns, flavours(kept)

    def of(flavour: str) -> Callable[..., Any]:
        def chosen(observables: tuple[dict[str, Array], dict[str, Array]]) -> dict[str, Array]:
            columns, masks = observables
            return {name: values[masks[flavour]] for name, values in columns.items()}

        chosen.__name__ = flavour
        return chosen

    names = list(flavours(every))
    for flavour in names:
        v.step(of(flavour))
    if _WEIGHT[form.name] not in {one.nominal for one in variations}:
        v.weight("weight", lambda weight: weight)
    plan = {flavour: {name: axes[name] for name in OBSERVABLES} for flavour in names}
    return varied.fill(v, variations, {"Jet": _Jets(every), **every.jets}, plan, threads)


def section(page: Report, record: Mapping[str, Any]) -> None:
    """Jets of each flavour over those of nominal, and the means of observables."""
    names, histograms = record["names"], record["histograms"]
    page.heading("Variations")
    page.text("Sums of weights of each variation over those of nominal, by flavour.")
    flavours = [key.removeprefix("pt ") for key in histograms if key.startswith("pt ")]
    sums = {f: np.asarray(histograms[f"pt {f}"]["values"]).sum(axis=1) for f in flavours}
    page.table(
        ("variation", *flavours),
        [(name, *(f"{s[i] / s[0]:.4f}" if s[0] else "-" for s in sums.values()))
         for i, name in enumerate(names) if i],
    )  # fmt: skip
    page.text("Means of all jets over those of nominal.")
    means = {}
    for name in OBSERVABLES:
        h = histograms[f"{name} all"]
        edges, values = np.asarray(h["edges"]), np.asarray(h["values"])[:, 1:-1]
        total = np.where(values.sum(axis=1) == 0, np.nan, values.sum(axis=1))
        means[name] = values @ ((edges[1:] + edges[:-1]) / 2) / total
    page.table(
        ("variation", *OBSERVABLES),
        [(name, *(f"{m[i] / m[0]:.4f}" for m in means.values())) for i, name in enumerate(names) if i],
    )  # fmt: skip
    varied.outside_section(page, record["outside"])
