"""Servers for tests: HTTP with byte ranges, and ones that stop to answer at some point."""

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        server = self.server
        server.requests += 1
        data = server.files.get(self.path.split("?")[0])
        if server.status or data is None:
            self.send_response(server.status or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if server.requests > server.silent_after:
            server.stopped.wait()
            return
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = self.headers.get("Range", "") if server.ranges else ""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        first, last = map(int, wanted.groups()) if wanted else (0, len(data) - 1)
        last = min(last, len(data) - 1)
        body = data[first : last + 1]
        if server.fault and server.fault(self, first, last, data):
            return  # it has answered, or never will
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_body:
            return
        if server.requests > server.half_after:
            self.wfile.write(body[: len(body) // 2])
            server.stopped.wait()
            return
        for start in range(0, len(body), server.piece):
            self.wfile.write(body[start : start + server.piece])
            if server.pause:
                time.sleep(server.pause)


class _Server(ThreadingHTTPServer):
    """That forgets its connections when it ends, as one that is killed, and says nothing of broken ones."""

    def __init__(self, *arguments):
        self.open = set()
        super().__init__(*arguments)

    def get_request(self):
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def handle_error(self, *_):
        pass

    def server_close(self):
        super().server_close()
        for connection in self.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def http_server(files, *, silent_after=10**9, half_after=10**9, pause=0, piece=1 << 30, status=0,
                ranges=True, port=0):  # fmt: skip
    """Serves {"/name": bytes}; its URL.

    From some number of requests on it says nothing, or stops in the middle of an answer; it may
    pause after each piece of an answer, answer everything with one status, or know no ranges. Its
    ``headers`` are sent along, its ``token`` is asked for, and its ``fault`` is called with the handler of
    a request, the first and last byte asked for and the file; what it returns says whether it answered.
    """
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.files, server.requests, server.status, server.ranges = files, 0, status, ranges
        server.silent_after, server.half_after = silent_after, half_after
        server.pause, server.piece = pause, piece
        server.stopped, server.headers = threading.Event(), {}
        server.token = server.fault = None
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


@contextmanager
def deaf_server(answer=b"", *, closing=False):
    """Accepts connections and never says more than ``answer``; its port."""
    kept, ended = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if ended.is_set():
                    connection.close()
                    return
                connection.sendall(answer)
                if closing:
                    connection.close()
                kept.append(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()
            for connection in kept:
                connection.close()


def free_port():
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def refuse(handler, status, **headers):
    """What a ``fault`` may do: an answer without content."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True
