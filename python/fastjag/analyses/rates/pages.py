"""Rates as tables, pictures and a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.rates.counts import Counts, count_triggers
from fastjag.analyses.rates.rates import (
    SECTION_SECONDS,
    PileupFit,
    Rate,
    Window,
    fit_pileup,
    measure,
    rate_of,
    write_csv,
)
from fastjag.core.checks import at_least, needs, real
from fastjag.io.files import Files
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import PALETTE, figure, plain, save
from fastjag.reporting.report import Report
from fastjag.selection import LumiMask
from fastjag.toys.triggers import write_triggers

_POINTS = 80  # of a run in the picture of rates along it
_DRAWN = 6  # runs, and triggers, in a picture or a note


@dataclass(frozen=True)
class Target:
    """Conditions for which rates are predicted."""

    pileup: float | None = None
    bunches: float | None = None
    factor: float = 1.0  #: anything else that multiplies rates, such as another prescale

    def __post_init__(self) -> None:
        for name in ("pileup", "bunches", "factor"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=0)


@dataclass
class Result:
    """Rates, and for each trigger the fits and predictions that its rates allow."""

    rates: list[Rate]
    target: Target
    fits: dict[str, dict[str, PileupFit]]  #: trigger to "line" and "proportional"
    predictions: dict[str, dict[str, tuple[float, float | None]]]
    notes: list[str]
    counts: Counts | None = None


def evaluate(rates: list[Rate], target: Target, counts: Counts | None = None) -> Result:
    """Fit rate against pileup for each trigger where its rates have one, and predict."""
    result = Result(rates, target, {}, {}, [], counts)
    without: list[str] = []
    for trigger in dict.fromkeys(rate.trigger for rate in rates):
        mine = [rate for rate in rates if rate.trigger == trigger]
        mu = {rate.pileup for rate in mine}
        if None in mu:
            without.append(trigger)
            continue
        fits = {"proportional": fit_pileup(mine, intercept=False, bunches=target.bunches)}
        if len(mu) > 1:
            fits["line"] = fit_pileup(mine, bunches=target.bunches)
        result.fits[trigger] = fits
        if target.pileup is not None:
            result.predictions[trigger] = {
                name: _times(fit.predict(target.pileup), target.factor)
                for name, fit in fits.items()
            }
    if without:
        shown = ", ".join(without[:_DRAWN]) + ", ..." * (len(without) > _DRAWN)
        result.notes.append(f"no fit, as not every rate has its pileup: {shown}")
    for rate in rates:
        if rate.seen is not None and rate.sections is not None and rate.seen < rate.sections:
            result.notes.append(
                f"run {rate.run}: the files have {rate.seen} of {rate.sections} sections of "
                f"{rate.first}-{rate.last}; if events of the others are missing, it is too low"
            )
    if counts is not None and not counts.complete:
        result.notes.append(
            "not all files have a tree LuminosityBlocks: sections without events are not known"
        )
    result.notes = list(dict.fromkeys(result.notes))
    return result


def _times(value: tuple[float, float | None], factor: float) -> tuple[float, float | None]:
    rate, error = value
    return rate * factor, None if error is None else error * factor


def from_files(
    files: Files,
    triggers: Sequence[str],
    out: str | os.PathLike[str],
    *,
    windows: Sequence[Window] | None = None,
    golden: str | os.PathLike[str] | None = None,
    dead_time: float = 0.0,
    target: Target = Target(),
    step: int | str = "100 MB",
    progress: bool | None = None,
    version: str,
    **about: Any,
) -> Result:
    """Count triggers in files, and write rates to ``out`` (see :func:`write`); ``about`` is what
    the settings in the report say besides.
    """
    rate_of(0, 1, dead_time=dead_time)  # an error before hours of counting
    with results_directory(out) as directory:
        mask = None if golden is None else LumiMask(golden)
        counts = count_triggers(files, triggers, step=step, progress=progress)
        rates = measure(counts, windows, golden=mask, dead_time=dead_time)
        result = evaluate(rates, target, counts)
        settings = {"files": counts.files, "golden": golden, "dead time": dead_time, **about}
        write(result, directory, version, settings)
    return result


def demo(out: str | os.PathLike[str], *, seed: int, version: str,
         progress: bool | None = None) -> Result:  # fmt: skip
    """Six toy runs with falling pileup and known rates, from files to the prediction."""
    rng = np.random.default_rng(at_least("seed", seed, 0))
    per_pileup = {"HLT_Photon30EB": 0.41, "HLT_DoubleMu4": 0.09}
    windows = []
    with results_directory(out) as directory:
        for i, start in enumerate((26.0, 32.0, 36.0, 40.0, 45.0, 52.0)):
            run, n = 400_000 + 10 * i, int(rng.integers(60, 140))
            pileup = start * np.exp(-np.arange(n) / 1500)  # luminosity falls during a run
            write_triggers(directory / f"toy-{run}.root", run, pileup, per_pileup, seed=seed)
            windows.append(Window(run, pileup=float(pileup.mean()), bunches=2400))
        write_csv(directory / "windows.csv", windows)
    files = [Path(out) / f"toy-{w.run}.root" for w in windows]
    return from_files(files, list(per_pileup), out, windows=windows, target=Target(50.0, 2400),
                      progress=progress, version=version, seed=seed)  # fmt: skip


def write(
    result: Result,
    out: str | os.PathLike[str],
    version: str,
    settings: dict[str, Any] | None = None,
) -> None:
    """``rates.csv``, ``rates.json``, ``report.html``, pictures, and ``counts.parquet`` of every
    section where they were counted; all or none.
    """
    needs("mplhep", "plots")
    with results_directory(out) as directory:
        write_csv(directory / "rates.csv", result.rates)
        pictures: dict[str, Any] = {}
        if result.fits:
            pictures["pileup"] = _against_pileup(result)
        if result.counts is not None:
            _write_counts(result.counts, directory / "counts.parquet")
            pictures["sections"] = _along_runs(result)
        for name, fig in pictures.items():
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
        content = {
            "fastjag": version,
            "section_seconds": SECTION_SECONDS,
            "rates": [_row(rate, result.target) for rate in result.rates],
            "fits": {t: {name: _fit(fit) for name, fit in fits.items()}
                     for t, fits in result.fits.items()},
            "target": asdict(result.target),
            "predictions": result.predictions,
            "notes": result.notes,
            "settings": settings or {},
        }  # fmt: skip
        write_json(directory / "rates.json", content)
        _report(result, content, directory).write(directory / "report.html", f"fastjag {version}")


def _row(rate: Rate, target: Target) -> dict[str, Any]:
    """A rate with what follows from it."""
    value, error = rate.unprescaled
    row = asdict(rate) | {"unprescaled": value, "unprescaled_error": error}
    row["rate_per_pileup"] = None if rate.pileup is None else value / rate.pileup
    row["at_target"] = None
    if target.pileup is not None and rate.pileup is not None:
        row["at_target"], row["at_target_error"] = rate.scaled(
            pileup=target.pileup, bunches=target.bunches, factor=target.factor
        )
    return row


def _fit(fit: PileupFit) -> dict[str, Any]:
    return {**vars(fit), "inflation": fit.inflation}


def _write_counts(counts: Counts, path: Path) -> None:
    needs("pyarrow", "arrow")
    columns = {"run": counts.run, "section": counts.section, "events": counts.events}
    write_parquet(path, {**columns, **counts.fired})


def _report(result: Result, content: dict[str, Any], directory: Path) -> Report:
    page = Report("Trigger rates", f"{len(result.rates)} measurements; a luminosity section is "
                  f"{SECTION_SECONDS:.3f} s.")  # fmt: skip
    for note in result.notes:
        page.text(f"Note: {note}.")
    at = result.target.pileup
    page.table(
        ("trigger", "run", "sections", "counts", "time [s]", "rate [Hz]", "prescale",
         "unprescaled [Hz]", "pileup", "rate / pileup [Hz]",
         f"at pileup {at:g} [Hz]" if at else "-"),
        [(r["trigger"], str(r["run"] or "-"), _sections(r), _shown(r["counts"], ",d"),
          _shown(r["seconds"], ",.1f"), _with_error(r["rate"], r["error"]), f"{r['prescale']:g}",
          _with_error(r["unprescaled"], r["unprescaled_error"]), _shown(r["pileup"], ".4g"),
          _shown(r["rate_per_pileup"], ".3f"), _shown(r["at_target"], ".2f"))
         for r in content["rates"]],
    )  # fmt: skip
    if (directory / "pileup.png").exists():
        page.heading("Rate against pileup")
        page.figure(directory / "pileup.png", "Unprescaled rates with statistical errors, the "
                    "fitted line with its error, and the proportional line (dashed).")  # fmt: skip
        page.table(
            ("trigger", "fit", "intercept [Hz]", "slope [Hz per pileup]", "chi2 / dof",
             f"at pileup {at:g} [Hz]" if at else "-"),
            [(trigger, name, f"{fit.intercept:.4g}", f"{fit.slope:.4g}",
              "-" if fit.chi2 is None else f"{fit.chi2:.1f} / {fit.dof}",
              _with_error(*result.predictions[trigger][name]) if at else "-")
             for trigger, fits in result.fits.items() for name, fit in fits.items()],
        )  # fmt: skip
        page.text(
            "Where chi2 / dof is above 1 the errors of predictions are multiplied by its root."
        )
    if (directory / "sections.png").exists():
        page.heading("Along the runs")
        page.figure(directory / "sections.png", "Rates as recorded, of groups of sections.")
    page.heading("Settings")
    page.settings({**{f"target {k}": v for k, v in asdict(result.target).items()},
                   **content["settings"]})  # fmt: skip
    return page


def _sections(row: dict[str, Any]) -> str:
    if row["first"] is None:
        return _shown(row["sections"], ",d")
    return f"{row['first']}-{row['last']}" + (f" ({row['sections']})" if row["sections"] else "")


def _shown(value: Any, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.2f}" + ("" if error is None else f" ± {error:.2f}")


# ---- pictures -----------------------------------------------------------------------------------


def _against_pileup(result: Result) -> Any:
    with figure(10, 7) as (fig, ax):
        at = result.target.pileup
        highest = max([r.pileup or 0 for r in result.rates] + [at or 0])
        grid = np.linspace(0, 1.08 * highest, 100)
        for i, (trigger, fits) in enumerate(list(result.fits.items())[:_DRAWN]):
            colour = PALETTE[i % 7]
            mine = [r for r in result.rates if r.trigger == trigger]
            values = [r.scaled(bunches=result.target.bunches) for r in mine]
            errors = [np.nan if e is None else e for _, e in values]
            mu = [r.pileup or np.nan for r in mine]
            ax.errorbar(mu, [v for v, _ in values], errors, fmt="o", color=colour,
                        label=plain(trigger))  # fmt: skip
            ax.plot(grid, fits["proportional"].slope * grid, color=colour, ls="--", lw=1.2)
            fit = fits.get("line", fits["proportional"])
            line = np.array([fit.predict(x)[0] for x in grid])
            ax.plot(grid, line, color=colour, lw=1.6)
            band = [fit.predict(x)[1] for x in grid]
            if None not in band:
                width = np.array(band, np.float64)
                ax.fill_between(grid, line - width, line + width, color=colour, alpha=0.25, lw=0)
            if at is not None:
                ax.plot(at, fit.predict(at)[0], "*", color=colour, ms=16, mec="k")
        ax.set(xlabel="Pileup", ylabel="Unprescaled rate [Hz]", xlim=(0, grid[-1]))
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])
        title = None if at is None else f"stars: line at pileup {at:g}"
        ax.legend(loc="upper left", fontsize=14, title=title, title_fontsize=14)
    return fig


def _along_runs(result: Result) -> Any:
    counts = result.counts
    assert counts is not None
    triggers = list(counts.fired)[:_DRAWN]
    runs = list(dict.fromkeys(r.run for r in result.rates))[:_DRAWN]
    longest = max(int(np.count_nonzero(counts.run == run)) for run in runs)
    group = max(1, -(-longest // _POINTS))
    with figure(11, 3.4 * len(triggers) + 1.6) as (fig, ax):
        ax.remove()
        for i, trigger in enumerate(triggers):
            panel = fig.add_subplot(len(triggers), 1, i + 1)
            for colour, run in zip(PALETTE, runs, strict=False):
                rows = counts.run == run
                section, n = counts.section[rows], counts.fired[trigger][rows]
                starts = np.arange(0, len(section), group)
                sizes = np.diff(np.r_[starts, len(section)])
                sums = np.add.reduceat(n, starts) if len(n) else np.zeros(0)
                middle = np.add.reduceat(section, starts) / sizes if len(n) else np.zeros(0)
                seconds = sizes * SECTION_SECONDS
                panel.errorbar(middle, sums / seconds, np.sqrt(sums) / seconds, fmt=".",
                               color=colour, label=f"run {run}", lw=1)  # fmt: skip
            panel.set_ylabel(f"{plain(trigger)}\n[Hz]", fontsize=14)
            panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
            if i == 0:
                panel.legend(fontsize=12, ncols=3, loc="lower left")
        panel.set_xlabel("Luminosity section")
    return fig
