"""What every kind of server is asked by: one file at one address; and its failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastjag.io.errors import ServerError
from fastjag.io.sources.pieces import Limits

#: Bytes that opening a file reads: the header with its UUID, and the first directory.
HEAD = 64 << 10


@dataclass(frozen=True)
class State:
    """A file on a server, as it was when it was opened."""

    size: int
    version: str  #: entity tag or time of the last change, "" where the server says neither
    head: bytes  #: its first bytes, HEAD of them if it has as many


class Client(Protocol):
    """A file at one address. Several threads may fetch at once."""

    url: str
    server: str  #: host and port, for messages

    @property
    def limits(self) -> Limits:
        """What the server takes."""

    def open(self) -> State:
        """Reach the server, and read the head of the file."""

    def fetch(self, spans: Sequence[tuple[int, memoryview]]) -> None:
        """Fill each of (seek, bytes), in one request where the server can.

        Raises Transient for what may go better soon, ServerError for all else.
        """

    def close(self) -> None:
        """Let go of the file; ends requests that wait."""


class Transient(Exception):
    """A failure that may be over soon: the same is asked again.

    ``attempts``: how often at most, where waiting longer is of no use; ``pause``: seconds that the
    server wants to be left alone.
    """

    def __init__(self, reason: str, attempts: int | None = None, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.attempts, self.pause = attempts, pause


class NoRanges(ServerError):
    """A server that gives whole files only."""
