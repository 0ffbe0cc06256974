"""What goes wrong with files, for every module that reads them."""

from __future__ import annotations


class ReadError(OSError):
    """A file that cannot be read as asked; the message names file, tree and branch."""


class ServerError(ReadError):
    """A server that cannot be reached, has stopped to answer, or answers wrongly; it is named."""
