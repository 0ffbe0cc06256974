"""All steps on toy jets: what to expect of them, and whether they work here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastjag.analyses.jets import pages, tagging
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.spectra import jet_shapes
from fastjag.analyses.jets.tensors import read_tensors, write_tensors
from fastjag.analyses.jets.tracks import track_spectrum
from fastjag.toys.jetfiles import write_jets
from fastjag.toys.jets import JetToyParameters


def run(out: Path, n_jets: int, seed: int, version: str, told: Callable[[str], None]) -> None:
    """Toys in both formats, shapes, tracks, tensors, and taggers of quarks and b jets."""
    out.mkdir(parents=True, exist_ok=True)
    few = JetToyParameters(pileup=300.0)
    rows = write_jets(out / "jetntuple.root", n_jets, seed=seed, compression="lz4", parameters=few)
    events = write_jets(
        out / "pfnano.root", n_jets, seed=seed, format="pfnano", compression="lz4", parameters=few
    )
    told(f"{n_jets:,} toy jets in {rows} and {events}")
    pages.write_shapes(jet_shapes(JetReader(rows, gen=True)), out / "shapes", version)
    told(f"shapes, images, dijet masses: {out}/shapes/report.html")
    pages.write_tracks(track_spectrum(events), out / "tracks", version)
    told(f"impact parameters of tracks: {out}/tracks/report.html")
    for target, source in (("quark", rows), ("b", events)):
        folder = out / f"tensors-{target}"
        write_tensors(JetReader(source), folder, version=version)
        result = tagging.train(
            read_tensors(folder), target, epochs=3, rounds=40, slots=16, seed=seed
        )
        pages.write_tagging(result, out / f"tagger-{target}", version)
        scores = ", ".join(f"{name} {found['auc']:.3f}" for name, found in result.models.items())
        told(f"{target} tagger, area under the curve: {scores}: {out}/tagger-{target}/report.html")
