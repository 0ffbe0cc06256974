"""The toys beside real collisions: one picture of multiplicity, kinematics and masses, with ratios.

    FASTJAG_REAL_DATA=FOLDER python benchmarks/toys_vs_data.py

FOLDER holds agc_open-data-example.root: CMS 2012 DoubleMuParked, 100,000 events,
doi:10.7483/OPENDATA.CMS.LVG5.QT81.
"""

import os
import sys
from pathlib import Path

import numpy as np
import uproot

import fastjag as fj
from fastjag import toys
from fastjag.reporting.plots import RED, panels, save
from fastjag.reporting.points import band, mark_overflow, points, poisson_errors, ratio
from fastjag.reporting.titles import axis_title

FILE = "agc_open-data-example.root"
PICTURE = Path(__file__).parents[1] / "docs" / "toys_vs_data.png"
COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
MASS = axis_title("dimu_mass")
MASSES = [0.3, 1, 3, 10, 30, 100, 300]
WINDOWS = {"J/$\\psi$": (2.9, 3.3), "Z": (80, 100)}  # GeV
UPSILON = (8.5, 11.5)


def read(path):
    arrays = uproot.open(path)["Events"].arrays(COLUMNS)
    columns = {name[5:]: arrays[name].layout.content.data for name in arrays.fields}
    return fj.Jagged(arrays["Muon_pt"].layout.offsets.data, columns).sort("pt")


def compare(axes, edges, data, toy, *, per_width=True, normalised=False, title=""):
    """Data as points, toys as a line with its error, and below data over toys."""
    top, below = axes
    counts, drawn = (np.histogram(values, edges)[0].astype(float) for values in (data, toy))
    widths = np.diff(edges) if per_width else np.ones(len(counts))
    scale = [1 / widths / (max(1, n.sum()) if normalised else 1) for n in (counts, drawn)]
    for ax in axes:
        ax.set_xlim(edges[0], edges[-1])
    top.stairs(drawn * scale[1], edges, color=RED, lw=1.6, label="toys")
    band(top, edges, drawn * scale[1], np.sqrt(drawn) * scale[1], color=RED)
    ends = points(top, edges, counts, scale=scale[0], zeros=False, ms=3, lw=1, label="data")
    if top.get_yscale() == "log":
        lowest = min((n * s)[n > 0].min() for n, s in zip((counts, drawn), scale, strict=True))
        top.set_ylim(lowest / 2, 6 * ends.max())
    else:
        top.set_ylim(0, 1.3 * ends.max())
    top.set_title(title, loc="left", fontsize=15)
    top.legend(loc="upper center", ncols=2)
    top.tick_params(labelbottom=False)
    mark_overflow(top, (data < edges[0]).sum(), (data > edges[-1]).sum())
    expected = np.where(drawn > 0, drawn * scale[1], np.nan)
    error = np.hypot(
        poisson_errors(counts) * scale[0], np.sqrt(drawn) * scale[1] * counts * scale[0] / expected
    )
    ratio(below, edges, counts * scale[0] / expected, error / expected, title="Data / toys",
          limits=(0, 2), ms=3, lw=1)  # fmt: skip


def draw(data, toy):
    with panels(16, 4, (6.0, 3.7), font=16, height_ratios=(2.4, 1) * 2) as (fig, axes):
        parts = [(axes[i], axes[i + 4]) for i in (0, 1, 2, 3, 8, 9, 10, 11)]
        many, pt, eta, upsilon, opposite, same, *momenta = parts
        for top, below in (pt, opposite, same):
            for ax in (top, below):
                ax.set_xscale("log")
        for top, _ in (many, pt, opposite, same):
            top.set_yscale("log")
        fig.suptitle(f"{len(data):,} events: CMS 2012 DoubleMuParked, and fastjag toys (seed 1)",
                     fontsize=18)  # fmt: skip
        compare(many, np.arange(-0.5, 15.5), data.counts, toy.counts, per_width=False)
        label(many, "Muons per event", "Events")
        for ax in many:
            ax.set_xticks(range(0, 15, 2))
        compare(pt, np.geomspace(3, 1000, 51), data["pt"], toy["pt"])
        label(pt, axis_title("Muon_pt"), "Muons / GeV")
        compare(eta, np.linspace(-2.5, 2.5, 51), data["eta"], toy["eta"])
        label(eta, axis_title("Muon_eta"), r"Muons / unit of $\eta$")
        two = [m[m.counts == 2] for m in (data, toy)]
        for part, sign, bins in ((opposite, "opposite", 121), (same, "same", 51)):
            masses = [fj.dimuon(m, charge=sign)["mass"] for m in two]
            compare(part, np.geomspace(0.25, 400, bins), *masses, title=f"two muons, {sign} sign")
            label(part, MASS, "Pairs / GeV")
            part[1].set_xticks(MASSES, map(str, MASSES))
        pairs = [fj.dimuon(m) for m in two]
        near = [p["mass"][(p["mass"] > UPSILON[0]) & (p["mass"] < UPSILON[1])] for p in pairs]
        compare(upsilon, np.linspace(*UPSILON, 31), *near, title="two muons, opposite sign")
        label(upsilon, MASS, "Pairs / GeV")
        for part, (name, (low, high)) in zip(momenta, WINDOWS.items(), strict=True):
            chosen = [p["pt"][(p["mass"] > low) & (p["mass"] < high)] for p in pairs]
            compare(part, np.linspace(0, 80, 33), *chosen, normalised=True,
                    title=f"{name}: {low} to {high} GeV")  # fmt: skip
            label(part, axis_title("dimu_pt"), "Share of pairs / GeV")
    return fig


def label(axes, x, y):
    axes[0].set_ylabel(y)
    axes[1].set_xlabel(x)


def main():
    folder = os.environ.get("FASTJAG_REAL_DATA", "")
    if not (Path(folder) / FILE).is_file():
        sys.exit(f"FASTJAG_REAL_DATA must name a folder with {FILE}, got {folder!r}")
    data = read(Path(folder) / FILE)
    toy = next(iter(toys.generate(len(data), seed=1, columns=COLUMNS)))["Muon"]
    save(draw(data, toy), PICTURE)
    print(f"wrote docs/{PICTURE.name}")


if __name__ == "__main__":
    main()
