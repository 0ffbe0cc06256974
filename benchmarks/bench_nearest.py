"""nearest against numba and awkward + vector: tracks in jets, and partons of photons."""

import awkward as ak
import numba
import numpy as np
import vector
from harness import Race, race

import fastjag as fj

vector.register_awkward()

TURN = 2 * np.pi


@numba.njit
def distance2(eta1, phi1, eta2, phi2):
    delta_eta = np.float64(eta1) - np.float64(eta2)
    delta_phi = abs(np.float64(phi1) - np.float64(phi2))
    delta_phi = min(delta_phi, TURN - delta_phi)  # for phi within [-pi, pi]
    return delta_eta * delta_eta + delta_phi * delta_phi


@numba.njit
def numba_nearest(lefts, eta1, phi1, rights, eta2, phi2):
    index = np.full(len(eta1), -1)
    delta_r = np.full(len(eta1), np.inf, eta1.dtype)
    for event in range(len(lefts) - 1):
        for i in range(lefts[event], lefts[event + 1]):
            best = np.inf
            for j in range(rights[event], rights[event + 1]):
                d = distance2(eta1[i], phi1[i], eta2[j], phi2[j])
                if d < best:
                    best = d
                    index[i] = j
            delta_r[i] = np.sqrt(best)
    return index, delta_r


@numba.njit
def numba_in_cone(lefts, eta1, phi1, rights, eta2, phi2, radius):
    offsets = np.zeros(len(eta1) + 1, np.int64)
    for event in range(len(lefts) - 1):
        for i in range(lefts[event], lefts[event + 1]):
            n = 0
            for j in range(rights[event], rights[event + 1]):
                n += distance2(eta1[i], phi1[i], eta2[j], phi2[j]) < radius * radius
            offsets[i + 1] = offsets[i] + n
    index = np.empty(offsets[-1], np.int64)
    delta_r = np.empty(offsets[-1], eta1.dtype)
    n = 0
    for event in range(len(lefts) - 1):
        for i in range(lefts[event], lefts[event + 1]):
            for j in range(rights[event], rights[event + 1]):
                d = distance2(eta1[i], phi1[i], eta2[j], phi2[j])
                if d < radius * radius:
                    index[n] = j
                    delta_r[n] = np.sqrt(d)
                    n += 1
    return offsets, index, delta_r


def awkward_pairs(left, right):
    """delta_r of all pairs, (events, left, right)."""
    pairs = ak.cartesian({"left": left, "right": right}, nested=True)
    return pairs["left"].deltaR(pairs["right"])


def awkward_nearest(left, right):
    delta_r = awkward_pairs(left, right)
    return ak.argmin(delta_r, axis=2), ak.min(delta_r, axis=2)


def awkward_in_cone(left, right, radius):
    delta_r = awkward_pairs(left, right)
    inside = delta_r < radius
    return ak.local_index(delta_r, axis=2)[inside], delta_r[inside]


def particles(rng, counts, dtype):
    n = int(counts.sum())
    columns = {"eta": rng.uniform(-2.5, 2.5, n), "phi": rng.uniform(-np.pi, np.pi, n)}
    return fj.Jagged.from_counts(counts, {k: v.astype(dtype) for k, v in columns.items()})


def check_nearest(ours, theirs):
    if len(ours[0]) == len(theirs[0]):  # numba; awkward keeps the events
        np.testing.assert_array_equal(ours[0], theirs[0])
    flat = np.ravel(ak.to_numpy(ak.flatten(theirs[1], axis=None)))
    np.testing.assert_allclose(ours[1][ours[0] >= 0], flat[np.isfinite(flat)], rtol=1e-4, atol=1e-6)


def check_in_cone(ours, theirs):
    if len(theirs) == 3:
        np.testing.assert_array_equal(ours.offsets, theirs[0])
        np.testing.assert_array_equal(ours["index"], theirs[1])
        np.testing.assert_allclose(ours["delta_r"], theirs[2], rtol=1e-6)
    else:  # vector in float32 may disagree on the border of the cone
        assert abs(ak.count(theirs[0], axis=None) / ours.n_particles - 1) < 1e-4


def sides(jagged):
    return jagged.offsets, jagged["eta"], jagged["phi"]


def races(name, n_left, n_right, dtype) -> list[Race]:
    rng = np.random.default_rng(1)
    left, right = particles(rng, n_left, dtype), particles(rng, n_right, dtype)
    columns = (*sides(left), *sides(right))
    arrays = [side.with_columns(pt=side["eta"]).to_awkward("Momentum3D") for side in (left, right)]
    return [
        race(
            f"nearest: {name}",
            {
                "fastjag": lambda: fj.nearest(left, right),
                "numba": lambda: numba_nearest(*columns),
                "awkward + vector": lambda: awkward_nearest(*arrays),
            },
            check_nearest,
        ),
        race(
            f"in_cone of 0.4: {name}",
            {
                "fastjag": lambda: fj.in_cone(left, right, 0.4),
                "numba": lambda: numba_in_cone(*columns, 0.4),
                "awkward + vector": lambda: awkward_in_cone(*arrays, 0.4),
            },
            check_in_cone,
        ),
    ]


def run() -> list[Race]:
    rng = np.random.default_rng(2)
    jets, tracks = np.full(5_000, 4), rng.integers(100, 1001, 5_000)
    photons, partons = np.full(300_000, 2), rng.integers(3, 8, 300_000)
    return [
        *races("4 jets x 100-1000 tracks, float32", jets, tracks, "f4"),
        *races("4 jets x 100-1000 tracks, float64", jets, tracks, "f8"),
        *races("2 photons x 3-7 partons, float32", photons, partons, "f4"),
    ]
