"""Files for tests of servers: many baskets with checksums, so that damage is seen and reading takes a while."""

import numpy as np

import fastjag as fj
from fastjag import toys
from fastjag.io import transport
from fastjag.io.sources import http, remote, replicas, store
from fastjag.io.writer import write_trees

EVENTS, CLUSTER = 40_000, 4000
COLUMNS = ["Muon_pt", "Muon_eta", "Jet_pt", "MET_pt", "event"]


def write(path, format="ttree"):
    """Toy events in clusters of CLUSTER; its path."""
    source = toys.write(path.with_suffix(".all"), EVENTS, seed=1, columns=COLUMNS)
    batches = (
        {name: batch[name] for name in ("Muon", "Jet", "MET_pt", "event")}
        for batch in fj.iterate(source, step=CLUSTER, progress=False)
    )
    write_trees(path, {"Events": batches}, rntuple=format == "rntuple")
    source.unlink()
    return path


def same(found, expected):
    """Whether all columns of all batches are equal."""
    for own, far in zip(expected, found, strict=True):
        assert fj.equal(own.Muon, far.Muon)
        np.testing.assert_array_equal(own["event"], far["event"])
    return True


def forget_servers(monkeypatch):
    """No server is known, and no folder of copies was looked through."""
    monkeypatch.setattr(transport, "_reached", {})
    monkeypatch.setattr(store, "_swept", {})
    monkeypatch.delenv("FASTJAG_CACHE", raising=False)


def small_requests(monkeypatch):
    """So that the files are large, and short pauses; no server is known yet."""
    monkeypatch.setattr(transport, "_reached", {})
    monkeypatch.setattr(http, "_asking_for_tokens", set())
    monkeypatch.setattr(remote, "_FIRST", 50_000)
    monkeypatch.setattr(remote, "_REQUEST", 50_000)
    monkeypatch.setattr(remote, "AHEAD", 100_000)
    monkeypatch.setattr(http.HttpClient, "limits", http.Limits(requests=4, spans=1, size=60_000))
    monkeypatch.setattr(replicas, "_FIRST_PAUSE", 0.002)
    monkeypatch.setenv("FASTJAG_CONNECT_TIMEOUT", "2")
    monkeypatch.setenv("FASTJAG_STALL_TIMEOUT", "3")
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE", "FASTJAG_CACHE"):
        monkeypatch.delenv(name, raising=False)
