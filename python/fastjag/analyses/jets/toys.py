"""All stages on toy jets: what to expect of them, and whether they work here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastjag.analyses.jets.config import JetsConfig, JetSelection, TrainConfig
from fastjag.analyses.jets.run import run
from fastjag.reporting.output import whole_directory
from fastjag.toys.jetfiles import write_jets
from fastjag.toys.jets import JetToyParameters

#: Fewer candidates outside jets than in CMS's events: as in Run 1.
TOYS = JetToyParameters(pileup=300.0)
#: Of which 4 % are b jets: enough to train and test a tagger, whatever the seed.
FEWEST_JETS = 2_000


def demo(out: Path, n_jets: int, seed: int, told: Callable[[str], None]) -> None:
    """Toys in both formats, shapes, tracks, tensors, and taggers of quarks and b jets.

    ValueError for fewer than `FEWEST_JETS`, before anything is written.
    """
    if n_jets < FEWEST_JETS:
        raise ValueError(f"--jets must be {FEWEST_JETS:,} or more, got {n_jets}: of fewer there are "
                         f"too few b jets to train and test a tagger")  # fmt: skip
    with whole_directory(out):
        _demo(out, n_jets, seed, told)


def _demo(out: Path, n_jets: int, seed: int, told: Callable[[str], None]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows, events = (
        write_jets(out / f"{format}.root", n_jets, seed=seed, format=format, compression="lz4",
                   parameters=TOYS)
        for format in ("jetntuple", "pfnano")
    )  # fmt: skip
    told(f"{n_jets:,} toy jets in {rows} and {events}")
    run("shapes", rows, out / "shapes", JetsConfig(selection=JetSelection(gen=True)))
    told(f"shapes, images, dijet masses: {out}/shapes/report.html")
    run("tracks", events, out / "tracks", JetsConfig())
    told(f"impact parameters of tracks: {out}/tracks/report.html")
    for target, source in (("quark", rows), ("b", events)):
        run("tensors", source, out / f"tensors-{target}", JetsConfig())
        train = TrainConfig(target=target, epochs=20, rounds=100, slots=16, seed=seed)
        tagging = run("train", out / f"tensors-{target}", out / f"tagger-{target}",
                      JetsConfig(train=train))  # fmt: skip
        scores = ", ".join(f"{name} {tagger['auc']:.3f}" for name, tagger in tagging.models.items())
        told(f"{target} tagger, area under the curve: {scores}: {out}/tagger-{target}/report.html")
