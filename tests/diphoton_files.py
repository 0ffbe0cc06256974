"""Made-up files of both ATLAS releases, and their selections once more in plain Python."""

import numpy as np
import uproot

from fastjag.analyses.diphoton.selections import DiphotonSelection
from fastjag.jagged import Jagged

BARE = DiphotonSelection(trigger=None)  # nothing but kinematics


def rows(rng, n, release="mini", **change):
    """Made-up events with the branches that a release has, in its units."""
    mev, e = (1000.0, "E") if release == "mini" else (1.0, "e")
    counts = rng.integers(1, 5, n)
    m = int(counts.sum())
    iso = ("ptcone30", "etcone20") if release == "mini" else ("ptcone20", "topoetcone40")
    photons = {
        "pt": rng.uniform(20, 90, m) * mev,
        "eta": rng.uniform(-2.6, 2.6, m),
        "phi": rng.uniform(-np.pi, np.pi, m),
        e: rng.uniform(90, 200, m) * mev,
        "isTightID": rng.random(m) < 0.8,
        **{name: rng.exponential(1.5, m) * mev for name in iso},
    }
    if release == "mini":
        photons["convType"] = rng.integers(0, 6, m).astype(np.int32)
    scale = "scaleFactor" if release == "mini" else "ScaleFactor"
    flat = {
        "channelNumber": np.full(n, 343981, np.int32),
        "mcWeight": rng.normal(20, 10, n).astype(np.float32),
        "trigP": rng.random(n) < 0.8,
        **{f"{scale}_{w}": rng.uniform(0.9, 1.1, n).astype(np.float32)
           for w in ("PHOTON", "PILEUP", "PhotonTRIGGER")},
    }  # fmt: skip
    numbers = {"XSection": 0.102, "SumWeights": 55922617.0}
    if release != "mini":
        numbers = {"xsec": 0.102, "sum_of_weights": 55922617.0, "kfac": 1.1, "filteff": 0.5}
    flat |= {name: np.full(n, value) for name, value in numbers.items()}
    flat["met_et" if release == "mini" else "met"] = rng.uniform(0, 99, n) * mev
    as_float = {k: v.astype(np.float32) if v.dtype == float else v for k, v in photons.items()}
    return {"photon": Jagged.from_counts(counts, as_float).to_awkward(), **flat, **change}


def write(path, content, tree="mini", **leave):
    kept = {name: v for name, v in content.items() if name not in leave.get("without", ())}
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        tree = file.mktree(
            tree,
            {n: v.dtype if isinstance(v, np.ndarray) else v.type.content for n, v in kept.items()},
            counter_name=lambda counted: f"{counted}_n",
            field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
        )
        tree.extend(kept)
    return str(path)


def by_hand(cuts, photons, trigger, tight=None):
    """The cuts once more, event by event, in plain Python."""
    passed = []
    for event, (found, fired) in enumerate(zip(photons, trigger, strict=True)):
        if cuts.trigger and not fired:
            continue

        def good(p):
            crack = 1.37 <= abs(p["eta"]) <= 1.52
            inside = cuts.max_abs_eta is None or abs(p["eta"]) < cuts.max_abs_eta
            return (
                p["pt"] > cuts.good_pt
                and inside
                and not (cuts.crack_veto and crack)
                and (not cuts.tight or bool(p[tight or "isTightID"]))
            )

        ordered = sorted(found, key=lambda p: -p["pt"])
        if cuts.exactly_two:
            ordered = [p for p in ordered if good(p)]
            if len(ordered) != 2:
                continue
        if len(ordered) < 2 or not all(good(p) for p in ordered[:2]):
            continue
        a, b = ordered[:2]
        phi = abs(a["phi"] - b["phi"])
        phi = 2 * np.pi - phi if phi > np.pi else phi
        mass = np.sqrt(2 * a["pt"] * b["pt"] * (np.cosh(a["eta"] - b["eta"]) - np.cos(phi)))
        if (
            a["pt"] > cuts.min_pt[0]
            and b["pt"] > cuts.min_pt[1]
            and all(p[c] / p["pt"] < x for c, x in cuts.isolation.items() for p in (a, b))
            and a["pt"] / mass > cuts.min_pt_over_mass[0]
            and b["pt"] / mass > cuts.min_pt_over_mass[1]
            and cuts.mass[0] < mass < cuts.mass[1]
        ):
            passed.append((event, mass))
    return passed


def photon_lists(content, mev):
    unscaled = {"eta", "phi", "isTightID", "convType"}
    return [
        [{k: v if k in unscaled else v * mev for k, v in p.items()} for p in event]
        for event in content["photon"].to_list()
    ]


#: A configuration of the files that :func:`write` makes in a folder.
SMALL = """
name = "small"
[classes]
VBF = "{folder}/VBFH125_gamgam.root"
ttH = "{folder}/ttH125_gamgam.root"
[background]
yy = "{folder}/yy.root"
[features]
names = ["jet_n", "m_jj", "n_b_70"]
[models]
names = ["random forest"]
folds = 2
fast = true
most_events = 60
"""
