"""Jets on other executors."""

import numpy as np
import pytest
from cut_files import cut_files
from jet_samples import N_JETS, events_file, jet_folder, rows_file  # noqa: F401

from fastjag import batch
from fastjag.analyses.common.runs import Workers
from fastjag.analyses.jets.config import JetSelection, TensorsConfig, TrackSelection
from fastjag.analyses.jets.reading import JetReader
from fastjag.analyses.jets.results import read_tensors
from fastjag.analyses.jets.shapes import shapes
from fastjag.analyses.jets.tensors import tensors
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


@pytest.fixture(scope="module")
def several(rows_file, tmp_path_factory):  # noqa: F811
    """Two files, which are told apart by their places."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "a.root").write_bytes(rows_file.read_bytes())
    (folder / "b.root").write_bytes(rows_file.read_bytes())
    return folder


def test_events_that_ranges_cut(several, monkeypatch):
    """Every dijet once, however files are cut: two jets of most events stand in two ranges or batches."""
    whole = shapes(JetReader(several, JetSelection(gen=True), step=10**6))
    assert whole.counts["jets"] == 2 * N_JETS
    for size, step, workers in ((61, 10**6, None), (101, 23, batch.processes(1))):
        cut_files(monkeypatch, size)
        cut = shapes(
            JetReader(several, JetSelection(gen=True), step=step), workers=Workers(workers)
        )
        assert cut.counts == whole.counts
        assert cut.files == whole.files
        for name, by in whole.histograms.items():
            assert list(cut.histograms[name]) == list(by)
            for flavour, h in by.items():
                found = cut.histograms[name][flavour]
                np.testing.assert_allclose(found.values(flow=True), h.values(flow=True), rtol=1e-12)
        for flavour, image in whole.images.items():
            np.testing.assert_allclose(cut.images[flavour], image, rtol=1e-9, atol=1e-15)
        assert cut.gen == pytest.approx(whole.gen, rel=1e-12)


def test_shapes_are_the_same_to_the_last_bit(several, monkeypatch, tmp_path):
    cut_files(monkeypatch, 160)
    here = shapes(JetReader(several, step=90))
    two = Workers(batch.processes(2), tmp_path)
    for _ in range(2):  # the second time of what is kept
        there = shapes(JetReader(several, step=90), workers=two)
        assert (there.counts, there.compared) == (here.counts, here.compared)
        for name, by in here.histograms.items():
            for flavour, h in by.items():
                assert there.histograms[name][flavour].view().tobytes() == h.view().tobytes()
        for flavour, image in here.images.items():
            assert there.images[flavour].tobytes() == image.tobytes()


def test_tensors(events_file, monkeypatch, tmp_path):  # noqa: F811
    """The same rows in the same order, wherever they are made; those of a kept range are not made again."""
    config = TensorsConfig(candidates=12, tracks=6, vertices=2, images=True)
    tensors(JetReader(events_file), tmp_path / "whole", config)
    expected = read_tensors(tmp_path / "whole")
    cut_files(monkeypatch, 60)
    two = Workers(batch.processes(2), tmp_path / "keep")
    for out in ("there", "again"):
        written = tensors(JetReader(events_file, step=50), tmp_path / out, config, workers=two)
        assert written["jets"] == N_JETS
        found = read_tensors(tmp_path / out)
        assert list(found.columns) == list(expected.columns)
        for name, values in expected.columns.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


def test_what_tensors_leave_out(events_file, rows_file, tmp_path):  # noqa: F811
    """A file that cannot be read is listed; one of another format is an error, on workers as well."""
    damaged = bytearray(events_file.read_bytes())
    damaged[len(damaged) // 3 : 2 * len(damaged) // 3] = bytes(len(damaged) // 3)
    (tmp_path / "bad.root").write_bytes(damaged)
    reader = JetReader([events_file, tmp_path / "bad.root"], on_error="skip")
    written = tensors(reader, tmp_path / "out")
    assert [s["file"] for s in written["skipped"]] == [str(tmp_path / "bad.root")]
    assert written["jets"] == N_JETS
    shaped = shapes(JetReader([events_file, tmp_path / "bad.root"], on_error="skip"))
    assert [s.file for s in shaped.skipped] == [str(tmp_path / "bad.root")]
    assert shaped.counts["jets"] == N_JETS
    with pytest.raises(ReadError, match=r"rows\.root.*no branch"):
        tensors(JetReader([events_file, rows_file]), tmp_path / "out")
