"""An XRootD server of a folder, and one that redirects to it, on this machine only."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from debian import needs_program
from servers import free_port


class XrootdServer:
    """A server that can be stopped and started again on its port."""

    def __init__(self, program, files, redirect_to=None):
        self.program, self.files, self.port = program, files, free_port()
        self.state = Path(tempfile.mkdtemp(prefix="xrootd-"))
        self.user = _other_user()
        lines = [
            f"xrd.port {self.port}", "xrd.allow host localhost", "xrd.allow host 127.0.0.1",
            f"all.export {files} r/o", f"all.adminpath {self.state}/admin",
            f"all.pidpath {self.state}/run",
        ]  # fmt: skip
        if redirect_to:
            lines.append(f"xrootd.redirect 127.0.0.1:{redirect_to} {files}")
        self.config = self.state / "xrootd.cfg"
        self.config.write_text("\n".join(lines) + "\n")
        if self.user:
            for path in (self.state, self.config):
                shutil.chown(path, self.user)
        self.process = None

    @property
    def url(self):
        return f"root://127.0.0.1:{self.port}/{self.files}"

    def start(self):
        log = open(self.state / "log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.config), *(["-R", self.user] if self.user else [])],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.state, start_new_session=True,
        )  # fmt: skip
        log.close()
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.state / "log").read_text()[-3000:]) from None
                time.sleep(0.05)

    def stop(self, how=signal.SIGKILL):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.state)


def _other_user():
    """XRootD does not run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("xrootd", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("no user for XRootD")


@contextmanager
def xrootd_server(files, redirect_to=None):
    """Serves a folder that everybody may read."""
    program = needs_program("xrootd")
    server = XrootdServer(program, files, redirect_to)
    try:
        server.start()
        yield server
    finally:
        server.remove()
