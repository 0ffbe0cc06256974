"""corrections: files of correctionlib for a million jets and muons, against its own evaluate."""

import sys
from pathlib import Path

import correctionlib
import numpy as np
from harness import OUT, Race, race

from fastjag import corrections

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import correction_files as files  # the same synthetic files that tests have

N = 1_000_000


def check(ours, theirs):
    np.testing.assert_array_equal(ours, theirs)


def run() -> list[Race]:
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    levels, stack = files.jet_corrections()
    path = files.write(OUT / "corrections.json.gz", [files.muon_factors(), *levels], stack)
    own, theirs = corrections.read(path), correctionlib.CorrectionSet.from_file(str(path))
    inside = {"abseta": rng.uniform(0, 2.4, N), "pt": rng.uniform(15, 120, N)}
    beyond = inside | {"pt": rng.uniform(5, 150, N)}  # a third of them outside
    jets = {"JetA": rng.uniform(0.4, 0.6, N), "JetEta": rng.uniform(-5, 5, N),
            "JetPt": rng.uniform(15, 900, N), "Rho": rng.uniform(5, 40, N)}  # fmt: skip

    def factors(columns):
        return {
            "fastjag": lambda: own["ID"](columns, scale_factors="nominal"),
            "correctionlib": lambda: theirs["ID"].evaluate(*columns.values(), "nominal"),
        }

    return [
        race("corrections: identification of 1 M muons", factors(inside), check),
        race("corrections: a third outside the range, counted", factors(beyond), check),
        race(
            "corrections: three levels of energies of 1 M jets, compound",
            {
                "fastjag": lambda: own["L1L2Res"](jets),
                "correctionlib": lambda: theirs.compound["L1L2Res"].evaluate(*jets.values()),
            },
            check,
        ),
    ]
