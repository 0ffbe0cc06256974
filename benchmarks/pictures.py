"""Pictures of what was measured, one per question, from races alone.

``python benchmarks/pictures.py`` draws those of docs/benchmarks.json and docs/benchmarks_jets.json again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import EVENTS, Race

from fastjag.reporting.plots import BLUE, GREY, ORANGE, RED, VIOLET, figure, save

DOCS = Path(__file__).parent.parent / "docs"
#: What no program can be faster than: peers of another question than the others.
BOUNDS = ("memcpy of the result", "writing zeros")
_CLOSE = 1.05  # from here on fastjag is called faster
#: Libraries by the first words of peers: colour and marker of their points.
_FAMILIES = {
    "awkward, coffea": (("awkward", "uproot + awkward", "coffea"), BLUE, "o"),
    "numba": (("numba", "uproot + numba"), ORANGE, "s"),
    "NumPy, fast-histogram": (("numpy", "fast-histogram"), GREY, "D"),
    "boost-histogram": (("boost-histogram",), GREY, "^"),
    "torch, fbgemm": (("torch", "fbgemm"), RED, "v"),
    "ROOT, PyROOT": (("ROOT", "PyROOT"), "k", "P"),
}


def family(peer: str) -> str:
    """The library of a peer. KeyError for one that the legend does not know."""
    for name, (starts, _, _) in _FAMILIES.items():
        if peer.startswith(starts):
            return name
    raise KeyError(f"no family of peers for {peer!r}")


def times(ratio: float) -> str:
    """Such as 0.92x, 6.5x, 1,078x."""
    return f"{ratio:.2f}x" if ratio < 1.1 else f"{ratio:.1f}x" if ratio < 100 else f"{ratio:,.0f}x"


def titled(race: Race) -> str:
    return race.work.replace(", none", ", uncompressed")


def peers_of(race: Race) -> list[str]:
    """The names of those who do what fastjag does."""
    return [p for p in race.wall if not p.startswith("fastjag") and p not in BOUNDS]


# ---- how many times faster ------------------------------------------------------------------------


def draw_ratios(sections: dict[str, list[Race]]) -> Any:
    """A row per work, a point per peer: its time over that of fastjag. Slower than a peer is shaded."""
    races = [r for word, those in sections.items() if word != "scaling" for r in those
             if peers_of(r)]  # fmt: skip
    races.sort(key=lambda r: -max(r.ratio(p) for p in peers_of(r)))
    points = [(r.ratio(p), i, p) for i, r in enumerate(races) for p in peers_of(r)]
    ratios = [x for x, _, _ in points]
    with figure(15, 2.2 + 0.4 * len(races)) as (fig, ax):
        least, most = 0.12 * min(1.0, *ratios), 4 * max(ratios)
        ax.axvspan(least, 1, color="0.93", lw=0)
        ax.axvline(1, color="k", lw=1.5)
        for i, race in enumerate(races):
            own = [race.ratio(p) for p in peers_of(race)]
            ax.plot([min(own), max(own)], [i, i], color="0.8", lw=2, zorder=1)
        for name, (_, colour, marker) in _FAMILIES.items():
            own = [(x, i) for x, i, p in points if family(p) == name]
            if own:
                ax.plot(*zip(*own, strict=True), marker, color=colour, ms=9, mec="w", label=name)
        for x, i, p in {max(points), *(q for q in points if q[0] < _CLOSE)}:
            where = (-10, 0) if x < _CLOSE else (0, -14)
            ax.annotate(f"{p}: {times(x)}", (x, i), where, textcoords="offset points", va="center",
                        ha="right", fontsize=12)  # fmt: skip
        ax.set_yticks(range(len(races)), [titled(r) for r in races], fontsize=13)
        ax.tick_params(axis="y", which="both", length=0)
        ax.set(xscale="log", xlim=(least, most), ylim=(len(races) - 0.4, -0.6))
        ax.set_xlabel("Time of the peer / time of fastjag")
        lost = sum(x < 1 for x in ratios)
        ax.set_title(f"Shaded: peers that are faster than fastjag ({lost} of {len(points)} here)",
                     loc="left", fontsize=15)  # fmt: skip
        ax.legend(loc="lower right", fontsize=13)
    return fig


# ---- how long from a file -------------------------------------------------------------------------


def draw_jobs(races: list[Race], limits: dict[str, float], what: str) -> Any:
    """A panel per file: times of fastjag and its peers, what it costs to read the numbers, and ratios.

    Races of several threads are in the panel of the same work on one.
    """
    works: dict[str, list[Race]] = {}
    for race in races:
        works.setdefault(titled(race).removesuffix(f", {race.threads} threads"), []).append(race)
    most = max(sum(len(r.wall) for r in those) for those in works.values())
    high = -(-len(works) // 2)
    shown = [t for r in races for t in r.time.values()] + [
        _limit(r, limits) for r in races if r.moved
    ]
    with figure(17, 1.8 + high * (1.1 + 0.38 * most), high, 2, sharex=True, squeeze=False) as (
        fig, axes,
    ):  # fmt: skip
        panels = axes.ravel().tolist()
        for spare in panels[len(works) :]:
            spare.remove()
        for ax, (work, those) in zip(panels, works.items(), strict=False):
            _draw_work(ax, those, limits)
            ax.set_title(work, loc="left", fontsize=14)
        panels[0].set(xscale="log", xlim=(0.6 * min(shown), 90 * max(shown)))
        for ax in panels[max(0, len(works) - 2) : len(works)]:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("Time [ms]", fontsize=15)
        fig.suptitle(f"{what}, without start-up. Red: fastjag. Orange: faster than fastjag. "
                     "Dotted: reading the numbers from memory.", fontsize=14)  # fmt: skip
    return fig


def _limit(race: Race, limits: dict[str, float]) -> float:
    """What it costs to read the numbers from memory [ms]."""
    return race.moved / limits["read"] * 1e-6


def _draw_work(ax: Any, races: list[Race], limits: dict[str, float]) -> None:
    labels, first = [], 0.0
    for race in races:
        names, ours = list(race.time), next(iter(race.time.values()))
        last = first + len(names) - 1
        ax.plot([ours] * 2, [first, last + 0.4], color=RED, lw=1)
        if race.moved:
            ax.plot([_limit(race, limits)] * 2, [first - 0.4, last + 0.4], color="k", ls=":")
        for i, name in enumerate(names):
            time, y, own = race.time[name], first + i, name.startswith("fastjag")
            colour = RED if own else BLUE if time >= ours else ORANGE
            ax.plot([ours, time], [y, y], color=colour, lw=2, alpha=0.5)
            ax.plot(time, y, "o", color=colour, ms=10)
            said = f"{time:,.0f}" + ("" if own else f"  ({times(time / ours)})")
            ax.annotate(said, (max(time, ours), y), (12, 0), textcoords="offset points",
                        va="center", fontsize=12)  # fmt: skip
            labels.append((y, name if race.threads == 1 else f"{name}, {race.threads} threads"))
        first = last + 1.5
    ax.set_yticks(*zip(*labels, strict=True), fontsize=12)
    ax.tick_params(axis="y", which="both", length=0)
    ax.tick_params(axis="x", labelsize=13)
    ax.set_ylim(first - 0.9, -0.6)


# ---- how far from the limit -----------------------------------------------------------------------


def _bounded(sections: dict[str, list[Race]]) -> list[Race]:
    return [r for those in sections.values() for r in those if set(BOUNDS) & set(r.time)]


def draw_limits(sections: dict[str, list[Race]]) -> Any:
    """Of works whose results can only be copied so fast: times over that of the copy."""
    races = _bounded(sections)
    rows = [(r, n) for r in races for n in r.time
            if n.startswith(("fastjag", "numba", "fbgemm"))]  # fmt: skip
    with figure(14, 2 + 0.4 * (len(rows) + len(races))) as (fig, ax):
        y, labels = 0.0, []
        for race in races:
            (bound,) = set(BOUNDS) & set(race.time)
            ax.text(0.99, y, f"{race.work}; 1 is {bound}", ha="right", va="center", fontsize=12,
                    transform=ax.get_yaxis_transform())  # fmt: skip
            for name in (n for r, n in rows if r is race):
                y += 1
                x = race.time[name] / race.time[bound]
                bar = ax.barh(y, x, color=RED if name.startswith("fastjag") else BLUE, height=0.8)
                (said,) = ax.bar_label(bar, [f"{x:.2f}"], padding=4, fontsize=12)
                said.set_bbox({"fc": "w", "ec": "none", "pad": 0.5})
                labels.append((y, name))
            y += 1.3
        ax.axvline(1, color="k", ls=":", lw=1.5)
        ax.set_yticks([at for at, _ in labels], [n for _, n in labels], fontsize=13)
        ax.tick_params(axis="y", which="both", length=0)
        ax.set(ylim=(y - 0.5, -0.8), xlim=(0, 1.15 * ax.get_xlim()[1]))
        ax.set_xlabel("Time / time of memcpy of the result, or of writing zeros", fontsize=15)
    return fig


# ---- what threads bring ---------------------------------------------------------------------------


def draw_threads(races: list[Race]) -> Any:
    """Speed-up of several threads by the number of events."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for race in races:
        work, _, size = race.work.removesuffix(" events").rpartition(", ")
        one, *more = race.wall.values()
        if all(name.startswith("fastjag, ") for name in race.wall) and more:
            curves.setdefault(work, []).append((float(size), one / more[-1]))
            threads = list(race.wall)[-1].removeprefix("fastjag, ")
    with figure(10, 7) as (fig, ax):
        styles = zip((BLUE, ORANGE, RED, VIOLET, GREY), ("-", "--", "-.", ":", "-"), "os^vD",
                     strict=True)  # fmt: skip
        for (work, curve), (colour, dashes, marker) in zip(curves.items(), styles, strict=False):
            ax.plot(*zip(*curve, strict=True), ls=dashes, marker=marker, color=colour, ms=8,
                    label=work)  # fmt: skip
        number = int(threads.split()[0])
        ax.axhline(1, color="0.5", lw=1)
        ax.axhline(number, color="0.5", lw=1, ls=":")
        ax.set(xscale="log", xlabel="Events", ylim=(0.8, 1.25 * number),
               ylabel=f"Time of one thread / time of {threads}")  # fmt: skip
        ax.legend(loc="upper left", fontsize=13)
    return fig


