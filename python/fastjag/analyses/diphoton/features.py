"""Stage: numbers per event that classifiers learn from, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.diphoton import event_shapes, observables
from fastjag.analyses.diphoton.column_statistics import STATISTICS, Floats, column_statistics
from fastjag.analyses.diphoton.events import DATA, TRUTH, Events
from fastjag.analyses.diphoton.observables import View
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.core.checks import near_misses, needs
from fastjag.reporting.output import results_directory


def features(results: DiphotonResults) -> None:
    """The events that models learn from, and the table that those of tables see; those of the continuum as well."""
    needs("pyarrow", "arrow")
    config = results.config
    events = results.selected().of_classes(tuple(config.classes))
    if (most := config.models.most_events) is not None:
        events = thin(events, most, config.seed)
    table = aggregates(events, config.features.names)
    with results_directory(results.folder("features")) as directory:
        events.write(directory / "events.parquet")
        write_parquet(directory / "features.parquet", table)
        continuum = results.selected().of_classes(continuum_of(config.background))
        if len(continuum):
            continuum.write(directory / "continuum.parquet")
            others = aggregates(continuum, config.features.names)
            write_parquet(directory / "continuum-features.parquet", others)


def continuum_of(background: Mapping[str, Any]) -> tuple[str, ...]:
    """Which backgrounds are the continuum: collisions, where there are any, else all of them."""
    return (DATA,) if DATA in background else tuple(background)


def thin(events: Events, most: int, seed: int) -> Events:
    """At most so many events of each class, at random; weights scaled so that yields stay."""
    rng = np.random.default_rng(seed)
    label, weight = events.flat["label"], np.asarray(events.flat["weight"], np.float64).copy()
    kept = []
    for i in range(len(events.classes)):
        mine = np.flatnonzero(label == i)
        some = np.sort(rng.permutation(mine)[:most])
        if len(some) < len(mine) and weight[some].sum() != 0:
            weight[some] *= weight[mine].sum() / weight[some].sum()
        kept.append(some)
    index = np.concatenate(kept)
    return Events(events.particles, {**events.flat, "weight": weight}, events.classes)[index]


@dataclass(frozen=True)
class Group:
    """Observables that are computed together: names with what they are, and what they need."""

    title: str
    documented: Mapping[str, str]
    compute: Callable[[View], dict[str, Floats]]
    columns: Mapping[str, tuple[str, ...]]  #: kinds of particles and their columns
    flat: tuple[str, ...] = ()

    def available(self, events: Events) -> bool:
        return all(name in events.flat for name in self.flat) and all(
            kind in events.particles and set(columns) <= set(events.particles[kind].columns)
            for kind, columns in self.columns.items()
        )


_P = ("pt", "eta", "phi", "E")
GROUPS = (
    Group("Photon pair", observables.PHOTONS, observables.photon_observables, {"photon": _P}),
    Group("Jets", observables.JETS, observables.jet_observables, {"photon": _P, "jet": _P}),
    Group(
        "b-tags", observables.TAGS, observables.tag_observables, {"jet": (*_P, "MV2c10")}
    ),
    Group(
        "Leptons", observables.LEPTONS, observables.lepton_observables,
        {"photon": _P, "jet": _P, "lep": (*_P, "charge", "type")},
    ),
    Group(
        "Missing momentum", observables.MET, observables.met_observables,
        {"photon": _P, "jet": _P, "lep": _P}, ("met_et", "met_phi"),
    ),
    Group("Event shapes", event_shapes.SHAPES, event_shapes.shape_observables, {"photon": _P, "jet": _P}),
)  # fmt: skip

#: Features by default, as far as events have them. The mass of the photon pair is none of them,
#: nor that of all particles, which is the same where there are two photons only. Models can know it
#: all the same, from pt and pt / m of the photons: cuts on them can sculpt the mass spectrum.
DEFAULT = (
    *(name for group in GROUPS for name in group.documented if name != "m_all"),
    *(f"{kind}_n" for kind in ("photon", "lep", "jet", "tau", "largeRjet")),
    "photon_eta_absmax", "photon_ptcone30_max", "photon_etcone20_max", "photon_convType_any",
    "jet_pt_lead1", "jet_pt_lead2", "jet_pt_lead3", "jet_pt_lead4", "jet_pt_std", "jet_pt_ratio",
    "jet_pt_share", "jet_pt_dispersion", "jet_eta_absmax", "jet_eta_std", "jet_eta_wmean",
    "jet_phi_circvar", "jet_MV2c10_mean", "jet_MV2c10_sum", "jet_jvt_min",
    "lep_pt_lead1", "lep_pt_lead2", "lep_eta_lead1", "lep_ptcone30_max",
    "tau_pt_lead1", "tau_BDTid_max", "tau_nTracks_max",
    "largeRjet_pt_lead1", "largeRjet_m_lead1", "largeRjet_m_max", "largeRjet_D2_lead1",
    "largeRjet_tau32_lead1",
    # What the 36 fb-1 release has instead of ptcone30, etcone20, MV2c10 and BDTid.
    "photon_ptcone20_max", "photon_topoetcone40_max", "lep_ptvarcone30_max",
    "jet_btag_quantile_max", "jet_btag_quantile_mean", "jet_btag_quantile_sum",
    "tau_RNNJetScore_max",
)  # fmt: skip


def feature_names(events: Events) -> list[str]:
    """All features that these events allow.

    Observables of `GROUPS`; ``KIND_n``, the number of particles; and ``KIND_COLUMN_STATISTIC`` for
    every column of particles but those of `TRUTH`, and every statistic of `STATISTICS`.
    """
    names = [n for group in GROUPS if group.available(events) for n in group.documented]
    for kind, particles in events.particles.items():
        names.append(f"{kind}_n")
        columns = [c for c in particles.columns if c not in TRUTH]
        names += [f"{kind}_{column}_{s}" for column in columns for s in STATISTICS]
    return names


def aggregates(events: Events, names: Iterable[str] | None = None) -> dict[str, Floats]:
    """Features of events, each float64 (n_events,).

    Parameters
    ----------
    names
        Out of :func:`feature_names`, or patterns such as ``"jet_pt_*"``; default: those of
        `DEFAULT` that the events allow.

    NaN where a feature is not defined, such as the mass of two jets where there is one: XGBoost
    takes it as missing; :mod:`fastjag.models.table_classifier` fills it for others with a value below
    all that occur in training. Sums and numbers of nothing are 0. Energies are in GeV.

    Raises ValueError naming a feature that is not known or not allowed, and what it may be.
    """
    known = feature_names(events)
    chosen = _choose(known, names)
    view = View(events)
    values: dict[str, Floats] = {}
    for group in GROUPS:
        if set(group.documented) & set(chosen):
            with np.errstate(invalid="ignore", divide="ignore"):  # NaN of particles not there
                values |= group.compute(view)
    wanted: dict[tuple[str, str], list[str]] = {}
    for name in chosen:
        if name not in values:
            kind, column, statistic = _split(name)
            if column == "n" and not statistic:
                values[name] = events.particles[kind].counts.astype("float64")
            else:
                wanted.setdefault((kind, column), []).append(statistic)
    for (kind, column), statistics in wanted.items():
        result = column_statistics(events.particles[kind], column, statistics)
        values |= {f"{kind}_{column}_{s}": values for s, values in result.items()}
    return {name: values[name] for name in chosen}


def documentation() -> str:
    """All features as Markdown tables."""
    lines = []
    for group in GROUPS:
        lines += [f"### {group.title}", "", "| feature | |", "|---|---|"]
        lines += [f"| `{n}` | {_escape(text)} |" for n, text in group.documented.items()] + [""]
    lines += ["### Statistics of a column", "", "`KIND_n` is the number of particles, and",
              "`KIND_COLUMN_STATISTIC`, such as `jet_pt_max`, one of:", "",
              "| statistic | of the column's values x |", "|---|---|"]  # fmt: skip
    lines += [f"| `{name}` | {_escape(text)} |" for name, text in STATISTICS.items()]
    return "\n".join(lines) + "\n"


def _choose(known: list[str], names: Iterable[str] | None) -> list[str]:
    there = dict.fromkeys(known)
    if names is None:
        return [name for name in DEFAULT if name in there]
    chosen: dict[str, None] = {}
    for name in [names] if isinstance(names, str) else names:
        matches = [name] if name in there else [n for n in known if fnmatchcase(n, name)]
        if not matches:
            raise ValueError(f"no feature {name!r} of these events: {near_misses(name, known)}")
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def _split(name: str) -> tuple[str, str, str]:
    kind, _, rest = name.partition("_")
    column, _, statistic = rest.rpartition("_")
    return (kind, column, statistic) if column else (kind, rest, "")


def _escape(text: Any) -> str:
    return str(text).replace("|", "\\|")
