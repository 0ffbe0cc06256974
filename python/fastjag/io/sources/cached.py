"""A remote file whose pieces are kept in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from fastjag.io.sources.pieces import Piece
from fastjag.io.sources.remote import RemoteBytes
from fastjag.io.sources.store import Store


class CachedBytes:
    """The bytes of a remote file, from the folder where it has them."""

    def __init__(self, remote: RemoteBytes, folder: str) -> None:
        self.path, self.size, self.key = remote.path, remote.size, remote.key
        self.state = remote.state
        self._remote, self._store = remote, Store(folder, remote.key)

    def read(self, seek: int, into: memoryview) -> None:
        if not self._store.get(seek, into):
            self._remote.read(seek, into)
            self._store.put(seek, into)

    def expect(self, pieces: Sequence[Piece]) -> None:
        self._remote.expect([piece for piece in pieces if piece not in self._store])

    def fetch(self, pieces: Sequence[Piece]) -> list[Future[memoryview]]:
        """The pieces, each as soon as it is there."""
        answers, missing = dict[Piece, Future[memoryview]](), list[Piece]()
        for seek, size in pieces:
            found = memoryview(bytearray(size))
            if self._store.get(seek, found):
                answers[seek, size] = Future()
                answers[seek, size].set_result(found)
            else:
                missing.append((seek, size))
        for piece, answer in zip(missing, self._remote.fetch(missing), strict=True):
            answers[piece] = answer
            answer.add_done_callback(lambda done, seek=piece[0]: self._keep(seek, done))  # type: ignore[misc]
        return [answers[piece] for piece in pieces]

    def _keep(self, seek: int, answer: Future[memoryview]) -> None:
        if answer.exception() is None:
            self._store.put(seek, answer.result())

    def close(self) -> None:
        self._remote.close()
        self._store.close()
