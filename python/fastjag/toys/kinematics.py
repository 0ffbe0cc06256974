"""Muon pairs: masses from the mixture, then two-body decays that pass the thresholds."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.dimuons import MUON_MASS
from fastjag.toys.parameters import Lobe, ToyParameters

DISPLACED, NONISOLATED = 1, 2  # bits of a muon's origin
_ROUNDS = 150
_BLOCK = 16384  # attempts whose temporaries stay in the cache
_Floats = NDArray[np.floating[Any]]


def uniform(rng: np.random.Generator, n: int) -> Array:
    """float32 within (0, 1]: a logarithm of it is finite."""
    drawn = rng.random(n, np.float32)
    return np.subtract(np.float32(1), drawn, out=drawn)


def exponential(rng: np.random.Generator, n: int) -> Array:
    """float32 with mean 1; a vectorised logarithm is faster than NumPy's ziggurat."""
    drawn = uniform(rng, n)
    np.log(drawn, out=drawn)
    return np.negative(drawn, out=drawn)


def normal(rng: np.random.Generator, n: int) -> Array:
    """float32 standard normal by Box and Muller, for the same reason."""
    half = (n + 1) // 2
    radius = uniform(rng, half)
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    angle = rng.random(half, np.float32)
    angle *= np.float32(2 * np.pi)
    drawn = np.empty((2, half), np.float32)
    np.cos(angle, out=drawn[0])
    np.sin(angle, out=drawn[1])
    drawn *= radius
    return drawn.reshape(-1)[:n]


def decay(
    mass: Array, pt: Array, rapidity: Array, cos_theta: Array, phi_star: Array
) -> tuple[_Floats, ...]:
    """A pair of muons from a parent whose transverse momentum points along x.

    The angles are those of the first muon in the parent's rest frame (axes parallel to the
    laboratory's, boosted first along x, then along the beam). Returns pt, eta, phi of both; the
    dtype is that of the inputs. m [GeV] must be at least twice the muon mass.
    """
    energy = mass * 0.5
    p = np.sqrt(np.maximum((energy - MUON_MASS) * (energy + MUON_MASS), 0))
    transverse = p * np.sqrt((1 - cos_theta) * (1 + cos_theta))
    x, y, z = transverse * np.cos(phi_star), transverse * np.sin(phi_star), p * cos_theta
    transverse_mass = np.sqrt(mass * mass + pt * pt)
    boosted_x = transverse_mass / mass * x
    boosted_energy = pt / mass * x
    cosh, sinh = np.cosh(rapidity), np.sinh(rapidity)
    muons: list[_Floats] = []
    for sign in (1, -1):
        px, py = pt * 0.5 + sign * boosted_x, sign * y
        muon_pt = np.sqrt(px * px + py * py)
        pz = (transverse_mass * 0.5 + sign * boosted_energy) * sinh + sign * z * cosh
        muons += [muon_pt, np.arcsinh(pz / muon_pt), np.arctan2(py, px)]
    return tuple(muons)


class DrawnPairs(NamedTuple):
    """Columns of one entry per pair."""

    kinematics: Array  #: float32 (6, n): pt, eta, phi of the first and of the second muon
    same_sign: Array  #: bool
    origin: Array  #: int8, DISPLACED and NONISOLATED


class _Component(NamedTuple):
    weight: float
    log_median: float
    spread: float
    mass: float
    width: float  #: -1 for a lobe
    nonprompt: float


class Mixture:
    """All components of the mass spectrum as columns."""

    def __init__(self, p: ToyParameters) -> None:
        opposite, same = p.opposite_sign, 1 - p.opposite_sign
        rest = opposite * (1 - sum(r.fraction for r in p.resonances))
        rows = _lobes(p.continuum, rest, 0.0)
        self.continuum = len(rows)
        rows += [
            _Component(opposite * r.fraction, 0, 0, r.mass, r.width, r.nonprompt)
            for r in p.resonances
        ]
        self.opposite = len(rows)
        rows += _lobes(p.same_sign, same, p.nonprompt_same_sign)
        self.signal = len(rows)
        rows = [row._replace(weight=row.weight * (1 - p.signal)) for row in rows]
        shares = sum(share for _, share in p.signal_states)
        rows += [_Component(p.signal * w / shares, 0, 0, m, 0, 0) for m, w in p.signal_states]
        table = np.array(rows)
        self.upper = np.cumsum(table[:, 0])[:-1]
        self.log_median, self.spread, self.mass, self.width, self.nonprompt = table[:, 1:].T.astype(
            np.float32
        )
        self.scale = p.nonprompt_continuum

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
        """float32 masses, whether the signs are the same, and int8 origins."""
        component = np.searchsorted(self.upper, rng.random(n), side="right")
        twice_p = normal(rng, n)
        twice_p *= self.spread[component]
        twice_p += self.log_median[component]
        np.exp(twice_p, out=twice_p)
        mass = np.sqrt(twice_p * twice_p + np.float32(4 * MUON_MASS**2))
        width = self.width[component]
        peak = np.flatnonzero(width >= 0)
        # A Lorentzian cut at 10 widths. The broad rho is reflected at the threshold.
        angle = np.float32(math.atan(20)) * (2 * uniform(rng, len(peak)) - 1)
        least = np.float32(2 * MUON_MASS)
        drawn = self.mass[component[peak]] + width[peak] / 2 * np.tan(angle)
        mass[peak] = least + np.abs(drawn - least)
        highest, scale = self.scale
        relative = mass / np.float32(scale)
        probability = highest / (1 + relative * relative * relative)
        probability *= component < self.continuum
        probability += self.nonprompt[component]  # which is 0 for that continuum
        origin = (rng.random(n, np.float32) < probability) * np.int8(DISPLACED | NONISOLATED)
        origin[component >= self.signal] = NONISOLATED
        same_sign = (component >= self.opposite) & (component < self.signal)
        return mass, same_sign, origin


