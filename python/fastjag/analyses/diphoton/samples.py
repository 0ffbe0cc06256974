"""Samples: cross-sections and sums of weights, and the event weights that follow from them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from fastjag.analyses.common.config import read_toml
from fastjag.core.settings import make, setting, settings
from fastjag.io.reader import Reader

#: Of whole releases [fb-1].
LUMINOSITY = {"ATLAS mini": 10.064, "ATLAS analysis": 36.6}

#: Branches whose product is the weight of an event, up to a factor of its sample.
WEIGHTS = {
    "ATLAS mini": (
        "mcWeight", "scaleFactor_PHOTON", "scaleFactor_PhotonTRIGGER", "scaleFactor_PILEUP",
    ),
    "ATLAS analysis": ("mcWeight", "scaleFactor_PHOTON", "scaleFactor_PILEUP"),
    "NanoAOD": ("genWeight",),
}  # fmt: skip

_BRANCHES = {
    "cross_section": "XSection",
    "sum_of_weights": "SumWeights",
    "k_factor": "kfac",
    "filter_efficiency": "filteff",
}


@settings
class Sample:
    """One simulated sample; None is what nobody has said, which for the last two factors is 1."""

    name: str = setting("Name of the sample.", default="")
    cross_section: float | None = setting("With the branching ratio [pb].", default=None)
    sum_of_weights: float | None = setting("Of all generated events.", default=None)
    n_generated: float | None = setting("Generated events.", default=None)
    k_factor: float | None = setting("Factor of the cross-section.", default=None)
    filter_efficiency: float | None = setting("Of the generator's filter.", default=None)
    corrected_cross_section: float | None = setting(
        "Where the release is known to be wrong [pb].", default=None
    )


@cache
def known_samples() -> dict[int, Sample]:
    """The table that comes with fastjag, by DSID."""
    table = read_samples(Path(__file__).with_name("samples.toml"))
    return {int(dsid): sample for dsid, sample in table.items()}


def read_samples(path: str | os.PathLike[str]) -> dict[str, Sample]:
    """A table of samples in TOML: sections are DSIDs, or names of classes; keys those of `Sample`.

    Raises ValueError naming file, section and key.
    """
    content = read_toml(path)
    try:
        return {
            key: make(Sample, _without_class(entry), where=f"[{key}]")
            for key, entry in content.items()
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _without_class(entry: Any) -> Any:
    """Tables may say what a sample is."""
    return {k: v for k, v in entry.items() if k != "class"} if isinstance(entry, dict) else entry


def numbers_in(
    reader: Reader, overrides: Mapping[str, Sample], label: str, *, correct: bool
) -> dict[str, Any]:
    """What is known about the sample in an open file, by the keys of `Sample`.

    First in rank are overrides under the name of its class, then those under its DSID, then
    ``corrected_cross_section`` of the table if ``correct``, the branches of the file, and the table.
    """
    there = [n for n in (*_BRANCHES.values(), "channelNumber") if n in reader.stored]
    first = {}
    if there and reader.n_entries:
        batch = next(reader.batches(there, 1))
        first = {name: batch.event_branch(name)[0].item() for name in there}
    dsid = first.get("channelNumber")
    table = known_samples().get(int(dsid)) if dsid else None
    numbers = asdict(table or Sample())
    numbers |= {key: float(first[branch]) for key, branch in _BRANCHES.items() if branch in first}
    if correct and numbers["corrected_cross_section"] is not None:
        numbers["cross_section"] = numbers["corrected_cross_section"]
    for key in (str(dsid), label):
        if key in overrides:
            numbers |= {n: v for n, v in asdict(overrides[key]).items() if v is not None}
    return numbers


def weight_factor(
    numbers: Mapping[str, float | None], luminosity: float, where: str = "the sample"
) -> float:
    """By what to multiply generator weights to get events in ``luminosity`` [fb-1].

    1000 luminosity cross_section k_factor filter_efficiency / sum_of_weights. Raises ValueError
    naming ``where`` and the number that is missing, zero or not finite.
    """
    factor = 1000 * luminosity
    for name in ("cross_section", "sum_of_weights", "k_factor", "filter_efficiency"):
        value = numbers.get(name)
        if value is None:
            if name in ("k_factor", "filter_efficiency"):
                continue
            raise ValueError(
                f"{where}: {name} is in neither the file nor the table of samples; give it as an "
                f"override"
            )
        if not math.isfinite(value) or value == 0 or (value < 0 and name != "sum_of_weights"):
            raise ValueError(f"{where}: {name} is {value:g}, so its events have no weight")
        factor = factor / value if name == "sum_of_weights" else factor * value
    return factor
