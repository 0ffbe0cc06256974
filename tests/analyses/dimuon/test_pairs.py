"""Pairs in the mass window: read from tables, and enough of them in every band."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from search_samples import CONFIG, WINDOW

from fastjag.analyses.dimuon.pairs import WindowPairs, check_bands


class TestWindowPairs:
    def test_read(self, tmp_path):
        mass = np.array([4.99, 5, 8.999, 9, 10.599, 10.6, 15.99, 16], "f4")
        path = tmp_path / "OS.parquet"
        pq.write_table(
            pa.table({"dimu_mass": mass, "dimu_pt": np.arange(8.0), "mu0_ip3d": np.ones(8)}), path
        )
        pairs = WindowPairs.read(path, CONFIG)
        assert pairs.features["dimu_pt"].tolist() == [1, 2, 3, 4, 5, 6]
        # float32 10.6 is above 10.6, 9 is 9: both ends belong to the bin above.
        assert pairs.sideband.tolist() == [True, True, False, False, True, True]
        assert len(pairs[pairs.sideband]) == 4

    def test_errors(self, tmp_path):
        path = tmp_path / "OS.parquet"
        pq.write_table(pa.table({"dimu_mass": [1.0], "dimu_pt": [1.0], "mu0_ip3D": [1.0]}), path)
        with pytest.raises(ValueError, match=r"OS.parquet: no column 'mu0_ip3d': did you mean"):
            WindowPairs.read(path, CONFIG)
        pq.write_table(pa.table({"dimu_mass": [1.0], "dimu_pt": [1.0], "mu0_ip3d": [1.0]}), path)
        with pytest.raises(ValueError, match="none of 1 pairs has a mass between 5 and 16 GeV"):
            WindowPairs.read(path, CONFIG)


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        ([5.5, 6, 12], "no pair has a mass in the signal region, 9 to 10.6 GeV; .* from 5.5 to 12"),
        ([9.5, 12], "no pair has a mass in the left sideband, 5 to 9 GeV"),
        ([5.5, 9.5], "no pair has a mass in the right sideband, 10.6 to 16 GeV"),
    ],
)
def test_empty_bands(masses, message):
    mass = np.array(masses)
    with pytest.raises(ValueError, match=f"OS pairs: {message}"):
        check_bands(WindowPairs(mass, {}, mass < 9), WINDOW, "OS pairs")
