"""Jets with their constituents, batch by batch, from JetNtuple and PFNano files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import FilesRead, Workers
from fastjag.analyses.jets.config import JetSelection
from fastjag.core.arrays import Array, Offsets, offsets_of
from fastjag.core.checks import near_misses
from fastjag.core.devices import namespace
from fastjag.io import Batch, Skipped, Source, iterate
from fastjag.io.files import Files, ReadError, find_files
from fastjag.io.iteration import Batches
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.neighbours import wrap_phi

#: Jet collections of PFNano: jets, links to candidates, links to vertices.
_PFNANO = {"AK4": ("Jet", "JetPFCands", "JetSVs"), "AK8": ("FatJet", "FatJetPFCands", "FatJetSVs")}

#: Of candidates without a track, in PFNano's d0, dz and their errors.
NO_TRACK = -1.0

_VERTEX = ("pt", "mass", "deltaR", "ntracks", "dxy", "dxysig", "d3d", "d3dsig", "costhetasvpv")
_SHAPES = ("jetGirth", "QG_ptD", "QG_axis2", "jetMult", "jetChargedMult", "jetNeutralMult")
_ROWS = ["jetPt", "jetEta", "jetPhi", "jetMass", "PF_pt", "PF_dEta", "PF_dPhi", "PF_mass", "PF_id",
         "PF_fromAK4Jet"]  # fmt: skip
_ROW_EXTRAS = ["eventWeight", "run", "lumi", "event", "originEvent", "hadronFlav", "physFlav",
               *_SHAPES]  # fmt: skip
_GEN = ["jetGenMatch", "genJetPt", "genJetPF_pT", "genJetPF_dR", "genJetPF_mass", "genJetPF_id"]
#: Of a range: jets with their candidates are large, and of some files a row is one.
SIZE = "200 MB"
_IMPACT = {"d0": "d0", "d0Err": "d0_error", "dz": "dz", "dzErr": "dz_error"}


@dataclass(frozen=True)
class JetBatch:
    """Some jets; constituents, vertices and gen particles have one list per jet.

    ``jets`` has float columns pt, eta, phi, mass, weight (1 where the file has none), and, where
    the file has them, run, lumi, event, origin (the event's number in the file that a copy was made
    from, else the same as event), hadron_flavour (5 b, 4 c, 0 others), parton_flavour (0 undefined)
    and stored shapes such as jetGirth. ``constituents`` has pt, delta_eta, delta_phi (candidate
    minus jet), mass, pdg_id and charge, and of PFNano d0, d0_error, dz, dz_error [cm], which are 0
    with errors 0 where ``has_track`` is not set.
    """

    jets: dict[str, Array]
    constituents: Jagged
    source: Source
    vertices: Jagged | None = None
    gen: Jagged | None = None

    def __len__(self) -> int:
        return len(self.constituents)

    def select(self, mask: Array) -> JetBatch:
        """The jets that pass a boolean mask."""
        if mask.all():
            return self
        rows = np.flatnonzero(mask)
        return replace(
            self,
            jets={name: column[rows] for name, column in self.jets.items()},
            constituents=self.constituents[rows],
            vertices=None if self.vertices is None else self.vertices[rows],
            gen=None if self.gen is None else self.gen[rows],
        )


@dataclass(frozen=True)
class JetFormat:
    """How jets stand in files of a kind, on whatever machine these are read."""

    name: str  #: "JetNtuple" or "PFNano"
    selection: JetSelection
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    extra: tuple[str, ...] = ()  #: branches of weights that become columns of jets

    def jets(self, batch: Batch) -> tuple[JetBatch, int]:
        """The jets that pass the selection, and how many were read."""
        every = self.every(batch)
        return self.selected(every), len(every)

    def every(self, batch: Batch) -> JetBatch:
        """All jets that were read."""
        if self.name == "JetNtuple":
            return _from_rows(batch, self.extra)
        return _from_links(batch, self.selection.jets, self.extra)

    def selected(self, every: JetBatch) -> JetBatch:
        """Those that pass the selection."""
        pt, abs_eta = every.jets["pt"], np.abs(every.jets["eta"])
        s = self.selection
        return every.select((pt > s.min_pt) & (abs_eta < s.max_abs_eta))


class JetReader:
    """Iterates :class:`JetBatch` over files, with bounded memory.

    Parameters
    ----------
    files
        As :func:`fastjag.iterate` takes them: JetNtuple (tree ``AK4jets/jetTree``) or PFNano (tree
        ``Events`` with JetPFCands), told apart by the first file.
    selection
        Which jets; with ``gen`` gen particles as well: empty lists for jets without a gen jet,
        where the file repeats the list of an earlier jet.
    extra
        Branches with a number for each event, or each row of a JetNtuple, that become columns of jets.

    Raises ReadError naming branches that are missing, and links that point to no jet or candidate.
    """

    def __init__(
        self,
        files: Files,
        selection: JetSelection = JetSelection(),
        *,
        step: int | str = "100 MB",
        on_error: str = "raise",
        progress: bool | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.selection = selection
        self.files = find_files(files)
        self.form = _form(*self.files[0], selection, tuple(extra))
        self.format = self.form.name
        self._options: Any = {"step": step, "on_error": on_error, "progress": progress}
        self._batches: Batches | None = None

    @property
    def skipped(self) -> list[Skipped]:
        """What could not be read, of the batches so far."""
        return [] if self._batches is None else self._batches.skipped

    def __iter__(self) -> Iterator[JetBatch]:
        paths = [path if tree is None else f"{path}:{tree}" for path, tree in self.files]
        form = self.form
        self._batches = iterate(paths, form.columns, optional=form.optional, **self._options)
        for batch in self._batches:
            selected, _ = form.jets(batch)
            if len(selected):
                yield selected

    def read(
        self, function: Callable[[Batch], Any], workers: Workers, merge: Callable[[Any, Any], Any]
    ) -> FilesRead:
        """What a function of batches of events, such as ``form.jets`` takes, makes of all files."""
        return runs.read(
            function, self.files, self.form.columns, workers, size=SIZE,
            optional=self.form.optional, merge=merge, **self._options,
        )  # fmt: skip

    def check_not_empty(self, n_selected: int, n_jets: int, reasons: str) -> None:
        """Raises ValueError, saying what was there, where no jet was selected."""
        if n_selected:
            return
        what = f"none of {n_jets:,} jets passes pt > {self.selection.min_pt:g} GeV, |eta| < " \
               f"{self.selection.max_abs_eta:g}" if n_jets else "the files hold no jets"  # fmt: skip
        raise ValueError(what + (f" ({reasons})" if reasons else ""))


def _form(
    path: str, tree: str | None, selection: JetSelection, extra: tuple[str, ...] = ()
) -> JetFormat:
    name = _recognised(path, tree, selection.jets)
    if name == "JetNtuple":
        if selection.jets != "AK4":
            raise ValueError(f"{path}: a JetNtuple has AK4 jets only")
        columns, optional = _ROWS + (_GEN if selection.gen else []), list(_ROW_EXTRAS)
    else:
        if selection.gen:
            raise ValueError(f"{path}: gen particles are read from JetNtuples only")
        columns, optional = _pfnano_columns(selection.jets)
    return JetFormat(name, selection, (*dict.fromkeys([*columns, *extra]),), tuple(optional), extra)


def _recognised(path: str, tree: str | None, collection: str) -> str:
    reader = Reader(path, tree, None)
    with reader.file:
        if {"jetPt", "PF_pt"} <= set(reader.stored):
            return "JetNtuple"
        links = _PFNANO[collection][1] + "_pFCandsIdx"
        if links in reader.stored:
            return "PFNano"
        raise ReadError(
            f"{path}:{reader.tree_name}: neither a JetNtuple (branches jetPt, PF_pT) nor PFNano "
            f"(branch {links}): {near_misses(links, reader.stored)}"
        )


# ---- JetNtuple --------------------------------------------------------------------------------


def _from_rows(batch: Batch, extra: Sequence[str] = ()) -> JetBatch:
    flat = batch.flat
    jets = {name: flat[f"jet{name.title()}"] for name in ("pt", "eta", "phi", "mass")}
    jets["weight"] = flat.get("eventWeight", namespace(jets["pt"]).ones(len(batch), np.float32))
    for name, stored in (("run", "run"), ("lumi", "lumi"), ("event", "event"),
                         ("origin", "originEvent" if "originEvent" in flat else "event"),
                         ("hadron_flavour", "hadronFlav"), ("parton_flavour", "physFlav")):  # fmt: skip
        if stored in flat:
            jets[name] = np.abs(flat[stored]) if "flavour" in name else flat[stored]
    jets |= {name: flat[name] for name in _SHAPES if name in flat}
    jets |= {name: batch.event_branch(name) for name in extra}
    # The list is of the whole neighbourhood of the jet, in the order of the event's collection.
    candidates = batch.PF.keep(batch.PF["fromAK4Jet"] == 1)
    ids = candidates["id"]
    constituents = Jagged(
        candidates.offsets,
        {"pt": candidates["pt"], "delta_eta": candidates["dEta"], "delta_phi": candidates["dPhi"],
         "mass": candidates["mass"], "pdg_id": ids, "charge": charge_of(ids)},
    )  # fmt: skip
    gen = None
    if "genJetPF" in batch.collections:
        particles, matched = batch.genJetPF, flat["jetGenMatch"] == 1
        jets["gen_match"], jets["gen_pt"] = matched, flat["genJetPt"]
        fresh = particles.keep(particles.broadcast(matched))
        gen = Jagged(fresh.offsets, {"pt": fresh["pT"], "delta_r": fresh["dR"], "mass": fresh["mass"],
                                     "pdg_id": fresh["id"]})  # fmt: skip
    return JetBatch(jets, constituents, batch.source, gen=gen)


def charge_of(pdg_id: Array) -> Array:
    """Charge of particle-flow candidates: +-211 is a hadron of that charge, 11 and 13 are negative."""
    absolute = np.abs(pdg_id)
    sign = np.sign(pdg_id).astype(np.int8)
    return np.where(absolute == 211, sign, np.where((absolute == 11) | (absolute == 13), -sign, 0))


# ---- PFNano -----------------------------------------------------------------------------------


def _pfnano_columns(collection: str) -> tuple[list[str], list[str]]:
    jets, links, vertices = _PFNANO[collection]
    columns = [f"{jets}_{c}" for c in ("pt", "eta", "phi", "mass")]
    columns += [f"{links}_jetIdx", f"{links}_pFCandsIdx"]
    columns += [f"PFCands_{c}" for c in ("pt", "eta", "phi", "mass", "pdgId", "charge", *_IMPACT)]
    optional = ["genWeight", "run", "luminosityBlock", "event"]
    optional += [f"{jets}_{c}" for c in ("hadronFlavour", "partonFlavour")]
    return columns, optional + [f"{vertices}_{c}" for c in ("jetIdx", *_VERTEX)]


def _from_links(batch: Batch, collection: str, extra: Sequence[str] = ()) -> JetBatch:
    """Event -> jets -> candidates, through the index branches."""
    names = _PFNANO[collection]
    for name in (*names[:2], "PFCands"):
        if name not in batch.collections:
            raise ReadError(f"{batch.source}: {name} is no collection with a list per event")
    jets, links, pf = (batch.collections[n] for n in (*names[:2], "PFCands"))
    candidate, offsets = _resolve(batch, links, jets, pf, names[1])
    jet = _numbers(Jagged(offsets, {"candidate": candidate}))
    pt, delta_phi = pf["pt"][candidate], wrap_phi(pf["phi"][candidate] - jets["phi"][jet])
    columns = {
        "pt": pt, "delta_eta": pf["eta"][candidate] - jets["eta"][jet],
        "delta_phi": delta_phi.astype(pt.dtype), "mass": pf["mass"][candidate],
        "pdg_id": pf["pdgId"][candidate], "charge": pf["charge"][candidate],
    }  # fmt: skip
    columns |= clean_impact({new: pf[old][candidate] for old, new in _IMPACT.items()})
    vertices, stored = None, batch.collections.get(names[2])
    if stored is not None and all(c in stored for c in ("jetIdx", *_VERTEX)):
        order, of_jet = _resolve(batch, stored, jets, None, names[2])
        vertices = Jagged(of_jet, {c: stored[c][order] for c in _VERTEX})
    constituents = Jagged(offsets, columns)
    columns = _jet_columns(batch, jets, extra)
    return JetBatch(columns, constituents, batch.source, vertices=vertices)


def _jet_columns(batch: Batch, jets: Jagged, extra: Sequence[str]) -> dict[str, Array]:
    columns = {name: jets[name] for name in ("pt", "eta", "phi", "mass")}
    event = _numbers(jets)
    ones = namespace(event).ones(len(batch), np.float32)
    columns["weight"] = batch.flat.get("genWeight", ones)[event]
    for name, stored in (("run", "run"), ("lumi", "luminosityBlock"), ("event", "event"),
                         ("origin", "event")):  # fmt: skip
        if stored in batch.flat:
            columns[name] = batch.flat[stored][event]
    for kind in ("hadron", "parton"):
        if f"{kind}Flavour" in jets:
            columns[f"{kind}_flavour"] = np.abs(jets[f"{kind}Flavour"].astype(np.int32))
    return columns | {name: batch.event_branch(name)[event] for name in extra}


def clean_impact(impact: dict[str, Array]) -> dict[str, Array]:
    """Impact parameters with 0 instead of the mark of candidates without a track; ``has_track``."""
    has = (impact["d0"] != NO_TRACK) | (impact["d0_error"] != NO_TRACK)
    cleaned = {name: np.where(has, values, values.dtype.type(0)) for name, values in impact.items()}
    return cleaned | {"has_track": has}


def _resolve(
    batch: Batch, links: Jagged, jets: Jagged, pf: Jagged | None, name: str
) -> tuple[Array, Offsets]:
    """What each jet's links point to (flat indices of candidates, or of the links themselves), in
    the order of the jets, and its offsets. Links to jet -1 are to none."""
    event = _numbers(links)
    jet: Any = links["jetIdx"].astype(np.int64)
    keep = jet >= 0
    _check(batch, name, "jetIdx", jet[keep], event[keep], jets)
    if pf is None:
        target = namespace(event).arange(links.n_particles)
    else:
        index = links["pFCandsIdx"].astype(np.int64)
        _check(batch, name, "pFCandsIdx", index[keep], event[keep], pf)
        target = pf.offsets[event] + index
    jet = (jets.offsets[event] + jet)[keep]
    target = target[keep]
    if (jet[1:] < jet[:-1]).any():
        target = target[np.argsort(jet, kind="stable")]
    return target, offsets_of(np.bincount(jet, minlength=jets.n_particles))


def _numbers(lists: Jagged) -> Array:
    """For each particle the number of its list."""
    return lists.broadcast(namespace(lists.offsets).arange(len(lists)))


def _check(batch: Batch, name: str, column: str, index: Array, event: Array, to: Jagged) -> None:
    wrong = (index < 0) | (index >= to.counts[event])
    if wrong.any():
        first = int(wrong.argmax())
        where = int(event[first])
        raise ReadError(
            f"{batch.source}: {name}_{column} is {index[first]} in event {where}, which has "
            f"{to.counts[where]}"
        )


# ---- events -----------------------------------------------------------------------------------


def regroup(jets: dict[str, Array]) -> Offsets:
    """Offsets of the events that jets belong to: neighbours with equal run, lumi and event.

    Raises KeyError where one of the three is missing.
    """
    for name in ("run", "lumi", "event"):
        if name not in jets:
            raise KeyError(f"jets cannot be grouped into events: there is no column {name!r}")
    columns = [jets[name] for name in ("run", "lumi", "event")]
    n = len(columns[0])
    if n == 0:
        return np.zeros(1, np.int64)
    new = np.zeros(n - 1, bool)
    for column in columns:
        new |= column[1:] != column[:-1]
    return np.concatenate([[0], np.flatnonzero(new) + 1, [n]])


Fragment = dict[str, Array]  # columns of jets, of one event


def cut_ends(jets: dict[str, Array]) -> tuple[list[Fragment], Jagged | None]:
    """The events at both ends, which may go on in the batches before and after, and those between.

    ``jets`` (columns of ``JetBatch.jets``) that are all of one event are one end.
    """
    offsets = regroup(jets)
    first, last = offsets[1:2].tolist(), offsets[-2:-1].tolist()
    if len(offsets) < 3:
        return [jets] if first else [], None
    ends = [{n: c[: first[0]] for n, c in jets.items()}, {n: c[last[0] :] for n, c in jets.items()}]
    return ends, Jagged(offsets[1:-1], jets) if len(offsets) > 3 else None


def join_ends(before: list[Fragment], after: list[Fragment]) -> tuple[list[Fragment], list[Jagged]]:
    """The ends of two batches, of which the second follows the first, and the events that are whole now."""
    if not before or not after:
        return before or after, []
    one, other = before[-1], after[0]
    names = ("run", "lumi", "event")
    ends = [*before, *after]
    if all(one[name][-1] == other[name][0] for name in names):
        joined = {name: np.concatenate([one[name], other[name]]) for name in one}
        ends = [*before[:-1], joined, *after[1:]]
    if len(ends) <= 2:
        return ends, []
    return [ends[0], ends[-1]], [whole_event(end) for end in ends[1:-1]]


def whole_event(jets: Fragment) -> Jagged:
    """A Jagged of one event."""
    return Jagged(np.array([0, len(next(iter(jets.values())))]), jets)
