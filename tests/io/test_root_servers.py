"""root://: files of a real XRootD server, which is killed, started again, far away, or not the only one."""

import shutil
import sys
import tempfile
import threading
from pathlib import Path

import far_samples
import numpy as np
import pytest
from debian import needs_program
from distance import distance
from servers import free_port
from xrootd_server import xrootd_server

import fastjag as fj
from fastjag.io import transport
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.files import find_files
from fastjag.io.sources import Access, open_remote, remote
from fastjag.selection import Step, survivors

NAMES = ["a.root", "b.root", "sub/c.root", "sub/deep/d.root", "sub/notes.txt"]


@pytest.fixture(scope="module")
def folder():
    """That the user of the server may read."""
    needs_program("xrootd")
    folder = Path(tempfile.mkdtemp(prefix="far-"))
    (folder / "sub" / "deep").mkdir(parents=True)
    far_samples.write(folder / "a.root")
    far_samples.write(folder / "b.root", "rntuple")
    for name in NAMES[2:]:
        (folder / name).write_bytes((folder / "a.root").read_bytes())
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(folder):
    with xrootd_server(folder) as server:
        yield server


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    """Small requests, so that the files are large; nothing is known of servers that are gone."""
    monkeypatch.setattr(transport, "_reached", {})
    monkeypatch.setattr(remote, "_FIRST", 50_000)
    monkeypatch.setattr(remote, "_REQUEST", 50_000)
    monkeypatch.setattr(remote, "AHEAD", 100_000)
    monkeypatch.setenv("FASTJAG_CONNECT_TIMEOUT", "1")
    monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "15")


def same(found, path, step=7000):
    """Every column of every event is that of the local file."""
    n = 0
    for own, far in zip(fj.iterate(path, step=step), found, strict=True):
        assert fj.equal(own.Muon, far.Muon)
        np.testing.assert_array_equal(own["event"], far["event"])
        n += len(far)
    return n == far_samples.EVENTS


class TestReading:
    @pytest.mark.parametrize("name", NAMES[:2])
    @pytest.mark.parametrize("threads", [1, 3])
    def test_what_is_in_the_file(self, server, folder, name, threads, monkeypatch):
        monkeypatch.setenv("FASTJAG_NUM_THREADS", str(threads))
        assert same(fj.iterate(f"{server.url}/{name}", step=7000), folder / name)

    def test_through_a_redirector(self, server, folder):
        with xrootd_server(folder, server.port) as other:
            assert same(fj.iterate(f"{other.url}/a.root", step=7000), folder / "a.root")
            assert find_files(f"{other.url}/*.root") == [
                (f"{other.url}/{name}", None) for name in NAMES[:2]
            ]

    def test_survivors_only(self, server, folder):
        steps = [Step("third", ["event"], lambda events: events["event"] % 3 == 0)]
        own, far = (
            list(survivors(path, steps, ["Muon_*", "event"], batch_size=7000))
            for path in (folder / "a.root", f"{server.url}/a.root")
        )
        assert len(own) == len(far) > 0
        for a, b in zip(own, far, strict=True):
            assert fj.equal(a.Muon, b.Muon)

    def test_a_server_without_vector_reads(self, server, folder, monkeypatch):
        from XRootD.client import File

        asked = []

        def refuse(self, chunks, **_):
            asked.append(chunks)
            status = type("Status", (), {"ok": False, "errno": 3013, "code": 400, "message": "no"})
            return status, None

        monkeypatch.setattr(File, "vector_read", refuse)
        monkeypatch.setattr(remote, "_REQUEST", 1 << 20)  # several baskets, with gaps between them
        monkeypatch.setattr(remote, "_FIRST", 1 << 20)
        own, far = (
            np.concatenate([b["event"] for b in fj.iterate(f"{path}/a.root", "event", step=7000)])
            for path in (folder, server.url)
        )
        np.testing.assert_array_equal(own, far)
        assert len(asked) == 1  # then it is known

    def test_a_large_piece_is_cut_for_the_server(self, server, tmp_path, folder):
        data = np.random.default_rng(1).bytes(5 << 20)
        (folder / "large").write_bytes(data)
        (folder / "large").chmod(0o644)
        source = open_remote(f"{server.url}/large", Access())
        pieces = [(1, 3 << 20), ((3 << 20) + 500_000, 70_001), ((4 << 20) + 7, (1 << 20) - 7)]
        source.expect(pieces)
        for seek, size in pieces:
            into = memoryview(bytearray(size))
            source.read(seek, into)
            assert into == data[seek : seek + size]
        with pytest.raises(EOFError, match="ends at byte 5242880"):
            source.read(5 << 20, memoryview(bytearray(1)))
        source.close()
        with pytest.raises(ServerError, match="after it was closed"):
            source.read(1 << 20, memoryview(bytearray(1)))
        (folder / "large").unlink()

    def test_not_there(self, server):
        message = (
            rf"^{server.url}/x\.root: not a readable file: .*127\.0\.0\.1:{server.port} .*no such"
        )
        with pytest.raises(ServerError, match=message):
            list(fj.iterate(f"{server.url}/x.root"))

    def test_python_keeps_its_true(self, server):
        """A reference to True was lost with each file, until the interpreter crashed."""
        before = sys.getrefcount(True)
        for _ in range(20):
            open_remote(f"{server.url}/a.root", Access()).close()
        assert sys.getrefcount(True) > before - 10


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "names"),
        [("*.root", NAMES[:2]), ("**/*.root", NAMES[:4]), ("s*/*.root", NAMES[2:3]), ("sub/**", NAMES[2:]),
         ("*/deep/*", NAMES[3:4])],
    )  # fmt: skip
    def test_files(self, server, pattern, names):
        found = [url for url, _ in find_files(f"{server.url}/{pattern}")]
        assert found == [f"{server.url}/{name}" for name in sorted(names)]

    def test_none(self, server):
        with pytest.raises(FileNotFoundError, match=r"x\*\.root: no file matches"):
            find_files(f"{server.url}/x*.root")
        with pytest.raises(ReadError, match=rf"cannot be listed by 127\.0\.0\.1:{server.port}"):
            find_files(f"{server.url}/nowhere/*.root")


