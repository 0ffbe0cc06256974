"""Jets on other executors."""

import pytest
from cut_files import cut_files
from jet_samples import events_file, jet_folder  # noqa: F401

from fastjag import batch
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.jets.config import TrackSelection
from fastjag.analyses.jets.tracks import tracks
from fastjag.io import ReadError


def test_processes(events_file, monkeypatch):  # noqa: F811
    """Histograms to the last bit, errors as well."""
    cut_files(monkeypatch, 60)
    here = tracks(events_file, step=50)
    there = tracks(events_file, step=50, workers=Workers(batch.processes(2)))
    assert there.counts == here.counts
    for name, histogram in here.histograms.items():
        assert there.histograms[name].view().tobytes() == histogram.view().tobytes(), name
    with pytest.raises(ReadError, match="no branch 'Jets_pt'"):
        tracks(events_file, TrackSelection(jets="Jets"), workers=Workers(batch.processes(1)))
