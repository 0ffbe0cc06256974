"""What every kernel means: slow, obvious NumPy, one event at a time. Tests compare, nobody calls.

Signatures are those of ``fastjag.kernels`` without dtypes, threads and outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fastjag.core.arrays import Array


def slices(offsets: Array) -> Iterator[tuple[int, slice]]:
    for event in range(len(offsets) - 1):
        yield event, slice(int(offsets[event]), int(offsets[event + 1]))


# ---- padding ----------------------------------------------------------------------------------


def padding(
    offsets: Array,
    columns: Sequence[Array],
    width: int,
    fill: float,
    key: Array | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    clip: tuple[float, float] | None = None,
    dtype: Any = None,
    mode: str = "constant",
    nan: float | None = None,
) -> tuple[Array, Array]:
    """Values of shape (n_events, width, F) and the mask (n_events, width)."""
    target = columns[0].dtype if dtype is None else np.dtype(dtype)
    values = np.full((len(offsets) - 1, width, len(columns)), fill, target)
    mask = np.zeros(values.shape[:2], bool)
    for event, particles in slices(offsets):
        indices = np.arange(particles.start, particles.stop)
        if key is not None:
            indices = indices[np.argsort(descending(key[particles]), kind="stable")]
        indices = indices[:width]
        mask[event, : len(indices)] = True
        if mode == "wrap" and len(indices) > 0:
            indices = np.resize(indices, width)  # repeats them
        for f, column in enumerate(columns):
            picked = column[indices]
            if mean != 0 or scale != 1 or clip is not None:
                single = column.dtype == target == np.float32
                compute: Any = np.float32 if single else np.float64
                picked = (picked.astype(compute) - compute(mean)) * compute(1 / scale)
                if clip is not None:
                    picked = np.clip(picked, compute(clip[0]), compute(clip[1]))
            picked = picked.astype(target)
            if nan is not None:
                picked = np.where(np.isnan(picked), target.type(nan), picked)
            values[event, : len(indices), f] = picked
    return values, mask


def descending(key: Array) -> Array:
    """A key whose ascending stable argsort is the descending order of ``key`` with NaN last."""
    order = np.argsort(key, kind="stable")  # NaN last
    rank = np.empty(len(key), np.int64)
    rank[order] = np.cumsum(np.r_[0, ~same(key[order][1:], key[order][:-1])][: len(key)])
    return np.where(np.isnan(key), 1, -rank)


def same(a: Array, b: Array) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


# ---- aggregate --------------------------------------------------------------------------------


def aggregate(offsets: Array, values: Array, statistic: str) -> Array:
    empty: dict[str, float] = {
        "count": 0,
        "sum": 0,
        "prod": 1,
        "argmin": -1,
        "argmax": -1,
        "any": False,
        "all": True,
    }
    with np.errstate(all="ignore"):
        results: list[Any] = []
        for _, particles in slices(offsets):
            x = values[particles]
            wide = x.astype(np.float64) if x.dtype == np.float32 and statistic != "argmax" else x
            if statistic == "count":
                results.append(len(x))
            elif len(x) == 0:
                results.append(empty.get(statistic, np.nan))
            else:
                results.append(getattr(np, statistic)(wide))
    return np.array(results)


# ---- select -----------------------------------------------------------------------------------


def keep(offsets: Array, mask: Array, values: Array) -> list[list[Any]]:
    """The particles of each event that pass, as nested lists."""
    return [values[particles][mask[particles]].tolist() for _, particles in slices(offsets)]


def order(offsets: Array, key: Array) -> list[int]:
    """Content indices by descending key: stable, NaN last."""
    result: list[int] = []
    for _, particles in slices(offsets):
        by_key = np.argsort(descending(key[particles]), kind="stable")
        result += (particles.start + by_key).tolist()
    return result


# ---- dimuon -----------------------------------------------------------------------------------


def pair_indices(
    offsets: Array, pt: Array, charges: Array, charge: str, pairs: str, mask: Array | None
) -> list[tuple[int, int, int]]:
    """(event, first, second) of every chosen pair."""
    chosen = []
    for event, particles in slices(offsets):
        indices = np.arange(particles.start, particles.stop)
        if mask is not None:
            indices = indices[mask[indices]]
        if pairs == "leading":
            indices = indices[np.argsort(descending(pt[indices]), kind="stable")][:2]
        for i, j in combinations(indices.tolist(), 2):
            product = int(charges[i]) * int(charges[j])
            if charge == "any" or (product < 0 if charge == "opposite" else product > 0):
                chosen.append((event, i, j))
    return chosen


def wrap_phi(delta: Array) -> Array:
    turn = 8 * np.arctan(np.longdouble(1))  # in full: np.pi is a double
    return np.asarray(delta - turn * np.round(delta / turn))


def observables(
    first: Sequence[Array], second: Sequence[Array], m1: float, m2: float
) -> dict[str, Array]:
    """Pair observables from (pt, eta, phi) of both legs, in long double from the components.

    The textbook form: it cancels, but long double has 11 bits more than double to lose.
    """
    pt1, eta1, phi1 = (np.asarray(x, np.longdouble) for x in first)
    pt2, eta2, phi2 = (np.asarray(x, np.longdouble) for x in second)
    with np.errstate(all="ignore"):
        px = pt1 * np.cos(phi1) + pt2 * np.cos(phi2)
        py = pt1 * np.sin(phi1) + pt2 * np.sin(phi2)
        pz = pt1 * np.sinh(eta1) + pt2 * np.sinh(eta2)
        e1 = np.sqrt(m1**2 + (pt1 * np.cosh(eta1)) ** 2)
        e2 = np.sqrt(m2**2 + (pt2 * np.cosh(eta2)) ** 2)
        mass2 = (e1 + e2) ** 2 - px**2 - py**2 - pz**2
        delta_phi = wrap_phi(phi1 - phi2)
        return {
            "mass": np.sqrt(np.maximum(mass2, 0)),
            "pt": np.hypot(px, py),
            "eta": np.arcsinh(pz / np.hypot(px, py)),
            "phi": np.arctan2(py, px),
            "delta_r": np.hypot(eta1 - eta2, delta_phi),
            "delta_pt": pt1 - pt2,
            "delta_eta": eta1 - eta2,
            "delta_phi": delta_phi,
        }


# ---- nearest ----------------------------------------------------------------------------------

Side = tuple[Array, Array, Array]  # offsets, eta, phi


def delta_r2(eta: Array, phi: Array, etas: Array, phis: Array) -> Array:
    """In float64, as the kernel decides: both phi wrapped, then the shorter way round."""
    rest = 2.4492935982947064e-16  # what 2 * np.pi lacks
    with np.errstate(all="ignore"):
        turns = [np.rint(p.astype(np.float64) * (1 / (2 * np.pi))) for p in (phi, phis)]
        wrapped = [
            (p - n * (2 * np.pi)) - n * rest for p, n in zip((phi, phis), turns, strict=True)
        ]
        one_way = np.abs(wrapped[0] - wrapped[1])
        other_way = (2 * np.pi - one_way) + rest
        return np.asarray(
            (eta.astype(np.float64) - etas.astype(np.float64)) ** 2
            + np.fmin(one_way, other_way) ** 2
        )


def distances(left: Side, right: Side) -> Iterator[tuple[int, Array]]:
    """For each left particle the content index of its event's first right particle, delta_r²."""
    for (_, here), (_, there) in zip(slices(left[0]), slices(right[0]), strict=True):
        for i in range(here.start, here.stop):
            yield there.start, delta_r2(left[1][i], left[2][i], right[1][there], right[2][there])


