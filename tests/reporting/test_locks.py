"""One process at a time in a folder; what killed ones leave; files that are replaced whole."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from fastjag.reporting import locks
from fastjag.reporting.output import check_target, new_file, results_directory, settle

# Holds the results of a folder until it is killed, or ends by itself.
HOLD = """
import sys, time
from fastjag.reporting.output import results_directory
with results_directory(sys.argv[1]) as directory:
    (directory / "new").write_text("half")
    print("in", flush=True)
    time.sleep(60)
"""


def forked():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons: the parent has threads
        return os.fork()


@pytest.fixture
def holder(tmp_path):
    """(folder, process) that is at work there."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, out], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "in\n"
        yield out, process
    finally:
        process.kill()
        process.communicate()


def produce(out, content, names=("x", "y"), replaces=None):
    with results_directory(out, replaces) as directory:
        for name in names:
            (directory / name).write_text(content)


def listed(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


class TestLock:
    def test_a_second_process_is_told(self, holder):
        out, process = holder
        message = (
            rf"{out}: process {process.pid} on {socket.gethostname()} \(since 20.*\) is writing"
        )
        with pytest.raises(BlockingIOError, match=message):
            produce(out, "mine")

    def test_a_second_process_on_the_command_line(self, holder, tmp_path):
        from fastjag import toys

        out, process = holder
        path = toys.write(tmp_path / "t.root", 10, columns=["Muon_pt"])
        command = [sys.executable, "-m", "fastjag", "convert", path, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"fastjag: error: {out}: process {process.pid} on ")
        assert done.stderr.count("\n") == 1
        assert process.poll() is None

    def test_a_killed_process_leaves_none(self, holder):
        out, process = holder
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert {p.name[:9] for p in out.iterdir()} == {".lock", ".partial-"}
        produce(out, "mine")
        assert listed(out) == {"x": "mine", "y": "mine"}

    def test_threads_exclude_one_another(self, tmp_path):
        inside, leave, errors = threading.Event(), threading.Event(), []

        def hold():
            with locks.locked(tmp_path):
                inside.set()
                leave.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert inside.wait(20)
            with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
                produce(tmp_path, "mine")
        finally:
            leave.set()
            thread.join()
        produce(tmp_path, "mine")
        assert listed(tmp_path) == {"x": "mine", "y": "mine"}
        assert not errors

    def test_many_at_once(self, tmp_path):
        """Exactly those that were not told otherwise have been there, one at a time."""
        code = """
import sys, time
from fastjag.reporting.locks import locked
for _ in range(200):
    try:
        with locked(sys.argv[1]):
            with open(sys.argv[2], "x"):
                pass
            time.sleep(0.0005)
            import os; os.unlink(sys.argv[2])
    except BlockingIOError:
        pass
"""
        command = [sys.executable, "-c", code, tmp_path / "out", tmp_path / "alone"]
        processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
        for process in processes:
            assert process.communicate()[1] == b""
        assert not (tmp_path / "alone").exists()
        assert not list(tmp_path.glob("out/*"))

    def test_a_folder_that_goes_while_it_is_made(self, tmp_path, monkeypatch):
        """pathlib looks once more after "File exists", and the folder may be gone by then."""
        made, mkdir = [], Path.mkdir

        def gone(self, *arguments, **options):
            made.append(self)
            if len(made) == 1:
                raise FileExistsError(errno.EEXIST, "File exists", str(self))
            mkdir(self, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", gone)
        with locks.locked(tmp_path / "out"):
            assert len(made) == 2

    def test_a_forked_process_does_not_keep_it(self, tmp_path):
        with locks.locked(tmp_path):
            pid = forked()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
        try:
            with locks.locked(tmp_path):
                pass
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000, '{"pid": 1}', "\0"])
    def test_what_is_in_the_file_does_not_matter(self, tmp_path, content):
        (tmp_path / ".lock").write_text(content)
        produce(tmp_path, "mine")
        assert listed(tmp_path) == {"x": "mine", "y": "mine"}

    def test_without_locks(self, tmp_path, monkeypatch):
        def none(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr("fcntl.flock", none)
        produce(tmp_path, "mine")
        assert listed(tmp_path) == {"x": "mine", "y": "mine"}


class TestPartial:
    def partial(self, folder, boot, age):
        path = folder / ".partial-abcd1234"
        path.mkdir()
        (path / "half").write_text("half")
        if boot is not None:
            (path / ".lock").write_text(json.dumps({"pid": 1, "host": "other", "boot": boot}))
        then = time.time() - age
        for p in (*path.iterdir(), path):
            os.utime(p, (then, then))
        return path

    @pytest.mark.parametrize(("boot", "age", "stays"), [
        ("another", 86400, True), ("another", 8 * 86400, False), (None, 86400, True),
        (None, 8 * 86400, False), (locks._boot(), 0, False),
    ])  # fmt: skip
    def test_of_other_hosts(self, tmp_path, boot, age, stays):
        path = self.partial(tmp_path, boot, age)
        with new_file(tmp_path / "x") as partial:
            partial.write_text("x")
        assert path.exists() == stays

    def test_what_is_not_ours_stays(self, tmp_path):
        old = time.time() - 30 * 86400
        for name in (".partial-download-of-mine", ".partial-x", ".partial-ABCD1234"):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (old, old))
        (tmp_path / ".partial-abcd1234").write_text("a file")
        (tmp_path / ".partial-efgh1234").symlink_to(tmp_path)
        before = sorted(p.name for p in tmp_path.iterdir())
        with new_file(tmp_path / "x") as partial:
            partial.write_text("x")
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*before, "x"])

    def test_a_living_one_stays(self, tmp_path):
        with new_file(tmp_path / "x") as first:
            first.write_text("first")
            with new_file(tmp_path / "x") as second:
                second.write_text("second")
            assert (tmp_path / "x").read_text() == "second"
        assert listed(tmp_path) == {"x": "first"}

    def test_killed(self, tmp_path):
        (tmp_path / "x").write_text("old")
        code = """
import os, sys
from fastjag.reporting.output import new_file
with new_file(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], check=False)
        assert done.returncode == -9
        assert (tmp_path / "x").read_text() == "old"
        assert len(list(tmp_path.glob(".partial-*"))) == 1
        with new_file(tmp_path / "y") as partial:
            partial.write_text("y")
        assert listed(tmp_path) == {"x": "old", "y": "y"}

    def test_names_of_any_length(self, tmp_path):
        name = "x" * 250 + ".json"
        with new_file(tmp_path / name) as partial:
            partial.write_text("x")
        assert listed(tmp_path) == {name: "x"}


class TestTargets:
    def test_only_regular_files_are_replaced(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        for path, error, message in (
            (
                tmp_path / "link",
                FileExistsError,
                "link: is a symbolic link, and only regular files",
            ),
            (tmp_path / "dangling", FileExistsError, "dangling: is a symbolic link"),
            (tmp_path / "pipe", FileExistsError, "pipe: is a pipe"),
            (Path("/dev/null"), FileExistsError, "/dev/null: is a device"),
            (tmp_path / "folder", IsADirectoryError, "folder: is a directory; name a file in it"),
            (tmp_path / "no" / "x", FileNotFoundError, r"no: no such directory \(for x\)"),
            (tmp_path / "file" / "x", NotADirectoryError, "file: not a directory"),
        ):
            with pytest.raises(error, match=message):
                check_target(path)
            with pytest.raises(error, match=message), new_file(path):
                pytest.fail("the work began")
        assert (tmp_path / "link").is_symlink()
        for name in ("link", "pipe", "folder"):
            with pytest.raises(OSError, match=f"{name}: .* is in the way"):
                produce(tmp_path, "new", names=("file", name))
            assert (tmp_path / "file").read_text() == "mine"

    def test_a_link_that_comes_later(self, tmp_path):
        (tmp_path / "file").write_text("mine")

        def write():
            with new_file(tmp_path / "x") as partial:
                partial.write_text("new")
                (tmp_path / "x").symlink_to("file")

        with pytest.raises(FileExistsError, match="x: is a symbolic link"):
            write()
        assert (tmp_path / "file").read_text() == "mine"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "x"]


def swap(out, n, how):
    """In a process of its own: killed, or failing, at the n-th of the calls that move files."""
    left = n

    def counted(function):
        def call(*arguments, **named):
            nonlocal left
            left -= 1
            if left < 0 and how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if left == -1:
                raise KeyboardInterrupt if how == "interrupt" else OSError(5, "failed")
            return function(*arguments, **named)

        return call

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "rename"),
                        (Path, "rmdir")):  # fmt: skip
        setattr(owner, name, counted(getattr(owner, name)))
    produce(out, "new", "xyz", lambda folder: ["old", "x", "../other"])


OLD = dict.fromkeys(("x", "y", "old", "kept"), "old")
NEW = {"x": "new", "y": "new", "z": "new", "kept": "old"}


class TestSwap:
    def swap(self, tmp_path, n, how):
        """(folder, exit code, error) after results replaced others."""
        out, said = tmp_path / f"{n}{how}", tmp_path / "error"
        out.mkdir()
        (tmp_path / "other").write_text("other")
        for name in OLD:
            (out / name).write_text("old")
        said.write_text("")
        if (pid := forked()) == 0:
            try:
                swap(out, n, how)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001
                os.write(os.open(said, os.O_WRONLY), str(error).encode())
                os._exit(1)
        return out, os.waitpid(pid, 0)[1], said.read_text()

    @pytest.mark.parametrize("how", ["kill", "fail", "interrupt"])
    def test_at_every_point(self, tmp_path, how):
        """The earlier results whole, or the new ones, once the next call has begun."""
        found = []
        for n in range(100):
            out, code, error = self.swap(tmp_path, n, how)
            if code == 0:
                assert listed(out) == NEW
                break
            with locks.locked(out):
                seen = {p.name for p in out.iterdir() if not p.name.startswith(".")}
                settle(out)
                locks.remove_dead(out)
            whole = listed(out)
            assert whole in (OLD, NEW), (n, error)
            found.append(whole == NEW)
            if how == "interrupt":
                # Until the end they are moved in spite of it.
                assert seen == set(whole)
        else:
            pytest.fail("it never ends well")
        assert found == sorted(found)  # first the old ones, then the new
        assert {True, False} == set(found)
        assert (tmp_path / "other").read_text() == "other"

    def test_the_error_says_where_they_are(self, tmp_path):
        messages = {}
        for n in range(100):
            out, code, error = self.swap(tmp_path, n, "fail")
            if code == 0:
                break
            if list(out.glob(".complete-*")):
                messages[n] = error
        assert messages
        for message in messages.values():
            assert "failed; the new results are in .complete-" in message
            assert "and the next call for this folder moves them" in message


def test_a_lock_that_another_user_left(tmp_path, monkeypatch):
    """It can be read and not written; that is enough to hold it."""
    (tmp_path / ".lock").write_text("{}")
    opened = os.open

    def by_another(path, flags, *mode):
        if str(path).endswith(".lock") and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", by_another)
    with locks.locked(tmp_path), pytest.raises(BlockingIOError, match="writing results there"):
        locks.locked(tmp_path).__enter__()
