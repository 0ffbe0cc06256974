"""Which features tell the data of the signal region from what the flows expect there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastjag.analyses.dimuon.verdicts import failed
from fastjag.analyses.importance import Importances, compare_importances

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.search import Search


def importances(search: Search, **options: Any) -> Importances:
    """Importances of the preprocessed features, of what the classifiers learn from: class 0 are the
    samples of the stage "samples", class 1 the data of the signal region. ``options`` go to
    :func:`fastjag.analyses.importance.compare_importances`.

    Without a signal, and with perfect flows, nothing can be told: areas under ROC curves are 0.5,
    and normalised scores compare noise. A failed closure test is one of the warnings: features then
    tell samples from data where there is no signal.
    """
    events, values = search.preprocessed(search.config.train_on)
    drawn = search.samples()["signal_region"]
    data = values[~events.sideband]
    result = compare_importances(
        np.concatenate([drawn, data]),
        np.repeat(["samples", "signal region"], [len(drawn), len(data)]),
        names=search.config.features,
        **{"seed": search.config.seed, "threads": search.threads, "progress": search.progress,
           **options},
    )  # fmt: skip
    checks = search.checks()
    wrong = [checks[name]["says"] for name in failed(checks, of_flows=True)]
    return replace(result, warnings=[*wrong, *result.warnings])
