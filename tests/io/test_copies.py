"""The folder of copies of remote files: what it saves, and what damage, other files and full disks do to it."""

import os
import threading
import warnings
from pathlib import Path

import far_samples
import pytest
from servers import http_server

import fastjag as fj
from fastjag.io.errors import ReadError
from fastjag.io.sources import for_uproot, store


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return far_samples.write(tmp_path_factory.mktemp("toys") / "a.root")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    far_samples.forget_servers(monkeypatch)


def same(found, path):
    return far_samples.same(found, fj.iterate(path, step=7000))


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
