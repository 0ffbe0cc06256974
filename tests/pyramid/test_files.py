"""Gram matrices in files: the same as in memory, complete or resumed, never half there."""

import errno
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pyramid_samples import many, unit_cube
from strategies import assert_same

import fastjag as fj
from fastjag import kernels
from fastjag.pyramid import matrixfile
from fastjag.pyramid.matrixfile import write_matrix

h5py = pytest.importorskip("h5py")

ROWS, COLUMNS = 40, 7
SUFFIXES = [".npy", ".h5", ".hdf5"]


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    """A few rows at a time."""
    monkeypatch.setattr(matrixfile, "_BAND_BYTES", 4 * COLUMNS * 4)


def expected():
    return np.arange(ROWS * COLUMNS, dtype="f4").reshape(ROWS, COLUMNS)


class Fill:
    """Fills in what is expected, notes the rows, and raises ``error`` at row ``at``."""

    def __init__(self, at=None, error=KeyboardInterrupt):
        self.rows, self.at, self.error = [], at, error

    def __call__(self, row, band):
        if self.at is not None and row >= self.at:
            raise self.error
        band[:] = expected()[row : row + len(band)]
        self.rows += range(row, row + len(band))


def write(path, fill=None, **arguments):
    options = {"fingerprint": "one", "attributes": {"kernel": "k"}, **arguments}
    return write_matrix(path, (ROWS, COLUMNS), np.dtype("f4"), fill or Fill(), **options)