def nearest(left: Side, right: Side) -> tuple[Array, Array]:
    index, distance = [], []
    for start, r2 in distances(left, right):
        r2 = np.where(np.isnan(r2), np.inf, r2)
        best = int(np.argmin(r2)) if np.isfinite(r2).any() else None
        index.append(-1 if best is None else start + best)
        distance.append(np.inf if best is None else np.sqrt(r2[best]))
    with np.errstate(over="ignore"):
        return np.array(index, np.int64), np.array(distance, np.float64).astype(left[1].dtype)


def in_cone(left: Side, right: Side, radii: Array) -> list[tuple[list[int], Array]]:
    """(content indices, delta_r) for each left particle."""
    result = []
    for (start, r2), radius in zip(distances(left, right), radii, strict=True):
        inside = np.flatnonzero(r2 < float(radius) ** 2)
        result.append(((start + inside).tolist(), np.sqrt(r2[inside]).astype(left[1].dtype)))
    return result


# ---- pages ------------------------------------------------------------------------------------


def pages(
    data: bytes,
    encoding: str,
    bits: int,
    n: int,
    dtype: Any,
    low: float = 0.0,
    high: float = 0.0,
    base: int = 0,
) -> Array:
    """Values of the first ``n`` numbers of a page, of ``dtype``."""
    if encoding in ("split", "zigzag", "split_index", "split_half"):
        stored = [int.from_bytes(data[i : n * bits // 8 : n], "little") for i in range(n)]
    else:
        everything = int.from_bytes(data, "little")
        stored = [everything >> bits * i & (1 << bits) - 1 for i in range(n)]
    if encoding == "split_index":
        stored = [sum(stored[: i + 1]) for i in range(n)]
    if encoding in ("index", "split_index"):
        half = 1 << bits - 1
        ends = [(x + half) % (2 * half) - half for x in stored]  # signed
        return np.array([base + end for end in ends], dtype)
    if encoding == "zigzag":
        stored = [x >> 1 if x % 2 == 0 else (1 << bits) - 1 - (x >> 1) for x in stored]
    if encoding == "quantised":
        step = (high - low) / ((1 << bits) - 1)
        return np.array([x * step + low for x in stored]).astype(dtype)
    if encoding == "truncated":
        return np.array([x << 32 - bits for x in stored], np.uint32).view(dtype)
    unsigned = np.array(stored, f"u{max(1, bits // 8)}")
    return unsigned.view(np.float16).astype(dtype) if "half" in encoding else unsigned.view(dtype)


# ---- histogram --------------------------------------------------------------------------------


def histogram(
    columns: Sequence[Array], edges: Sequence[Array], weights: Array | None = None
) -> tuple[Array, Array]:
    """Sums of w and w² in slots (underflow, bins, overflow, NaN) of every axis."""
    shape = tuple(len(e) + 2 for e in edges)
    sumw, sumw2 = np.zeros(shape), np.zeros(shape)
    for i in range(len(columns[0])):
        w = 1.0 if weights is None else float(weights[i])
        slot = tuple(_slot(float(c[i]), e) for c, e in zip(columns, edges, strict=True))
        sumw[slot] += w
        sumw2[slot] += w * w
    return sumw, sumw2


def histogram_cuts(
    columns: Sequence[Array],
    edges: Sequence[Array],
    scores: Array,
    cuts: Array,
    weights: Sequence[Array] = (),
) -> tuple[Array, Array, Array]:
    """Counts (n_cuts, n_columns, slots), sums of w and w² (len(weights), ...) of scores >= cut.

    Slots are those of ``histogram``, with overflow and NaN moved behind the longest axis.
    """
    slots = max(len(e) for e in edges) + 2
    counts = np.zeros((len(cuts), len(columns), slots), np.int64)
    sums = np.zeros((2, len(weights), *counts.shape))
    for c, cut in enumerate(cuts):
        passes = scores.astype(np.float64) >= cut
        for f, (column, e) in enumerate(zip(columns, edges, strict=True)):
            own = [*range(len(e)), slots - 2, slots - 1]
            counts[c, f, own] = histogram([column[passes]], [e])[0]
            for r, w in enumerate(weights):
                sums[0, r, c, f, own], sums[1, r, c, f, own] = histogram(
                    [column[passes]], [e], w[passes]
                )
    return counts, sums[0], sums[1]


def _slot(x: float, edges: Array) -> int:
    if np.isnan(x):
        return len(edges) + 1
    return int(np.searchsorted(edges, x, side="right"))


# ---- rows -------------------------------------------------------------------------------------


def take_rows(records: Array, rows: Array, start: int, stop: int) -> list[bytes]:
    """Bytes ``start`` to before ``stop`` of some records."""
    return [records[row, start:stop].tobytes() for row in rows]


def take_lists(starts: Array, offsets: Array, pieces: Sequence[Array]) -> list[Any]:
    """The lists that begin with these values, counted through all pieces, and are as long as offsets say."""
    values = [value for piece in pieces for value in piece.tolist()]
    lengths = [int(offsets[i + 1] - offsets[i]) for i in range(len(starts))]
    return [values[start + k] for start, n in zip(starts, lengths, strict=True) for k in range(n)]


def permutation(words: Array) -> list[int]:
    """0 .. n - 1 in the order that random words say: word i picks who of the first i + 1 is at i."""
    numbers = list(range(len(words)))
    for i in range(len(words) - 1, 0, -1):
        n = i + 1
        j = int(words[i]) * n >> 64 if n < 2**32 else int(words[i]) % n
        numbers[i], numbers[j] = numbers[j], numbers[i]
    return numbers


# ---- pyramid ----------------------------------------------------------------------------------


def pyramid_cell(
    x: float, low: float, high: float, cells: int, circular: bool, shift: float
) -> int:
    """Finest of ``cells`` cells, or of twice as many where a shift other than 0 pushes it on."""
    with np.errstate(over="ignore"):
        t = (np.float64(x) - low) * (cells / (high - low))
    if circular:
        with np.errstate(invalid="ignore"):
            t = t - cells * np.floor(t / cells)
        return int(np.floor((t if 0 <= t <= cells else 0) + shift * cells)) % cells
    cell = int(np.floor(min(max(t, 0), cells) + shift * cells))
    return min(cell, cells - 1) if shift == 0 else cell


def pyramids(
    offsets: Array,
    axes: Sequence[tuple[Array, float, float, bool]],
    levels: int,
    shifts: Array | None = None,
    category: Array | None = None,
) -> list[list[Counter[tuple[int, ...]]]]:
    """For each event and level, from the finest: how many points every cell holds.

    ``axes`` are (values, low, high, circular); ``shifts`` (n_pyramids, n_axes) add a level.
    """
    result = []
    for _, points in slices(offsets):
        histograms = [Counter[tuple[int, ...]]() for _ in range(levels + (shifts is not None))]
        for i in range(points.start, points.stop):
            for p, shift in enumerate(np.zeros((1, len(axes))) if shifts is None else shifts):
                cell = [
                    pyramid_cell(values[i], low, high, 2 ** (levels - 1), circular, by)
                    for (values, low, high, circular), by in zip(axes, shift, strict=True)
                ]
                kind = 0 if category is None else int(category[i])
                for level, histogram in enumerate(histograms):
                    histogram[p, kind, *(c // 2**level for c in cell)] += 1
        result.append(histograms)
    return result


def pyramid_gram(
    rows: list[list[Counter[tuple[int, ...]]]], columns: list[list[Counter[tuple[int, ...]]]]
) -> Array:
    """2^(levels - 1) K of all pyramids together, from the definition: pairs that are new on a level
    count 2^-level."""
    gram = np.zeros((len(rows), len(columns)), np.int64)
    for i, x in enumerate(rows):
        for j, y in enumerate(columns):
            before = 0
            for level, (a, b) in enumerate(zip(x, y, strict=True)):
                pairs = (a & b).total()
                gram[i, j] += (pairs - before) << (len(x) - 1 - level)
                before = pairs
    return gram
