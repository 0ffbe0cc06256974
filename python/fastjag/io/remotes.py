"""What is known of a remote file without reading all of it."""

from __future__ import annotations

from typing import Any

from fastjag.core.checks import first_line, needs
from fastjag.io.files import ReadError
from fastjag.io.transport import explain, options

_SECONDS = 10.0  # to wait for what a web server says of a file


def remote_state(url: str) -> dict[str, Any]:
    """Changes when a remote ROOT file does: its UUID, size and last change, as the file says, and
    entity tag, size and last change, as a web server does.

    ReadError naming a file that cannot be reached.
    """
    needs("uproot", "io")
    import uproot

    deadlines = options(url)
    try:
        with uproot.open(url, object_cache=None, array_cache=None, **deadlines) as file:
            state = {
                "uuid": str(file.file.uuid),
                "end": int(file.file.fEND),
                "size": file.file.source.num_bytes,
                "modified": str(file.modified_on),
            }
    except Exception as error:  # of whatever library reads from there
        error = explain(error, url)
        if isinstance(error, ReadError):
            raise error from error.__cause__
        raise ReadError(f"{url}: cannot be reached: {first_line(error)}") from error
    return state | (_headers(url) if url.startswith(("http://", "https://")) else {})


def _headers(url: str) -> dict[str, Any]:
    """Nothing where the server does not say: the file says enough, unless bytes of it changed."""
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, method="HEAD"), timeout=_SECONDS) as answer:
            return {name: answer.headers[name] for name in ("ETag", "Last-Modified")}
    except (OSError, ValueError):
        return {}
