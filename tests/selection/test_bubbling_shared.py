"""Columns of a collection keep one array of offsets through the steps of a selection."""

import numpy as np

from fastjag.io import write_events
from fastjag.io.reader import Reader
from fastjag.jagged import Jagged
from fastjag.selection.bubbling import Alive, Step
from fastjag.selection.columns import EntryColumns


def test_offsets_of_a_collection_are_one_array(tmp_path):
    """Read at different steps, and cut down since: comparing them is needed once only."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, 300)
    columns = {c: rng.normal(size=counts.sum()).astype(np.float32) for c in ("pt", "eta", "phi")}
    path = write_events(
        tmp_path / "a.root",
        [{"Photon": Jagged.from_counts(counts, columns), "x": rng.normal(size=300)}],
    )
    reader = Reader(str(path), None, None)
    with reader.file:
        names = ["Photon_pt", "Photon_eta", "Photon_phi", "x"]
        columns_of = EntryColumns(reader, names)
        alive = Alive(reader, columns_of, 0, 300)
        alive.cut(Step("two", ["Photon_pt"], lambda e: e.Photon.counts >= 2), ["Photon_pt"])
        alive.cut(Step("eta", ["Photon_eta"], lambda e: e.Photon["eta"][e.Photon.offsets[:-1]] > 0),
                  ["Photon_eta"])  # fmt: skip
        batch = alive.of(names)
        columns_of.close()
        offsets = {name: alive.loaded[name][1][0] for name in names}
    assert 10 < len(batch) < 200
    assert offsets["x"] is None
    assert offsets["Photon_pt"] is offsets["Photon_eta"] is offsets["Photon_phi"]
    np.testing.assert_array_equal(batch.Photon.counts, counts[batch.entries])
