"""Where workers leave parts of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastjag.analyses.common.runs import Workers
from fastjag.reporting.locks import partial_directory

_PARTS = "parts"


@contextmanager
def parts_folder(workers: Workers, beside: Path) -> Iterator[str]:
    """Where workers leave parts: with the results that they keep, else ``beside`` until the block ends."""
    if workers.keep is None:
        with partial_directory(beside) as folder:
            yield str(folder.absolute())
        return
    folder = Path(workers.keep).absolute() / _PARTS
    folder.mkdir(parents=True, exist_ok=True)
    yield str(folder)
