"""Answers of servers that are not what was asked for: the right result, or an error with the host."""

import random
from collections import Counter

import pytest
import uproot
from far_samples import same, small_requests, write
from servers import http_server, refuse

import fastjag as fj
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.sources import Access, for_uproot, open_remote


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def path(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("toys") / "a.root", request.param)


@pytest.fixture(scope="module")
def expected(path):
    return list(fj.iterate(path, step=7000))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    small_requests(monkeypatch)


def answer(handler, first, last, total, body, length=None, code=206):
    """A range as it claims to be."""
    handler.send_response(code)
    handler.send_header("Content-Range", f"bytes {first}-{last}/{total}")
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True
    return True


class TestDamage:
    """Answers that are not what was asked for: the right result, or an error with the host."""

    KINDS = ("short", "cut", "other range", "shifted", "zeros", "flipped", "longer", "whole", "status",
             "garbage", "size", "empty", "moved", "encoded")  # fmt: skip

    def damage(self, kind, handler, first, last, data, rng):
        body, total = data[first : last + 1], len(data)
        if kind == "short":  # and says so
            return answer(handler, first, last - len(body) // 2, total, body[: len(body) // 2 or 1])
        if kind == "cut":
            return answer(handler, first, last, total, body[: len(body) // 2], len(body))
        if kind == "other range":
            moved = data[first + 1 : last + 2]
            return answer(handler, first + 1, first + len(moved), total, moved)
        if kind == "shifted":  # and says that it is not
            shift = rng.randrange(1, 5000)
            moved = (data[first + shift : last + 1 + shift] + data)[: len(body)]
            return answer(handler, first, last, total, moved)
        if kind == "zeros":
            return answer(handler, first, last, total, bytes(len(body)))
        if kind == "flipped":
            at = rng.randrange(len(body))
            flipped = body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]
            return answer(handler, first, last, total, flipped)
        if kind == "longer":
            return answer(handler, first, last, total, body + b"x" * 9)
        if kind == "whole":
            return answer(handler, 0, total - 1, total, data, code=200)
        if kind == "status":
            return refuse(handler, rng.choice([400, 404, 410, 416, 418, 503]))
        if kind == "garbage":
            handler.wfile.write(rng.randbytes(50))
            handler.close_connection = True
            return True
        if kind == "size":
            return answer(handler, first, last, total + 1, body)
        if kind == "empty":
            return answer(handler, first, last, total, b"")
        if kind == "moved":
            return refuse(handler, 302, Location=rng.choice(["/b.root", "ftp://h/a.root", "//"]))
        handler.send_response(206)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    @pytest.mark.parametrize("kind", ["other range", "short", "longer", "size", "encoded", "cut"])
    def test_bytes_without_checksums(self, kind):
        """Where nothing but the answer itself says that it is wrong."""
        content = random.Random(1).randbytes(200_000)
        with http_server({"/x": content}) as (url, server):
            source = open_remote(f"{url}/x", Access())
            rng = random.Random(2)
            server.fault = lambda handler, *asked: self.damage(kind, handler, *asked, rng)
            with pytest.raises(ServerError, match=rf"^{url}/x: .*{url[7:]} "):
                source.read(100_000, memoryview(bytearray(1000)))
            server.fault = None
            source.read(100_000, into := memoryview(bytearray(1000)))
            assert into == content[100_000:101_000]
            source.close()

    def test_no_wrong_values(self, path, expected, monkeypatch):
        """150 damaged answers for either format: now and then, so that later ones are right.

        Pages of an RNTuple that uproot wrote have no checksums: bytes that are wrong, in an answer
        that is not, are seen in TTrees only.
        """
        tree = uproot.open(path).classnames()["Events;1"] == "TTree"
        monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "0.2")
        rng, done, messages, right = random.Random(1), Counter(), [], 0
        with http_server({"/a.root": path.read_bytes()}) as (url, server):

            def fault(handler, first, last, data):
                if rng.random() < often:
                    done[kind] += 1
                    return self.damage(kind, handler, first, last, data, rng)
                return False

            server.fault = fault
            run = 0
            kinds = [k for k in self.KINDS if tree or k not in ("shifted", "zeros", "flipped")]
            while sum(done.values()) < 150 or run < 2 * len(kinds):
                kind = kinds[run % len(kinds)]
                often, run = (0.15, 0.5)[run % 2], run + 1
                for_uproot._known.__init__()  # metadata of an earlier run
                try:
                    found = list(fj.iterate(f"{url}/a.root", step=7000))
                except ReadError as error:
                    messages.append(str(error))
                else:
                    assert same(found, expected)
                    right += 1
        assert all(url[7:] in message for message in messages)
        assert right
        assert messages
        assert set(done) == set(kinds)
