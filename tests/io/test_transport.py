"""transport: files on servers, and servers that do not answer, which end in errors that name them."""

import socket
import time

import numpy as np
import pytest
from servers import deaf_server, free_port, http_server

import fastjag as fj
from fastjag import toys
from fastjag.analyses.convert import convert
from fastjag.io import files, transport
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.files import find_files
from fastjag.io.sources import Access
from fastjag.io.transport import reach

COLUMNS = ["Muon_pt", "event"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No server is known yet, and deadlines are short."""
    monkeypatch.setattr(transport, "_reached", {})
    monkeypatch.setenv("FASTJAG_CONNECT_TIMEOUT", "0.5")
    monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "0.8")


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def content(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "a.root"
    toys.write(path, 60_000, seed=1, columns=COLUMNS, format=request.param)
    return path


@pytest.fixture
def quick():
    """The test has to end within seconds of its deadlines."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 8  # the machine may be busy


def read(url, **options):
    return np.concatenate([b["event"] for b in fj.iterate(url, COLUMNS, **options)])


class TestHttp:
    def test_what_is_in_the_file(self, content):
        with http_server({"/a.root": content.read_bytes()}) as (url, server):
            found = read(f"{url}/a.root", step=7000)
            np.testing.assert_array_equal(found, read(content))
            # Under another spelling it is the same file.
            other = url.replace("http", "HTTP") + "/x/../a.root#here"
            with pytest.warns(UserWarning, match="counted once"):
                assert find_files([f"{url}/a.root", other]) == [(f"{url}/a.root", None)]
            assert server.requests > 1  # the whole file is not asked for

    @pytest.mark.parametrize("silent", [0, 1])
    def test_a_server_that_falls_silent(self, content, silent, quick):
        """At the first request, and later."""
        with http_server({"/a.root": content.read_bytes()}, silent_after=silent) as (url, _):
            host = url.removeprefix("http://")
            message = rf"^{url}/a\.root: the server {host} sent nothing for 0\.8 s"
            with pytest.raises(ReadError, match=message):
                read(f"{url}/a.root")
            batches = fj.iterate(f"{url}/a.root", on_error="skip")
            assert list(batches) == []
            assert host in batches.skipped[0].reason

    @pytest.mark.parametrize("half", [0, 1])
    def test_in_the_middle_of_an_answer(self, content, half, quick):
        message = r"the server 127.0.0.1:\d+ sent nothing for 0\.8 s"
        with (
            http_server({"/a.root": content.read_bytes()}, half_after=half) as (url, _),
            pytest.raises(ReadError, match=message),
        ):
            read(f"{url}/a.root")

    def test_a_slow_server_is_no_dead_one(self, tmp_path, monkeypatch):
        """An answer may take longer than the deadline, as long as bytes come."""
        path = toys.write(tmp_path / "a.root", 600, seed=1, columns=COLUMNS)
        data = path.read_bytes()
        with http_server({"/a.root": data}, pause=0.3, piece=len(data) // 6) as (url, _):
            start = time.monotonic()
            np.testing.assert_array_equal(read(f"{url}/a.root"), read(path))
            assert time.monotonic() - start > 0.8

    @pytest.mark.parametrize("status", [404, 403, 503])
    def test_refused(self, content, status):
        files = {"/a.root": content.read_bytes()}
        with (
            http_server(files, status=status) as (url, _),
            pytest.raises(ReadError, match=rf"^{url}/a\.root: not a readable"),
        ):
            read(f"{url}/a.root")
        with http_server(files) as (url, server):
            batches = fj.iterate(f"{url}/a.root", COLUMNS, step=10, prefetch=False)
            next(batches)
            server.status = status  # of what is asked for from now on
            batches = fj.iterate(f"{url}/a.root", COLUMNS, on_error="skip")
            assert list(batches) == []
            assert "Error" in batches.skipped[0].reason

    def test_no_ranges(self, content):
        with (
            http_server({"/a.root": content.read_bytes()}, ranges=False) as (url, _),
            pytest.raises(ServerError, match=rf"^{url}/a\.root: the server sends no byte ranges"),
        ):
            read(f"{url}/a.root")


class TestReach:
    @pytest.mark.parametrize("scheme", ["root", "roots", "xroot"])
    def test_accepts_and_never_answers(self, scheme, quick):
        """What took minutes: XRootD's client tries again and again."""
        with deaf_server() as port:
            url = f"{scheme}://127.0.0.1:{port}//a.root"
            message = rf"^{url}: the server 127.0.0.1:{port} did not answer within 0\.5 s"
            with pytest.raises(ServerError, match=message):
                reach(url)
            reach(f"http://127.0.0.1:{port}/a.root")  # it may answer later

    @pytest.mark.parametrize("scheme", ["root", "http", "https"])
    def test_nobody_there(self, scheme, quick):
        port = free_port()
        message = rf"the server 127.0.0.1:{port} cannot be reached: .*refused"
        with pytest.raises(ServerError, match=message):
            reach(f"{scheme}://127.0.0.1:{port}//a.root")

    def test_closes_at_once(self, quick):
        with (
            deaf_server(closing=True) as port,
            pytest.raises(ServerError, match=rf"127.0.0.1:{port} cannot be reached: "),
        ):
            reach(f"root://127.0.0.1:{port}//a.root")

    def test_a_full_queue(self, quick):
        """A server whose system accepts no more connections, as behind a dead firewall."""
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            port = server.getsockname()[1]
            full = []
            for _ in range(4):
                full.append(socket.socket())
                full[-1].setblocking(False)
                full[-1].connect_ex(("127.0.0.1", port))
            time.sleep(0.1)
            with pytest.raises(
                ServerError, match=rf"127.0.0.1:{port} did not answer within 0\.5 s"
            ):
                reach(f"http://127.0.0.1:{port}/a.root")
            for other in full:
                other.close()

    def test_a_name_that_is_not_found_in_time(self, monkeypatch, quick):
        def slow(*_, **__):
            time.sleep(2)
            raise socket.gaierror(-3, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(ServerError, match=r"server nowhere\.ch:1094 did not answer within"):
            reach("root://nowhere.ch//a.root")

    def test_a_name_that_is_not_found(self, monkeypatch, quick):
        def unknown(*_, **__):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(
            ServerError, match=r"nowhere\.ch:443 cannot be reached: Name or service"
        ):
            reach("https://nowhere.ch/a.root")

    def test_names_that_cannot_be(self, quick):
        for url, what in [
            ("root:///a.root", "names no server"),
            ("root://h:99999//a.root", "no valid URL"),
            (f"http://{'a' * 70}.ch/a.root", "cannot be reached: .*label"),
        ]:
            with pytest.raises(ServerError, match=what):
                reach(url)

    def test_the_second_address(self, monkeypatch, quick):
        """Of a host with several, as many have one in each version of IP."""
        with deaf_server(b"\0" * 16) as port:
            addresses = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", p))
                for p in (free_port(), port)
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            reach("root://h.ch//a.root")

    def test_asked_once_a_minute(self, monkeypatch):
        with deaf_server(b"\0" * 16) as port:
            reach(f"root://127.0.0.1:{port}//a.root")
        reach(f"root://127.0.0.1:{port}//b.root")  # not asked: it is gone
        later = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(ServerError, match="cannot be reached"):
            reach(f"root://127.0.0.1:{port}//b.root")

    def test_every_file_that_is_read(self, tmp_path, monkeypatch, quick):
        """With what stands for XRootD's own client, which is never asked."""
        monkeypatch.setattr(files, "find_spec", lambda name: object())
        with deaf_server() as port:
            url = f"root://127.0.0.1:{port}//a.root"
            message = f"the server 127.0.0.1:{port} did not answer"
            with pytest.raises(ReadError, match=message):
                list(fj.iterate(url))
            with pytest.raises(ReadError, match=message):
                convert(url, tmp_path / "out")
            batches = fj.iterate([url, url.replace("a.root", "b.root")], on_error="skip")
            assert list(batches) == []
            assert [message in s.reason for s in batches.skipped] == [True, True]


class TestSettings:
    @pytest.mark.parametrize("name", ["CONNECT", "STALL"])
    @pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
    def test_no_seconds(self, monkeypatch, name, value):
        monkeypatch.setenv(f"FASTJAG_{name}_TIMEOUT", value)
        with pytest.raises(
            ValueError, match=rf"FASTJAG_{name}_TIMEOUT must be seconds .*'{value}'"
        ):
            {"CONNECT": transport.connect_timeout, "STALL": transport.stall_timeout}[name]()

    def test_defaults(self, monkeypatch):
        monkeypatch.delenv("FASTJAG_CONNECT_TIMEOUT")
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", " ")
        assert (transport.connect_timeout(), transport.stall_timeout()) == (5, 60)

    def test_what_xrootd_is_told(self, monkeypatch):
        """Whole seconds, never fewer than asked for; what it does with them is not tested here."""
        told, client = {}, type("client", (), {})
        client.EnvPutInt = told.__setitem__
        monkeypatch.setitem(__import__("sys").modules, "XRootD", type("XRootD", (), {}))
        monkeypatch.setitem(__import__("sys").modules, "XRootD.client", client)
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "7.2")
        transport.set_xrootd()
        assert told == {"ConnectionWindow": 1, "ConnectionRetry": 1, "StreamErrorWindow": 1,
                        "StreamTimeout": 8, "RequestTimeout": 8, "TimeoutResolution": 1}  # fmt: skip


class TestMissingLibraries:
    @pytest.mark.parametrize(
        ("url", "module"),
        [("root://h//a.root", "XRootD"), ("xroot://h//a.root", "XRootD"),
         ("s3://b/a.root", "botocore"), ("gs://b/a.root", "fsspec")],
    )  # fmt: skip
    def test_before_anything_is_read(self, monkeypatch, tmp_path, url, module):
        monkeypatch.setattr(files, "find_spec", lambda name: None if name == module else object())
        message = rf"^{url}: reading from \w+:// needs {module}, which is not .*\[remote\]"
        for start in (fj.iterate, find_files, lambda given: convert(given, tmp_path / "out")):
            with pytest.raises(ModuleNotFoundError, match=message):
                start([tmp_path / "first.root", url])
        assert list(tmp_path.iterdir()) == []

    def test_web_servers_need_none(self, monkeypatch):
        monkeypatch.setattr(files, "find_spec", lambda name: None)
        assert find_files("https://h/a.root") == [("https://h/a.root", None)]

    def test_public_buckets_need_none(self, monkeypatch):
        monkeypatch.setattr(files, "find_spec", lambda name: None)
        access = Access({"anon": True})
        assert find_files("s3://h/a.root", access) == [("s3://h/a.root", None)]
