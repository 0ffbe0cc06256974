"""Matrices larger than memory: written row by row, complete or resumable, never half there."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.checks import needs
from fastjag.reporting.output import WriteError, check_target, replace
from fastjag.reporting.progress import progress_bar

SUFFIXES = (".npy", ".h5", ".hdf5")
_BAND_BYTES = 64 << 20


class _RowFile(Protocol):
    rows: int  # how many are there already

    def append(self, band: Array) -> None: ...
    def close(self) -> None: ...


class _NpyRows:
    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Any],
    ) -> None:
        # Unbuffered: what a full disk refuses must not come up again when the file is closed.
        mode: Any = "r+b" if path.exists() else "x+b"
        self._file = open(path, mode, buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise _busy(path) from error
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        start = self._file.tell()
        row = shape[1] * dtype.itemsize
        written = self._file.seek(0, os.SEEK_END) - start
        self.rows = written // row if row else 0
        self._file.truncate(start + self.rows * row)
        self._file.seek(0, os.SEEK_END)

    def append(self, band: Array) -> None:
        left = band.reshape(-1).view(np.uint8).data
        while left:
            left = left[self._file.write(left) :]
        self.rows += len(band)

    def close(self) -> None:
        self._file.close()


class _Hdf5Rows:
    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Any],
    ) -> None:
        import h5py

        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
        access.set_sieve_buf_size(0)  # nothing is left that a full disk refuses at the close
        old = path.exists()
        try:
            file = (
                h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR, access)
                if old
                else h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_EXCL, fapl=access)
            )
        except OSError as error:
            if not old:
                raise
            if isinstance(error, BlockingIOError):
                raise _busy(path) from error
            raise OSError(
                f"{path}: what an earlier run left cannot be read ({error}); delete it to start anew"
            ) from error
        self._file = h5py.File(file)
        self._data = self._file.require_dataset("gram", shape, dtype)
        self._data.attrs.update(attributes)
        self.rows = int(self._data.attrs.get("rows", 0))

    def append(self, band: Array) -> None:
        try:
            self._data[self.rows : self.rows + len(band)] = band
            self._file.flush()  # the rows before their number: a kill in between loses only work
            self._data.attrs["rows"] = self.rows + len(band)
            self._file.flush()
        except (OSError, RuntimeError) as error:
            # HDF5 tells the system's reason in a long text, if it tells it.
            if number := re.search(r"errno = (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise
        self.rows += len(band)

    def close(self) -> None:
        self._file.close()


def write_matrix(
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    fill: Callable[[int, Array], None],
    *,
    fingerprint: str,
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> Any:
    """Write a matrix of any size to ``path`` (.npy or .h5) and open it read-only.

    ``fill(row, band)`` computes rows ``row`` .. into ``band``. While it runs they collect in a
    file beside ``path`` whose name holds ``fingerprint``; after an interruption the same call goes
    on where that ends. Raises FileExistsError where ``path`` is there and ``overwrite`` is false,
    ValueError for another suffix, OSError where another process is at the same matrix, and where
    the disk is too small or runs full.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ValueError(f"out must end in {', '.join(SUFFIXES)}, got {str(path)!r}")
    if target.suffix != ".npy":
        needs("h5py", "cli")
    check_target(target)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target}: exists; overwrite=True replaces it")
    partial = target.with_name(f"{target.name}.{fingerprint}.partial")
    file: _RowFile = (_NpyRows if target.suffix == ".npy" else _Hdf5Rows)(
        partial, shape, dtype, attributes
    )
    try:
        _check_space(target, (shape[0] - file.rows) * shape[1] * dtype.itemsize)
        _fill_rows(file, shape, dtype, fill)
        file.close()
    except BaseException as error:
        with suppress(OSError, RuntimeError):  # a full disk may refuse HDF5's last words as well
            file.close()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        if not file.rows:  # HDF5 cannot go on with a file that was never whole
            partial.unlink(missing_ok=True)
            raise WriteError(error.errno or errno.EIO, reason, str(target)) from error
        raise OSError(
            error.errno or errno.EIO,
            f"{target}: {reason}; {file.rows} of {shape[0]} rows are kept in "
            f"{partial.name}, and the same call goes on from there",
        ) from error
    replace(partial, target)
    if target.suffix == ".npy":
        return np.load(target, mmap_mode="r") if shape[0] * shape[1] else np.load(target)
    import h5py

    return h5py.File(target, "r")["gram"]


def _busy(path: Path) -> OSError:
    return OSError(errno.EAGAIN, f"{path}: another process is writing this very matrix")


def _check_space(target: Path, wanted: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < wanted:
        raise OSError(
            errno.ENOSPC,
            f"{wanted / 1e9:.1f} GB more are needed, but {free / 1e9:.1f} GB are free",
        )


def _fill_rows(
    file: _RowFile, shape: tuple[int, int], dtype: np.dtype[Any], fill: Callable[[int, Array], None]
) -> None:
    """One band is written while the next is computed."""
    height = max(1, min(shape[0], _BAND_BYTES // max(1, shape[1] * dtype.itemsize)))
    bands = [np.empty((height, shape[1]), dtype) for _ in range(2)]
    writing: Future[None] | None = None
    with (
        progress_bar("rows", shape[0]) as advance,
        ThreadPoolExecutor(1) as pool,
    ):
        advance(file.rows)
        for number, row in enumerate(range(file.rows, shape[0], height)):
            band = bands[number % 2][: shape[0] - row]
            fill(row, band)
            if writing is not None:
                writing.result()
            writing = pool.submit(file.append, band)
            advance(len(band))
        if writing is not None:
            writing.result()
