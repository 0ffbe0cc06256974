"""Every column of every real and every odd file, in every way of reading: what uproot alone has, bit by bit."""

import random
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import uproot
from far_samples import small_requests
from plain_uproot import FILES, TREES, assert_plain, plainly
from servers import http_server

import fastjag as fj
from fastjag.io.ranges import Range
from fastjag.io.reader import Reader
from fastjag.io.sources import for_uproot
from fastjag.jagged.joining import join


@dataclass
class Tree:
    """What uproot finds."""

    path: str
    name: str
    n: int
    columns: dict  #: name of the branch: place, (counts or None, values), factor of its units
    uuid: str

    def check(self, batches, names=None):
        """Whether batches of all entries, in any order, have these columns."""
        batches = sorted(batches, key=lambda batch: batch.source.start)
        assert sum(map(len, batches)) == self.n
        for name in self.columns if names is None else names:
            place, (counts, values), factor = self.columns[name]
            parts = [
                (None, b.flat[place]) if counts is None
                else (b.collections[place[0]].counts, b.collections[place[0]][place[1]])
                for b in batches
            ]  # fmt: skip
            if not parts:
                assert len(values) == 0
                continue
            if counts is not None:
                np.testing.assert_array_equal(np.concatenate([c for c, _ in parts]), counts)
            assert_plain(join([v for _, v in parts], name), values, factor, name)


@cache
def trees_of(path):
    with uproot.open(path) as opened:
        names = [k.split(";")[0] for k, c in opened.classnames().items() if c in TREES]
        uuid = str(opened.file.uuid)
    found = []
    for name in dict.fromkeys(names):
        reader = Reader(path, name, None)
        with reader.file:
            fits = {n: b for n, b in reader.stored.items() if not isinstance(b.kind, TypeError)}
            if not fits:
                continue
            plain = plainly(fits, reader)
            columns = {
                n: (reader.place(n) if b.is_list else n, plain[n], reader.schema.scale(n))
                for n, b in fits.items()
            }
            found.append(Tree(path, name, reader.n_entries, columns, uuid))
    return found


#: Of which every way takes seconds.
WIDE = ("PHYSLITE", "nano", "agc", "pfnano")
CASES = [pytest.param(f, marks=[pytest.mark.slow] * any(w in f for w in WIDE)) for f in FILES]


@pytest.fixture(params=CASES, scope="module")
def trees(request, real_data):
    return trees_of(str(real_data.parent / f"{request.param}.root"))


def pieces(tree, path, seed):
    """Ranges of all entries that begin anywhere, in any order."""
    rng = random.Random(seed)
    cuts = sorted({0, tree.n, *(rng.randrange(tree.n + 1) for _ in range(6))})
    made = [Range("", path, tree.name, a, b, tree.uuid) for a, b in pairwise(cuts)]
    rng.shuffle(made)
    return made


def test_by_name(trees):
    """Each branch alone, by one reader."""
    for tree in trees:
        reader = Reader(tree.path, tree.name, None)
        with reader.file:
            for name in tree.columns:
                asked = reader.branches([name])
                step = max(1, tree.n // 2 + 1)
                for batch in [list(reader.batches(asked, step))]:
                    tree.check(batch, [name])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads(trees, threads, threads_restored):
    fj.set_num_threads(threads)
    for tree in trees:
        tree.check(fj.iterate([(tree.path, tree.name)], step=tree.n // 3 + 1))
        names = random.Random(threads).sample(sorted(tree.columns), min(len(tree.columns), 40))
        tree.check(fj.iterate([(tree.path, tree.name)], names, step=tree.n // 5 + 3), names)


def test_ranges_in_random_order(trees):
    for seed, tree in enumerate(trees):
        ranges = pieces(tree, tree.path, seed)
        tree.check(fj.iterate(ranges=ranges, step=max(1, tree.n // 4)))


def test_remote(trees, monkeypatch):
    """From a web server, in order and in ranges."""
    small_requests(monkeypatch)
    if not trees:
        return
    with open(trees[0].path, "rb") as file, http_server({"/a.root": file.read()}) as (url, _):
        for seed, tree in enumerate(trees):
            for_uproot._known.__init__()
            tree.check(fj.iterate([(f"{url}/a.root", tree.name)], step=tree.n // 2 + 1))
            tree.check(fj.iterate(ranges=pieces(tree, f"{url}/a.root", seed)))
