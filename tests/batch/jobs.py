"""A job whose result shows in its last bit what was added to what."""

import numpy as np

import fastjag as fj
from fastjag import batch
from fastjag.batch import RANGE

WEIGHTS = np.array([0.1, 0.7, 1.3])


def sums(piece):
    """Of events that are simulated: floats, so that the order of adding shows in the last bit."""
    rng = np.random.default_rng(piece.start)
    x = rng.normal(size=len(piece)) * 10.0 ** rng.integers(-6, 6, len(piece))
    return {"events": len(piece), "sum": float(x.sum()), "starts": [piece.start],
            "hist": fj.histogram(x, (10, -3, 3), weights=np.full(len(x), WEIGHTS[piece.start % 3]))}  # fmt: skip


def shifted(piece, shift):
    return len(piece) + shift


def same(a, b):
    """To the last bit."""
    assert a["events"] == b["events"]
    assert a["sum"] == b["sum"]
    assert a["starts"] == b["starts"]
    assert a["hist"] == b["hist"]


PIECES = batch.simulated(10_000, 270)
SERIAL = batch.run(sums, PIECES, RANGE).value
