"""https://: servers that fail, ask for tokens, know no ranges, or answer with something else."""

import base64
import json
import os
import socket
import threading
import time

import pytest
from far_samples import same, small_requests, write
from servers import http_server, refuse

import fastjag as fj
from fastjag.io.errors import ReadError, ServerError


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def path(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("toys") / "a.root", request.param)


@pytest.fixture(scope="module")
def expected(path):
    return list(fj.iterate(path, step=7000))


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Small requests, so that the files are large; no server is known yet, and nobody has a token."""
    small_requests(monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


class TestFlaky:
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_every_third_request(self, path, expected, status):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.fault = lambda handler, *_: server.requests % 3 == 0 and refuse(handler, status)
            assert same(fj.iterate(f"{url}/a.root", step=7000), expected)
            assert server.requests > 5

    def test_as_long_as_the_server_says(self, path, expected):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.fault = lambda handler, *_: (
                server.requests == 1 and refuse(handler, 503, Retry_After="1")
            )
            start = time.monotonic()
            assert same(fj.iterate(f"{url}/a.root", step=7000), expected)
            assert time.monotonic() - start > 1

    def test_connections_that_break(self, path, expected):
        """Before the answer, and in the middle of it."""

        def fault(handler, first, last, data):
            if server.requests % 3 == 1:
                return False
            if server.requests % 3 == 0:
                handler.send_response(206)
                handler.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                handler.send_header("Content-Length", str(last - first + 1))
                handler.end_headers()
                handler.wfile.write(data[first : (first + last) // 2])
                handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return True

        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.fault = fault
            assert same(fj.iterate(f"{url}/a.root", step=7000), expected)

    def test_killed_and_started_again(self, path, expected):
        """Connections are refused in between."""
        data = {"/a.root": path.read_bytes()}
        with http_server(data) as (url, server):
            batches = fj.iterate(f"{url}/a.root", step=7000, prefetch=False)
            first = next(batches)
            port = server.server_address[1]
        again = threading.Event()

        def later():
            time.sleep(0.2)
            with http_server(data, port=port):
                again.wait(10)

        thread = threading.Thread(target=later)
        thread.start()
        try:
            assert same([first, *batches], expected)
        finally:
            again.set()
            thread.join()

    def test_for_good(self, path, monkeypatch):
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "0.5")
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            batches = fj.iterate(f"{url}/a.root", step=7000, prefetch=False)
            next(batches)
            server.status = 503
            message = (
                rf"^{url}/a\.root: .*{url[7:]} failed \d+ times within 0\.. s .*: HTTP Error 503"
            )
            with pytest.raises(ServerError, match=message):
                list(batches)

    def test_the_next_replica(self, path, expected):
        data = {"/a.root": path.read_bytes()}
        with http_server(data) as (url, server), http_server(data) as (other, second):
            batches = fj.iterate(f"{url}/a.root|{other}/a.root", step=7000, prefetch=False)
            first = next(batches)
            server.status = 503
            assert same([first, *batches], expected)
            assert second.requests > 0

    def test_a_file_that_changes(self, path):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.headers = {"ETag": '"1"'}
            batches = fj.iterate(f"{url}/a.root", step=7000, prefetch=False)
            next(batches)
            server.headers = {"ETag": '"2"'}
            with pytest.raises(
                ServerError, match=rf"changed on the server {url[7:]} .*'\"1\"'.*'\"2\"'"
            ):
                list(batches)


class TestChunks:
    """Answers that do not say their length before."""

    def read(self, path, more):
        def fault(handler, first, last, data):
            body = data[first : last + 1]
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for part in (body[:9], body[9:], more):
                if part:
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            handler.wfile.write(b"0\r\n\r\n")
            return True

        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.fault = fault
            return list(fj.iterate(f"{url}/a.root", step=7000))

    def test_as_long_as_asked_for(self, path, expected):
        assert same(self.read(path, b""), expected)

    def test_longer(self, path):
        with pytest.raises(ServerError, match=r"failed 3 times .*has more than \d+ bytes"):
            self.read(path, b"x")


class TestRedirects:
    def test_followed_once(self, path, expected):
        """And without what is secret; from the begin on where the new place is over."""
        seen = []
        with http_server({"/b.root": path.read_bytes()}) as (other, there):

            def fault(handler, *_):
                seen.append(handler.headers.get("Authorization"))
                if there.requests == 3:
                    return refuse(handler, 403)
                return False

            there.fault = fault
            with http_server({"/a.root": b""}) as (url, server):
                server.fault = lambda handler, *_: refuse(handler, 307, Location=f"{other}/b.root")
                for secret in ({"token": "abc"}, {"headers": {"Authorization": "abc"}}):
                    found = fj.iterate(f"{url}/a.root", step=7000, storage_options=secret)
                    assert same(found, expected)
                assert 2 < server.requests < 9  # of each connection at most
        assert set(seen) == {None}

    def test_in_circles(self, path):
        with http_server({"/a.root": b""}) as (url, server):
            server.fault = lambda handler, *_: refuse(handler, 302, Location="/a.root")
            with pytest.raises(ServerError, match="more than 10 redirects"):
                list(fj.iterate(f"{url}/a.root"))


def web_token(seconds):
    """That ends so many seconds from now."""
    text = json.dumps({"exp": time.time() + seconds}).encode()
    return f"e30.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.x"


class TestTokens:
    def read(self, path, **options):
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.token = "good-1"
            return list(fj.iterate(f"{url}/a.root", step=7000, **options)), url

    def test_of_the_environment(self, path, expected, monkeypatch, tmp_path):
        """In the order of WLCG's Bearer Token Discovery."""
        (tmp_path / "run").mkdir()
        name = f"bt_u{os.geteuid()}"
        (tmp_path / name).write_text("good-1\n")
        assert same(self.read(path)[0], expected)
        (tmp_path / "run" / name).write_text("good-1")
        (tmp_path / name).write_text("bad")
        assert same(self.read(path)[0], expected)
        (tmp_path / "run" / name).write_text("bad")
        (tmp_path / "file").write_text(" good-1 ")
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path / "file"))
        assert same(self.read(path)[0], expected)
        (tmp_path / "file").write_text("bad")
        monkeypatch.setenv("BEARER_TOKEN", "good-1")
        assert same(self.read(path)[0], expected)
        monkeypatch.setenv("BEARER_TOKEN", "bad")
        assert same(self.read(path, storage_options={"token": "good-1"})[0], expected)
        headers = {"Authorization": "Bearer good-1"}
        assert same(self.read(path, storage_options={"headers": headers})[0], expected)

    def test_only_for_a_server_that_asks(self, path, monkeypatch):
        monkeypatch.setenv("BEARER_TOKEN", "secret")
        seen = []
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.fault = lambda handler, *_: seen.append(handler.headers.get("Authorization"))
            list(fj.iterate(f"{url}/a.root"))
        assert set(seen) == {None}

    def test_not_what_somebody_else_left_there(self, path, monkeypatch, tmp_path):
        other = os.geteuid() + 1
        (tmp_path / f"bt_u{other}").write_text("good-1")
        monkeypatch.setattr(os, "geteuid", lambda: other)
        with pytest.raises(ReadError, match="no token was sent"):
            self.read(path)

    def test_none(self, path):
        with pytest.raises(ReadError, match=r"127\.0\.0\.1:\d+.* no token was sent: BEARER_TOKEN"):
            self.read(path)

    def test_expired(self, path, monkeypatch):
        monkeypatch.setenv("BEARER_TOKEN", web_token(-60))
        message = r"401 .*127\.0\.0\.1:\d+.* the token of BEARER_TOKEN was sent; it expired at 20"
        with pytest.raises(ReadError, match=message) as info:
            self.read(path)
        assert web_token(-60)[:20] not in str(info.value)
        monkeypatch.setenv("BEARER_TOKEN", web_token(60))
        with pytest.raises(ReadError, match=r"the token of BEARER_TOKEN was sent$"):
            self.read(path)

    def test_renewed_while_reading(self, path, expected, monkeypatch, tmp_path):
        file = tmp_path / "token"
        file.write_text("good-1")
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
        with http_server({"/a.root": path.read_bytes()}) as (url, server):
            server.token = "good-1"
            batches = fj.iterate(f"{url}/a.root", step=7000, prefetch=False)
            first = next(batches)
            # As programs that renew tokens do it: what reads ahead must not see half of one.
            (tmp_path / "new").write_text("good-2")
            (tmp_path / "new").replace(file)
            server.token = "good-2"
            assert same([first, *batches], expected)

    @pytest.mark.parametrize("text", ["", "a\nb", "ä", "a b"])
    def test_no_token(self, path, monkeypatch, tmp_path, text):
        (tmp_path / "token").write_text(text)
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path / "token"))
        with pytest.raises(ReadError, match="token: no bearer token"):
            self.read(path)

    def test_no_file(self, path, monkeypatch):
        monkeypatch.setenv("BEARER_TOKEN_FILE", "/nowhere/token")
        with pytest.raises(
            ReadError, match=r"BEARER_TOKEN_FILE: /nowhere/token: no readable token"
        ):
            self.read(path)

    def test_options_that_do_not_exist(self, path):
        with pytest.raises(
            ValueError, match=r"no storage option 'tokens' of http: did you mean 'token'"
        ):
            fj.iterate("https://h/a.root", storage_options={"tokens": "a"})
        with pytest.raises(TypeError, match=r"storage_options must be a dict, got str"):
            fj.iterate("https://h/a.root", storage_options="a")
