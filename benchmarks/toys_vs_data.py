"""The toys beside real collisions: one picture of multiplicity, kinematics and masses.

    FASTJAG_REAL_DATA=FOLDER python benchmarks/toys_vs_data.py

FOLDER holds agc_open-data-example.root: CMS 2012 DoubleMuParked, 100,000 events,
doi:10.7483/OPENDATA.CMS.LVG5.QT81.
"""

import os
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import mplhep
import numpy as np
import uproot
from matplotlib.figure import Figure

import fastjag as fj
from fastjag import toys

FILE = "agc_open-data-example.root"
PICTURE = Path(__file__).parents[1] / "docs" / "toys_vs_data.png"
COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]


def read(path):
    arrays = uproot.open(path)["Events"].arrays(COLUMNS)
    columns = {name[5:]: arrays[name].layout.content.data for name in arrays.fields}
    return fj.Jagged(arrays["Muon_pt"].layout.offsets.data, columns).sort("pt")


def step(ax, edges, data, toy, per_width=True):
    widths = np.diff(edges) if per_width else 1
    for values, label, style in (
        (data, "CMS 2012 data", {"color": "k", "lw": 1.3}),
        (toy, "toys", {"color": "#e42536", "lw": 1.5}),
    ):
        counts = np.histogram(values, edges)[0] / widths
        ax.stairs(counts, edges, label=label, **style)
    ax.set_xlim(edges[0], edges[-1])


def draw(data, toy):
    fig = Figure(figsize=(21, 12), layout="constrained")
    axes = fig.subplots(2, 3).flat
    n = len(data)
    fig.suptitle(f"Muons of {n:,} events: CMS 2012 DoubleMuParked and fastjag toys (seed 1)")

    step(axes[0], np.arange(-0.5, 15.5), data.counts, toy.counts)
    axes[0].set(xlabel="Muons per event", ylabel="Events", yscale="log")
    edges = np.geomspace(3, 1000, 70)
    step(axes[1], edges, data["pt"], toy["pt"])
    axes[1].set(xlabel=r"Muon $p_T$ [GeV]", ylabel="Muons / GeV", xscale="log", yscale="log")
    step(axes[2], np.linspace(-2.5, 2.5, 51), data["eta"], toy["eta"])
    axes[2].set(xlabel=r"Muon $\eta$", ylabel=r"Muons / unit of $\eta$", ylim=(0, None))

    pairs = [
        {q: fj.dimuon(m[m.counts == 2], charge=q)["mass"] for q in ("opposite", "same")}
        for m in (data, toy)
    ]
    for ax, sign, bins in ((axes[3], "opposite", 160), (axes[4], "same", 60)):
        step(ax, np.geomspace(0.25, 400, bins), *(p[sign] for p in pairs))
        ax.set(xlabel=r"$m_{\mu\mu}$ [GeV]", ylabel="Pairs / GeV", xscale="log", yscale="log")
        counts = " and ".join(f"{len(p[sign]):,}" for p in pairs)
        ax.set_title(f"two muons, {sign} sign: {counts}", fontsize=19)
        ax.set_xticks([0.3, 1, 3, 10, 30, 100, 300], ["0.3", "1", "3", "10", "30", "100", "300"])
    for name, lo, hi, marker in (("J/psi", 2.9, 3.3, "-"), ("Z", 80, 100, "--")):
        for m, p, colour, source in zip(
            (data, toy), pairs, ("k", "#e42536"), ("data", "toys"), strict=True
        ):
            two = fj.dimuon(m[m.counts == 2])
            inside = (p["opposite"] > lo) & (p["opposite"] < hi)
            counts, edges = np.histogram(two["pt"][inside], np.linspace(0, 80, 41))
            axes[5].stairs(
                counts / inside.sum() / 2, edges, color=colour, ls=marker, lw=1.4,
                label=f"{source}, {name.replace('J/psi', 'J/ψ')}",
            )  # fmt: skip
    axes[5].set(xlabel=r"$p_T$ of the pair [GeV]", ylabel="Fraction of pairs / GeV", xlim=(0, 80))
    for ax in axes:
        ax.legend(fontsize=17)
    return fig


def main():
    folder = os.environ.get("FASTJAG_REAL_DATA", "")
    if not (Path(folder) / FILE).is_file():
        sys.exit(f"FASTJAG_REAL_DATA must name a folder with {FILE}, got {folder!r}")
    data = read(Path(folder) / FILE)
    toy = next(iter(toys.generate(len(data), seed=1, columns=COLUMNS)))["Muon"]
    with mpl.style.context([mplhep.style.CMS, {"font.size": 20, "mathtext.cal": "sans"}]):
        PICTURE.parent.mkdir(exist_ok=True)
        draw(data, toy).savefig(PICTURE, dpi=75)
    print(f"wrote docs/{PICTURE.name}")


if __name__ == "__main__":
    main()
