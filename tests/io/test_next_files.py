"""Several files on servers: the next ones are opened, and their first pieces fetched, while one is read."""

import threading
import time

import pytest
from distance import distance
from far_samples import small_requests
from servers import http_server

import fastjag as fj
from fastjag import toys
from fastjag.io.errors import ReadError, ServerError
from fastjag.io.ranges import Range
from fastjag.io.sources import for_uproot

NAMES = ["Muon_pt", "Jet_pt", "MET_pt"]
N_FILES, EVENTS = 6, 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("far")
    for i in range(N_FILES):
        kind = "rntuple" if i % 2 else "ttree"
        toys.write(made / f"{i}.root", EVENTS, seed=i, format=kind)
    return made


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    small_requests(monkeypatch)
    for_uproot._known.__init__()


@pytest.fixture
def served(folder):
    with http_server({f"/{p.name}": p.read_bytes() for p in folder.iterdir()}) as (url, server):
        yield url, server


def urls(url):
    return [f"{url}/{i}.root" for i in range(N_FILES)]


def same(found, folder, ranges=None):
    pieces = ranges or [(i, 0, EVENTS) for i in range(N_FILES)]
    found = list(found)
    assert len(found) == len(pieces)
    for batch, (i, start, stop) in zip(found, pieces, strict=True):
        assert batch.source.file.endswith(f"/{i}.root")
        (own,) = fj.iterate(
            ranges=Range("", str(folder / f"{i}.root"), "Events", start, stop), columns=NAMES
        )
        assert fj.equal(own.Muon, batch.Muon)
        assert fj.equal(own.Jet, batch.Jet)
        assert (own["MET_pt"] == batch["MET_pt"]).all()
    return True


def test_round_trips_overlap(served, folder):
    """Two for each file, which take no longer than a few: 50 ms each."""
    url, _ = served
    with distance(int(url.rpartition(":")[2]), 0.025) as (port, _):
        there, seconds = [f"http://127.0.0.1:{port}/{i}.root" for i in range(N_FILES)], {}
        assert same(fj.iterate(there, NAMES), folder)  # what is loaded at the first use
        for prefetch in (True, False):
            for_uproot._known.__init__()
            start = time.monotonic()
            assert same(fj.iterate(there, NAMES, prefetch=prefetch), folder)
            seconds[prefetch] = time.monotonic() - start
    assert seconds[False] > 2 * N_FILES * 0.05
    assert seconds[True] < 0.75 * seconds[False]


@pytest.mark.parametrize("prefetch", [True, False])
def test_nothing_is_fetched_twice(served, folder, prefetch):
    url, server = served
    assert same(fj.iterate(urls(url), NAMES, prefetch=prefetch), folder)
    first = server.requests
    for_uproot._known.__init__()
    server.requests = 0
    assert same(fj.iterate(urls(url), NAMES, prefetch=not prefetch), folder)
    assert abs(server.requests - first) <= N_FILES  # requests are cut where fetching is behind


def test_ranges_in_any_order(served, folder):
    url, _ = served
    ranges = [(3, 0, 9), (3, 100, 200), (0, 5, 300), (1, 0, 7), (3, 9, 100), (5, 299, 300), (0, 0, 5), (4, 1, 2)]  # fmt: skip
    pieces = [Range("", f"{url}/{i}.root", "Events", a, b) for i, a, b in ranges]
    assert same(fj.iterate(ranges=pieces, columns=NAMES), folder, ranges)


def test_errors_come_in_their_turn(served, folder):
    """A file that cannot be opened, and one without the branch, are no matter before they are read."""
    url, _ = served
    names = [f"{url}/0.root", f"{url}/nothing.root", f"{url}/1.root"]
    batches = fj.iterate(names, NAMES)
    assert len(next(batches)) == EVENTS
    with pytest.raises(ServerError, match=r"nothing\.root"):
        next(batches)
    skipping = fj.iterate(names, NAMES, on_error="skip")
    assert [b.source.file for b in skipping] == [names[0], names[2]]
    assert [s.file for s in skipping.skipped] == [names[1]]
    with pytest.raises(ReadError, match=r"0\.root.*no branch 'Muon_ptt'"):
        list(fj.iterate(urls(url), ["Muon_ptt"]))


def test_whoever_stops_waits_for_nobody(served):
    """Servers of later files that do not answer; what was opened ahead is closed."""
    url, server = served
    silent = [f"/{i}.root" for i in range(2, N_FILES)]
    server.fault = lambda handler, *_: handler.path in silent and (server.stopped.wait() or True)
    batches = fj.iterate(urls(url), NAMES)
    next(batches)
    time.sleep(0.3)  # the next batch is there
    start = time.monotonic()
    batches.close()
    assert time.monotonic() - start < 1
    server.stopped.set()
    deadline = time.monotonic() + 10
    while any(t.name.startswith("fastjag-open") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
