"""Pictures, tables and reports of jets, their tracks and their taggers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.io import write_histograms
from fastjag.reporting.output import new_file, results_directory, write_json
from fastjag.reporting.plots import BLUE, GREY, ORANGE, RED, VIOLET, figure, save
from fastjag.reporting.report import Report

if TYPE_CHECKING:
    from fastjag.analyses.jets.spectra import ShapeHistograms
    from fastjag.analyses.jets.tagging import Tagging
    from fastjag.analyses.jets.tracks import TrackSpectrum

_COLOURS = {"all": "k", "quark": BLUE, "gluon": ORANGE, "c": VIOLET, "b": RED}
_TRACKS = {"in jets": "k", "elsewhere": GREY, "in light jets": BLUE, "in c jets": VIOLET,
           "in b jets": RED}  # fmt: skip


def _stairs(ax: Any, h: Any, colour: str, label: str, *, density: bool, unit: bool) -> None:
    """A histogram with its statistical error as a band; per unit of x, normalised if asked for."""
    edges = h.axes[0].edges
    width = np.diff(edges) if density else 1.0
    scale = 1 / h.values().sum() if unit and h.values().sum() else 1.0
    values = scale * h.values() / width
    errors = scale * np.sqrt(h.variances()) / width
    ax.stairs(values, edges, color=colour, lw=1.6, label=label)
    low, high = (np.append(values + s * errors, 0) for s in (-1, 1))
    ax.fill_between(edges, np.maximum(low, 0), high, step="post", color=colour, alpha=0.2, lw=0)


def _log_limits(ax: Any, histograms: list[Any], *, density: bool, unit: bool) -> None:
    """From below the lowest value worth showing to above the highest."""
    values = []
    for h in histograms:
        width = np.diff(h.axes[0].edges) if density else 1.0
        total = h.values().sum()
        values.append(h.values() / width / (total if unit and total else 1))
    filled = np.concatenate(values)
    filled = filled[filled > 0]
    if len(filled):
        top = filled.max()
        ax.set(yscale="log", ylim=(max(filled.min() * 0.5, top * 1e-9), top * 30))


# ---- tracks -----------------------------------------------------------------------------------


def draw_tracks(result: TrackSpectrum) -> Any:
    """|d_xy| of tracks in jets and elsewhere, and by flavour of the jet, per cm."""
    shown = {n: h for n, h in result.histograms.items() if result.counts[f"tracks {n}"]}
    with figure(11, 7.5) as (fig, ax):
        for name, h in shown.items():
            n = result.counts[f"tracks {name}"]
            _stairs(ax, h, _TRACKS[name], f"{name}: {n:,}", density=True, unit=False)
        _log_limits(ax, list(shown.values()), density=True, unit=False)
        axis = next(iter(shown.values())).axes[0]
        weighted = "Tracks" if result.weight == "none" else f"Tracks, weighted by {result.weight},"
        ax.set(xscale="log", xlim=(axis.edges[0], axis.edges[-1]), xlabel=r"$|d_{xy}|$ [cm]",
               ylabel=f"{weighted} per cm")  # fmt: skip
        radius = result.selection.radius
        ax.legend(loc="upper right", title=rf"$\Delta R < {radius:g}$ of a jet, or elsewhere",
                  title_fontsize=15)  # fmt: skip
        ax.set_title(f"{result.counts['events']:,} events", loc="left", fontsize=15)
    return fig


def write_tracks(result: TrackSpectrum, out: Path, version: str) -> None:
    from fastjag.analyses.jets.tracks import summary

    with results_directory(out) as directory:
        fig = draw_tracks(result)
        save(fig, directory / "tracks.png", directory / "tracks.pdf")
        names = {k.replace(" ", "_"): h for k, h in result.histograms.items()}
        write_histograms(directory / "tracks.root", names)
        write_json(directory / "tracks.json", {"fastjag": version, **summary(result)})
        page = Report("Tracks in jets", f"{len(result.files)} file(s)")
        page.figure(directory / "tracks.png", "Transverse impact parameter of tracks, per cm.")
        page.heading("Counts")
        page.table(("what", "number"), list(result.counts.items()))
        page.heading("Mean and tail")
        page.table(("tracks", "sum of weights", "share above 0.1 cm", "share above 1 cm"),
                   [(n, *_tail(h)) for n, h in result.histograms.items()])  # fmt: skip
        page.text(
            "Each track counts for the nearest jet only. Candidates without a measured impact "
            "parameter (PFNano: -1) are left out."
        )
        page.heading("Selection")
        page.settings(asdict(result.selection) | {"weight": result.weight})
        _skipped(page, result.skipped)
        page.write(directory / "report.html", f"fastjag {version}, {result.seconds:.2f} s")


def _tail(h: Any) -> tuple[float, float | str, float | str]:
    """Sum of weights, and shares above 0.1 and 1 cm, which are edges of the axis."""
    values, edges = h.values(flow=True), h.axes[0].edges
    total = values.sum()
    if not total:
        return 0.0, "", ""
    shares = [values[1 + int(np.argmin(np.abs(edges - x))) :].sum() / total for x in (0.1, 1.0)]
    return float(total), float(shares[0]), float(shares[1])


def _skipped(page: Report, skipped: Any) -> None:
    if skipped:
        page.heading("Skipped")
        page.table(("file", "reason"), [(s.file, s.reason) for s in skipped])


# ---- shapes -----------------------------------------------------------------------------------

_SPECTRA = ("pt", "constituent_pt", "dijet_mass")


def draw_shapes(histograms: dict[str, dict[str, Any]]) -> Any:
    """A panel per observable: spectra weighted per GeV, shapes normalised, by flavour."""
    rows = (len(histograms) + 1) // 2
    with figure(15, 5.2 * rows) as (fig, ax):
        ax.remove()
        panels = fig.subplots(rows, 2, squeeze=False).ravel()
        for panel in panels[len(histograms) :]:
            panel.remove()
        for panel, (name, by_flavour) in zip(panels, histograms.items(), strict=False):
            _draw_shape(panel, name, by_flavour)
    return fig


def _draw_shape(ax: Any, name: str, by_flavour: dict[str, Any]) -> None:
    spectrum = name in _SPECTRA
    shown = {f: h for f, h in by_flavour.items() if h.values().sum() and (spectrum or f != "all")}
    shown = shown or by_flavour
    for flavour, h in shown.items():
        _stairs(ax, h, _COLOURS[flavour], flavour, density=spectrum, unit=not spectrum)
    axis = next(iter(shown.values())).axes[0]
    edges = axis.edges
    ax.set(xlim=(edges[0], edges[-1]), xlabel=axis.label)
    ax.set_ylabel("Sum of weights per GeV" if spectrum else "Share of jets")
    if spectrum:
        ax.set_xscale("log")
        _log_limits(ax, list(shown.values()), density=True, unit=False)
    else:
        tops = [h.values().max() / max(h.values().sum(), 1e-300) for h in shown.values()]
        ax.set_ylim(0, 1.4 * max(*tops, 1e-6))
    if len(shown) > 1:
        ax.legend(loc="upper right")


def draw_images(images: dict[str, Any], half_width: float) -> Any:
    """Mean images side by side on one logarithmic scale."""
    shown = {k: v for k, v in images.items() if k != "all"} or images
    top = max(float(v.max()) for v in shown.values())
    with figure(4.6 * len(shown) + 1.5, 5.2) as (fig, ax):
        ax.remove()
        axes = fig.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        extent = (-half_width, half_width, -half_width, half_width)
        for ax, (name, image) in zip(axes, shown.items(), strict=True):
            drawn = ax.imshow(
                np.maximum(image, top * 1e-5), norm="log", vmin=top * 1e-5, vmax=top, extent=extent,
                origin="lower", cmap="viridis",
            )  # fmt: skip
            ax.set_title(name, fontsize=16)
            ax.set_xlabel(r"$\Delta\phi$")
        axes[0].set_ylabel(r"$\Delta\eta$")
        fig.colorbar(drawn, ax=list(axes), label=r"share of jet $p_T$", shrink=0.9)
    return fig


def write_shapes(result: ShapeHistograms, out: Path, version: str) -> None:
    from fastjag.analyses.jets.features import IMAGE_HALF_WIDTH

    with results_directory(out) as directory:
        filled = {n: by for n, by in result.histograms.items() if by}
        save(draw_shapes(filled), directory / "shapes.png", directory / "shapes.pdf")
        save(draw_images(result.images, IMAGE_HALF_WIDTH), directory / "images.png",
             directory / "images.pdf")  # fmt: skip
        write_histograms(
            directory / "shapes.root",
            {f"{n}_{f}": h for n, by in filled.items() for f, h in by.items()},
        )
        means = {n: {f: _mean(h) for f, h in by.items()} for n, by in filled.items()}
        write_json(
            directory / "shapes.json",
            {"fastjag": version, "files": result.files, "format": result.format,
             "counts": result.counts, "means": means, "compared": result.compared,
             "gen": result.gen, "images": result.images, "seconds": result.seconds},
        )  # fmt: skip
        page = Report("Jets", f"{len(result.files)} {result.format} file(s)")
        page.table(("what", "number"), list(result.counts.items()))
        names = sorted({f for by in filled.values() for f in by}, key=list(_COLOURS).index)
        page.heading("Weighted means")
        page.table(("observable", *names),
                   [(n, *(m.get(f, "") for f in names)) for n, m in means.items()])  # fmt: skip
        if result.compared:
            page.heading("Compared with what the file stores")
            page.table(
                ("branch", "mean stored", "mean computed", "mean |difference|"),
                [(n, v["stored"], v["computed"], v["difference"])
                 for n, v in result.compared.items()],
            )  # fmt: skip
        if result.gen:
            page.heading("Jets with a gen jet")
            page.table(("what", "value"), list(result.gen.items()))
        page.figure(
            directory / "shapes.png",
            "Spectra: sums of weights per GeV. Shapes: normalised, weighted. Bands: statistical errors.",
        )
        page.figure(directory / "images.png", "Mean images: share of the jet's pt per pixel.")
        page.write(directory / "report.html", f"fastjag {version}, {result.seconds:.2f} s")


def _mean(h: Any) -> float | str:
    total = h.values().sum()
    return float(h.values() @ h.axes[0].centers / total) if total else ""


# ---- taggers ----------------------------------------------------------------------------------


def draw_roc(result: Tagging) -> Any:
    with figure(9, 8) as (fig, ax):
        for i, (name, found) in enumerate(result.models.items()):
            good = found["mistag"] > 0
            ax.plot(
                found["efficiency"][good], found["mistag"][good],
                color=(BLUE, RED, VIOLET)[i % 3], lw=2,
                label=f"{name}: AUC {found['auc']:.4f} $\\pm$ {found['auc_error']:.4f}",
            )  # fmt: skip
        grid = np.linspace(1e-3, 1, 200)
        ax.plot(grid, grid, color="0.6", ls=":", label="no separation")
        signal, background = result.classes
        lowest = min(float(f["mistag"][f["mistag"] > 0].min()) for f in result.models.values())
        ax.set(yscale="log", xlim=(0, 1), ylim=(max(1e-4, lowest * 0.5), 2))
        ax.set(xlabel=f"Efficiency of {signal} jets", ylabel=f"Mistag rate of {background} jets")
        ax.legend(loc="lower right", fontsize=14)
    return fig


def draw_scores(result: Tagging) -> Any:
    signal, background = result.classes
    with figure(11, 6) as (fig, ax):
        ax.remove()
        axes = fig.subplots(1, len(result.models), squeeze=False)[0]
        for ax, (name, found) in zip(axes, result.models.items(), strict=True):
            for label, colour, which in ((signal, RED, 1), (background, BLUE, 0)):
                values = found["scores"][result.labels == which]
                counts, edges = np.histogram(values, 40, (0, 1))
                ax.stairs(counts / max(1, len(values)), edges, color=colour, lw=1.6, label=label)
            ax.set(xlim=(0, 1), yscale="log", xlabel=f"{name} score", ylabel="Share of test jets")
            ax.set_ylim(top=10 * ax.get_ylim()[1])
            ax.legend(loc="upper center", ncols=2)
    return fig


def write_tagging(result: Tagging, out: Path, version: str) -> None:
    with results_directory(out) as directory:
        save(draw_roc(result), directory / "roc.png", directory / "roc.pdf")
        save(draw_scores(result), directory / "scores.png", directory / "scores.pdf")
        rows = [
            (n, f["auc"], f["auc_error"], f["mistag_at_50"], f["mistag_at_70"], f["seconds"])
            for n, f in result.models.items()
        ]
        for name, found in result.models.items():
            found["save"](directory / f"{name.lower()}{found['ending']}")
        write_json(
            directory / "tagging.json",
            {"fastjag": version, "source": result.source, "target": result.target,
             "classes": result.classes, "counts": result.counts, "settings": result.settings,
             "models": {n: {k: v for k, v in f.items() if k not in ("save", "scores")}
                        for n, f in result.models.items()}},
        )  # fmt: skip
        with new_file(directory / "scores.npz") as partial:
            np.savez_compressed(
                partial, label=result.labels, weight=result.weights,
                **{n: f["scores"] for n, f in result.models.items()},
            )  # fmt: skip
        signal, background = result.classes
        page = Report(f"Tagging {signal} jets", f"against {background} jets; {result.source}")
        page.table(("model", "AUC", "error", "mistag at 50 %", "mistag at 70 %", "seconds"), rows)
        page.figure(directory / "roc.png", "Efficiency and mistag rate on the test events.")
        page.figure(directory / "scores.png", "Scores of test jets.")
        page.heading("Samples")
        page.table(("what", "jets"), list(result.counts.items()))
        page.heading("Settings")
        page.settings(result.settings)
        page.write(directory / "report.html", f"fastjag {version}")
