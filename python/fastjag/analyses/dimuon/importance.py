"""Which features tell the data of the signal region from what the flows expect there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.analyses.dimuon.verdicts import failed_checks
from fastjag.analyses.importance import Importances, compare_importances


def importances(results: DimuonResults, **options: Any) -> Importances:
    """Importances of the preprocessed features, of what the classifiers learn from: class 0 are the
    samples of the stage "samples", class 1 the data of the signal region. ``options`` go to
    :func:`fastjag.analyses.importance.compare_importances`.

    Without a signal, and with perfect flows, nothing can be told: areas under ROC curves are 0.5,
    and normalised scores compare noise. A failed closure test is one of the warnings: features then
    tell samples from data where there is no signal.
    """
    pairs, values = results.trained
    drawn = results.samples["signal_region"]
    data = values[~pairs.sideband]
    compared = compare_importances(
        np.concatenate([drawn, data]),
        np.repeat(["samples", "signal region"], [len(drawn), len(data)]),
        names=results.config.features,
        **{"seed": results.config.seed, "threads": results.threads, "progress": results.progress,
           **options},
    )  # fmt: skip
    checks = results.checks()
    wrong = [checks[name]["says"] for name in failed_checks(checks, of_flows=True)]
    return replace(compared, warnings=[*wrong, *compared.warnings])
