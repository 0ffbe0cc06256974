"""Images of jets at their borders, and cuts on jets and tracks that are no numbers."""

import numpy as np
import pytest

from fastjag.analyses.jets.config import JetSelection, TrackSelection
from fastjag.analyses.jets.observables import IMAGE_PIXELS, images
from fastjag.analyses.jets.reading import JetBatch
from fastjag.io import Source
from fastjag.jagged import Jagged


def batch(delta_eta, delta_phi):
    """Two equal jets of 100 GeV with such candidates of 10 GeV."""
    n = len(delta_eta)
    columns = {"pt": np.full(2 * n, 10.0), "delta_eta": np.tile(delta_eta, 2),
               "delta_phi": np.tile(delta_phi, 2)}  # fmt: skip
    jets = {"pt": np.full(2, 100.0), "eta": np.zeros(2)}
    return JetBatch(jets, Jagged([0, n, 2 * n], columns), Source("a.root", "t", 0, 2))


def test_corners():
    """Low borders belong to the image, high ones and what is beyond do not."""
    edge, inside = 0.4, 0.3999
    found = images(batch([-edge, -edge, inside, inside, 0.0], [-edge, inside, -edge, inside, 0.0]))
    last = IMAGE_PIXELS - 1
    expected = np.zeros((IMAGE_PIXELS, IMAGE_PIXELS), np.float32)
    for row, column in ((0, 0), (0, last), (last, 0), (last, last), (16, 16)):
        expected[row, column] = 0.1
    for jet in (0, 1):
        np.testing.assert_allclose(found[jet], expected)
    beyond = np.nextafter(-0.4, -1)
    outside = images(batch([edge, 0, beyond, 0, 0.41, -9, 0], [0, edge, 0, beyond, 0, 0, 9]))
    assert not outside.any()


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"min_pt": np.nan}, "min_pt must be a number >= 0, got nan"),
        ({"min_pt": -1}, "min_pt must be a number >= 0, got -1"),
        ({"max_abs_eta": np.nan}, "max_abs_eta must be a number above 0, got nan"),
        ({"max_abs_eta": 0.0}, "max_abs_eta must be a number above 0, got 0.0"),
    ],
)
def test_cuts_on_jets(cuts, message):
    with pytest.raises(ValueError, match=message):
        JetSelection(**cuts)


@pytest.mark.parametrize("name", ["radius", "min_jet_pt", "min_track_pt"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_cuts_on_tracks(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        TrackSelection(**{name: value})