# ---- all ------------------------------------------------------------------------------------------

#: File in docs/ and the question that its picture answers.
QUESTIONS = {
    "benchmarks.png": "How many times faster is fastjag than each library?",
    "benchmarks_spectrum.png": "How long does it take from a file to the dimuon spectrum?",
    "benchmarks_limits.png": "How far are kernels from what memory allows?",
    "benchmarks_threads.png": "What do more threads bring?",
}


def draw(sections: dict[str, list[Race]], limits: dict[str, float], folder: Path) -> None:
    """The pictures of `QUESTIONS`; sections that were not measured are left out."""
    measured = {word: [r for r in races if r.wall] for word, races in sections.items()}
    jobs, threads = measured.get("spectrum"), measured.get("scaling")
    figures = (
        draw_ratios(measured),
        draw_jobs(jobs, limits, f"{EVENTS:,} events") if jobs else None,
        draw_limits(measured) if _bounded(measured) else None,
        draw_threads(threads) if threads else None,
    )
    for name, fig in zip(QUESTIONS, figures, strict=True):
        if fig is not None:
            save(fig, folder / name)


def draw_jets(races: list[Race], limits: dict[str, float], folder: Path) -> None:
    """``benchmarks_jets.png``."""
    save(draw_jobs(races, limits, "All jets"), folder / "benchmarks_jets.png")


def main() -> None:
    record = json.loads((DOCS / "benchmarks.json").read_text())
    sections = {w: [Race(**r) for r in races] for w, races in record["sections"].items()}
    draw(sections, record["memory GB/s"], DOCS)
    record = json.loads((DOCS / "benchmarks_jets.json").read_text())
    draw_jets([Race(**r) for r in record["races"]], record["memory GB/s"], DOCS)


if __name__ == "__main__":
    main()
