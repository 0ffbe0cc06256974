"""Rates as tables, pictures and a report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastjag import __version__
from fastjag.analyses.common.tables import write_parquet
from fastjag.analyses.rates.config import Target
from fastjag.analyses.rates.pictures.rates import against_pileup, along_runs, shares
from fastjag.analyses.rates.rates import SECTION_SECONDS, Rate
from fastjag.analyses.rates.results import RatesResult, shares_of
from fastjag.analyses.rates.tables import write_csv
from fastjag.reporting.output import write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report
from fastjag.reporting.report import with_error as rounded

_SAID = 3  # triggers in the first sentence


def write(result: RatesResult, directory: Path, settings: dict[str, Any]) -> None:
    """``rates.csv``, ``rates.json``, ``report.html``, pictures, and ``counts.parquet`` of every
    section where they were counted.
    """
    write_csv(directory / "rates.csv", result.rates)
    pictures: dict[str, Any] = {}
    if result.fits:
        pictures["pileup"] = against_pileup(result)
    if result.counts is not None:
        columns = {n: getattr(result.counts, n) for n in ("run", "section", "events")}
        write_parquet(directory / "counts.parquet", columns | result.counts.fired)
        pictures["sections"] = along_runs(result)
        if shares_of(result):
            pictures["triggers"] = shares(result)
    for name, fig in pictures.items():
        save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
    content = {
        "fastjag": __version__,
        "section_seconds": SECTION_SECONDS,
        "rates": [_row(rate, result.target) for rate in result.rates],
        "fits": {trigger: {name: vars(fit) | {"inflation": fit.inflation}
                           for name, fit in fits.items()}
                 for trigger, fits in result.fits.items()},
        "target": asdict(result.target),
        "predictions": result.predictions,
        "shares": shares_of(result),
        "notes": result.notes,
        "settings": settings,
    }  # fmt: skip
    write_json(directory / "rates.json", content)
    page = _page(result, content, directory)
    page.write(directory / "report.html", f"fastjag {__version__}")


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


def sentence_of(result: RatesResult) -> str:
    """What was found, and how sure that is, of the first triggers."""
    triggers = list(dict.fromkeys(rate.trigger for rate in result.rates))
    said = [_found(result, trigger) for trigger in triggers[:_SAID]]
    more = len(triggers) - len(said)
    return "; ".join(said) + (f"; and {more} more triggers, below" if more else "") + "."


def _found(result: RatesResult, trigger: str) -> str:
    """Of one trigger: by the best fit that there is, or as it was measured."""
    rates = [rate for rate in result.rates if rate.trigger == trigger]
    fits = result.fits.get(trigger, {})
    if fits and len(rates) > 1:
        name = "line" if "line" in fits else "proportional"
        fit = fits[name]
        by = f"{'a line' if name == 'line' else 'a line through 0'} through {len(rates)} rates"
        by += "" if fit.chi2 is None else f" with chi2 / dof = {fit.chi2:.1f} / {fit.dof}"
        if trigger in result.predictions:
            value = with_error(*result.predictions[trigger][name])
            return f"{trigger} has {value} Hz at pileup {result.target.pileup:g}, by {by}"
        error = (
            None if fit.covariance is None else fit.inflation * float(fit.covariance[1, 1]) ** 0.5
        )
        return (
            f"{trigger} rises by {with_error(fit.slope, error)} Hz for each unit of pileup, by {by}"
        )
    shown = [with_error(*rate.unprescaled) for rate in rates]
    if len(rates) == 1:
        return f"{trigger} has {shown[0]} Hz without prescale"
    least, most = (
        pick(range(len(rates)), key=lambda i: rates[i].unprescaled[0]) for pick in (min, max)
    )
    return f"{trigger} has {shown[least]} to {shown[most]} Hz without prescale, in {len(rates)} measurements"


def _page(result: RatesResult, content: dict[str, Any], directory: Path) -> Report:
    page = Report("Trigger rates", sentence_of(result))
    page.text(f"{len(result.rates)} measurements; a luminosity section is {SECTION_SECONDS:.3f} s.")
    for note in result.notes:
        page.warning(f"! {note[0].upper()}{note[1:]}.")
    at = result.target.pileup
    page.heading("Rates")
    page.table(
        ("trigger", "run", "sections", "counts", "time [s]", "rate [Hz]", "prescale",
         "unprescaled [Hz]", "pileup", "rate / pileup [Hz]",
         f"at pileup {at:g} [Hz]" if at else "-"),
        [(r["trigger"], str(r["run"] or "-"), _sections(r), _shown(r["counts"], ",d"),
          _shown(r["seconds"], ",.1f"), with_error(r["rate"], r["error"]), f"{r['prescale']:g}",
          with_error(r["unprescaled"], r["unprescaled_error"]), _shown(r["pileup"], ".4g"),
          _per(r), with_error(r["at_target"], r["at_target_error"]) if r["at_target"] else "-")
         for r in content["rates"]],
    )  # fmt: skip
    if (directory / "pileup.png").exists():
        page.heading("Rate against pileup")
        page.figure(directory / "pileup.png", "Unprescaled rates with statistical errors, the "
                    "fitted line with its error, and the proportional line (dashed). Below: rates over "
                    "the fitted line.")  # fmt: skip
        page.table(
            ("trigger", "fit", "intercept [Hz]", "slope [Hz per pileup]", "chi2 / dof",
             f"at pileup {at:g} [Hz]" if at else "-"),
            [(trigger, name, f"{fit.intercept:.4g}", f"{fit.slope:.4g}",
              "-" if fit.chi2 is None else f"{fit.chi2:.1f} / {fit.dof}",
              with_error(*result.predictions[trigger][name]) if at else "-")
             for trigger, fits in result.fits.items() for name, fit in fits.items()],
        )  # fmt: skip
        page.text(
            "Where chi2 / dof is above 1 the errors of predictions are multiplied by its root."
        )
    if (directory / "sections.png").exists():
        page.heading("Along the runs")
        page.figure(directory / "sections.png", "Rates as recorded, of groups of sections, with "
                    "Poisson errors, run after run. Red: means of the runs.")  # fmt: skip
    if (directory / "triggers.png").exists():
        page.heading("Share of the events that fired")
        page.figure(directory / "triggers.png", "Events of each run that fired a trigger, of all of "
                    "the files, with 68 % intervals of Clopper and Pearson. It is an efficiency where "
                    "the events were recorded without the trigger.")  # fmt: skip
    page.heading("Files and settings")
    settings = dict(content["settings"])
    page.files(settings.pop("files", None) or [settings.pop("table", "rates given in Python")])
    page.settings({**{f"target {k}": v for k, v in asdict(result.target).items()},
                   **settings})  # fmt: skip
    return page


def _per(row: dict[str, Any]) -> str:
    """Rate over pileup, with the error of the rate."""
    if row["rate_per_pileup"] is None:
        return "-"
    error = row["unprescaled_error"]
    return with_error(row["rate_per_pileup"], error and error / row["pileup"])


def _sections(row: dict[str, Any]) -> str:
    if row["first"] is None:
        return _shown(row["sections"], ",d")
    return "{first}-{last}".format(**row) + (f" ({row['sections']})" if row["sections"] else "")


def _shown(value: Any, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def with_error(value: float, error: float | None) -> str:
    """``12.860 ± 0.080``, rounded to the error, or the value alone."""
    return f"{value:.4g}" if error is None else rounded(value, error)
