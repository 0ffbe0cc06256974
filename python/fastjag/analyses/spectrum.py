"""The dimuon mass spectrum: files to pairs to histogram, picture and report, in one pass."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastjag import __version__
from fastjag.analyses import spectrum_fits, spectrum_variations
from fastjag.analyses.common import variations
from fastjag.analyses.common.runs import HERE, Workers, read
from fastjag.analyses.common.variations import VariationSettings
from fastjag.analyses.common.varied import Varied
from fastjag.core.checks import needs, real
from fastjag.core.devices import namespace
from fastjag.dimuons import dimuon
from fastjag.histograms import histogram
from fastjag.io import Batch, Skipped, write_histograms
from fastjag.io.files import Files, ReadError
from fastjag.jagged import Jagged
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import BLUE, figure, save
from fastjag.reporting.points import band, poisson_errors
from fastjag.reporting.report import Report, with_error
from fastjag.reporting.titles import axis_title
from fastjag.selection import as_flags, event_flags

#: Mass windows [GeV] whose yields the summary lists.
WINDOWS = {
    "J/psi": (2.9, 3.3),
    "psi(2S)": (3.55, 3.85),
    "Upsilon sideband below": (7.4, 9.0),
    "Upsilon(1S,2S,3S)": (9.0, 10.6),
    "Upsilon sideband above": (10.6, 12.2),
    "Z": (80.0, 100.0),
}
#: Dimuon resonances [GeV] (PDG), with the label that a picture shows.
RESONANCES = (
    (0.782, r"$\rho,\omega$"),
    (1.019, r"$\phi$"),
    (3.097, r"J/$\psi$"),
    (3.686, r"$\psi$(2S)"),
    (9.7, r"$\Upsilon$(1S,2S,3S)"),
    (91.19, "Z"),
)
_MOST_BINS = 1_000_000  # more cannot be drawn


@dataclass(frozen=True)
class MuonSelection:
    """Which muons and events make pairs. The pair is that of the two leading passing muons."""

    min_pt: float = 0.0  #: GeV
    max_abs_eta: float = float("inf")
    muon_id: str | None = None  #: a boolean muon column such as "tightId"
    exactly_two: bool = False  #: only events with exactly two passing muons
    trigger: str | None = None  #: a boolean event branch such as "HLT_Mu17_Mu8"

    def __post_init__(self) -> None:
        real("min_pt", self.min_pt, least=0)
        real("max_abs_eta", self.max_abs_eta, above=0, finite=False)

    def branches(self) -> list[str]:
        names = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
        names += [f"Muon_{self.muon_id}"] if self.muon_id else []
        return names + ([self.trigger] if self.trigger else [])


@dataclass
class Spectrum:
    """Histograms of both charge classes, and what was cut on the way."""

    opposite: Any
    same: Any
    cutflow: dict[str, int]
    windows: dict[str, dict[str, int]]
    selection: MuonSelection
    files: list[str]
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    #: window: its fit, or the reason why there is none
    fits: dict[spectrum_fits.FitWindow, Any] = field(default_factory=dict)
    #: of "opposite" and "same", with an axis "variation" in front; empty without variations
    varied: dict[str, Any] = field(default_factory=dict)
    #: entries outside of the range of corrections that are variations, by correction and input
    outside: dict[str, int] = field(default_factory=dict)


def spectrum(
    files: Files,
    selection: MuonSelection = MuonSelection(),
    *,
    bins: int = 400,
    mass_range: tuple[float, float] = (0.3, 150.0),
    step: int | str = "100 MB",
    on_error: str = "raise",
    progress: bool | None = None,
    threads: int | None = None,
    fits: Sequence[str] = (),
    variations: Sequence[VariationSettings] = (),
    workers: Workers = HERE,
) -> Spectrum:
    """Histogram the dimuon mass of NanoAOD-like files on a logarithmic axis [GeV].

    ``fits`` are peaks to fit, in opposite-sign pairs: "J/psi", "Upsilon" (its three states), or a
    window such as "2.9:3.3" (:mod:`fastjag.analyses.spectrum_fits`).

    ``variations`` (:func:`fastjag.analyses.common.variations.read_variations`) are evaluated besides, from the
    same files: ``varied`` has their histograms.

    ``workers`` work through ranges of the files; no number depends on them. With ``on_error="skip"``, a file that
    cannot be opened and a range that cannot be read are left out as a whole, and listed in ``skipped``.

    Raises ValueError where the files hold no event at all, and what :func:`fastjag.iterate` raises.
    """
    needs("hist", "hist")
    low, high = mass_range
    if not (0 < low < high < np.inf) or not 1 <= bins <= _MOST_BINS:
        raise ValueError(
            f"need bins >= 1 and 0 < low < high, at most {_MOST_BINS:,} bins and a finite range, "
            f"got {bins} bins of {mass_range}"
        )
    peaks = tuple(spectrum_fits.fit_windows(fits, mass_range))
    started = time.perf_counter()
    result = read(
        _Fill(selection, bins, low, high, peaks, threads, tuple(variations)), files,
        list(dict.fromkeys([*selection.branches(), *(b for v in variations for b in v.branches)])),
        workers, step=step,
        on_error=on_error, progress=progress,
    )  # fmt: skip
    result.check_events()
    filled: _Filled = result.value
    return Spectrum(
        filled.opposite, filled.same, filled.cutflow, filled.windows, selection, result.files,
        result.skipped, time.perf_counter() - started,
        {p: spectrum_fits.fit(p, h) for p, h in filled.near.items()}, *_parts(filled.varied),
    )  # fmt: skip


@dataclass(frozen=True)
class _Filled:
    """Of some events."""

    opposite: Any
    same: Any
    near: dict[spectrum_fits.FitWindow, Any]  #: opposite-sign pairs, in finer bins
    cutflow: dict[str, int]
    windows: dict[str, dict[str, int]]
    varied: Varied | None = None


def _parts(varied: Varied | None) -> tuple[dict[str, Any], dict[str, int]]:
    return ({}, {}) if varied is None else (varied.histograms, varied.outside)


@dataclass(frozen=True)
class _Fill:
    """Events to histograms, on whatever machine this runs."""

    selection: MuonSelection
    bins: int
    low: float
    high: float
    peaks: tuple[spectrum_fits.FitWindow, ...]
    threads: int | None
    variations: tuple[VariationSettings, ...] = ()

    def __call__(self, batch: Batch) -> _Filled:
        import hist

        axis = hist.axis.Regular(self.bins, self.low, self.high, transform=hist.axis.transform.log,
                                 name="mass", label=axis_title("dimu_mass"))  # fmt: skip
        cutflow: dict[str, int] = {}
        windows: dict[str, dict[str, int]] = {name: {} for name in WINDOWS}
        muons = _select(batch, self.selection, cutflow)
        pairs = dimuon(muons, "any", fields=("mass", "charge"), threads=self.threads)
        masses = {"opposite": pairs.mass[pairs.charge == 0], "same": pairs.mass[pairs.charge != 0]}
        for sign, own in masses.items():
            _count(cutflow, f"{sign}-sign pairs", len(own))
            for name, (lo, hi) in WINDOWS.items():
                windows[name][sign] = int(np.count_nonzero((own > lo) & (own < hi)))
        near = {p: histogram(masses["opposite"], (spectrum_fits.BINS, p.low, p.high), threads=self.threads)
                for p in self.peaks}  # fmt: skip
        opposite, same = (histogram(own, axis, threads=self.threads) for own in masses.values())
        varied = None
        if self.variations:
            select = partial(_selected, batch, self.selection)
            varied = spectrum_variations.varied(batch, select, axis, self.variations, self.threads)
        return _Filled(opposite, same, near, cutflow, windows, varied)


def _selected(batch: Batch, cuts: MuonSelection, muons: Jagged) -> Any:
    """Which muons :func:`_select` keeps, of all events."""
    mask = _passing(batch, cuts, muons)
    if cuts.trigger:
        mask = mask & muons.broadcast(event_flags(batch, cuts.trigger))
    if cuts.exactly_two:
        mask = mask & muons.broadcast(muons.keep(mask).counts == 2)
    return mask


def _count(cutflow: dict[str, int], step: str, n: int) -> None:
    cutflow[step] = cutflow.get(step, 0) + int(n)


def _select(batch: Batch, cuts: MuonSelection, cutflow: dict[str, int]) -> Jagged:
    if "Muon" not in batch.collections:
        raise ReadError(f"{batch.source}: Muon_pt and the other muon branches are not jagged")
    muons: Jagged = batch.Muon
    _count(cutflow, "events read", len(batch))
    if cuts.trigger:
        muons = muons[np.flatnonzero(event_flags(batch, cuts.trigger))]
        _count(cutflow, f"pass {cuts.trigger}", len(muons))
    _count(cutflow, "at least two muons", int(np.count_nonzero(muons.counts >= 2)))
    mask = _passing(batch, cuts, muons)
    if not mask.all():
        muons = muons.keep(mask)
    _count(cutflow, "at least two selected muons", int(np.count_nonzero(muons.counts >= 2)))
    if cuts.exactly_two:
        muons = muons[np.flatnonzero(muons.counts == 2)]
        _count(cutflow, "exactly two selected muons", len(muons))
    return muons


def _passing(batch: Batch, cuts: MuonSelection, muons: Jagged) -> Any:
    """Which muons pass the cuts on muons."""
    mask = namespace(muons["pt"]).ones(muons.n_particles, bool)
    if cuts.min_pt > 0:
        mask &= muons["pt"] > cuts.min_pt
    if np.isfinite(cuts.max_abs_eta):
        mask &= np.abs(muons["eta"]) < cuts.max_abs_eta
    if cuts.muon_id:
        mask &= as_flags(muons[cuts.muon_id], f"Muon_{cuts.muon_id}", batch.source)
    return mask


def mass_spectrum(opposite: Any, same: Any, title: str) -> Any:
    """Opposite- and same-sign pairs per GeV on logarithmic axes, with the resonances named."""
    with figure(11, 7) as (fig, ax):
        edges = opposite.axes[0].edges
        widths = np.diff(edges)
        for h, label, colour in ((opposite, "opposite sign", BLUE), (same, "same sign", "k")):
            density = h.values() / widths
            error = poisson_errors(h.values()) / widths
            ax.stairs(density, edges, color=colour, lw=1.4, label=f"{label}: {h.sum():,.0f}")
            band(ax, edges, density, error, color=colour)
        ax.set(xscale="log", yscale="log", xlim=(edges[0], edges[-1]))
        ax.set(xlabel=axis_title("dimu_mass"), ylabel="Pairs / GeV")
        _name_resonances(ax, opposite.values() / widths, edges)
        ax.set_title(title, loc="left", fontsize=15)
        ax.legend(loc="lower left", title="Pairs in range", title_fontsize=15)
        ax.set_xticks(
            [0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"]
        )
    return fig


def _name_resonances(ax: Any, density: Any, edges: Any) -> None:
    positive = density[density > 0]
    if not len(positive):
        return
    ax.set_ylim(positive.min() * 0.5, positive.max() * 10)
    for mass, label in RESONANCES:
        bin_ = int(np.searchsorted(edges, mass)) - 1
        if not 0 <= bin_ < len(density):
            continue
        top = density[max(0, bin_ - 3) : bin_ + 4].max()
        if top > 0:
            side = "left" if "2S)" in label and "psi" in label else "center"  # of the J/psi
            ax.annotate(label, (mass, top * 2.5), ha=side, fontsize=15)


def write(result: Spectrum, out: str | os.PathLike[str], pictures: bool = True) -> Path:
    """Write picture (PNG, PDF), histograms (ROOT), summary (JSON) and report (HTML) to ``out``.

    All files appear together when the last one is complete. Without ``pictures``, those of an earlier
    spectrum go, because they would show other numbers. Returns the directory.
    """
    if pictures:
        needs("mplhep", "plots")
    with results_directory(out, earlier_pictures) as directory:
        if pictures:
            n = result.cutflow["events read"]
            picture = mass_spectrum(result.opposite, result.same, f"{n:,} events")
            save(picture, directory / "spectrum.png", directory / "spectrum.pdf")
        histograms = {"opposite_sign": result.opposite, "same_sign": result.same}
        for sign, h in result.varied.items():
            for name in list(h.axes[0])[1:]:
                histograms[f"{sign}_sign_{name.replace(' ', '_')}"] = h[name, :]
        write_histograms(directory / "spectrum.root", histograms)
        if pictures:
            spectrum_fits.draw(result.fits, directory)
        write_json(directory / "spectrum.json", _summary(result, pictures))
        _report(result, directory / "spectrum.png" if pictures else None).write(
            directory / "report.html", f"fastjag {__version__}, {result.seconds:.2f} s"
        )
    return Path(out)


def earlier_pictures(out: Path) -> list[str]:
    """Pictures that an earlier spectrum left in a folder: they go when a new one comes."""
    return ["spectrum.png", "spectrum.pdf", *spectrum_fits.earlier_pictures(out)]


def _summary(result: Spectrum, pictures: bool) -> dict[str, Any]:
    return {
        "fastjag": __version__,
        "files": result.files,
        "skipped": [asdict(s) for s in result.skipped],
        "selection": asdict(result.selection),
        "cutflow": result.cutflow,
        "windows_gev": {k: {"low": WINDOWS[k][0], "high": WINDOWS[k][1], **v}
                        for k, v in result.windows.items()},
        "edges_gev": result.opposite.axes[0].edges,
        "opposite_sign": result.opposite.values(flow=True),
        "same_sign": result.same.values(flow=True),
        "nan": {"opposite": result.opposite.metadata["nan"], "same": result.same.metadata["nan"]},
        "seconds": result.seconds,
    } | ({"fits": spectrum_fits.summary(result.fits, pictures)} if result.fits else {}) | (
        {"variations": variations.summary(result.varied),
         "outside_corrections": result.outside} if result.varied else {})  # fmt: skip


def _sentence(result: Spectrum) -> str:
    """What was found, and how sure that is."""
    counted = {sign: result.cutflow[f"{sign}-sign pairs"] for sign in ("opposite", "same")}
    said = (f"{result.cutflow['events read']:,} events have {counted['opposite']:,} pairs of opposite and "
            f"{counted['same']:,} of the same sign")  # fmt: skip
    if peaks := spectrum_fits.found(result.fits):
        return f"{said}; {'; '.join(peaks)}."
    excess = [
        f"{with_error(n['opposite'] - n['same'], (n['opposite'] + n['same']) ** 0.5)} ({name})"
        for name, n in result.windows.items() if "sideband" not in name and n["opposite"] + n["same"]
    ]  # fmt: skip
    return f"{said}" + (f"; in windows around resonances, opposite exceeds same sign by {', '.join(excess)}, "
                        "with statistical errors." if excess else ".")  # fmt: skip


def _report(result: Spectrum, picture: Path | None) -> Report:
    report = Report("Dimuon mass spectrum", _sentence(result))
    for name, text in spectrum_fits.remarks(result.fits):
        report.warning(f"{name}: {text}")
    report.left_out(result.skipped)
    if picture is not None:
        report.heading("Spectrum")
        report.figure(picture, "Pairs of the two leading selected muons, per GeV.")
    report.heading("Cutflow")
    report.table(("step", "events or pairs"), list(result.cutflow.items()))
    report.heading("Yields")
    report.table(
        ("window [GeV]", "opposite sign", "same sign"),
        [(f"{name} {WINDOWS[name]}", v["opposite"], v["same"])
         for name, v in result.windows.items()],
    )  # fmt: skip
    if result.fits:
        spectrum_fits.section(result.fits, picture and picture.parent, report)
    if result.varied:
        spectrum_variations.section(Varied(result.varied, result.outside), WINDOWS, report)
    report.heading("Selection")
    report.settings(asdict(result.selection))
    report.heading("Files")
    report.files(result.files)
    if result.skipped:
        report.heading("Skipped")
        report.table(("file", "events", "reason"),
                     [(s.file, "unknown" if s.events is None else s.events, s.reason)
                      for s in result.skipped])  # fmt: skip
    return report
