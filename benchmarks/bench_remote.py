"""A file on a server that is 0, 10 or 50 ms away: 40 clusters, four columns, in 40 steps.

The servers are this machine's own: XRootD, and a web server of the tests; a proxy holds all bytes back.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path

import awkward as ak
import numpy as np
from harness import Race, race

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from debian import find
from distance import distance
from servers import http_server
from xrootd_server import xrootd_server

import fastjag as fj
from fastjag import toys
from fastjag.io.sources import for_uproot
from fastjag.io.writer import write_trees

EVENTS, STEP = 400_000, 10_000
READ = ["Muon_pt", "Muon_eta", "Muon_phi", "MET_pt"]
STORED = [*READ, "Jet_pt", "Jet_eta", "Jet_phi", "event"]
MILLISECONDS = (0, 10, 50)
DEPTH = 8  # steps that are fetched ahead, to compare with


def ours(url: str) -> np.ndarray:
    for_uproot._known.__init__()  # as if the file had never been open before
    sums = np.zeros(len(READ))
    for batch in fj.iterate(url, READ, step=STEP, progress=False):
        columns = [*(batch.Muon[name] for name in ("pt", "eta", "phi")), batch["MET_pt"]]
        sums += [column.sum(dtype=float) for column in columns]
    return sums


def uproots(url: str) -> np.ndarray:
    import uproot

    sums = np.zeros(len(READ))
    for arrays in uproot.iterate({url: "Events"}, READ, step_size=STEP, library="ak", how=dict):
        sums += [np.asarray(ak.flatten(arrays[name], axis=None)).sum(dtype=float) for name in READ]
    return sums


class Roots:
    """ROOT in a process of its own: its XRootD cannot be in one with that of Python."""

    def __init__(self) -> None:
        self._job = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "jobs/remote_root.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __call__(self, url: str) -> np.ndarray:
        assert self._job.stdin is not None
        assert self._job.stdout is not None
        self._job.stdin.write(f"{url}\n")
        self._job.stdin.flush()
        return np.array(self._job.stdout.readline().split(), float)

    def close(self) -> None:
        self._job.terminate()
        self._job.wait()


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def sample(folder: Path) -> Path:
    """Clusters of one step."""
    source = toys.write(folder / "all.root", EVENTS, seed=1, columns=STORED, progress=False)
    batches = (
        {name: batch[name] for name in ("Muon", "Jet", "MET_pt", "event")}
        for batch in fj.iterate(source, step=STEP, progress=False)
    )
    path = folder / "a.root"
    write_trees(path, {"Events": batches})
    source.unlink()
    path.chmod(0o644)
    return path


def run() -> list[Race]:
    folder = Path(tempfile.mkdtemp(prefix="far-"))
    folder.chmod(0o755)
    races = []
    try:
        path = sample(folder)
        with ExitStack() as stack:
            ports = {}
            if find("xrootd"):
                ports["root"] = stack.enter_context(xrootd_server(folder)).port
            url, _ = stack.enter_context(http_server({f"{folder}/a.root": path.read_bytes()}))
            ports["http"] = int(url.rpartition(":")[2])
            races = [
                _race(scheme, port, folder, ms)
                for scheme, port in ports.items()
                for ms in MILLISECONDS
            ]
        if "root" not in ports:
            races.append(Race("root://", absent={"fastjag": "xrootd is not installed"}))
    finally:
        shutil.rmtree(folder)
    _bound(races)
    return races


def _race(scheme: str, port: int, folder: Path, ms: int) -> Race:
    with ExitStack() as stack:
        far, _ = stack.enter_context(distance(port, ms / 2000))
        mark = "/" if scheme == "root" else ""
        url = f"{scheme}://127.0.0.1:{far}{mark}{folder}/a.root"
        candidates = {"fastjag": lambda: ours(url), "uproot": lambda: uproots(url)}
        absent = {}
        if scheme == "root":  # TFile::Open of the wheel of ROOT ends with http:// in a crash
            if find_spec("ROOT") is None:
                absent["ROOT TTreeReader"] = "ROOT is not installed"
            else:
                roots = stack.enter_context(closing(Roots()))
                candidates["ROOT TTreeReader"] = lambda: roots(url)
        result = race(f"{scheme}://, {ms} ms away", candidates, check, rounds=3, waits=True)
    result.absent |= absent
    return result


def _bound(races: list[Race]) -> None:
    """Prints how near fastjag is to one round trip per DEPTH steps, on top of no distance at all."""
    near = {r.work.partition(":")[0]: r.wall["fastjag"] for r in races if ", 0 ms" in r.work}
    for r in races:
        scheme, ms = r.work.partition(":")[0], int(r.work.split(", ")[1].split()[0])
        if ms and scheme in near:
            bound = near[scheme] + math.ceil(EVENTS / STEP / DEPTH) * ms
            print(f"{r.work}: {r.wall['fastjag'] / bound:.2f} of {bound:.0f} ms (depth {DEPTH})")


if __name__ == "__main__":
    os.environ.setdefault("FASTJAG_NUM_THREADS", "1")
    import report

    print(report.table({"remote": run()}))
