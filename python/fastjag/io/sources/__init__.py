"""Where the bytes of a file come from, behind one small protocol: ``protocol``; ``local``: disks."""

from fastjag.io.sources.local import LocalBytes
from fastjag.io.sources.protocol import Bytes

__all__ = ["Bytes", "open_source"]


def open_source(path: str) -> Bytes:
    """The bytes of a file, which whoever opens it closes. OSError where there is none."""
    return LocalBytes(path)
