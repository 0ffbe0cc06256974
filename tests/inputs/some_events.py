"""Batches of hostile numbers, and what expressions and tensors of them are, one event at a time."""

import numpy as np
from hypothesis import strategies as st
from strategies import column, offsets_and_length

import fastjag as fj
from fastjag.io.batches import Source

FUNCTIONS = {
    "log": np.log, "sqrt": np.sqrt, "exp": np.exp, "abs": np.abs, "tanh": np.tanh, "cosh": np.cosh,
    "hypot": np.hypot, "where": np.where, "minimum": np.minimum, "maximum": np.maximum,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_not": np.logical_not,
}  # fmt: skip


def batch_of(offsets, columns, flat=None, collection="Jet", dataset="d", file="a.root", start=0):
    jagged = fj.Jagged(offsets, columns)
    source = Source(file, "Events", start, start + len(jagged), dataset)
    return fj.Batch({collection: jagged}, dict(flat or {}), source)


def events(n, seed=0, dataset="d", file="a.root", start=0):
    """Jets of 0 to 4, a number per event, an event number, a label and a signed weight."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, n)
    columns = {
        "pt": rng.exponential(30, counts.sum()).astype("f4"),
        "eta": rng.normal(size=counts.sum()),
    }
    flat = {
        "MET_pt": rng.exponential(20, n).astype("f4"), "event": rng.integers(0, 2**64, n, np.uint64),
        "label": rng.integers(0, 3, n).astype("u1"), "w": rng.normal(1, 1, n),
    }  # fmt: skip
    return batch_of(np.cumsum([0, *counts]), columns, flat, dataset=dataset, file=file, start=start)


@st.composite
def batches(draw, dtypes=("f4", "f8"), huge=300):
    """Jets with three columns, and three numbers of the event: NaN, infinities, no and many particles."""
    offsets, length = draw(offsets_and_length(huge=huge))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = [draw(st.sampled_from(dtypes)) for _ in range(3)]
    columns = {n: column(rng, k, length) for n, k in zip(("pt", "eta", "n"), kinds, strict=True)}
    n = len(offsets) - 1
    flat = {
        "MET_pt": column(rng, "f4", n), "event": rng.integers(0, 2**64, n, np.uint64),
        "nPV": rng.integers(0, 9, n).astype("u1"),
    }  # fmt: skip
    return batch_of(offsets, columns, flat)


def wide(values):
    """What arithmetic takes: integers and truth values as float64."""
    if isinstance(values, (int, float)):
        return values
    values = np.asarray(values)
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def event_names(batch, i):
    """All branches of one event, and functions, for Python's eval."""
    jets = batch.Jet[i]
    names = {f"Jet_{name}": wide(jets[name]) for name in jets}
    names |= {name: wide(values[i : i + 1])[0] for name, values in batch.flat.items()}

    def first(values, place):
        there = len(values) > place if place >= 0 else len(values) >= -place
        return values[place] if there else values.dtype.type(np.nan)

    return names | FUNCTIONS | {"first": first, "w": wide}


def evaluated(batch, text):
    """The reference: Python's own eval of each event, one after the other."""
    with np.errstate(all="ignore"):
        return [eval(text, event_names(batch, i)) for i in range(len(batch))]
