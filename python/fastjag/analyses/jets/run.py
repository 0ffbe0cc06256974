"""The stages of jets, each with a command of its name: from files, or tensors, to pages."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.jets import report
from fastjag.analyses.jets.config import JetsConfig
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.results import read_tensors
from fastjag.analyses.jets.shapes import shapes
from fastjag.analyses.jets.tensors import tensors
from fastjag.analyses.jets.tracks import tracks
from fastjag.analyses.jets.train import train
from fastjag.analyses.jets.variations import branches
from fastjag.core.checks import one_of
from fastjag.io.files import Files
from fastjag.reporting.output import results_directory

#: "train" reads what "tensors" left, the others read files.
STAGES = ("shapes", "tracks", "tensors", "train")


def run(
    stage: str,
    source: Files,
    out: str | os.PathLike[str],
    config: JetsConfig,
    *,
    step: int | str = "50 MB",
    skip_errors: bool = False,
    workers: Workers = HERE,
    device: str = "cpu",
    threads: int | None = None,
) -> Any:
    """Run a stage on files, or on a folder of tensors, and write what it finds to ``out``.

    ``workers`` read files.

    Returns a :class:`~fastjag.analyses.jets.results.ShapeHistograms`, ``TrackSpectrum`` or ``Tagging``;
    of "tensors" what ``tensors.json`` holds.
    """
    one_of("stage", stage, STAGES)
    on_error = "skip" if skip_errors else "raise"
    options: dict[str, Any] = {"step": step, "on_error": on_error}
    if stage == "tensors":
        reader = JetReader(source, config.selection, **options)
        return tensors(reader, out, config.tensors, workers=workers)
    result: Any
    with results_directory(out) as directory:
        if stage == "shapes":
            extra = branches(config.variations)
            reader = JetReader(source, config.selection, extra=extra, **options)
            result = shapes(reader, workers=workers, threads=threads, variations=config.variations)
            report.write_shapes(result, directory, asdict(config.selection))
        elif stage == "tracks":
            result = tracks(source, config.tracks, threads=threads, workers=workers, **options)
            report.write_tracks(result, directory)
        else:
            table = read_tensors(Path(str(source)), config.train.max_jets)
            result = train(table, config.train, device=device, threads=threads)
            report.write_tagging(result, directory)
    return result
