"""Scale and resolution of muon momenta, by the method that was first used at Rochester.

Sources: A. Bodek et al., "Extracting muon momentum scale corrections for hadron collider experiments",
Eur. Phys. J. C 72 (2012) 2194, for the form of the correction; the files of the muon group of CMS for
Run 3 (MuonScaRe), whose corrections these functions read: ``a_data``, ``m_data``, ``a_mc``, ``m_mc`` of
(eta, phi, variation), ``k_data`` and ``k_mc`` of (|eta|, variation), ``cb_params`` and ``poly_params`` of
(|eta|, number of tracker layers, number of the parameter).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.checks import near_misses, one_of
from fastjag.corrections.evaluation import Correction
from fastjag.corrections.philox import uniform
from fastjag.jagged import Jagged

Floats = NDArray[np.float64]

#: Variations that a file has, up and down; "nominal" is none.
VARIATIONS = ("nominal", "up", "down")


def muon_scale(
    muons: Jagged, file: Mapping[str, Correction], *, data: bool, variation: str = "nominal"
) -> Floats:
    """Corrected pt [GeV] of every muon, float64 (n_particles,).

    The curvature is corrected by a multiplicative and an additive term of the muon's eta and phi,

        1 / pt' = M / pt + q A,

    with the tables for data or for simulation. M is a scale; A is a misalignment, with opposite signs for
    the charges q. ``variation`` "up" and "down" add the statistical error of M and A in simulation,
    whose correlation rho the file has:

        pt' ± pt'² sqrt(s_M² / pt'² + s_A² + 2 q rho s_M s_A / pt').

    Columns ``pt``, ``eta``, ``phi`` and ``charge``. Raises KeyError for a table or column that is missing,
    ValueError where a corrected curvature is not positive, naming the muon. Sources: the module's text.
    """
    one_of("variation", variation, VARIATIONS)
    sample = "data" if data else "mc"
    if data and variation != "nominal":
        raise ValueError("the scale of data has no variation: vary that of simulation")
    pt, charge = _column(muons, "pt"), _column(muons, "charge")
    scale = _table(file, f"m_{sample}")(
        **_of(file[f"m_{sample}"], muons["eta"], muons["phi"], "nom")
    )
    shift = _table(file, f"a_{sample}")(
        **_of(file[f"a_{sample}"], muons["eta"], muons["phi"], "nom")
    )
    curvature = scale / pt + charge * shift
    if (wrong := ~(curvature > 0)).any():
        first = int(wrong.argmax())
        raise ValueError(
            f"muon {first} of {pt[first]:g} GeV has no positive curvature after its correction "
            f"(M {scale[first]:g}, A {shift[first]:g})"
        )
    corrected = 1 / curvature
    if variation == "nominal":
        return np.asarray(corrected)
    errors = {
        name: _table(file, table)(**_of(file[table], muons["eta"], muons["phi"], key))
        for name, table, key in (("a", "a_mc", "stat"), ("m", "m_mc", "stat"), ("rho", "m_mc", "rho_stat"))
    }  # fmt: skip
    inside = (
        (errors["m"] / corrected) ** 2
        + errors["a"] ** 2
        + 2 * charge * errors["rho"] * errors["m"] * errors["a"] / corrected
    )
    step = corrected**2 * np.sqrt(np.maximum(inside, 0))
    return np.asarray(corrected + (step if variation == "up" else -step))


def muon_resolution(
    muons: Jagged, file: Mapping[str, Correction], event: Any, *, seed: int,
    variation: str = "nominal", pt_range: tuple[float, float] = (26.0, 200.0),
    layers: str = "nTrackerLayers",
) -> Floats:  # fmt: skip
    """Smeared pt [GeV] of every muon of a simulation, float64 (n_particles,).

        pt' = pt (1 + k s x),  k = sqrt(max(k_data² - k_mc², 0)),  s = max(p0 + p1 pt + p2 pt², 0)

    with a random number x from a Crystal Ball function with two equal tails, whose mean, width, power
    and start of the tails the file has for the muon's |eta| and number of layers. x belongs to the
    muon: it follows from ``seed``, from run, luminosityBlock and event of ``event`` (a batch or dict)
    and from the muon's place in the event (:func:`fastjag.corrections.uniform`); smear before muons are
    dropped or sorted, or give them a column ``index``.

    ``variation`` "up" and "down" add to k its statistical error. Muons outside ``pt_range`` [GeV]
    stay as they are, and so do those whose pt would change by more than a factor of 2 up or 10 down,
    as the method of CMS has it. ``muons`` have the corrected pt of :func:`muon_scale`. Sources: the
    module's text.
    """
    from scipy.special import ndtr, ndtri

    one_of("variation", variation, VARIATIONS)
    pt, eta = _column(muons, "pt"), np.abs(_column(muons, "eta"))
    number = _column(muons, layers)

    def parameter(table: str, which: int) -> Floats:
        c = _table(file, table)
        return c(**_of(c, eta, number.astype(_dtype(c, 1)), which))

    def width(table: str, key: str) -> Floats:
        c = _table(file, table)
        return c(**_of(c, eta, key))

    mean, sigma, power, start = (parameter("cb_params", i) for i in range(4))
    p = [parameter("poly_params", i) for i in range(3)]
    spread = np.maximum(p[0] + p[1] * pt + p[2] * pt**2, 0)
    k_data, k_mc = width("k_data", "nom"), width("k_mc", "nom")
    k = np.sqrt(np.maximum(k_data**2 - k_mc**2, 0))
    if variation != "nominal":
        error = width("k_mc", "stat")
        # Where nothing is to be smeared, nothing varies: as the method of CMS has it.
        k = np.where(k > 0, k + (error if variation == "up" else -error), k)

    u = uniform(*identity(muons, event), seed=seed)
    x = mean + sigma * _crystal_ball(u, np.abs(start), power, ndtr, ndtri)
    smeared = pt * (1 + k * spread * x)
    ratio = smeared / pt
    keeps = (pt < pt_range[0]) | (pt > pt_range[1]) | ~((ratio >= 0.1) & (ratio <= 2))
    return np.asarray(np.where(keeps, pt, smeared))


def identity(particles: Jagged, event: Any) -> tuple[ArrayLike, ...]:
    """Run, lumi section, event and index of every particle, (n_particles,) each.

    The index is the column ``index`` where there is one, else the place in the event.
    """
    columns = []
    for name in ("run", "luminosityBlock", "event"):
        if name not in event:
            raise KeyError(f"random numbers belong to a particle by its event: no column {name!r}")
        columns.append(np.asarray(particles.broadcast(event[name])))
    if "index" in particles:
        return (*columns, np.asarray(particles["index"]))
    first = np.asarray(particles.offsets[:-1])
    index = np.arange(particles.n_particles) - np.repeat(first, np.asarray(particles.counts))
    return (*columns, index)


def _crystal_ball(u: Floats, start: Floats, power: Floats, ndtr: Any, ndtri: Any) -> Floats:
    """Where the double-sided Crystal Ball of mean 0 and width 1 has the share u below.

    Its core is a Gaussian up to ``start`` on both sides; beyond, the density is
    exp(-start²/2) (power/start)^power (power/start - start + |t|)^-power.
    """
    height = np.exp(-0.5 * start**2)
    tail = height * power / (start * (power - 1))  # area of one
    core = np.sqrt(2 * np.pi) * (1 - 2 * ndtr(-start))
    total = core + 2 * tail
    below = np.minimum(u, 1 - u)  # symmetric: the lower half
    area = below * total
    with np.errstate(divide="ignore", invalid="ignore"):
        # area of the tail below -t: tail ((power/start - start + t) start/power)^(1 - power)
        in_tail = power / start * (area / tail) ** (1 / (1 - power)) - power / start + start
    in_core = -ndtri(np.minimum((area - tail) / np.sqrt(2 * np.pi) + ndtr(-start), 0.5))
    distance = np.where(area < tail, in_tail, in_core)
    return np.asarray(np.where(u < 0.5, -distance, distance))


def _table(file: Mapping[str, Correction], name: str) -> Correction:
    if name not in file:
        raise KeyError(f"no table {name!r} for muons: {near_misses(name, list(file))}")
    return file[name]


def _of(table: Correction, *values: Any) -> dict[str, Any]:
    """Inputs of a table in their order."""
    if len(table.inputs) != len(values):
        raise ValueError(
            f"table {table.name!r} has inputs {', '.join(table.inputs)}, but {len(values)} are known"
        )
    return dict(zip(table.inputs, values, strict=True))


def _dtype(table: Correction, i: int) -> Any:
    return np.int64 if table.types[table.inputs[i]] == "int" else np.float64


def _column(muons: Jagged, name: str) -> Floats:
    return np.asarray(muons[name], np.float64)
