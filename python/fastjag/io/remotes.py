"""What is known of a remote file without reading all of it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

from fastjag.core.checks import first_line
from fastjag.io.errors import ReadError
from fastjag.io.sources import Access, open_remote
from fastjag.io.transport import explain


def remote_state(url: str) -> dict[str, Any]:
    """Changes when a remote file does: its size, what its server says of its version (entity tag or
    last change), and a digest of its first bytes, in which ROOT files have UUID and end.

    ReadError naming a file that cannot be reached.
    """
    try:
        # The server's word: a copy knows only what it was.
        file = open_remote(url, replace(Access.of(), cache=None))
    except Exception as error:  # of whatever library reads from there
        error = explain(error)
        if isinstance(error, ReadError):
            raise error from error.__cause__
        raise ReadError(f"{url}: cannot be reached: {first_line(error)}") from error
    file.close()
    digest = blake2b(file.state.head, digest_size=16).hexdigest()
    return {"size": file.size, "version": file.state.version, "head": digest}
