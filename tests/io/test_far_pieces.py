"""Pieces of remote files: how requests are made of them, and what is fetched ahead."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import far_samples
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import http_server

import fastjag as fj
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.remotes import remote_state
from fastjag.io.sources import Access, for_uproot, remote
from fastjag.io.sources.client import HEAD, State, Transient
from fastjag.io.sources.pieces import GAP, Limits, coalesce
from fastjag.io.sources.remote import RemoteBytes
from fastjag.io.sources.replicas import Replicas

PIECES = st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 50_000)), max_size=40)


@given(PIECES, st.sampled_from([1, 1000, 60_000, 10**9]))
def test_spans_cover_all_pieces(pieces, most):
    spans = coalesce(pieces, most)
    assert sorted(piece for span in spans for piece in span.pieces) == sorted(pieces)
    largest = max((size for _, size in pieces), default=0)
    for span in spans:
        assert all(span.start <= seek and seek + size <= span.stop for seek, size in span.pieces)
        # Nobody reads more between two pieces than is cheaper than to leave it out.
        covered = np.zeros(span.stop - span.start, bool)
        for seek, size in span.pieces:
            covered[seek - span.start : seek - span.start + size] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[True], covered, [True]]).astype(int)))
        assert all(b - a <= GAP for a, b in zip(edges[::2], edges[1::2], strict=True))
        assert span.stop - span.start <= max(most, largest) or len(span.pieces) > 1
    for a, b in pairwise(spans):
        assert a.start <= b.start


class Memory:
    """A server in this process, which may fail, and knows what it was asked."""

    url, server = "memory://h/a", "h:1"

    def __init__(self, data, spans=8, size=60_000, fails=lambda n: None):
        self.data, self.limits, self.fails = data, Limits(3, spans, size), fails
        self.asked, self.lock, self.may = [], threading.Lock(), threading.Event()
        self.may.set()
        self.opened = 0

    def open(self):
        self.opened += 1
        return State(len(self.data), "", self.data[:HEAD])

    def fetch(self, spans):
        self.may.wait(10)
        with self.lock:
            self.asked.append([(seek, len(into)) for seek, into in spans])
            n = len(self.asked)
        if (error := self.fails(n)) is not None:
            raise error
        for seek, into in spans:
            into[:] = self.data[seek : seek + len(into)]

    def close(self):
        pass


DATA = np.random.default_rng(1).bytes(400_000)


def far(**options):
    memory = Memory(DATA, **options)
    return RemoteBytes(Replicas("memory://h/a", [memory])), memory


def taken(source, piece):
    into = memoryview(bytearray(piece[1]))
    source.read(piece[0], into)
    return bytes(into) == DATA[piece[0] : sum(piece)]


class TestAhead:
    @settings(deadline=None, max_examples=50)
    @given(st.lists(PIECES, max_size=4), st.integers(1, 5), st.sampled_from([1, 8]), st.randoms())
    def test_whatever_is_announced(self, announced, threads, spans, rng):
        """All, some or none of it is read, in any order, by several threads, also several times."""
        source, memory = far(spans=spans)
        try:
            for pieces in announced:
                source.expect(pieces)
                wanted = [p for p in pieces if sum(p) <= len(DATA)] + [(7, 70_000), (0, 5)]
                wanted = rng.sample(wanted, rng.randrange(len(wanted))) + wanted[:2]
                parts = [wanted[i::threads] for i in range(threads)]
                with ThreadPoolExecutor(threads) as pool:
                    results = pool.map(lambda part: [taken(source, p) for p in part], parts)
                    assert all(all(part) for part in results)
            assert all(len(asked) <= spans for asked in memory.asked)
            source.expect([])
            assert source._busy == 0
            assert not source._asked
        finally:
            source.close()

    def test_no_more_than_is_allowed(self, monkeypatch):
        monkeypatch.setattr(remote, "_FIRST", 50_000)
        monkeypatch.setattr(remote, "_REQUEST", 20_000)
        monkeypatch.setattr(remote, "AHEAD", 100_000)
        source, memory = far()
        pieces = [(HEAD + i * 10_000, 10_000) for i in range(30)]
        most = 0
        source.expect(pieces)
        for piece in pieces:
            most = max(most, source._busy)
            assert taken(source, piece)
        source.close()
        assert 50_000 < most <= 120_000
        assert sum(size for asked in memory.asked for _, size in asked) == 300_000

    def test_twice_if_announced_twice(self):
        source, memory = far()
        piece = (HEAD, 5000)
        source.expect([piece, (HEAD + 100_000, 5), piece])
        assert all(taken(source, piece) for _ in range(2))
        assert len(memory.asked) == 1
        assert taken(source, piece)  # as nobody said
        assert len(memory.asked) == 2
        source.close()

    def test_a_failure_is_no_answer_for_ever(self):
        source, _ = far(fails=lambda n: ServerError("gone") if n == 1 else None)
        source.expect([(HEAD, 5000)])
        with pytest.raises(ServerError, match="gone"):
            taken(source, (HEAD, 5000))
        assert taken(source, (HEAD, 5000))
        source.close()

    def test_closed_while_somebody_waits(self):
        source, memory = far()
        memory.may.clear()
        failures = []

        def wait(seek):
            try:
                taken(source, (seek, 10))
            except ServerError as error:
                failures.append(str(error))

        threads = [threading.Thread(target=wait, args=(HEAD + 50_000 * i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        while source._threads._work_queue.qsize() < 3:
            pass
        source.close()
        memory.may.set()
        for thread in threads:
            thread.join(10)
        assert len(failures) >= 3
        assert "after it was closed" in failures[0]


class TestReplicas:
    def test_nobody_reads_what_is_not_the_same(self):
        """Many threads, the first replica fails, the second has another file, the third is right."""
        first = Memory(DATA, fails=lambda n: ServerError("gone") if n > 3 else None)
        second, third = Memory(bytes(len(DATA))), Memory(DATA)
        source = RemoteBytes(Replicas("a|b|c", [first, second, third]))
        pieces = [(HEAD + 10_000 * i, 10_000) for i in range(30)]
        source.expect(pieces[::2])
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda piece: taken(source, piece), pieces))
        source.close()
        assert not second.asked
        assert third.asked

    def test_none_is_left(self):
        """All threads are told at once."""
        clients = [Memory(DATA, fails=lambda n: ServerError("gone")) for _ in range(2)]
        source = RemoteBytes(Replicas("a|b", clients))
        failures = []

        def read(i):
            try:
                taken(source, (HEAD + 10_000 * i, 10))
            except ServerError as error:
                failures.append(str(error))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(20)))
        source.close()
        assert len(failures) == 20
        assert set(failures) == {"gone"}
        assert [client.opened for client in clients] == [1, 1]


class TestPatience:
    def test_pauses_grow_and_end(self, monkeypatch):
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "0.4")
        source, memory = far(fails=lambda n: Transient("busy"))
        message = r"^memory://h/a: .* the server h:1 failed [34] times within 0\.\d s .*: busy$"
        with pytest.raises(ServerError, match=message):
            taken(source, (HEAD, 10))
        source.close()
        assert 3 <= len(memory.asked) <= 4

    def test_no_more_than_makes_sense(self):
        source, memory = far(fails=lambda n: Transient("odd", attempts=2))
        with pytest.raises(ServerError, match="failed 2 times"):
            taken(source, (HEAD, 10))
        source.close()
        assert len(memory.asked) == 2


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return far_samples.write(tmp_path_factory.mktemp("toys") / "a.root")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    far_samples.forget_servers(monkeypatch)


def same(found, path):
    return far_samples.same(found, fj.iterate(path, step=7000))


class TestMetadata:
    def test_known_from_the_last_time(self, path):
        """The head alone is asked for again, to see that it is the same file."""
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            list(fj.iterate(f"{url}/a.root", "event"))  # to the end: no request is under way
            n = server.requests
            assert remote_state(f"{url}/a.root")["size"] == path.stat().st_size
            assert server.requests == n + 1

    def test_bounded(self, monkeypatch):
        monkeypatch.setattr(for_uproot, "_KEPT", 1000)
        known = for_uproot._Known()
        for i in range(20):
            known.keep(str(i), 0, memoryview(bytes([i]) * 100))
        assert known.find("0", 0, 5) is None
        assert bytes(known.find("19", 2, 5)) == b"\x13" * 3
        assert known.find("19", 2, 101) is None
        assert known._size == 1000


class TestOthers:
    def test_any_file_system(self, path):
        files = fsspec.filesystem("memory")
        files.pipe("/far/a.root", path.read_bytes())
        assert same(fj.iterate("memory://far/a.root", step=7000), path)
        with pytest.raises(
            ReadError, match=r"memory://far/b\.root: not a readable file: FileNotFound"
        ):
            list(fj.iterate("memory://far/b.root"))

    def test_unknown(self):
        with pytest.raises(ReadError, match=r"nothing://a/b\.root: .*nothing"):
            list(fj.iterate("nothing://a/b.root"))

    def test_access_needs_no_environment(self):
        assert Access.of(None, None) == Access()