def values_of(path):
    if path.suffix == ".npy":
        return np.load(path)
    with h5py.File(path) as file:
        return file["gram"][:]


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestWriting:
    def test_whole(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        fill = Fill()
        found = write(path, fill)
        assert fill.rows == list(range(ROWS))
        assert_same(found[:], expected())
        assert_same(values_of(path), expected())
        assert os.listdir(tmp_path) == [path.name]
        with pytest.raises((ValueError, OSError, RuntimeError)):
            found[0, 0] = 1  # read-only
        assert_same(values_of(path), expected())

    def test_existing_file(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(b"precious")
        fill = Fill()
        with pytest.raises(FileExistsError, match=f"m{suffix}: exists; overwrite=True replaces it"):
            write(path, fill)
        assert path.read_bytes() == b"precious"
        with pytest.raises(KeyboardInterrupt):
            write(path, Fill(20), overwrite=True)
        assert path.read_bytes() == b"precious"  # until the new one is complete
        assert not fill.rows
        write(path, fill, overwrite=True)
        assert fill.rows[0] > 0
        assert_same(values_of(path), expected())

    def test_interrupted(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        seen = []
        for at in (8, 9, 28):
            fill = Fill(at)
            with pytest.raises(KeyboardInterrupt):
                write(path, fill)
            assert not path.exists()
            seen += fill.rows
        last = Fill()
        assert_same(write(path, last)[:], expected())
        assert seen + last.rows == list(range(ROWS))  # no row twice
        assert os.listdir(tmp_path) == [path.name]

    def test_killed(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        code = f"""
import os, numpy as np
from fastjag.pyramid import matrixfile
matrixfile._BAND_BYTES = {4 * COLUMNS * 4}
def fill(row, band):
    if row >= 20:
        import time; time.sleep(0.3)
        os._exit(9)
    band[:] = np.arange({ROWS * COLUMNS}, dtype="f4").reshape({ROWS}, {COLUMNS})[row:row + len(band)]
matrixfile.write_matrix({str(path)!r}, ({ROWS}, {COLUMNS}), np.dtype("f4"), fill,
                        fingerprint="one", attributes={{}})
"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
        assert not path.exists()
        fill = Fill()
        assert_same(write(path, fill)[:], expected())
        assert fill.rows[0] == 20

    def test_two_at_once(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        code = f"""
import numpy as np
from fastjag.pyramid.matrixfile import write_matrix
write_matrix({str(path)!r}, ({ROWS}, {COLUMNS}), np.dtype("f4"), None, fingerprint="one",
             attributes={{}})
"""
        others = []

        class Slow(Fill):
            def __call__(self, row, band):
                if not others:
                    done = subprocess.run(
                        [sys.executable, "-c", code], capture_output=True, text=True, check=False
                    )
                    others.append(done.stderr)
                super().__call__(row, band)

        assert_same(write(path, Slow())[:], expected())
        assert "m" + suffix + ".one.partial: another process is writing" in others[0]

    def test_other_matrix(self, tmp_path, suffix):
        path = tmp_path / f"m{suffix}"
        with pytest.raises(KeyboardInterrupt):
            write(path, Fill(20))
        fill = Fill()
        assert_same(write(path, fill, fingerprint="two")[:], expected())
        assert fill.rows == list(range(ROWS))
        assert sorted(os.listdir(tmp_path)) == [path.name, f"{path.name}.one.partial"]

    def test_missing_directory(self, tmp_path, suffix):
        with pytest.raises(FileNotFoundError, match="nowhere: no such directory"):
            write(tmp_path / "nowhere" / f"m{suffix}")
        (tmp_path / f"d{suffix}").mkdir()
        fill = Fill()
        for overwrite in (False, True):
            with pytest.raises(IsADirectoryError, match=f"d{suffix}: is a directory"):
                write(tmp_path / f"d{suffix}", fill, overwrite=overwrite)
        assert not fill.rows

    def test_no_space_to_start_with(self, tmp_path, suffix, monkeypatch):
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        fill = Fill()
        with pytest.raises(OSError, match=f"m{suffix}: .* GB more are needed, but .* GB are free"):
            write(tmp_path / f"m{suffix}", fill)
        assert not fill.rows
        assert not (tmp_path / f"m{suffix}").exists()

    def test_disk_runs_full(self, tmp_path, suffix, monkeypatch):
        path = tmp_path / f"m{suffix}"
        writer = matrixfile._NpyRows if suffix == ".npy" else matrixfile._Hdf5Rows
        append = writer.append

        def full(self, band):
            if self.rows >= 12:
                raise OSError(errno.ENOSPC, "No space left on device")
            append(self, band)

        with monkeypatch.context() as patched:
            patched.setattr(writer, "append", full)
            with pytest.raises(
                OSError, match=f"m{suffix}: No space left on device; 12 of 40 rows"
            ) as caught:
                write(path)
        assert caught.value.errno == errno.ENOSPC
        assert f"are kept in m{suffix}.one.partial" in str(caught.value)
        assert not path.exists()
        fill = Fill()
        assert_same(write(path, fill)[:], expected())
        assert fill.rows == list(range(12, ROWS))

    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
    def test_no_values(self, tmp_path, suffix, shape):
        found = write_matrix(
            tmp_path / f"m{suffix}",
            shape,
            np.dtype("u2"),
            lambda row, band: None,
            fingerprint="one",
            attributes={},
        )
        assert found.shape == shape
        assert found.dtype == np.uint16


class TestNpy:
    def test_the_system_refuses_to_write(self, tmp_path):
        """What is left in no buffer must not spoil the message, nor the rows that are kept."""
        path = tmp_path / "m.npy"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (128 + 13 * COLUMNS * 4 + 5, hard))
            with pytest.raises(OSError, match=r"m.npy: File too large; 12 of 40 rows are kept"):
                write(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        fill = Fill()
        assert_same(write(path, fill)[:], expected())
        assert fill.rows == list(range(13, ROWS))  # a complete row of the band that failed

    @pytest.mark.parametrize("cut", [0, 1, 50, 128, 129, 128 + 28 * 5 - 1, 128 + 28 * 5])
    def test_half_a_row(self, tmp_path, cut):
        path, partial = tmp_path / "m.npy", tmp_path / "m.npy.one.partial"
        with pytest.raises(KeyboardInterrupt):
            write(path, Fill(20))
        os.truncate(partial, cut)
        fill = Fill()
        assert_same(write(path, fill)[:], expected())
        assert fill.rows == list(range(max(0, cut - 128) // 28, ROWS))

    @pytest.mark.parametrize("name", ["m", "m.txt", "m.npz", "m.npy.gz"])
    def test_suffix(self, tmp_path, name):
        with pytest.raises(
            ValueError, match=r"^out must end in \.npy, \.h5, \.hdf5, got .*" + name
        ):
            write(tmp_path / name)


class TestHdf5:
    def test_attributes(self, tmp_path):
        with write(tmp_path / "m.h5").file as file:
            assert file["gram"].attrs["kernel"] == "k"

    def test_broken_rest(self, tmp_path):
        partial = tmp_path / "m.h5.one.partial"
        partial.write_bytes(b"no HDF5")
        with pytest.raises(OSError, match="partial: what an earlier run left cannot be read"):
            write(tmp_path / "m.h5")
        partial.unlink()
        write(tmp_path / "m.h5")

    def test_h5py_is_needed(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fastjag.core.checks.find_spec", lambda module: None)
        with pytest.raises(ModuleNotFoundError, match=r"needs h5py, .*\[cli\]"):
            write(tmp_path / "m.h5")


class TestGram:
    X, Y = many(700), many(300, seed=2)
    match = fj.PyramidMatch(6, unit_cube(2), shifts=1)

    @pytest.fixture(autouse=True)
    def bands_of_some_blocks(self, monkeypatch):
        monkeypatch.setattr(matrixfile, "_BAND_BYTES", 150 * 700 * 4)

    @pytest.mark.parametrize("suffix", SUFFIXES[:2])
    @pytest.mark.parametrize("dtype", ["u2", "u4", "f4", "f8"])
    def test_same_as_in_memory(self, tmp_path, suffix, dtype):
        for name, sets in {"own": (self.X,), "both": (self.Y, self.X)}.items():
            found = self.match.gram(*sets, dtype=dtype, out=tmp_path / f"{name}{suffix}")
            assert_same(found[:], self.match.gram(*sets, dtype=dtype))
            if suffix == ".h5":
                assert found.attrs["kernel"].startswith("PyramidMatch: categorical=None; circular")
                found.file.close()

    def test_path_as_text(self, tmp_path):
        self.match.gram(self.Y, out=str(tmp_path / "m.npy"))
        assert_same(np.load(tmp_path / "m.npy"), self.match.gram(self.Y))

    def test_resumes_with_the_same_sets_and_parameters_only(self, tmp_path, monkeypatch):
        path = tmp_path / "m.npy"
        gram, rows = kernels.pyramid_gram, []

        def interrupted(*arguments, first_row=0, **options):
            if first_row >= 450:
                raise KeyboardInterrupt
            gram(*arguments, first_row=first_row, **options)

        def noted(*arguments, first_row=0, **options):
            rows.append(first_row)
            gram(*arguments, first_row=first_row, **options)

        calls = {
            "same": (self.match, (self.X,), {}),
            "levels": (fj.PyramidMatch(5, unit_cube(2), shifts=1), (self.X,), {}),
            "seed": (fj.PyramidMatch(6, unit_cube(2), shifts=1, seed=1), (self.X,), {}),
            "normalize": (
                fj.PyramidMatch(6, unit_cube(2), shifts=1, normalize=False),
                (self.X,),
                {},
            ),
            "dtype": (self.match, (self.X,), {"dtype": "f8"}),
            "sets": (self.match, (many(700, seed=9),), {}),
            "both": (self.match, (self.X, self.X), {}),
        }
        for name, (match, sets, options) in calls.items():
            monkeypatch.setattr(kernels, "pyramid_gram", interrupted)
            with pytest.raises(KeyboardInterrupt):
                self.match.gram(self.X, out=path)
            monkeypatch.setattr(kernels, "pyramid_gram", noted)
            rows.clear()
            found = match.gram(*sets, out=path, **options)
            assert rows[0] == (450 if name == "same" else 0), name
            monkeypatch.setattr(kernels, "pyramid_gram", gram)
            assert_same(found[:], match.gram(*sets, **options))
            for file in tmp_path.iterdir():
                file.unlink()

    def test_bad_input_leaves_nothing_behind(self, tmp_path):
        bad = fj.Jagged([0, 1], {"a": [np.nan], "b": [0.0]})
        with pytest.raises(ValueError, match="column 'a' must be finite"):
            self.match.gram(bad, out=tmp_path / "m.npy")
        with pytest.raises(OverflowError):
            fj.PyramidMatch(20, {"a": (0, 1)}).gram(self.X, dtype="u2", out=tmp_path / "m.npy")
        assert not list(tmp_path.iterdir())
