"""Files that hadd merged (TFileMerger of ROOT 6.40), out of three with other baskets, clusters and codecs and an empty one.

``fast`` has the baskets of its sources as they were, ``slow`` new ones; ``rntuple`` has the clusters of its sources.
"""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import fastjag as fj
from fastjag.io.ranges import Range

N = 627


@pytest.fixture(params=["fast", "slow", "rntuple"])
def path(request):
    return Path(__file__).parents[1] / "data" / f"merged_{request.param}.root"


def check(batch):
    """Every value is a function of the entry."""
    entries = np.asarray(batch.entries)
    i = np.arange(N)[entries]
    assert batch["event"].tolist() == i.tolist()
    assert batch["MET_pt"].tolist() == (i * 0.25).tolist()
    assert batch["name"].tolist() == [chr(97 + k % 26) * (k % 3) for k in i]
    jets = [k + n * 0.125 for k in i for n in range(k % 5)]
    assert batch.Jet.counts.tolist() == (i % 5).tolist()
    assert batch.Jet.pt.tolist() == jets
    assert batch.Vec.counts.tolist() == (i % 4).tolist()
    assert batch.Vec.x.tolist() == [2 * k for k in i for _ in range(k % 4)]
    lists = batch.VV.VV
    assert batch.VV.counts.tolist() == (i % 3).tolist()
    assert lists.counts.tolist() == [n + k % 2 for k in i for n in range(k % 3)]
    assert lists["value"].tolist() == [k for k in i for n in range(k % 3) for _ in range(n + k % 2)]


@pytest.mark.parametrize("threads", [1, 7])
@pytest.mark.parametrize("step", [1000, 37, 300])
def test_in_order(path, step, threads, threads_restored):
    fj.set_num_threads(threads)
    batches = list(fj.iterate(path, step=step))
    assert sum(map(len, batches)) == N
    for batch in batches:
        check(batch)


def test_ranges_in_any_order(path):
    rng = random.Random(1)
    cuts = sorted({0, 300, 377, N, *(rng.randrange(N) for _ in range(20))})
    ranges = [Range("", str(path), "Events", a, b) for a, b in pairwise(cuts)]
    rng.shuffle(ranges)
    batches = list(fj.iterate(ranges=ranges))
    assert sum(map(len, batches)) == N
    for batch in batches:
        check(batch)


def test_pieces_begin_where_its_clusters_do(path):
    pieces = fj.ranges(path, 100)
    assert pieces.n_events == N
    assert len(pieces) > 2
    for batch in fj.iterate(ranges=pieces):
        check(batch)
