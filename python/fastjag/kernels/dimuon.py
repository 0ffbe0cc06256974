"""dimuon: pairs of particles within events, and their observables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array, Offsets
from fastjag.core.checks import near_misses, one_of
from fastjag.kernels.gpu import device_of
from fastjag.kernels.select import keep

FIELDS = ("event", "first", "second", "charge", "mass", "pt", "eta", "phi",
          "delta_r", "delta_pt", "delta_eta", "delta_phi")  # fmt: skip
CHARGES = ("any", "opposite", "same")
PAIRS = ("leading", "all")


def dimuon(
    offsets: Offsets,
    pt: Array,
    eta: Array,
    phi: Array,
    charges: NDArray[np.int32] | None,
    *,
    charge: str = "opposite",
    pairs: str = "leading",
    mask: NDArray[np.bool_] | None = None,
    particle_mass: float,
    fields: Sequence[str] = FIELDS,
    threads: int | None = None,
) -> tuple[Offsets, dict[str, Array]]:
    """Pair offsets (n_events + 1,) and the chosen fields of all pairs; see :func:`fastjag.dimuon`.

    ``pt``, ``eta`` and ``phi`` share one dtype, float32 or float64, which is that of the results.
    """
    charge_class = CHARGES.index(one_of("charge", charge, CHARGES))
    mode = PAIRS.index(one_of("pairs", pairs, PAIRS))
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"unknown field {name!r}: {near_misses(name, FIELDS)}")
    _check_mass("particle_mass", particle_mass)
    if charges is None and (charge != "any" or "charge" in fields):
        raise ValueError("charges are needed to choose pairs by charge or to give the pair charge")
    device = device_of(offsets=offsets, pt=pt, eta=eta, phi=phi, charges=charges, mask=mask)
    places = None
    if not device.is_cpu and pairs == "all":
        # What the second pass looks at again is our own, so that nobody changes it in between; of
        # events with many particles of which few pass, all blocks have picked those.
        if mask is not None:
            columns = [pt, eta, phi, None] if charges is None else [pt, eta, phi, None, charges]
            offsets, kept = keep(offsets, mask, columns)
            pt, eta, phi, places, *rest = kept
            charges, mask = rest[0] if rest else None, None
        elif charge != "any" and charges is not None:
            charges = charges.copy()
    scratch = device.scratch("dimuon", len(offsets) - 1, len(pt))
    where = device.where(threads, scratch=scratch)
    pair_offsets = device.empty(len(offsets), np.int64)
    leading = device.is_cpu and pairs == "leading"
    choice = device.empty(len(offsets) - 1, np.uint8) if leading else None
    device.kernels.dimuon_count(
        offsets, pt, charges, mask, charge_class, mode, pair_offsets, choice, where
    )
    device.add_up(pair_offsets)
    n = int(pair_offsets[-1])
    integers = {"event": np.int64, "first": np.int64, "second": np.int64, "charge": np.int32}
    result = {name: device.empty(n, integers.get(name, pt.dtype)) for name in fields}
    get = result.get  # None: not computed
    device.kernels.dimuon(
        offsets, pt, eta, phi, charges, mask, particle_mass, charge_class, mode, pair_offsets,
        choice, get("event"), get("first"), get("second"), get("charge"), get("mass"),
        get("pt"), get("eta"), get("phi"), get("delta_r"), get("delta_pt"), get("delta_eta"),
        get("delta_phi"), where,
    )  # fmt: skip
    if places is not None:
        for name in {"first", "second"}.intersection(result):
            result[name] = places[result[name]]
    return pair_offsets, result


def pair_mass(
    legs: Sequence[Array], mass1: float, mass2: float, *, threads: int | None = None
) -> Array:
    """Invariant masses from equally long (pt1, eta1, phi1, pt2, eta2, phi2) of one dtype."""
    _check_mass("mass1", mass1)
    _check_mass("mass2", mass2)
    pt1, eta1, phi1, pt2, eta2, phi2 = legs
    device = device_of(pt1=pt1, eta1=eta1, phi1=phi1, pt2=pt2, eta2=eta2, phi2=phi2)
    result: Array = device.empty(len(pt1), pt1.dtype)
    device.kernels.pair_mass(
        pt1, eta1, phi1, pt2, eta2, phi2, mass1, mass2, result, device.where(threads)
    )
    return result


def _check_mass(name: str, mass: float) -> None:
    if not (mass >= 0 and np.isfinite(mass)):
        raise ValueError(f"{name} must be finite and >= 0 GeV, got {mass!r}")
