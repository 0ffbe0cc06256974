"""Stage: the mass spectrum of each simulated class for other photons and other weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastjag.analyses.common import runs, varied
from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.diphoton.events import DATA
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.samples import read_samples
from fastjag.analyses.diphoton.selections import diphoton_mass, selection_of
from fastjag.analyses.diphoton.skim import Skimming
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.io import Batch
from fastjag.io.files import find_files
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.report import Report
from fastjag.variations import Variations

_BINS = 110


def variations(results: DiphotonResults, *, progress: bool | None = None) -> None:
    """Read the simulated files once more, if the configuration has variations, and write ``variations.json``.

    Of every variation the masses of the events that pass the selection, of each class; models are not
    trained again. Data have no variations.
    """
    config = results.config
    record: dict[str, Any] = {}
    if config.variations:
        table, given = config.samples.table, config.selection
        selection = selection_of(given.preset, given.cuts)
        total = varied.Varied({}, {})
        for label, files in config.files.items():
            if label == DATA:
                continue
            path, tree = find_files(list(files))[0]
            reader = Reader(path, tree, None)
            with closing(reader):
                schema = reader.schema.name
            skimming = Skimming(
                (label,), selection, given.luminosity, config.samples.correct,
                dict(read_samples(table) if table else {}), 0, "", (), schema,
            )  # fmt: skip
            weights = skimming.weights(label, schema, path)
            check_nominal(config.variations, weights)
            columns = [c for s in selection.steps(schema) for c in s.columns] + weights
            columns += [b for v in config.variations for b in v.branches]
            read = runs.read(
                _Fill(label, skimming, tuple(weights), config.variations), list(files),
                list(dict.fromkeys(columns)), results.workers, progress=progress,
            )  # fmt: skip
            if read.value is not None:
                total.histograms |= read.value.histograms
                for name, n in read.value.outside.items():
                    total.outside[name] = total.outside.get(name, 0) + n
        record = total.record()
    with results_directory(results.folder("variations")) as directory:
        write_json(directory / "variations.json", record)


def check_nominal(variations: Sequence[VariationSettings], weights: Sequence[str]) -> None:
    """ValueError where a nominal branch is no factor of the weight, or stands for two variations."""
    branches = [v.nominal for v in variations if v.nominal is not None and v.file is None]
    for name in branches:
        if name not in weights:
            raise ValueError(
                f"variations: nominal must be a factor of the weight: {near_misses(name, weights)}"
            )
        if branches.count(name) > 1:
            raise ValueError(f"variations: {name!r} is the nominal factor of two variations")


class _OfPhotons(NamedTuple):
    """What the cuts on photons look at."""

    Photon: Jagged


@dataclass(frozen=True)
class _Fill:
    """What workers do with a batch of events of a class."""

    label: str
    skimming: Skimming
    weights: tuple[str, ...]
    variations: tuple[VariationSettings, ...]

    def __call__(self, batch: Batch) -> varied.Varied:
        import hist

        selection, schema = self.skimming.selection, self.skimming.schema
        steps = selection.steps(schema)
        passing = np.ones(len(batch), bool)
        if selection.trigger is not None:
            passing &= np.asarray(steps[0].passes(batch))  # type: ignore[arg-type]
            steps = steps[1:]
        reader = Reader(batch.source.file, batch.source.tree, None)
        with closing(reader):
            factor = self.skimming.factor_of(reader, self.label)
        v = Variations()

        def events(Photon: Jagged) -> dict[str, Array]:
            good = passing.copy()
            for step in steps:
                good &= np.asarray(step.passes(_OfPhotons(Photon)))  # type: ignore[arg-type]
            event = np.flatnonzero(good)
            return {"m_yy": diphoton_mass(selection.pair(Photon[event], schema)), "event": event}

        events.__name__ = name = self.label if self.label.isidentifier() else "events"
        v.step(events)
        varies = {one.nominal for one in self.variations if one.file is None}
        others = [batch.event_branch(w) for w in self.weights if w not in varies]
        product = np.full(len(batch), factor)
        for weight in others:
            product = product * weight
        # A function of photons, as a step has to have something to depend on.
        v.weight("weight", lambda Photon: product)
        axis = hist.axis.Regular(_BINS, *selection.mass, name="m_yy")
        found = varied.fill(v, self.variations, batch, {name: {"m_yy": axis}})
        return varied.Varied({self.label: found.histograms[name]}, found.outside)


def section(page: Report, record: Mapping[str, Any]) -> None:
    """Events of each variation over those of nominal, and how far the mean mass moves, by class."""
    names, histograms = record["names"], record["histograms"]
    page.heading("Systematic variations")
    page.text(
        "Expected events of each variation over those of nominal, and the shift of the mean mass in the window. "
        "Models are those of nominal."
    )
    rows = []
    for i, name in enumerate(names[1:], 1):
        cells = []
        for h in histograms.values():
            values, edges = np.asarray(h["values"])[:, 1:-1], np.asarray(h["edges"])
            middle = (edges[1:] + edges[:-1]) / 2
            if not (values[0].sum() and values[i].sum()):
                cells.append("-")
                continue
            means = [float(values[k] @ middle / values[k].sum()) for k in (i, 0)]
            ratio = values[i].sum() / values[0].sum()
            cells.append(f"{ratio:.4f} ({means[0] - means[1]:+.3f} GeV)")
        rows.append((name, *cells))
    page.table(("variation", *histograms), rows)
    varied.outside_section(page, record["outside"])
