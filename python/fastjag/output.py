"""Results that are either complete or not there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def results_directory(out: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary directory whose files move into ``out`` when the block ends well.

    ``out`` is created if need be. After an error or an interrupt nothing of the block stays.
    Raises OSError, before any work, where ``out`` cannot be written.
    """
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target}: exists and is not a directory")
    missing = [p for p in (target, *target.parents) if not p.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
    except OSError as error:
        _remove_empty(missing)
        raise OSError(f"{target}: cannot be written: {error.strerror or error}") from error
    try:
        yield partial
        written = sorted(partial.iterdir())
        for path in written:
            if (target / path.name).is_dir():
                raise IsADirectoryError(f"{target / path.name}: a directory is in the way")
        # Inside one file system each of these is atomic.
        for path in written:
            os.replace(path, target / path.name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(missing)
        raise
    partial.rmdir()


def _remove_empty(directories: list[Path]) -> None:
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:
            return


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON with NumPy numbers and arrays as plain ones, and no NaN that others cannot read."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            return plain(value.item())
        if isinstance(value, float) and not np.isfinite(value):
            return None
        return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

    path.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n")
