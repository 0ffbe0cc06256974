"""What readers of baskets and pages ask of a file, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Bytes(Protocol):
    """The bytes of one file. Several threads may read at once."""

    path: str  #: for messages

    def read(self, seek: int, into: memoryview) -> None:
        """Fill ``into`` with what is in the file from byte ``seek`` on; wait for it.

        Raises EOFError if the file ends before, and whatever its server or disk has to say.
        """

    def expect(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Pieces (seek, size) that will probably be read, in this order.

        A later call takes the place of what is left of an earlier one.
        """

    def close(self) -> None:
        """Nothing is read afterwards."""
