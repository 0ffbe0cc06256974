"""HDF5 files on disks that may run full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from fastjag.core.checks import needs
from fastjag.reporting.output import writing


class NewHdf5:
    """An HDF5 file that is written, as a context: ``file`` is the ``h5py.File``.

    HDF5 ends the process (a segmentation fault) when it closes a file of which the system has refused
    a part. So it writes to a file object here that takes everything, and :meth:`check` and the end
    of the block raise what the system said first.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        needs("h5py", "cli")
        import h5py

        self.path = Path(path)
        self._disk = _Disk(self.path)
        try:
            self.file: Any = h5py.File(self._disk, "w")
        except BaseException:
            self._disk.close()
            raise

    def check(self) -> None:
        """Raise WriteError if anything that was written so far has been refused."""
        if self._disk.error is not None:
            with writing(self.path):
                raise self._disk.error

    def close(self) -> None:
        try:
            self.file.close()
        finally:
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if error is None:
            self.check()


class _Disk:
    """What h5py asks of file objects, over a file. From the first refusal on, what is written stays
    in memory (the rest of one batch and HDF5's caches), so that HDF5 reads what it wrote."""

    def __init__(self, path: Path) -> None:
        # Unbuffered: what is refused is not tried again.
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115
        self._place = 0
        self._kept: list[tuple[int, bytes]] = []
        self.error: BaseException | None = None

    def close(self) -> None:
        self._file.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            ends = [start + len(data) for start, data in self._kept]
            offset += max([self._file.seek(0, os.SEEK_END), *ends])
        elif whence == os.SEEK_CUR:
            offset += self._place
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            # An interrupt inside of HDF5 must wait as well.
            try:
                left = view
                self._file.seek(self._place)
                while left:
                    left = left[self._file.write(left) :]
            except BaseException as error:  # noqa: BLE001
                self.error = error
        if self.error is not None:
            self._kept.append((self._place, bytes(view)))
        self._place += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        self.readinto(data)
        return bytes(data)

    def readinto(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        view[:] = bytes(len(view))
        self._file.seek(self._place)
        done = 0
        while done < len(view) and (n := self._file.readinto(view[done:])):
            done += n
        for start, kept in self._kept:
            first, last = max(start, self._place), min(start + len(kept), self._place + len(view))
            if first < last:
                view[first - self._place : last - self._place] = kept[first - start : last - start]
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        if self.error is None:
            try:
                self._file.truncate(size)
            except BaseException as error:  # noqa: BLE001
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""
