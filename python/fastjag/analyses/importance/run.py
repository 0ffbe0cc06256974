"""``fastjag importance``: a table of features to importances, pictures and a report."""

from __future__ import annotations

import os

from fastjag.analyses.importance.compare import compare
from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.analyses.importance.report import report
from fastjag.analyses.importance.results import Importances
from fastjag.core.checks import needs
from fastjag.reporting.output import results_directory

STAGES = ("compare", "report")


def run(
    config: ImportanceConfig,
    out: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: bool | None = None,
) -> Importances:
    """Compare the importances of a table's columns.

    ``out`` gets ``importance.json``, ``report.html`` and pictures (PNG, PDF), all or none.
    """
    needs("mplhep", "plots")
    with results_directory(out) as directory:
        table, result = compare(config, threads=threads, progress=progress)
        report(result, directory, table)
    return result
