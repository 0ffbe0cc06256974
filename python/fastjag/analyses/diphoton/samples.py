"""Samples: cross-sections and sums of weights, and the event weights that follow from them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from fastjag.analyses.common.settings import read_toml
from fastjag.core.checks import near_misses
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


@dataclass(frozen=True)
class Sample:
    """One simulated sample; None is what nobody has said, which for the last two factors is 1."""

    dsid: int | None = None
    name: str = ""
    cross_section: float | None = None  #: pb, with the branching ratio
    sum_of_weights: float | None = None  #: of all generated events
    n_generated: int | None = None
    k_factor: float | None = None
    filter_efficiency: float | None = None
    corrected_cross_section: float | None = None  #: pb, where the release is known to be wrong

    def factor(self, luminosity: float, where: str = "the sample") -> float:
        """By what to multiply generator weights to get events in ``luminosity`` [fb-1].

        1000 luminosity cross_section k_factor filter_efficiency / sum_of_weights. Raises ValueError
        naming ``where`` and the number that is missing, zero or not finite.
        """
        for name in ("cross_section", "sum_of_weights", "k_factor", "filter_efficiency"):
            value = getattr(self, name)
            if value is None and name in ("k_factor", "filter_efficiency"):
                continue
            if value is None:
                raise ValueError(
                    f"{where}: {name} is in neither the file nor the table of samples; give it as "
                    f"an override"
                )
            if not math.isfinite(value) or value == 0 or (value < 0 and name != "sum_of_weights"):
                raise ValueError(f"{where}: {name} is {value:g}, so its events have no weight")
        assert self.cross_section is not None
        assert self.sum_of_weights is not None
        factor = 1000 * luminosity * self.cross_section / self.sum_of_weights
        for number in (self.k_factor, self.filter_efficiency):
            factor *= 1.0 if number is None else number
        return factor


@cache
def known_samples() -> dict[int, Sample]:
    """The table that comes with fastjag, by DSID."""
    path = Path(__file__).with_name("samples.toml")
    return {s.dsid: s for s in read_samples(path).values() if s.dsid is not None}


def read_samples(path: str | os.PathLike[str]) -> dict[str, Sample]:
    """A table of samples in TOML: sections are DSIDs, or names of classes; keys those of `Sample`.

    Raises ValueError naming file, section and key.
    """
    content = read_toml(path)
    try:
        return {key: sample_of(key, entry) for key, entry in content.items()}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def sample_of(key: str, entry: Any) -> Sample:
    """A checked entry of a table of samples."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"[{key}] must be a table, got {entry!r}")  # noqa: TRY004
    names = [f.name for f in fields(Sample) if f.name != "dsid"]
    values: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "class":
            continue
        if name not in names:
            raise ValueError(f"[{key}]: no key {name!r}: {near_misses(name, names)}")
        wanted = (str,) if name == "name" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            kind = "text" if name == "name" else "a number"
            raise ValueError(f"[{key}]: {name} must be {kind}, got {value!r}")  # noqa: TRY004
        values[name] = value
    return Sample(int(key) if key.isdecimal() else None, **values)


def sample_in(
    reader: Reader, overrides: Mapping[str, Sample], label: str, *, correct: bool
) -> Sample:
    """What is known about the sample in an open file.

    First in rank are overrides under the name of its class, then those under its DSID, then
    ``corrected_cross_section`` of the table if ``correct``, the branches of the file, and the table.
    """
    there = [n for n in (*_BRANCHES.values(), "channelNumber") if n in reader.stored]
    first = {}
    if there and reader.n_entries:
        batch = next(reader.batches(there, 1))
        first = {name: batch[name][0].item() for name in there}
    dsid = first.get("channelNumber")
    table = known_samples().get(int(dsid)) if dsid else None
    found = table or Sample(None if dsid is None else int(dsid))
    own = {key: float(first[n]) for key, n in _BRANCHES.items() if n in first}
    found = replace(found, **own)  # type: ignore[arg-type]
    if correct and found.corrected_cross_section is not None:
        found = replace(found, cross_section=found.corrected_cross_section)
    for key in (str(dsid), label):
        if key in overrides:
            given = {f.name: getattr(overrides[key], f.name) for f in fields(Sample)}
            changed = {n: v for n, v in given.items() if v not in (None, "") and n != "dsid"}
            found = replace(found, **changed)
    return found
