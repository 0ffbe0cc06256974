"""Pieces of remote files: how requests are made of them, what is fetched ahead, and copies of them."""

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import far_samples
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import http_server

import fastjag as fj
from fastjag.io import transport
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.remotes import remote_state
from fastjag.io.sources import Access, for_uproot, remote, store
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
    monkeypatch.setattr(transport, "_reached", {})
    monkeypatch.setattr(store, "_swept", {})
    monkeypatch.delenv("FASTJAG_CACHE", raising=False)


def same(found, path):
    for own, other in zip(fj.iterate(path, step=7000), found, strict=True):
        assert fj.equal(own.Muon, other.Muon)
        np.testing.assert_array_equal(own["event"], other["event"])
    return True


class TestCache:
    def test_the_second_time(self, path, tmp_path, monkeypatch):
        """Only the head is asked for, which tells whether it is the same file."""
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            for options in ({"cache": tmp_path / "new" / "folder"}, {}):
                server.requests = 0
                for_uproot._known.__init__()
                assert same(fj.iterate(f"{url}/a.root", step=7000, **options), path)
                assert (server.requests == 1) == (not options)
                monkeypatch.setenv("FASTJAG_CACHE", str(tmp_path / "new" / "folder"))

    def test_another_file_of_that_name(self, path, tmp_path):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.headers = {"ETag": '"1"'}
            assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)
            n, server.headers = server.requests, {"ETag": '"2"'}
            assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)
            assert server.requests > n + 1

    @pytest.mark.parametrize("suffix", ["bytes", "index"])
    @pytest.mark.parametrize("how", ["flipped", "short", "gone"])
    def test_damage(self, path, tmp_path, suffix, how):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            for _ in range(2):
                assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)
                (file,) = tmp_path.glob(f"??/*.{suffix}")
                data = bytearray(file.read_bytes())
                data[:: len(data) // 50] = bytes(b ^ 4 for b in data[:: len(data) // 50])
                file.write_bytes(data if how == "flipped" else data[: len(data) // 2 + 3])
                if how == "gone":
                    file.unlink()
                for_uproot._known.__init__()
            assert server.requests > 4

    def test_two_at_once(self, path, tmp_path):
        with http_server({"/a.root": path.read_bytes()}) as (url, _):
            results = []

            def run():
                results.append(same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path))

            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert results == [True] * 4

    def test_a_full_disk(self, path, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with http_server({"/a.root": path.read_bytes()}) as (url, _):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)
            assert [str(w.message)[-24:] for w in told] == [" No space left on device"]

    def test_a_disk_that_was_full_before(self, path, tmp_path, monkeypatch):
        """Not even an empty file can be made: that costs a warning, no result."""
        opened = os.open

        def full(name, flags, *mode):
            if str(name).startswith(str(tmp_path)):
                raise OSError(28, "No space left on device")
            return opened(name, flags, *mode)

        monkeypatch.setattr(os, "open", full)
        with (
            http_server({"/a.root": path.read_bytes()}) as (url, _),
            pytest.warns(UserWarning, match=rf"{tmp_path}: .*No space left on device: copies are"),
        ):
            assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)

    @pytest.mark.parametrize("part", [1, 20, 39])
    def test_a_record_that_was_cut_off(self, tmp_path, part):
        """By a disk that was full: what other processes appended after it is found."""
        own = store.Store(str(tmp_path), "7" * 32)
        own.put(0, memoryview(b"first"))
        own.close()
        (index,) = tmp_path.glob("??/*.index")
        with open(index, "ab") as file:
            file.write(index.read_bytes()[:part])
        for at in (100, 200):
            own = store.Store(str(tmp_path), "7" * 32)
            own.put(at, memoryview(b"later"))
            own.close()
        own, into = store.Store(str(tmp_path), "7" * 32), memoryview(bytearray(5))
        for at, text in ((0, b"first"), (100, b"later"), (200, b"later")):
            assert own.get(at, into)
            assert bytes(into) == text
        own.close()

    def test_no_folder(self, path, tmp_path):
        (tmp_path / "file").touch()
        with (
            http_server({"/a.root": path.read_bytes()}) as (url, _),
            pytest.raises(ReadError, match=rf"{tmp_path}/file: no folder for copies"),
        ):
            list(fj.iterate(f"{url}/a.root", cache=tmp_path / "file"))
        with pytest.raises(TypeError, match="cache must be a folder, got 3"):
            fj.iterate("https://h/a.root", cache=3)

    def test_what_comes_after_it_was_closed_is_not_kept(self, tmp_path):
        """Answers come in other threads, when the number of the file may be that of another one."""
        own = store.Store(str(tmp_path), "7" * 32)
        own.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            own.put(0, memoryview(b"late"))
        assert (0, 4) not in own

    def test_what_was_not_used_for_longest_goes(self, tmp_path, monkeypatch):
        for i in range(5):
            own = store.Store(str(tmp_path), f"{i}" * 32)
            own.put(0, memoryview(bytes([i]) * 300_000))
            own.close()
            for file in tmp_path.glob(f"??/{i}*"):
                os.utime(file, (i, i))
        monkeypatch.setattr(store, "_swept", {})
        monkeypatch.setenv("FASTJAG_CACHE_GB", "0.0007")
        store.Store(str(tmp_path), "9" * 32).close()
        left = {Path(file).name[0] for file in tmp_path.glob("??/*.bytes")}
        assert left == {"3", "4", "9"}
        monkeypatch.setattr(store, "_swept", {})
        monkeypatch.setenv("FASTJAG_CACHE_GB", "much")
        with pytest.raises(ValueError, match=r"FASTJAG_CACHE_GB must be gigabytes .*'much'"):
            store.Store(str(tmp_path), "9" * 32)

    def test_a_server_without_ranges(self, path, tmp_path):
        """Its file is downloaded, once if it says which version that is."""
        data = {"/a.root": path.read_bytes()}
        with http_server(data, ranges=False) as (url, server):
            for headers, sent in (({"ETag": '"1"'}, 2), ({"ETag": '"1"'}, 2), ({}, 2)):
                server.headers, server.requests = headers, 0
                assert same(fj.iterate(f"{url}/a.root", step=7000, cache=tmp_path), path)
                assert server.requests == sent
            assert len(list(tmp_path.glob("??/*"))) == 2


class TestMetadata:
    def test_known_from_the_last_time(self, path):
        """The head alone is asked for again, to see that it is the same file."""
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            batches = fj.iterate(f"{url}/a.root", "event", step=10)
            next(batches)
            batches.close()
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
