"""Tracks in jets: d_xy of those within delta_r < 0.5 of a jet, weighted, in one pass over the files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastjag.analyses.common import runs
from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.jets.config import TrackSelection
from fastjag.analyses.jets.reading import NO_TRACK
from fastjag.analyses.jets.results import TrackSpectrum
from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.core.devices import namespace
from fastjag.histograms import histogram
from fastjag.io import Batch
from fastjag.io.files import Files, ReadError
from fastjag.jagged import Jagged
from fastjag.neighbours import nearest

#: |d_xy| [cm]: bins, lowest and highest edge.
AXIS = (60, 1e-4, 1e2)


def in_jets(jets: Jagged, tracks: Jagged, radius: float, threads: int | None = None) -> Array:
    """For each track the flat index of the nearest jet of its event, -1 if none is within ``radius``.

    Each track belongs to one jet at most, so that histograms of tracks have independent entries;
    :func:`fastjag.in_cone` gives the tracks of every cone, those of overlapping cones repeatedly.
    """
    index, delta_r = nearest(tracks, jets, threads=threads)
    return np.where(delta_r < radius, index, -1)


def tracks(
    files: Files,
    selection: TrackSelection = TrackSelection(),
    *,
    step: int | str = "100 MB",
    on_error: str = "raise",
    workers: Workers = HERE,
    progress: bool | None = None,
    threads: int | None = None,
) -> TrackSpectrum:
    """Histogram |d_xy| of tracks in jets and elsewhere, of files that ``workers`` read.

    Tracks are the entries of the tracks' collection that have a d_xy (PFNano marks the others by
    -1) and, if there is a column ``charge``, a charge.

    Raises ValueError where no event or no track was selected, and what :func:`fastjag.iterate`
    raises for branches that are missing.
    """
    needs("hist", "hist")
    import hist

    s = selection
    axis = hist.axis.Regular(*AXIS, transform=hist.axis.transform.log, name="dxy",
                             label=r"$|d_{xy}|$ [cm]")  # fmt: skip
    columns = [f"{c}_{x}" for c in (s.jets, s.tracks) for x in ("pt", "eta", "phi")]
    columns += [f"{s.tracks}_{s.dxy}"] + ([s.weight] if s.weight else [])
    optional = [f"{s.tracks}_charge", f"{s.tracks}_{s.dxy}Err", f"{s.jets}_hadronFlavour"]
    optional += [] if s.weight else ["genWeight"]
    started = time.perf_counter()
    read = runs.read(
        _Fill(s, axis, threads), files, columns, workers, optional=optional, step=step,
        on_error=on_error, progress=progress,
    )  # fmt: skip
    read.check_events()
    found: _Filled = read.value
    if not found.counts["tracks in jets"]:
        raise ValueError(
            f"no track is within {s.radius:g} of a jet: "
            + ", ".join(f"{n:,} {name}" for name, n in found.counts.items())
            + (f" ({read.reasons})" if read.skipped else "")
        )
    weight = s.weight or ("genWeight" if found.weighted else "none")
    result = TrackSpectrum(found.histograms, found.counts, s, read.files, weight, read.skipped)
    result.seconds = time.perf_counter() - started
    return result


@dataclass
class _Filled:
    """Of some events; merged, of all."""

    histograms: dict[str, Any]
    counts: dict[str, int]
    weighted: int  #: batches that had weights


@dataclass(frozen=True)
class _Fill:
    """What workers do with a batch of events."""

    selection: TrackSelection
    axis: Any
    threads: int | None

    def __call__(self, batch: Batch) -> _Filled:
        s, counts = self.selection, dict[str, int]()
        weights = batch.flat.get(s.weight or "genWeight")
        some = _select(batch, s, weights, counts, self.threads)
        histograms = {
            name: histogram(values, self.axis, weights=w, threads=self.threads)
            for name, (values, w) in some.items()
        }
        return _Filled(histograms, counts, int(weights is not None))


def _select(
    batch: Batch, s: TrackSelection, weights: Array | None, counts: dict[str, int],
    threads: int | None,
) -> dict[str, tuple[Array, Array]]:  # fmt: skip
    for name in (s.jets, s.tracks):
        if name not in batch.collections:
            raise ReadError(f"{batch.source}: {name} is no collection with a list per event")
    jets, tracks = batch.collections[s.jets], batch.collections[s.tracks]
    counts["events"] = counts.get("events", 0) + len(batch)
    if s.min_jet_pt > 0:
        jets = jets.keep(jets["pt"] > s.min_jet_pt, threads=threads)
    counts["jets"] = counts.get("jets", 0) + jets.n_particles
    dxy = tracks[s.dxy]
    good = dxy != NO_TRACK
    if f"{s.dxy}Err" in tracks:
        good |= tracks[f"{s.dxy}Err"] != NO_TRACK  # a real track at -1 cm has an error
    if "charge" in tracks:
        good &= tracks["charge"] != 0
    if s.min_track_pt > 0:
        good &= tracks["pt"] > s.min_track_pt
    tracks = tracks[["eta", "phi", s.dxy]].keep(good, threads=threads)
    jet = in_jets(jets, tracks, s.radius, threads)
    values = np.abs(tracks[s.dxy])
    of_event = namespace(dxy).ones(len(batch), np.float32) if weights is None else weights
    # As np.repeat(of_event, tracks.counts), which CuPy cannot.
    number = namespace(dxy).arange(tracks.n_particles)
    w = of_event[np.searchsorted(tracks.offsets[1:], number, side="right")]
    near = jet >= 0
    chosen = {"in jets": near, "elsewhere": ~near}
    if "hadronFlavour" in jets:
        # The last one is what index -1 points to: tracks that are near to none.
        stored = np.abs(jets["hadronFlavour"].astype(np.int32))
        flavour = np.append(stored, namespace(stored).full(1, -1, np.int32))[jet]
        chosen |= {"in b jets": flavour == 5, "in c jets": flavour == 4,
                   "in light jets": near & (flavour != 5) & (flavour != 4)}  # fmt: skip
    counts["tracks"] = counts.get("tracks", 0) + len(values)
    for name, mask in chosen.items():
        counts[f"tracks {name}"] = counts.get(f"tracks {name}", 0) + int(np.count_nonzero(mask))
    return {name: (values[mask], w[mask]) for name, mask in chosen.items()}
