"""Trees of many branches: what is asked of uproot grows with their number, not with its square."""

from unittest import mock

import numpy as np
import pytest
import uproot

import fastjag as fj


@pytest.fixture
def lookups():
    """How many lists of all names uproot makes, and how many branches it compares with a name."""
    module = uproot.behaviors.TBranch
    keys, find = module.HasBranches.keys, module._get_recursive
    counts = {"keys": 0, "compared": 0}

    def counting_keys(self, *args, **kwargs):
        counts["keys"] += 1
        return keys(self, *args, **kwargs)

    def counting_find(*args):
        counts["compared"] += 1
        return find(*args)

    with (
        mock.patch.object(module.HasBranches, "keys", counting_keys),
        mock.patch.object(module, "_get_recursive", counting_find),
    ):
        yield counts


def read(path, **options):
    (batch,) = fj.iterate(path, **options)
    return batch


@pytest.mark.parametrize("name", ["atlas_PHYSLITE_mc700322_100ev.root", "coffea_nano_dimuon.root"])
def test_real_files(real_data, lookups, name):
    batch = read(real_data / name)
    n = len(batch.flat) + sum(len(c.columns) for c in batch.collections.values())
    assert n > 700
    assert lookups["keys"] <= 3
    assert lookups["compared"] <= n


def test_toys(tmp_path, lookups):
    rng = np.random.default_rng(0)
    numbers = {f"a.b{i}": rng.normal(size=3) for i in range(300)}
    with uproot.recreate(tmp_path / "wide.root", compression=None) as file:
        file.mktree("t", dict.fromkeys(numbers, "f8")).extend(numbers)
    batch = read(tmp_path / "wide.root")
    assert sorted(batch.flat) == sorted(numbers)
    assert all(np.array_equal(batch[name], values) for name, values in numbers.items())
    assert lookups["keys"] <= 3
    assert lookups["compared"] <= len(numbers)
