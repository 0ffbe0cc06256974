"""Pairs of muons (or of any charged particles) and their observables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag import kernels
from fastjag.core.arrays import (
    Array,
    Offsets,
    as_column,
    as_float,
    as_mask,
    as_number,
    check_length,
    read_only,
)
from fastjag.core.checks import near_misses
from fastjag.core.devices import to_device_of
from fastjag.jagged import as_jagged

#: Muon mass [GeV], PDG.
MUON_MASS = 0.1056583755


class Dimuons(dict[str, Array]):
    """One row per pair: the observables of :func:`dimuon` as attributes or by name.

    ``offsets`` (int64, n_events + 1) says which pairs belong to which event of the input.
    ``len(pairs)`` is the number of pairs. ``pairs[mask]``, with one bool per pair, and
    ``pairs[start:stop]`` are some of the pairs of the same events. Otherwise it is a dict of its
    columns, and goes where those go: ``pandas.DataFrame(pairs)``, ``polars.DataFrame(pairs)``,
    ``pyarrow.table(pairs)``.
    """

    __slots__ = ("offsets",)
    offsets: Offsets

    # A table is itself and no other one; equal columns are for numpy.array_equal.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, offsets: Offsets, fields: Mapping[str, Array]) -> None:
        super().__init__(fields)
        self.offsets = read_only(offsets)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self)

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @overload
    def __getitem__(self, key: str) -> Array: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any] | Sequence[bool]) -> Dimuons: ...
    def __getitem__(self, key: Any) -> Array | Dimuons:
        if isinstance(key, str):
            return super().__getitem__(key)
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            offsets = self.offsets.clip(start, max(start, stop)) - start
            return Dimuons(offsets, {name: values[key] for name, values in self.items()})
        mask = as_column(to_device_of(self.offsets, np.asarray(key)) if isinstance(key, list) else key,
                         "what picks pairs")  # fmt: skip
        if mask.dtype != np.bool_:
            raise TypeError(
                "pairs are picked by a name, a mask of bools or a slice of step 1, got "
                f"{type(key).__name__} of {mask.dtype}: take columns first, "
                'pairs["mass"][indices]'
            )
        check_length(mask, "the mask", len(self), "pairs")
        offsets = kernels.select(self.offsets, mask)
        return Dimuons(offsets, {name: values[mask] for name, values in self.items()})

    def __missing__(self, name: str) -> Array:
        raise KeyError(f"no field {name!r}: {near_misses(name, self.fields)}")

    def __getattr__(self, name: str) -> Array:
        if name.startswith("_") or name not in self:
            raise AttributeError(f"no field {name!r}: {near_misses(name, self.fields)}")
        return self[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return Dimuons, (self.offsets, dict(self))

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        # Pickles of 0.1.0: the columns were an attribute.
        Dimuons.__init__(self, state[1]["offsets"], state[1]["_fields"])

    def __repr__(self) -> str:
        events = len(self.offsets) - 1
        return f"<Dimuons: {len(self)} pairs of {events} events: {', '.join(self)}>"


def dimuon(
    muons: Any,
    charge: str = "opposite",
    *,
    pairs: str = "leading",
    mask: ArrayLike | None = None,
    fields: Sequence[str] = kernels.FIELDS,
    particle_mass: float = MUON_MASS,
    threads: int | None = None,
) -> Dimuons:
    """Choose pairs within each event and compute their observables in one pass.

    Parameters
    ----------
    muons
        A :class:`Jagged` or awkward array of records with ``pt`` [GeV], ``eta``, ``phi`` [rad]
        and, unless ``charge="any"`` without the field "charge", ``charge``.
    charge
        "opposite", "same" or "any": of the chosen pair. With ``pairs="leading"`` a pair of the
        wrong class is dropped; a third muon never takes its place.
    pairs
        "leading": the two particles of highest pt that pass (ties in stored order, NaN last).
        "all": every pair that passes, in stored order.
    mask
        Flat boolean, shape (n_particles,): the particles that may form pairs.
    fields
        What to compute; see below.
    particle_mass
        Mass of each particle [GeV].

    Returns
    -------
    Dimuons
        Arrays of one entry per pair:

        ======================================== ================================================
        event                                    int64, index of the event in ``muons``
        first, second                            int64, flat particle indices, as ``muons["pt"]``
        charge                                   int32, sum of the two charges
        mass, pt, eta, phi                       of the pair [GeV, rad]
        delta_r, delta_pt, delta_eta, delta_phi  first minus second, phi wrapped into [-pi, pi]
        ======================================== ================================================

        Computed in float64 and given in the dtype of ``pt`` (float64 where the columns differ).
        The mass is in the form of docs/physics.md, which does not cancel for close pairs.
    """
    fields = [fields] if isinstance(fields, str) else list(fields)
    needs_charge = charge != "any" or "charge" in fields
    wanted = ["pt", "eta", "phi"] + ["charge"] * needs_charge
    jagged = as_jagged(muons, wanted)
    kinematics = [as_float(jagged[name], name) for name in ("pt", "eta", "phi")]
    dtype = np.result_type(*(column.dtype for column in kinematics))
    pt, eta, phi = (column.astype(dtype, copy=False) for column in kinematics)
    charges = as_number(jagged["charge"], "charge", np.int32) if needs_charge else None
    passing = None if mask is None else as_mask(mask, "mask", jagged.n_particles, "particles")
    offsets, columns = kernels.dimuon(
        jagged.offsets,
        pt,
        eta,
        phi,
        charges,
        charge=charge,
        pairs=pairs,
        mask=passing,
        particle_mass=particle_mass,
        fields=fields,
        threads=threads,
    )
    return Dimuons(offsets, columns)


def pair_mass(
    pt1: ArrayLike,
    eta1: ArrayLike,
    phi1: ArrayLike,
    pt2: ArrayLike,
    eta2: ArrayLike,
    phi2: ArrayLike,
    *,
    mass1: float = MUON_MASS,
    mass2: float = MUON_MASS,
    threads: int | None = None,
) -> Array:
    """Invariant masses [GeV] of pairs given as flat arrays of equal length.

    pt in GeV, phi in rad, ``mass1`` and ``mass2`` in GeV. Computed in float64, returned in float32
    if all inputs are float32, else in float64.
    """
    given = {"pt1": pt1, "eta1": eta1, "phi1": phi1, "pt2": pt2, "eta2": eta2, "phi2": phi2}
    legs = [as_float(values, name) for name, values in given.items()]
    lengths = {name: len(leg) for name, leg in zip(given, legs, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the legs must have equal lengths, got {lengths}")
    dtype = np.result_type(*(leg.dtype for leg in legs))
    return kernels.pair_mass(
        [leg.astype(dtype, copy=False) for leg in legs], mass1, mass2, threads=threads
    )
