"""docs/gallery.md shows the pictures of the reports of all analyses, each with its file."""

import re
import sys
from pathlib import Path

import pytest

from fastjag.analyses.diphoton.pictures import comparison, events, masses
from fastjag.analyses.importance.report import _CAPTIONS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import gallery

SHOWN = {
    "diphoton": [*events.CAPTIONS, *masses.CAPTIONS, *comparison.CAPTIONS],
    "train": ["roc", "scores", "calibration", "training"],
    "gammajet": ["closure0", "alpha", "comparison", "stitching"],
    "jets": ["shapes", "images", "tracks",
             *(f"tagger-{t}_{p}" for t in ("b", "quark") for p in ("roc", "scores"))],
    "rates": ["pileup", "sections", "triggers"],
    "importance": list(_CAPTIONS),
}  # fmt: skip
PAGE = (ROOT / "docs" / "gallery.md").read_text()


@pytest.mark.parametrize("analysis", SHOWN)
def test_every_picture_is_shown_with_the_commands(analysis):
    for name in SHOWN[analysis]:
        assert f"](gallery/{analysis}_{name}.png)" in PAGE
        assert (ROOT / "docs" / "gallery" / f"{analysis}_{name}.png").stat().st_size > 5_000
    kept = {p.stem for p in (ROOT / "docs" / "gallery").glob(f"{analysis}_*.png")}
    assert kept == {f"{analysis}_{name}" for name in SHOWN[analysis]}
    commands, _ = gallery.REPORTS[analysis]
    for command in commands:
        assert f"\nfastjag {command}" in PAGE


def test_captions_are_those_of_the_reports():
    text = " ".join(PAGE.split())
    for captions in (events.CAPTIONS, masses.CAPTIONS, comparison.CAPTIONS, _CAPTIONS):
        for name, caption in captions.items():
            assert f"`{name}.png`. {' '.join(caption.split())}" in text, name


def test_names_of_pictures():
    assert gallery.name_of(Path("demo/tagger-b/roc.png")) == "tagger-b_roc"
    assert gallery.name_of(Path("demo/shapes/images.png")) == "images"
    assert not re.search(r"\]\(gallery/[^)]*closure1", PAGE)