class TestFailures:
    def test_killed_and_started_again(self, folder):
        with xrootd_server(folder) as own:
            batches = fj.iterate(f"{own.url}/a.root", step=7000, prefetch=False)
            first = next(batches)
            own.stop()
            again = threading.Timer(0.5, own.start)
            again.start()
            assert same(iter([first, *batches]), folder / "a.root")
            again.join()

    def test_killed_for_good(self, folder, monkeypatch):
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "2")
        with xrootd_server(folder) as own:
            batches = fj.iterate(f"{own.url}/a.root", step=7000, prefetch=False)
            next(batches)
            own.stop()
            message = rf"^{own.url}/a\.root: .*127\.0\.0\.1:{own.port} .*FASTJAG_STALL_TIMEOUT"
            with pytest.raises(ServerError, match=message):
                list(batches)

    def test_another_file_when_it_is_opened_again(self, folder):
        with xrootd_server(folder) as own:
            path = folder / "new.root"
            path.write_bytes((folder / "a.root").read_bytes())
            path.chmod(0o644)
            batches = fj.iterate(f"{own.url}/new.root", step=7000, prefetch=False)
            next(batches)
            own.stop()
            path.write_bytes((folder / "a.root").read_bytes() + b"more")
            own.start()
            with pytest.raises(
                ServerError, match=rf"changed on the server 127\.0\.0\.1:{own.port}"
            ):
                list(batches)
            path.unlink()


class TestReplicas:
    def test_the_first_is_not_there(self, server, folder):
        dead = f"root://127.0.0.1:{free_port()}/{folder}/a.root"
        assert same(fj.iterate(f"{dead}|{server.url}/a.root", step=7000), folder / "a.root")

    def test_the_first_dies(self, server, folder):
        with xrootd_server(folder) as own:
            urls = f"{own.url}/a.root|{server.url}/a.root"
            batches = fj.iterate(urls, step=7000, prefetch=False)
            first = next(batches)
            own.stop()
            assert same(iter([first, *batches]), folder / "a.root")

    def test_not_the_same_file(self, server, folder, monkeypatch):
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "2")
        with xrootd_server(folder) as own:
            urls = f"{own.url}/a.root|{server.url}/b.root"
            batches = fj.iterate(urls, step=7000, prefetch=False)
            next(batches)
            own.stop()
            with pytest.raises(
                ServerError, match=rf"no replica .*{server.url}/b\.root: not the file"
            ):
                list(batches)

    def test_none(self, folder):
        ports = [free_port(), free_port()]
        urls = "|".join(f"root://127.0.0.1:{port}/{folder}/a.root" for port in ports)
        with pytest.raises(ServerError, match=f"no replica .*{ports[0]} .*{ports[1]} "):
            list(fj.iterate(urls))

    def test_given_twice(self, server, folder):
        urls = [f"{server.url}/a.root|root://h//a.root", "root://h//a.root"]
        with pytest.warns(UserWarning, match="counted once"):
            assert len(find_files(urls)) == 1


def test_round_trips_overlap(server, folder, monkeypatch):
    """Far away, all of a small file is on its way before the first step is there."""
    monkeypatch.undo()
    with distance(server.port, 0.02) as (port, proxy):
        url = f"root://127.0.0.1:{port}/{folder}/a.root"
        assert same(fj.iterate(url, step=2000), folder / "a.root", step=2000)
        first = proxy.bursts
        assert first < 16  # handshakes, opening, head, tail, one vector read; 30 steps
        assert same(fj.iterate(url, step=2000), folder / "a.root", step=2000)
        assert proxy.bursts - first < 8  # the connection stays
