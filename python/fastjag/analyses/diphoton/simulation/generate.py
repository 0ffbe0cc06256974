"""Simulated samples in the format of the ATLAS 2020 release, from Pythia 8 and a fast detector."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.diphoton.simulation import detector
from fastjag.batch.processes import ended, processes
from fastjag.core.checks import at_least, near_misses, needs
from fastjag.io.pyroot import has_root
from fastjag.io.writer import write_tree
from fastjag.jagged import Jagged
from fastjag.kernels import set_num_threads
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.progress import progress_bar

#: Events that one call of the generator makes, with a seed of their own.
CHUNK = 1000
_BRANCHING_RATIO = 0.00227  # H -> yy
_HIGGS = ("25:m0 = 125", "25:onMode = off", "25:onIfMatch = 22 22")


@dataclass(frozen=True)
class Process:
    """What is generated: the number of the ATLAS sample of the same process, and Pythia's settings.

    ``cross_section`` [pb] times branching ratio is that of the release; None: the generator's own,
    of leading order. ``veto`` is the PDG number of a particle that the hard process must not have.
    """

    dsid: int
    settings: tuple[str, ...]
    cross_section: float | None = None
    veto: int | None = None


#: By the names that files of the release have.
PROCESSES = {
    "ggH125_gamgam": Process(343981, ("HiggsSM:gg2H = on",), 0.102),
    "VBFH125_gamgam": Process(
        345041, ("HiggsSM:ff2Hff(t:ZZ) = on", "HiggsSM:ff2Hff(t:WW) = on"), 0.008518764
    ),
    "WpH125J_Wincl_gamgam": Process(345318, ("HiggsSM:ffbar2HW = on",), 0.0019654512, veto=-24),
    "ZH125J_Zincl_gamgam": Process(345319, ("HiggsSM:ffbar2HZ = on",), 0.0017347836),
    # The release has this times the branching ratio once more.
    "ttH125_gamgam": Process(
        341081, ("HiggsSM:gg2Httbar = on", "HiggsSM:qqbar2Httbar = on"),
        0.0000026433864 / _BRANCHING_RATIO,
    ),
    "yy": Process(
        364350,
        ("PromptPhoton:ffbar2gammagamma = on", "PromptPhoton:gg2gammagamma = on",
         "PhaseSpace:mHatMin = 90", "PhaseSpace:mHatMax = 180", "PhaseSpace:pTHatMin = 20"),
    ),
}  # fmt: skip

#: Columns of the branches of each kind of particles.
COLUMNS = {
    "photon": ("isTightID", "trigMatched", "pt", "eta", "phi", "E", "ptcone30", "etcone20",
               "convType"),
    "lep": ("isTightID", "trigMatched", "pt", "eta", "phi", "E", "z0", "ptcone30", "etcone20",
            "trackd0pvunbiased", "tracksigd0pvunbiased", "charge", "type"),
    "jet": ("pt", "eta", "phi", "E", "jvt", "MV2c10", "trueflav"),
    "tau": ("pt", "eta", "phi", "E", "BDTid", "isTightID", "trigMatched", "nTracks", "charge"),
    "largeRjet": ("pt", "eta", "phi", "E", "m", "D2", "tau32"),
}  # fmt: skip
#: Types of columns; all others are float32.
TYPES = {"isTightID": "bool", "trigMatched": "bool", "convType": "int32", "charge": "int32",
         "type": "uint32", "trueflav": "int32", "nTracks": "int32"}  # fmt: skip
_ENERGIES = ("pt", "E", "m", "ptcone30", "etcone20")
_SCALE_FACTORS = ("PILEUP", "ELE", "MUON", "PHOTON", "TAU", "BTAG", "LepTRIGGER", "PhotonTRIGGER",
                  "TauTRIGGER", "DiTauTRIGGER")  # fmt: skip
_TRIGGERS = ("trigE", "trigM", "trigP", "trigT", "trigDT")
_MANTISSA = 13  # bits that are kept: 1e-4, far below any resolution, and files of half the size


@dataclass(frozen=True)
class _Chunk:
    """Events with two photons, and what is needed to weigh them."""

    collections: dict[str, Jagged]
    flat: dict[str, Any]
    sum_weights: float
    cross_section: float  #: of the generator [pb]


def simulate(
    out: str | os.PathLike[str],
    n_events: int,
    seed: int = 0,
    classes: Iterable[str] | None = None,
    *,
    workers: int | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Write a file per class with the tree ``mini`` (MeV), and ``simulation.json`` about them.

    Hard process, parton showers, hadrons and decays are Pythia's with its default tune, 13 TeV;
    jets are fastjet's; the detector is that of :mod:`fastjag.analyses.diphoton.simulation.detector`.
    Interactions between other partons of the protons are left out, as they take nine tenths of the
    time: there are fewer soft jets and tracks than in data, and isolation is better. There is no
    pile-up. Events without two photons of 25 GeV within \\|eta\\| < 2.37 are not written.

    Parameters
    ----------
    n_events
        Generated events of each class; a third to two thirds are written.
    seed
        Same seed, same events, whatever the number of workers.
    classes
        Out of `PROCESSES`; default: all.
    workers
        Processes that generate; default: as many as there are cores.

    Returns
    -------
    The content of ``simulation.json``: per class seeds, generated and written events, sum of
    weights, cross-section [pb].

    Branches are those of the release without systematic variations (``*_syst``), truth and
    ``truthMatched``. Scale factors are 1: the simulation is not corrected to any data. mcWeight is
    the generator's, SumWeights is summed over all generated events. Lists are std::vector where
    PyROOT is installed and counted arrays elsewhere.
    """
    needs("pythia8mc", "sim")
    needs("fastjet", "sim")
    n_events, seed = at_least("n_events", n_events, 1), at_least("seed", seed, 0)
    names = list(PROCESSES) if classes is None else list(dict.fromkeys(classes))
    for name in names:
        if name not in PROCESSES:
            raise ValueError(f"unknown class {name!r}: {near_misses(name, PROCESSES)}")
    if not names:
        raise ValueError("classes must name at least one class")
    workers = len(os.sched_getaffinity(0)) if workers is None else at_least("workers", workers, 1)
    sizes = [min(CHUNK, n_events - start) for start in range(0, n_events, CHUNK)]
    record: dict[str, Any] = {
        "generator": f"Pythia {version('pythia8mc')}", "jets": f"fastjet {version('fastjet')}",
        "seed": seed, "chunk": CHUNK, "events": n_events, "std::vector": has_root(), "classes": {},
    }  # fmt: skip
    with results_directory(out) as directory, ExitStack() as stack:
        pool = stack.enter_context(
            ended(processes(min(workers, len(sizes) * len(names)), 1, _quiet)())
        )
        advance = stack.enter_context(
            progress_bar("simulating events", n_events * len(names), progress)
        )
        tasks = {
            pool.submit(generate, name, size, seed, i): (name, i)
            for name in names
            for i, size in enumerate(sizes)
        }
        chunks: dict[str, dict[int, _Chunk]] = {name: {} for name in names}
        for task in as_completed(tasks):
            name, i = tasks[task]
            chunks[name][i] = task.result()
            advance(sizes[i])
            if len(chunks[name]) == len(sizes):
                parts = [chunks[name].pop(k) for k in range(len(sizes))]
                record["classes"][name] = {
                    **_write(directory / f"{name}.root", name, parts),
                    "generated": n_events,
                    "pythia_seeds": [_pythia_seed(name, seed, k) for k in range(len(sizes))],
                }
        record["classes"] = {name: record["classes"][name] for name in names}
        write_json(directory / "simulation.json", record)
    return record


