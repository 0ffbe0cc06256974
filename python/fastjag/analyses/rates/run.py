"""The stages of the trigger rates, from files or from a table of rates to the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.rates.config import RatesConfig, SectionWindow
from fastjag.analyses.rates.count import count
from fastjag.analyses.rates.fit import fit
from fastjag.analyses.rates.rates import measure, rate_of
from fastjag.analyses.rates.report import write
from fastjag.analyses.rates.results import RatesResult
from fastjag.analyses.rates.tables import read_rates
from fastjag.core.checks import needs, one_of
from fastjag.io.files import Files
from fastjag.reporting.output import results_directory
from fastjag.selection import LumiMask

#: "fit" reads the rates of "count", or a table.
STAGES = ("count", "fit")


def run(
    source: Files,
    out: str | os.PathLike[str],
    config: RatesConfig,
    *,
    start: str = "count",
    windows: Sequence[SectionWindow] = (),
    step: int | str = "100 MB",
    progress: bool | None = None,
    workers: Workers = HERE,
    **about: Any,
) -> RatesResult:
    """Count triggers in files, or ``start`` with "fit" and a CSV of rates; fit them, and write all
    to ``out`` (:func:`fastjag.analyses.rates.report.write`). Rates are those of ``windows``, or of
    every run of the files; ``about`` is what the settings in the report say besides. ``workers``
    count them.
    """
    one_of("start", start, STAGES)
    needs("mplhep", "plots")
    if start == "count":
        needs("pyarrow", "arrow")
    rate_of(0, 1, dead_time=config.dead_time)  # an error before hours of counting
    with results_directory(out) as directory:
        if start == "fit":
            result = fit(read_rates(str(source)), config.target)
            settings: dict[str, Any] = {"table": source}
        else:
            golden = None if config.golden is None else LumiMask(config.golden)
            counts = count(source, config.trigger, step=step, progress=progress, workers=workers)
            rates = measure(counts, windows or None, golden=golden, dead_time=config.dead_time)
            result = fit(rates, config.target, counts)
            settings = {"files": counts.files, "golden": config.golden,
                        "dead time": config.dead_time}  # fmt: skip
        write(result, directory, settings | about)
    return result
