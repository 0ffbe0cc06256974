"""The tight identification of jets in NanoAOD: as stored, or from the fractions of their energy.

Up to v14 NanoAOD has it as bit 1 of ``Jet_jetId``; v15 has no such branch any more, and analyses
compute it. Sources of the cuts: JetMET's recommendations for 13.6 TeV (JetID13p6TeV, the payload
"AK4PUPPI_Tight" of jetid.json.gz) and for the ultra-legacy Run 2 (JetID13TeVUL), as CMSSW has them
(PFJetIDSelectionFunctor, versions RUN3PUPPIruns2022FGruns2023CD, RUN2ULPUPPI and RUN2UL16PUPPI). All
are for AK4 PUPPI jets, which ``Jet`` is in Run 3 and in v15 of Run 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.devices import namespace
from fastjag.io.batches import Batch
from fastjag.io.files import ReadError

_Cuts = tuple[tuple[str, str, float], ...]
_BARREL = ("chMultiplicity", ">", 0.0), ("constituents", ">", 1.0)

#: Recipe to (largest |eta|, cuts) of each region, by rising |eta|.
RECIPES: dict[str, tuple[tuple[float, _Cuts], ...]] = {
    "Run3": (
        (2.6, (("neHEF", "<", 0.99), ("neEmEF", "<", 0.9), ("chHEF", ">", 0.01), *_BARREL)),
        (2.7, (("neHEF", "<", 0.9), ("neEmEF", "<", 0.99))),
        (3.0, (("neHEF", "<", 0.99),)),
        (np.inf, (("neEmEF", "<", 0.4), ("neMultiplicity", ">", 1.0))),
    ),
    "Run2UL": (
        (2.6, (("neHEF", "<", 0.9), ("neEmEF", "<", 0.9), ("chHEF", ">", 0.0), *_BARREL)),
        (2.7, (("neHEF", "<", 0.9), ("neEmEF", "<", 0.99))),
        (3.0, (("neHEF", "<", 0.9999),)),
        (np.inf, (("neEmEF", "<", 0.9), ("neMultiplicity", ">", 2.0))),
    ),
    "Run2UL16": (
        (2.4, (("neHEF", "<", 0.9), ("neEmEF", "<", 0.9), ("chHEF", ">", 0.0), *_BARREL)),
        (2.7, (("neHEF", "<", 0.98), ("neEmEF", "<", 0.99))),
        (3.0, (("neMultiplicity", ">", 1.0),)),
        (np.inf, (("neEmEF", "<", 0.9), ("neMultiplicity", ">", 2.0))),
    ),
    # Of the stored bit: NanoAOD v12 forgot these cuts beyond the tracker.
    "stored-v12": (
        (2.7, ()),
        (3.0, (("neHEF", "<", 0.99),)),
        (np.inf, (("neEmEF", "<", 0.4),)),
    ),
}
CHOICES = ("auto", "stored", *RECIPES)

_FRACTIONS = ("neHEF", "neEmEF", "chHEF", "chMultiplicity", "neMultiplicity")
#: Branches that the recipes look at; which of them a file must have depends on the recipe.
COLUMNS = ("Jet_jetId", *(f"Jet_{column}" for column in _FRACTIONS), "run")
_FIRST_OF_RUN3 = 340_000  # between the last run of 2018 and the first of 2022


def tight_jets(batch: Batch, choice: str = "auto") -> NDArray[np.bool_]:
    """Which jets of a batch are tight, shape (n_jets,).

    ``choice`` is a recipe, "stored" (bit 1 of ``Jet_jetId``), or "auto": as stored where it is, and
    else that of Run 3. Data of Run 2 without ``Jet_jetId`` need a choice, as 2016 differs from 2017
    and 2018; simulation has no run number that would tell, and "auto" takes Run 3 for it.

    Raises ReadError naming the branches that a file lacks, or what to set.
    """
    jets = batch.Jet
    if choice == "auto":
        choice = "stored" if "jetId" in jets else "Run3"
        runs = batch.flat.get("run")
        if choice == "Run3" and runs is not None and ((runs > 1) & (runs < _FIRST_OF_RUN3)).any():
            raise ReadError(
                f"{batch.source}: Run 2 without Jet_jetId: set jet_id to 'Run2UL16' (2016) or "
                f"'Run2UL' (2017, 2018) for all samples"
            )
    stored = choice.startswith("stored")
    regions = RECIPES.get(choice, ())
    asked = {column for _, cuts in regions for column, _, _ in cuts} - {"constituents"}
    asked |= {"neMultiplicity"} if not stored else {"jetId"}
    if missing := [f"Jet_{column}" for column in sorted(asked) if column not in jets]:
        raise ReadError(
            f"{batch.source}: no branch {', '.join(missing)}, which the jet identification "
            f"{choice!r} needs: set jet_id to one of {', '.join(CHOICES)}"
        )
    values = {column: _wide(jets[column]) for column in asked if column != "jetId"}
    if not stored:
        values["constituents"] = values["chMultiplicity"] + values["neMultiplicity"]
    abs_eta = np.abs(_wide(jets["eta"]))
    tight: NDArray[np.bool_] = namespace(abs_eta).full(len(abs_eta), not regions)
    low = -np.inf
    for high, cuts in regions:
        here = (abs_eta > low) & (abs_eta <= high)
        for column, sense, value in cuts:
            here &= values[column] < value if sense == "<" else values[column] > value
        tight |= here
        low = high
    if stored:
        tight &= (jets["jetId"].astype(np.int64) & 2) > 0
    return tight


def _wide(values: Array) -> NDArray[np.float64]:
    """In double precision, as CMSSW compares; multiplicities are bytes that would overflow."""
    return values.astype(np.float64)