def generate(name: str, n_events: int, seed: int, chunk: int) -> _Chunk:
    """The events of one chunk that have two photons."""
    import pythia8mc

    process = PROCESSES[name]
    pythia = pythia8mc.Pythia("", False)
    for setting in (
        "Beams:eCM = 13000", "Print:quiet = on", "PartonLevel:MPI = off", *_HIGGS,
        *process.settings, "Random:setSeed = on",
        f"Random:seed = {_pythia_seed(name, seed, chunk)}",
    ):  # fmt: skip
        if not pythia.readString(setting):
            raise ValueError(f"{name}: Pythia does not know the setting {setting!r}")
    if process.veto is not None:
        hook = _veto(process.veto)  # has to live as long as the generator
        pythia.setUserHooksPtr(hook)
    if not pythia.init():
        raise ValueError(f"{name}: Pythia cannot be set up with {process.settings}")
    made = pythia.nextBatch(n_events)
    if len(made) != n_events:
        raise RuntimeError(f"{name}: Pythia gave {len(made)} of {n_events} events")
    record = Jagged.from_awkward(made.prt, ["id", "status", "mother1"])
    momenta = Jagged.from_awkward(made.prt.p)
    weights = np.asarray([first[0] for first in made.info.weights], np.float64)
    kinds, index = np.unique(record["id"], return_inverse=True)
    data = pythia.particleData
    charge = np.array([data.charge(int(kind)) for kind in kinds])[index]
    hadron = np.array([bool(data.isHadron(int(kind))) for kind in kinds])[index]
    particles = Jagged(
        record.offsets,
        {"id": record["id"], "status": record["status"], "mother": record["mother1"],
         "charge": charge, "hadron": hadron, **{n: momenta[n] for n in momenta.columns}},
    )  # fmt: skip
    rng = np.random.default_rng(_seeds(name, seed, chunk))
    collections, flat = detector.reconstruct(particles, rng)
    two = np.flatnonzero(collections["photon"].counts >= 2)
    flat |= {"mcWeight": weights, "eventNumber": np.arange(n_events) + chunk * CHUNK}
    return _Chunk(
        {kind: objects[two] for kind, objects in collections.items()},
        {branch: values[two] for branch, values in flat.items()},
        float(weights.sum()),
        pythia.infoPython().sigmaGen() * 1e9,
    )


