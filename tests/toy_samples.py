"""Toy events and the comparison of columns that several test modules share."""

import numpy as np

import fastjag as fj

KINEMATICS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]


def same(left, right):
    """Equal names, dtypes and values: two dicts of arrays and Jaggeds, as the generator gives."""
    assert list(left) == list(right)
    for name, values in left.items():
        if isinstance(values, fj.Jagged):
            same_jagged(values, right[name])
        else:
            assert values.dtype == right[name].dtype
            np.testing.assert_array_equal(values, right[name])


def same_jagged(left, right):
    """Equal columns, dtypes, counts and values."""
    assert left.columns == right.columns
    np.testing.assert_array_equal(left.counts, right.counts)
    for column in left.columns:
        assert left[column].dtype == right[column].dtype
        np.testing.assert_array_equal(left[column], right[column])


def joined(batches, collection="Muon"):
    """(counts, columns) of a collection over all batches."""
    parts = [batch.collections[collection] for batch in batches]
    columns = {c: np.concatenate([p[c] for p in parts]) for c in parts[0].columns}
    return np.concatenate([p.counts for p in parts]), columns
