"""A loader of real inputs: fitted to a sample, every event once, and the same tensors as without a loader."""

from pathlib import Path

import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag import toys

COLUMNS = ["Muon_pt", "Muon_eta", "MET_pt", "event"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i, n in enumerate((3000, 500)):
        toys.write(folder / f"{i}.root", n, seed=i, columns=COLUMNS)
    return {"large": [str(folder / "0.root")], "small": [str(folder / "1.root")]}


def inputs(**options):
    muons = fj.particles("Muon", ["pt", "eta"], 4, by="pt", log=["pt"], standardise="fit")
    groups = [muons, fj.features("MET_pt", standardise="fit"), *options.pop("more", [])]
    return fj.Inputs.of(
        groups, ["large", "small"], fj.weights(balance=True), observers=["event"], **options
    )


@pytest.mark.parametrize("more", [[], [fj.ragged("Muon", "pt", name="all")]])
@pytest.mark.parametrize("selection", [None, "MET_pt > 15"])
def test_every_event_once_with_its_tensors(files, more, selection):
    loader = fj.loader(files, inputs(more=more, selection=selection), batch_size=128, seed=3)
    fitted = loader.inputs
    assert fitted.fitted
    assert fitted.fit_record.seed == 3
    expected = {}
    for code, (path,) in enumerate(files.values()):
        for batch in fj.iterate(path, fitted.columns):
            batch = fj.Batch(batch.collections, batch.flat, batch.source)
            batch.source = type(batch.source)(
                path, "Events", 0, len(batch), ["large", "small"][code]
            )
            tensors = fitted.tensors(fitted.rows(batch))
            for i, event in enumerate(tensors["event"].tolist()):
                expected[code, event] = {
                    n: tensors[n][i] for n in ("Muon", "Muon_mask", "features", "weight")
                }
    seen = set()
    sums = np.zeros(2)
    for batch in loader:
        assert batch.event.dtype.kind in "iu"
        for i, key in enumerate(zip(batch.target.tolist(), batch.event.tolist(), strict=True)):
            assert key not in seen
            seen.add(key)
            for name, values in expected[key].items():
                np.testing.assert_array_equal(batch[name][i], values)
        np.add.at(sums, batch.target, batch.weight)
        if more:
            assert len(batch.all) == batch.all_offsets[-1]
    assert seen == set(expected)
    if selection is None:
        np.testing.assert_allclose(sums, 1750, rtol=1e-6)  # all events are in the sample


def test_a_selection_that_leaves_nothing(files):
    given = inputs(selection="MET_pt > 15").fit(fj.ranges(files, 1))
    given = fj.Inputs.of(given, selection="MET_pt > 1e6")
    with pytest.raises(ValueError, match="there are no events: the selection keeps none"):
        fj.loader(files, given)


@pytest.mark.parametrize(
    ("selection", "weight", "share"),
    [
        (None, fj.weights(negative="drop"), 1),
        ("MET_pt - 15 > 0", fj.weights("MET_pt - 15", negative="drop"), 0.5),
        ("MET_pt - 15", fj.weights("MET_pt - 15", negative="drop"), 0.5),
    ],
)
def test_batches_are_filled_with_what_stays(files, selection, weight, share):
    given = fj.Inputs.of(fj.features("MET_pt"), weight=weight, selection=selection)
    sizes = [batch.n_events for batch in fj.loader(files, given, batch_size=128)]
    met = np.concatenate(
        [b["MET_pt"] for (path,) in files.values() for b in fj.iterate(path, ["MET_pt"])]
    )
    expected = len(met) if share == 1 else int((met > 15).sum())
    assert sum(sizes) == expected
    assert set(sizes[:-1]) == {128}


def test_a_file_that_cannot_be_read(files, tmp_path):
    damaged = tmp_path / "damaged.root"
    content = bytearray(Path(*files["small"]).read_bytes())
    with uproot.open(files["small"][0]) as file:
        basket = int(file["Events"]["Muon_eta"].member("fBasketSeek")[0])
    content[basket : basket + 60] = bytes(60)
    damaged.write_bytes(content)
    both = {"large": files["large"], "small": [*files["small"], str(damaged)]}
    loader = fj.loader(both, inputs(), on_error="skip")
    assert sum(batch.n_events for batch in loader) >= 3500
    assert loader.skipped