def _seeds(name: str, seed: int, chunk: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, PROCESSES[name].dsid, chunk])


def _pythia_seed(name: str, seed: int, chunk: int) -> int:
    # Pythia takes 1 to 900 million.
    return 1 + int(_seeds(name, seed, chunk).generate_state(1)[0]) % 900_000_000


def _veto(pdg: int) -> Any:
    """A hook that drops hard processes with this particle before any shower."""
    import pythia8mc

    class Without(pythia8mc.UserHooks):  # type: ignore[misc]
        def canVetoProcessLevel(self) -> bool:
            return True

        def doVetoProcessLevel(self, event: Any) -> bool:
            return any(event[i].id() == pdg for i in range(event.size()))

    return Without()


def _quiet() -> None:
    """For workers: libraries print banners, and cores are shared already."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)
    set_num_threads(1)


def _write(path: Path, name: str, chunks: list[_Chunk]) -> dict[str, Any]:
    process = PROCESSES[name]
    sum_weights = sum(chunk.sum_weights for chunk in chunks)
    cross_section = process.cross_section
    if cross_section is None:
        cross_section = float(np.mean([chunk.cross_section for chunk in chunks]))
    flat = {n: np.concatenate([chunk.flat[n] for chunk in chunks]) for n in chunks[0].flat}
    n = len(flat["mcWeight"])
    branches: dict[str, Any] = {
        "runNumber": np.full(n, 284500, np.int32),  # the period that the release simulates
        "eventNumber": flat["eventNumber"].astype(np.int32),
        "channelNumber": np.full(n, process.dsid, np.int32),
        "mcWeight": flat["mcWeight"].astype(np.float32),
        "XSection": np.full(n, cross_section, np.float32),
        "SumWeights": np.full(n, sum_weights, np.float32),
        **{f"scaleFactor_{sf}": np.ones(n, np.float32) for sf in _SCALE_FACTORS},
        **{trigger: flat[trigger].astype(bool) for trigger in _TRIGGERS},
        "met_et": _round(flat["met_et"] * 1e3),
        "met_phi": _round(flat["met_phi"]),
    }
    collections = {
        kind: Jagged.from_counts(
            np.concatenate([chunk.collections[kind].counts for chunk in chunks]),
            {c: _as_stored(np.concatenate([chunk.collections[kind][c] for chunk in chunks]), c)
             for c in columns},
        )
        for kind, columns in COLUMNS.items()
    }  # fmt: skip
    write_tree(path, "mini", collections, branches)
    return {"dsid": process.dsid, "written": n, "cross_section_pb": cross_section,
            "sum_of_weights": sum_weights}  # fmt: skip


def _as_stored(values: Any, column: str) -> Any:
    if column in TYPES:
        return values.astype(TYPES[column])
    return _round(values * 1e3 if column in _ENERGIES else values)


def _round(values: Any) -> Any:
    """float32 with a mantissa of few bits, which compresses better."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    drop = 23 - _MANTISSA
    return ((bits + (1 << (drop - 1))) >> drop << drop).view(np.float32)
