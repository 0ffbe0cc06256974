"""The pictures of docs/gallery.md: runs the commands named there, and keeps their pictures small.

    python benchmarks/gallery.py dimuon               # about three minutes, others less
    python benchmarks/gallery.py dimuon --of FOLDER   # of a report that is there

Pictures go to docs/gallery/ANALYSIS_NAME.png, 1000 pixels wide, in 160 colours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, COLOURS = 1000, 160
#: Commands of an analysis as docs/gallery.md has them, and the folder of its report.
REPORTS = {
    "dimuon": (
        ("dimuon toys toys/toys.root --seed 3", "dimuon run toys/search.toml --out search"),
        "search/report",
    ),
    "diphoton": (("diphoton run --sample --out diphoton",), "diphoton/report"),
    "gammajet": (("gammajet demo --out demo",), "demo/report"),
    "jets": (("jets demo --out demo-jets",), "demo-jets"),
    "rates": (("rates demo --out demo-rates",), "demo-rates"),
    "train": (("train demo --out demo-train",), "demo-train/tagger/report"),
    "importance": (("importance demo --out demo-importance",), "demo-importance"),
}
#: Pictures that look like others: of further ranges and categories.
_ALIKE = ("closure1", "peak_unconverted_central", "spectrum_unconverted_central")


def name_of(path: Path) -> str:
    """Of a picture: the two taggers have pictures of the same names, each in a folder of its own."""
    folder = path.parent.name
    return f"{folder}_{path.stem}" if folder.startswith("tagger-") else path.stem


def keep(report: Path, analysis: str) -> None:
    """Small copies of all pictures of a report."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"{analysis}_*.png"):
        old.unlink()
    for path in sorted(p for p in report.rglob("*.png") if p.stem not in _ALIKE):
        picture = Image.open(path).convert("RGB")
        height = round(picture.height * WIDTH / picture.width)
        small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        name = f"{analysis}_{name_of(path)}.png"
        few = small.quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )  # which keeps thin lines of few pixels in their colours
        few.save(folder / name, optimize=True)
        print(f"docs/gallery/{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("analysis", choices=REPORTS)
    parser.add_argument("--of", type=Path, help="the folder of a report that is there")
    asked = parser.parse_args()
    commands, report = REPORTS[asked.analysis]
    if asked.of is not None:
        keep(asked.of, asked.analysis)
        return
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            subprocess.run(
                [sys.executable, "-m", "fastjag", *command.split()], cwd=folder, check=True
            )
        keep(Path(folder) / report, asked.analysis)


if __name__ == "__main__":
    main()
