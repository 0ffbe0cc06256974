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
from fastjag.core.checks import is_integer, near_misses
from fastjag.core.devices import to_device_of, to_host
from fastjag.core.display import ROWS, html_table
from fastjag.core.habits import OF_DIMUONS, no_attribute
from fastjag.jagged import Jagged, arrow, interchange
from fastjag.jagged.joining import join_columns, join_offsets
from fastjag.jagged.momenta import flat_momenta, with_momenta

#: Muon mass [GeV], PDG.
MUON_MASS = 0.1056583755


class Dimuons(dict[str, Array]):
    """One row per pair: the observables of :func:`dimuon` as attributes or by name.

    ``offsets`` (int64, n_events + 1) says which pairs belong to which event of the input, which had
    ``n_particles`` (None in pickles of 0.2 and before). ``len(pairs)`` is the number of pairs. ``pairs[mask]``, with one bool per pair, and
    ``pairs[start:stop]`` are some of the pairs of the same events, ``pairs[["mass", "pt"]]`` some columns. Otherwise it is a dict of its
    columns, and goes where those go: ``polars.DataFrame(pairs)``, ``pyarrow.table(pairs)``.
    """

    __slots__ = ("n_particles", "offsets")
    offsets: Offsets
    n_particles: int | None

    # A table is itself and no other one; equal columns are for numpy.array_equal.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(
        self, offsets: Offsets, fields: Mapping[str, Array], n_particles: int | None = None
    ) -> None:
        super().__init__(fields)
        self.offsets = read_only(offsets)
        self.n_particles = n_particles

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self)

    def __len__(self) -> int:
        for values in self.values():
            return len(values)  # a GPU would have to be asked for the last offset
        return int(self.offsets[-1])

    @overload
    def __getitem__(self, key: str) -> Array: ...
    @overload
    def __getitem__(self, key: slice | list[str] | NDArray[Any] | Sequence[bool]) -> Dimuons: ...
    def __getitem__(self, key: Any) -> Array | Dimuons:
        if isinstance(key, str):
            return super().__getitem__(key)
        if isinstance(key, list) and key and all(isinstance(name, str) for name in key):
            return Dimuons(self.offsets, {name: self[name] for name in key}, self.n_particles)
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            offsets = self.offsets.clip(start, max(start, stop)) - start
            return Dimuons(
                offsets, {n: values[key] for n, values in self.items()}, self.n_particles
            )
        if is_integer(key):
            raise TypeError(
                f"pairs are picked by a name, a mask of bools or a slice: pairs[{key}:{int(key) + 1}], or "
                f'pairs["mass"][{key}]'
            )
        mask = as_column(to_device_of(self.offsets, np.asarray(key)) if isinstance(key, list) else key,
                         "what picks pairs", any_byte=True)  # fmt: skip
        if mask.dtype != np.bool_:
            raise TypeError(
                "pairs are picked by a name, a mask of bools or a slice of step 1, got "
                f"{type(key).__name__} of {mask.dtype}: take columns first, "
                'pairs["mass"][indices]'
            )
        check_length(mask, "the mask", len(self), "pairs")
        offsets, (places,) = kernels.keep(self.offsets, mask, [None])
        return Dimuons(offsets, {n: values[places] for n, values in self.items()}, self.n_particles)

    def __missing__(self, name: str) -> Array:
        raise KeyError(f"no field {name!r}: {near_misses(name, self.fields)}")

    def __getattr__(self, name: str) -> Array:
        if name.startswith("_") or name not in self:
            raise no_attribute("Dimuons", "field", name, self.fields, OF_DIMUONS)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self]

    def __reduce__(self) -> tuple[Any, ...]:
        return Dimuons, (self.offsets, dict(self), self.n_particles)

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        # Pickles of 0.1.0: the columns were an attribute.
        Dimuons.__init__(self, state[1]["offsets"], state[1]["_fields"])

    # ---- in other shapes --------------------------------------------------------------------

    def to_jagged(self) -> Jagged:
        """The pairs of each event, as a Jagged has particles, with ``aggregate``, ``pad`` and ``sort``."""
        return Jagged(self.offsets, self)

    def to_awkward(self, with_name: str | None = None) -> Any:
        """An awkward array of records, one per pair; ``.to_jagged().to_awkward()`` has those of each event."""
        return interchange.rows_to_awkward(self, len(self), with_name)

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row per pair; columns are copied."""
        return arrow.rows_to_pandas(self)

    def to_arrow(self) -> Any:
        """An Arrow table with a row per pair."""
        return arrow.rows_to_arrow(self)

    def __awkward_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return interchange.call_awkward(function, args, kwargs)

    @staticmethod
    def _joined(parts: Sequence[Dimuons]) -> Dimuons:
        columns = [dict(part) for part in parts]
        events = particles = 0
        for i, (part, own) in enumerate(zip(parts, columns, strict=True)):
            if "event" in own:
                own["event"] = own["event"] + events
            for name in {"first", "second"}.intersection(own):
                if part.n_particles is None:
                    raise ValueError(
                        f"part {i} comes from an earlier version and does not know how many "
                        f"particles its events have, from which {name!r} would count on"
                    )
                own[name] = own[name] + particles
            events += len(part.offsets) - 1
            particles += part.n_particles or 0
        n_particles = None if any(part.n_particles is None for part in parts) else particles
        offsets = join_offsets([part.offsets for part in parts])
        return Dimuons(offsets, join_columns(columns, "field"), n_particles)

    def _arrays(self) -> dict[Any, Array]:
        named = {("Dimuons", name): values for name, values in self.items()}
        return {("Dimuons", "", "offsets"): self.offsets, **named}

    def __repr__(self) -> str:
        events = len(self.offsets) - 1
        return f"<Dimuons: {len(self)} pairs of {events} events: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        some = {name: to_host(values[:ROWS]) for name, values in self.items()}
        rows = [[f"{some[name][i]:.5g}" for name in self] for i in range(min(ROWS, len(self)))]
        return html_table(repr(self), list(self), rows)


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
        and, unless ``charge="any"`` without the field "charge", ``charge``. Other coordinates are
        taken where these are not there: ``rho`` for ``pt``; ``px``, ``py`` or ``x``, ``y`` [GeV] for
        ``pt`` and ``phi``; ``pz``, ``z`` [GeV] or ``theta`` [rad] for ``eta``, as in arrays of ``vector.zip``.
        A mass among them is not read.
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
    way = "; fields without 'charge' need none" if charge == "any" else "; charge='any' needs none"
    needs_charge = charge != "any" or "charge" in fields
    jagged = with_momenta(muons, {"charge": way} if needs_charge else {})
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
    return Dimuons(offsets, columns, jagged.n_particles)


def pair_mass(
    pt1: Any,
    eta1: Any,
    phi1: ArrayLike | None = None,
    pt2: ArrayLike | None = None,
    eta2: ArrayLike | None = None,
    phi2: ArrayLike | None = None,
    *,
    mass1: float = MUON_MASS,
    mass2: float = MUON_MASS,
    threads: int | None = None,
) -> Array:
    """Invariant masses [GeV] of pairs given as flat arrays of equal length, or as two records.

    pt in GeV, phi in rad, ``mass1`` and ``mass2`` in GeV. Computed in float64, returned in float32
    if all inputs are float32, else in float64.

    ``pair_mass(first, second)`` takes what has columns in the coordinates of :func:`dimuon`: awkward
    arrays of records, such as the two of ``ak.unzip(ak.combinations(muons, 2))``, arrays of vector,
    Jagged, NumPy's structured arrays, dicts and frames. Of lists it gives one flat array. Masses among
    the columns are not read.

    Examples
    --------
    >>> import fastjag as fj
    >>> first = {"pt": [45.0], "eta": [0.0], "phi": [0.0]}
    >>> second = {"px": [-45.0], "py": [0.0], "pz": [0.0]}
    >>> fj.pair_mass(first, second).round(3)
    array([90.])
    """
    given = {"pt1": pt1, "eta1": eta1, "phi1": phi1, "pt2": pt2, "eta2": eta2, "phi2": phi2}
    if absent := [name for name, values in given.items() if values is None]:
        if absent != ["phi1", "pt2", "eta2", "phi2"]:
            raise TypeError(
                f"pair_mass takes six arrays, or two records, but {absent[0]} is missing"
            )
        (offsets, first), (others, second) = (
            flat_momenta(pt1, "the first"), flat_momenta(eta1, "the second")
        )  # fmt: skip
        if offsets is not None and others is not None and not np.array_equal(offsets, others):
            raise ValueError("the two records must have equally many particles in each event")
        given = dict(zip(given, [*first, *second], strict=True))
    legs = [as_float(values, name) for name, values in given.items()]
    lengths = {name: len(leg) for name, leg in zip(given, legs, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the legs must have equal lengths, got {lengths}")
    dtype = np.result_type(*(leg.dtype for leg in legs))
    return kernels.pair_mass(
        [leg.astype(dtype, copy=False) for leg in legs], mass1, mass2, threads=threads
    )
