"""Numbers of README.md that a command gives: made again, and written where they stand.

    make docs-numbers                            # python benchmarks/docs_numbers.py
    make docs-numbers NUMBERS='races kernels'    # some of them
    python benchmarks/docs_numbers.py --check    # only says whether they are as they stand

What is written stands between ``<!-- numbers: NAME -->`` and ``<!-- end of numbers -->``. Times are those that
``make bench`` measured last and left in docs/; all other numbers are computed here. Those of real collisions need
the folder of real files, FASTJAG_REAL_DATA; without it they stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEED = 3  # of the search that README tells of


def search(folder: Path) -> str:
    """The caption of docs/search.png, the picture of significances."""
    fastjag("dimuon", "toys", folder / "toys.root", "--seed", SEED)
    fastjag("dimuon", "run", folder / "search.toml", "--out", folder / "search")
    results = json.loads((folder / "search" / "report" / "results.json").read_text())
    rows = [row for row in results["table"] if row["pairs"] == "OS"]

    def best(selection: str, *names: str, without: tuple[str, ...] = ()) -> Any:
        chosen = [
            row
            for row in rows
            if row["selection"] == selection
            and row["discriminant"] not in without
            and (not names or row["discriminant"] in names)
        ]
        return max(chosen, key=lambda row: row["Z"])

    feature = best("best cut", without=("classifier", "random"))
    classifier = best("best cut", "classifier")
    same = max(row["Z"] for row in results["table"] if row["pairs"] == "SS")
    return wrapped(
        f"*Toys of seed {SEED}, small presets: the excess has {best('inclusive')['Z']:.1f} sigma before "
        f"cuts, the best cut on a feature {feature['Z']:.1f} ({feature['discriminant']}), the best cut "
        f"on the classifier {classifier['Z']:.1f} ({classifier['Z_global']:.1f} after the "
        f"look-elsewhere effect of all its cuts), likelihood reweighting "
        f"{best('likelihood reweighting')['Z']:.1f}. The largest of all cuts on same-sign pairs, the "
        f"control, has {same:.1f}.*"
    )


def spectrum(folder: Path) -> str | None:
    """The caption of docs/spectrum.png, of real collisions."""
    real = os.environ.get("FASTJAG_REAL_DATA")
    if not real:
        return None
    file = Path(real) / "agc_open-data-example.root"
    fastjag("spectrum", file, "--exactly-two", "--out", folder / "spectrum")
    cutflow = json.loads((folder / "spectrum" / "spectrum.json").read_text())["cutflow"]
    return wrapped(
        f"*{cutflow['events read']:,} events of CMS 2012 Open Data "
        "([doi:10.7483/OPENDATA.CMS.LVG5.QT81](https://doi.org/10.7483/OPENDATA.CMS.LVG5.QT81)), drawn by "
        "`fastjag spectrum FILE --exactly-two`.*"
    )


#: Peers of the whole job, as the benchmarks name them, and as README does.
PEERS = {
    "ROOT SetBranchAddress, by hand": "C++ ROOT, `SetBranchAddress`, hand-written maths",
    "ROOT TTreeReader": "C++ ROOT, `TTreeReader`",
    "ROOT RDataFrame": "C++ ROOT, `RDataFrame`, compiled lambdas",
    "uproot + numba": "uproot + numba",
    "uproot + awkward + vector": "uproot + awkward + vector",
    "coffea": "coffea",
}
COMPRESSIONS = {"none": "uncompressed", "lz4": "lz4", "zstd": "zstd", "zlib": "zlib"}
#: Races of kernels, by section and place in it.
KERNELS = (("aggregate", 0), ("dimuon", 0), ("histogram", 0), ("nearest", 0), ("padding", 1), ("pyramid", 0),
           ("select", 0))  # fmt: skip


def measured(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "docs" / name).read_text())  # type: ignore[no-any-return]


def ratio(race: dict[str, Any], peer: str) -> str:
    """CPU time of a peer over that of fastjag, on one thread."""
    times = race["cpu"]
    if peer not in times:
        return "not measured"
    value = times[peer] / times["fastjag"]
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def origin(found: dict[str, Any]) -> str:
    return (
        f"({found['date']}, {found['machine']}, `{found['command']}`, fastjag {found['versions']['fastjag']}; "
        "0.9 to 1.1 is no difference.)"
    )


def races(_: Path) -> str:
    """The table of the whole job, file to spectrum."""
    found = measured("benchmarks.json")
    jobs = {race["work"].split(", ", 1)[1]: race for race in found["sections"]["spectrum"]}
    lines = [f"| | {' | '.join(COMPRESSIONS.values())} |", f"|---|{'---:|' * len(COMPRESSIONS)}"]
    for peer, name in PEERS.items():
        cells = (ratio(jobs[compression], peer) for compression in COMPRESSIONS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", wrapped(origin(found))])


def kernels(_: Path) -> str:
    """The table of kernels in memory."""
    found = measured("benchmarks.json")
    lines = ["| | how many times as fast |", "|---|---|"]
    for section, place in KERNELS:
        race = found["sections"][section][place]
        peers = (p for p in race["cpu"] if not p.startswith("fastjag"))
        lines.append(f"| {race['work']} | {', '.join(f'{p}: {ratio(race, p)}' for p in peers)} |")
    return "\n".join([*lines, "", "(Of the same run.)"])


def jets(_: Path) -> str:
    """A sentence about one histogram of the constituents of jets."""
    found = measured("benchmarks_jets.json")
    race = found["races"][0]
    loop = next(peer for peer in race["cpu"] if peer.startswith("PyROOT"))
    return wrapped(
        f"One weighted histogram of the constituents of {race['work'].split()[0]} jets takes a PyROOT loop "
        f"{ratio(race, loop)} times as long as fastjag, C++ `TTreeReader` {ratio(race, 'ROOT TTreeReader')} times "
        f"(uncompressed, one core, CPU time without start-up; {found['date']}, "
        "[docs/benchmarks.md](docs/benchmarks.md))."
    )


#: Name of the numbers of README.md, to what makes their text; None: it cannot be made here.
NUMBERS: dict[str, Callable[[Path], str | None]] = {
    "spectrum": spectrum, "search": search, "jets": jets, "races": races, "kernels": kernels,
}  # fmt: skip
PAGE = ROOT / "README.md"
#: Pictures that the same commands leave, to where they go in docs/.
PICTURES = {
    "search": ("search/report/significance.png", "search.png"),
    "spectrum": ("spectrum/spectrum.png", "spectrum.png"),
}


def fastjag(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "fastjag", *map(str, arguments)], check=True)


def between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- numbers: {name} -->\n).*?(\n<!-- end of numbers -->)", re.DOTALL)


def wrapped(text: str, width: int = 110) -> str:
    """In lines; what stands between backticks stays together."""
    lines = [""]
    for word in re.findall(r"(?:`[^`]*`|\S)+", text):
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{' ' * bool(lines[-1])}{word}"
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"out of {', '.join(NUMBERS)}")
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    stale = []
    for name in asked.names or NUMBERS:
        before = PAGE.read_text()
        if not between(name).search(before):
            raise SystemExit(f"{PAGE.name}: has no place for the numbers {name!r}")
        with tempfile.TemporaryDirectory() as folder:
            text = NUMBERS[name](Path(folder))
            if text is None:
                print(f"{name}: stays as it is, FASTJAG_REAL_DATA is not set")
                continue
            if name in PICTURES and not asked.check:
                made, kept = PICTURES[name]
                shutil.copy(Path(folder) / made, ROOT / "docs" / kept)
        after = between(name).sub(lambda found, text=text: found[1] + text + found[2], before)
        print(f"{name}:\n{text}")
        if after != before:
            stale.append(name)
            if not asked.check:
                PAGE.write_text(after)
    if asked.check and stale:
        raise SystemExit(f"not as they stand: {', '.join(stale)}")


if __name__ == "__main__":
    main()