def _lobes(lobes: tuple[Lobe, ...], weight: float, nonprompt: float) -> list[_Component]:
    total = sum(lobe.fraction for lobe in lobes)
    return [
        _Component(weight * x.fraction / total, math.log(x.median), x.spread, 1, -1, nonprompt)
        for x in lobes
    ]


def draw_pairs(rng: np.random.Generator, n: int, mixture: Mixture, p: ToyParameters) -> DrawnPairs:
    """``n`` pairs within acceptance.

    The mass is drawn first and kept: the spectrum of the mixture is that of recorded pairs, and
    only the decay is drawn anew where the muons fail the thresholds.
    """
    mass, same_sign, origin = mixture.draw(rng, n)
    weights = np.array([row[0] for row in p.thresholds])
    chosen = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n), side="right")
    leading, subleading = np.array([row[1:] for row in p.thresholds], np.float32).T
    first, second = leading[chosen], subleading[chosen]
    # The least pair pt that allows both muons to pass, and the shape above it: between one
    # exponential at low mass and a sum of two, with a longer tail, at high mass.
    least = np.sqrt(np.maximum((first + second) ** 2 - mass**2, 0))
    constant, slope = p.pair_pt
    scale = constant + slope * mass
    if p.signal_pt != 1:
        scale[origin == NONISOLATED] *= np.float32(p.signal_pt)  # nothing else is only that
    given = [mass, least, scale, mass / (mass + 10), first, second]
    result = np.empty((6, n), np.float32)
    todo = np.arange(n)
    for _ in range(_ROUNDS):
        if not len(todo):
            break
        failed = []
        for start in range(0, len(todo), _BLOCK):
            rows = todo[start : start + _BLOCK]
            # The last few that fail often get many attempts at once.
            attempts = max(1, min(_BLOCK // 8 // len(rows), 64))
            tried = rows if attempts == 1 else np.repeat(rows, attempts)
            muons, passed = _attempt(rng, [values[tried] for values in given], p)
            good = np.flatnonzero(passed)
            if attempts > 1:  # the first that passes
                good = good[np.unique(good // attempts, return_index=True)[1]]
                passed = np.logical_or.reduceat(passed, np.arange(0, len(tried), attempts))
            accepted = tried[good]
            for target, values in zip(result, muons, strict=True):
                target[accepted] = values[good]
            failed.append(rows[np.flatnonzero(~passed)])
        todo = np.concatenate(failed)
    if len(todo):
        raise RuntimeError(
            f"no decay passes the thresholds and |eta| < {p.max_abs_eta} in {_ROUNDS} attempts, "
            f"for example at a mass of {mass[todo[0]]:.4g} GeV: the parameters leave no acceptance"
        )
    turn = np.float32(2 * np.pi) * uniform(rng, n)
    for phi in (result[2], result[5]):
        phi += turn
        wrap(phi)
    return DrawnPairs(result, same_sign, origin)


def wrap(phi: Array) -> None:
    """Angles into [-pi, pi], in place."""
    phi -= np.float32(2 * np.pi) * np.rint(phi * np.float32(0.5 / np.pi))


def _attempt(
    rng: np.random.Generator, given: list[Array], p: ToyParameters
) -> tuple[tuple[Array, ...], Array]:
    """One decay for each entry of the columns ``given``, and whether it passes."""
    mass, least, scale, second_weight, first, second = given
    n = len(mass)
    shape = exponential(rng, n) + second_weight * exponential(rng, n)
    pair_pt = least + scale * shape * (0.75 + 0.15 * shape)
    # Denser in the centre.
    rapidity = 2 * rng.random(n, np.float32) - 1
    rapidity *= p.max_abs_rapidity * (0.75 + 0.25 * np.abs(rapidity))
    cos_theta = 2 * rng.random(n, np.float32) - 1
    phi_star = np.float32(2 * np.pi) * rng.random(n, np.float32)
    muons = decay(mass, pair_pt, rapidity, cos_theta, phi_star)
    passed = (np.maximum(muons[0], muons[3]) > first) & (np.minimum(muons[0], muons[3]) > second)
    passed &= np.maximum(np.abs(muons[1]), np.abs(muons[4])) < p.max_abs_eta
    return muons, passed
