"""Numbers of README.md that a command gives: made again, and written where they stand.

    make docs-numbers                            # python benchmarks/docs_numbers.py
    python benchmarks/docs_numbers.py --check    # only says whether they are as they stand

What is written stands between ``<!-- numbers: NAME -->`` and ``<!-- end of numbers -->``.
"""

from __future__ import annotations

import argparse
import json
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
    return (
        f"*Toys of seed {SEED}, small presets: the excess has {best('inclusive')['Z']:.1f} sigma before "
        f"cuts, the best cut on a feature {feature['Z']:.1f} ({feature['discriminant']}), the best cut "
        f"on the classifier {classifier['Z']:.1f} ({classifier['Z_global']:.1f} after the "
        f"look-elsewhere effect of all its cuts), likelihood reweighting "
        f"{best('likelihood reweighting')['Z']:.1f}. The largest of all cuts on same-sign pairs, the "
        f"control, has {same:.1f}.*"
    )


#: Page and name of the numbers, to what makes their text.
NUMBERS: dict[tuple[str, str], Callable[[Path], str]] = {("README.md", "search"): search}
#: Pictures that the same commands leave, to where they go in docs/.
PICTURES = {"search": ("search/report/significance.png", "search.png")}


def fastjag(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "fastjag", *map(str, arguments)], check=True)


def between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- numbers: {name} -->\n).*?(\n<!-- end of numbers -->)", re.DOTALL)


def wrapped(text: str, width: int = 110) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{' ' * bool(lines[-1])}{word}"
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    stale = []
    for (page, name), make in NUMBERS.items():
        path = ROOT / page
        before = path.read_text()
        if not between(name).search(before):
            raise SystemExit(f"{page}: has no place for the numbers {name!r}")
        with tempfile.TemporaryDirectory() as folder:
            text = wrapped(make(Path(folder)))
            if name in PICTURES and not asked.check:
                made, kept = PICTURES[name]
                shutil.copy(Path(folder) / made, ROOT / "docs" / kept)
        after = between(name).sub(lambda found, text=text: found[1] + text + found[2], before)
        print(f"{page}, {name}:\n{text}")
        if after != before:
            stale.append(f"{page}: {name}")
            if not asked.check:
                path.write_text(after)
    if asked.check and stale:
        raise SystemExit(f"not as they stand: {', '.join(stale)}")


if __name__ == "__main__":
    main()
