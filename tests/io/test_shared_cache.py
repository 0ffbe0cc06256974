"""One folder of copies and several processes at once: one is killed, and the disk may be full."""

import hashlib
import os
import subprocess
import sys

import pytest
from far_samples import write
from servers import http_server

import fastjag as fj

#: Reads a file some times, at another step each time, and says a digest of all values each time.
READER = """
import hashlib, resource, sys, warnings
import fastjag as fj
from fastjag.io.sources import for_uproot

url, folder, times, step, longest = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if longest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))
for i in range(times):
    for_uproot._known.__init__()
    whole = fj.concatenate(list(fj.iterate(url, step=step + 977 * i, cache=folder, progress=False)))
    digest = hashlib.sha256()
    for values in (whole.Muon.offsets, whole.Muon.pt, whole.Muon.eta, whole.Jet.pt, whole["event"]):
        digest.update(values.tobytes())
    print(digest.hexdigest(), flush=True)
"""


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def path(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("toys") / "a.root", request.param)


def digest_of(path):
    whole = fj.concatenate(list(fj.iterate(path)))
    digest = hashlib.sha256()
    for values in (whole.Muon.offsets, whole.Muon.pt, whole.Muon.eta, whole.Jet.pt, whole["event"]):
        digest.update(values.tobytes())
    return digest.hexdigest()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few hundred kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs to mount a file system, which root may")
    yield folder
    subprocess.run(["umount", folder], check=True)


def start(url, folder, times, step, longest=0):
    command = [sys.executable, "-c", READER, url, folder, *map(str, (times, step, longest))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.split(), err


def test_a_killed_one_and_one_that_may_not_write_all(path, tmp_path):
    """All values are right in every process, and what is in the folder afterwards suffices."""
    data = {"/a.root": path.read_bytes()}
    with http_server(data) as (url, server):
        killed = start(f"{url}/a.root", tmp_path, 1000, 3000)
        others = [
            start(f"{url}/a.root", tmp_path, 4, 7000),
            start(f"{url}/a.root", tmp_path, 4, 1500, longest=len(data["/a.root"]) // 3),
        ]
        assert killed.stdout.readline().strip() == digest_of(path)
        killed.kill()
        killed.communicate()
        for process in others:
            assert set(said(process)[0]) == {digest_of(path)}
        server.requests = 0
        assert set(said(start(f"{url}/a.root", tmp_path, 2, 5000))[0]) == {digest_of(path)}
        assert server.requests == 2  # the head, to see that it is the same file


def test_a_full_disk(path, small_disk):
    """A warning, no error and no wrong value; and where there is room again, copies are kept again."""
    size = 400_000 - 150_000
    (small_disk / "filled").write_bytes(os.urandom(size))
    data = {"/a.root": path.read_bytes()}
    with http_server(data) as (url, server):
        for process in [start(f"{url}/a.root", small_disk / "c", 3, step) for step in (7000, 2500)]:
            found, err = said(process)
            assert found == [digest_of(path)] * 3
            assert "copies of remote files are not kept any more: No space left" in err
        (small_disk / "filled").unlink()
        server.requests = 0
        assert said(start(f"{url}/a.root", small_disk / "c", 1, 7000))[0] == [digest_of(path)]
        assert server.requests > 1
