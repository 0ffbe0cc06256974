"""Pages and numbers of jets, their tracks and their taggers."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastjag import __version__
from fastjag.analyses.jets import variations
from fastjag.analyses.jets.observables import IMAGE_HALF_WIDTH
from fastjag.analyses.jets.pictures.spectra import COLOURS, draw_images, draw_shapes, draw_tracks
from fastjag.analyses.jets.pictures.tagging import draw_scores
from fastjag.analyses.jets.results import ShapeHistograms, Tagging, TrackSpectrum
from fastjag.io import Skipped, write_histograms
from fastjag.reporting.output import new_file, write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report, with_error
from fastjag.reporting.roc import draw_roc

_SURE = 3  # standard deviations from guessing, from which on a tagger works


def write_tracks(result: TrackSpectrum, directory: Path) -> None:
    """``tracks.json``, ``tracks.root``, picture and page of impact parameters."""
    fig = draw_tracks(result)
    save(fig, directory / "tracks.png", directory / "tracks.pdf")
    names = {k.replace(" ", "_"): h for k, h in result.histograms.items()}
    write_histograms(directory / "tracks.root", names)
    write_json(directory / "tracks.json", _track_numbers(result))
    page = Report("Tracks in jets", _tracks_sentence(result))
    page.left_out(result.skipped)
    page.heading("Impact parameters")
    page.figure(directory / "tracks.png", "Transverse impact parameter of tracks, per cm, with "
                "statistical errors; arrows: share of the tracks beside the axis.")  # fmt: skip
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
    page.files(result.files)
    _skipped(page, result.skipped)
    page.write(directory / "report.html", f"fastjag {__version__}, {result.seconds:.2f} s")


def _tracks_sentence(result: TrackSpectrum) -> str:
    """What was found, and how sure that is."""
    shares = {
        name: _share_above(h) for name, h in result.histograms.items()
        if name != "elsewhere" and h.values(flow=True).sum() > 0
    }  # fmt: skip
    said = ", ".join(
        f"{with_error(100 * x, 100 * error)} % {name}" for name, (x, error) in shares.items()
    )
    return (
        f"{result.counts['events']:,} events have {result.counts['tracks in jets']:,} tracks in jets; of "
        f"their weight, so much is of tracks with |d_xy| above 0.1 cm: {said or 'none'}; errors are "
        "statistical."
    )


def _share_above(h: Any, cm: float = 0.1) -> tuple[float, float]:
    """The share of the weight above an edge, and its statistical error."""
    values, variances = h.values(flow=True), h.variances(flow=True)
    first = 1 + int(np.argmin(np.abs(h.axes[0].edges - cm)))
    total, share = values.sum(), values[first:].sum() / values.sum()
    above, below = variances[first:].sum(), variances[:first].sum()
    return float(share), float(np.hypot((1 - share) * above**0.5, share * below**0.5) / total)


def _skipped(page: Report, skipped: list[Skipped]) -> None:
    if skipped:
        page.heading("Skipped")
        page.table(("file", "reason"), [(s.file, s.reason) for s in skipped])


def _track_numbers(result: TrackSpectrum) -> dict[str, Any]:
    """What ``tracks.json`` holds."""
    h = result.histograms["in jets"]
    return {
        "fastjag": __version__,
        "selection": asdict(result.selection),
        "weight": result.weight,
        "files": result.files,
        "skipped": [asdict(x) for x in result.skipped],
        "counts": result.counts,
        "edges_cm": h.axes[0].edges,
        "sums": {k: h.values(flow=True) for k, h in result.histograms.items()},
        "variances": {k: h.variances(flow=True) for k, h in result.histograms.items()},
        "seconds": result.seconds,
    }


def _tail(h: Any) -> tuple[float, float | str, float | str]:
    """Sum of weights, and shares above 0.1 and 1 cm, which are edges of the axis."""
    values, edges = h.values(flow=True), h.axes[0].edges
    total = values.sum()
    if not total:
        return 0.0, "", ""
    shares = [values[1 + int(np.argmin(np.abs(edges - x))) :].sum() / total for x in (0.1, 1.0)]
    return float(total), float(shares[0]), float(shares[1])


def write_shapes(result: ShapeHistograms, directory: Path, settings: Mapping[str, Any]) -> None:
    """``shapes.json``, ``shapes.root``, pictures and page of spectra, shapes and images."""
    by_name = {n: by for n, by in result.histograms.items() if by}
    save(draw_shapes(by_name), directory / "shapes.png", directory / "shapes.pdf")
    save(draw_images(result.images, IMAGE_HALF_WIDTH), directory / "images.png",
         directory / "images.pdf")  # fmt: skip
    write_histograms(
        directory / "shapes.root",
        {f"{n}_{f}": h for n, by in by_name.items() for f, h in by.items()},
    )
    varied = {} if result.varied is None else result.varied.record()
    means = {n: {f: _mean(h) for f, h in by.items()} for n, by in by_name.items()}
    write_json(
        directory / "shapes.json",
        {"fastjag": __version__, "files": result.files, "format": result.format,
         "counts": result.counts, "means": means, "compared": result.compared,
         "gen": result.gen, "images": result.images, "seconds": result.seconds,
         "variations": varied, "skipped": [asdict(x) for x in result.skipped]},
    )  # fmt: skip
    page = Report("Jets", _shapes_sentence(result))
    page.left_out(result.skipped)
    page.heading("Counts")
    page.table(("what", "number"), list(result.counts.items()))
    names = sorted({f for by in by_name.values() for f in by}, key=list(COLOURS).index)
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
    page.heading("Spectra, shapes and images")
    page.figure(
        directory / "shapes.png",
        "Spectra: sums of weights per GeV. Shapes: normalised, weighted. Bands: statistical errors.",
    )
    page.figure(
        directory / "images.png",
        "Mean images: share of the jet's pt per pixel; white where there is nothing.",
    )
    if varied:
        variations.section(page, varied)
    page.heading("Files and settings")
    page.files(result.files)
    _skipped(page, result.skipped)
    page.settings(settings)
    page.write(directory / "report.html", f"fastjag {__version__}, {result.seconds:.2f} s")


def _shapes_sentence(result: ShapeHistograms) -> str:
    """What was found, and how sure that is: how many constituents jets have, by flavour where it is known."""
    by_flavour = {
        f: h for f, h in result.histograms.get("multiplicity", {}).items() if h.values().sum() > 0
    }
    means = []
    for flavour, h in by_flavour.items():
        if flavour == "all" and len(by_flavour) > 1:
            continue
        values, x = h.values(), h.axes[0].centers
        mean = values @ x / values.sum()
        error = (h.variances() @ (x - mean) ** 2) ** 0.5 / values.sum()
        means.append(f"{with_error(mean, error)} ({flavour})")
    return (
        f"{result.counts['jets']:,} jets have been measured; the mean number of their constituents is "
        f"{', '.join(means) or 'not known'}, with statistical errors."
    )


def _mean(h: Any) -> float | str:
    total = h.values().sum()
    return float(h.values() @ h.axes[0].centers / total) if total else ""


def write_tagging(result: Tagging, directory: Path) -> None:
    """``tagging.json``, ``scores.npz``, pictures and page of taggers; each one as a pickle."""
    jets, others = (f"{name} jets" for name in result.classes)
    save(draw_roc(result.models, jets, others), directory / "roc.png", directory / "roc.pdf")
    save(draw_scores(result), directory / "scores.png", directory / "scores.pdf")
    rows = [
        (n, with_error(f["auc"], f["auc_error"]),
         *(with_error(f[k], float(np.mean(f[f"{k}_error"]))) for k in ("mistag_at_50", "mistag_at_70")),
         f"{f['seconds']:.1f}")
        for n, f in result.models.items()
    ]  # fmt: skip
    for name, tagger in result.models.items():
        path = directory / f"{name.lower()}{tagger['ending']}"
        with new_file(path) as partial, open(partial, "wb") as file:
            pickle.dump(tagger["model"], file)
    write_json(
        directory / "tagging.json",
        {"fastjag": __version__, "source": result.source, "target": result.target,
         "classes": result.classes, "counts": result.counts, "settings": result.settings,
         "models": {n: {k: v for k, v in f.items() if k not in ("model", "scores")}
                    for n, f in result.models.items()}},
    )  # fmt: skip
    with new_file(directory / "scores.npz") as partial:
        np.savez_compressed(
            partial, label=result.labels, weight=result.weights,
            **{n: f["scores"] for n, f in result.models.items()},
        )  # fmt: skip
    signal, background = result.classes
    page = Report(f"Tagging {signal} jets", _tagging_sentence(result))
    page.text(f"Against {background} jets; {result.source}.")
    page.heading("Models")
    page.table(("model", "AUC", "mistag at 50 %", "mistag at 70 %", "seconds"), rows)
    page.heading("Efficiency and mistag rate")
    page.figure(directory / "roc.png", "Efficiency and mistag rate on the test events. Bands: "
                "statistical errors of the mistag rate (68 % intervals of Clopper and Pearson).")  # fmt: skip
    page.heading("Scores")
    page.figure(directory / "scores.png", "Scores of test jets, each class normalised, with "
                "statistical errors.")  # fmt: skip
    page.heading("Samples")
    page.table(("what", "jets"), list(result.counts.items()))
    page.heading("Files and settings")
    page.files([result.source])
    page.settings(result.settings)
    page.write(directory / "report.html", f"fastjag {__version__}")


def _tagging_sentence(result: Tagging) -> str:
    """What was found, and how sure that is."""
    signal, background = result.classes
    best = max(result.models, key=lambda name: result.models[name]["auc"])
    area, error = (result.models[best][k] for k in ("auc", "auc_error"))
    sure = (area - 0.5) / error if error > 0 else float("inf")
    found = f"an area under the ROC curve of {with_error(area, error)} on {len(result.labels):,} test jets"
    if sure < _SURE:
        return (
            f"No model tells {signal} from {background} jets: the best, {best}, has {found}, "
            f"{sure:.1f} standard deviations from the 0.5 of guessing."
        )
    mistag, off = (result.models[best][k] for k in ("mistag_at_50", "mistag_at_50_error"))
    rate = with_error(100 * mistag, 100 * float(np.mean(off)))
    return (
        f"{best} tells {signal} from {background} jets with {found} that it has not seen; where half of "
        f"the {signal} jets pass, {rate} % of the {background} jets do."
    )
