"""Tables on disk come back as they were written."""

from pathlib import Path

import numpy as np
import pytest

from fastjag.analyses.common.tables import parquet_columns, read_lists, read_parquet, write_parquet
from fastjag.analyses.common.versions import versions
from fastjag.analyses.importance.tables import read_table
from fastjag.io.parquet import NewParquet


def test_parquet_comes_back(tmp_path):
    columns = {
        "number": np.arange(5, dtype=np.int16),
        "flag": np.array([True, False, True, True, False]),
        "value": np.linspace(0, 1, 5, dtype=np.float32),
    }
    write_parquet(tmp_path / "a.parquet", columns)
    assert parquet_columns(tmp_path / "a.parquet") == [*columns]
    for most in (None, 3, 9, 0):
        back = read_parquet(tmp_path / "a.parquet", most=most)
        assert [*back] == [*columns]
        for name, values in columns.items():
            assert back[name].dtype == values.dtype
            np.testing.assert_array_equal(back[name], values[:most])
    assert [*read_parquet(tmp_path / "a.parquet", ["value", "flag"])] == ["value", "flag"]


def test_names_with_a_colon(tmp_path, monkeypatch):
    """They are names of files, not URLs, also where a path is relative."""
    monkeypatch.chdir(tmp_path)
    write_parquet("processes:2.parquet", {"x": np.arange(3), "y": np.ones(3)})
    assert parquet_columns("processes:2.parquet") == ["x", "y"]
    assert read_parquet("processes:2.parquet")["x"].tolist() == [0, 1, 2]
    assert read_lists("processes:2.parquet")[0]["x"].tolist() == [0, 1, 2]
    assert len(read_table(Path("processes:2.parquet"), "x", features=["y"]).labels) == 3


@pytest.mark.parametrize("rows", [0, 7])
def test_lists_of_one_length_have_two_dimensions(tmp_path, rows):
    import pyarrow as pa

    values = np.arange(3 * rows, dtype=np.float64)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values), 3)
    write_parquet(tmp_path / "a.parquet", pa.table({"x": lists}))
    np.testing.assert_array_equal(read_parquet(tmp_path / "a.parquet")["x"], values.reshape(-1, 3))


def test_tables_grow(tmp_path):
    with NewParquet(tmp_path / "a.parquet") as file:
        for start in (0, 4):
            file.write({"x": np.arange(start, start + 4)})
    np.testing.assert_array_equal(read_parquet(tmp_path / "a.parquet")["x"], np.arange(8))


def test_versions_of_what_is_installed():
    named = versions("scipy", "no-such-package")
    assert [*named] == ["python", "fastjag", "numpy", "scipy"]
    assert named["numpy"] == np.__version__
