"""Selections of events with two photons: the cuts of the published analyses, as parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.diphoton.events import Events
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses
from fastjag.core.settings import setting, settings
from fastjag.jagged import Jagged
from fastjag.selection import Selected, Step, event_flags

#: The column of tight identification, and the least value that counts as tight.
TIGHT = {
    "ATLAS mini": ("isTightID", 1),
    "ATLAS analysis": ("isTightID", 1),
    "NanoAOD": ("cutBased", 3),
    "PHYSLITE": ("DFCommonPhotonsIsEMTight", 1),
}

#: Edges of the crack between barrel and end caps of ATLAS' calorimeter.
CRACK = (1.37, 1.52)


@settings
class DiphotonSelection:
    """Cuts on two photons; energies in GeV.

    A photon is good if it is tight, above ``good_pt``, within ``max_abs_eta`` and out of the crack,
    as far as these are asked for. With ``exactly_two`` an event must have two good photons and no
    third; otherwise its two photons of largest pt must be good, whatever else it has.
    """

    trigger: str | None = setting(
        "Branch of true and false.", default="trigP", least=1,
        must="name a branch, or be 'none'",
    )  # fmt: skip
    exactly_two: bool = setting(
        "Two good photons and no third; else the two of largest pt are good.", default=True
    )
    tight: bool = setting("Good photons are tight.", default=False)
    good_pt: float = setting("Good photons are above it [GeV].", default=25.0, least=0)
    max_abs_eta: float | None = setting(
        "|eta| of good photons is below it.", default=None, above=0, finite=False
    )
    crack_veto: bool = setting("Good photons are not in 1.37 to 1.52 of |eta|.", default=False)
    min_pt: tuple[float, float] = setting(
        "Leading and subleading photon are above it [GeV].", default=(35.0, 25.0), least=0,
        must="be two numbers",
    )  # fmt: skip
    isolation: dict[str, float] = setting(
        "Column to the largest ratio to pt, exclusive, of both photons.", default_factory=dict,
        above=0, must="be a table of columns and ratios",
    )  # fmt: skip
    min_pt_over_mass: tuple[float, float] = setting(
        "Their pt over the mass of the pair is above it.", default=(0.35, 0.25), least=0,
        must="be two numbers",
    )  # fmt: skip
    mass: tuple[float, float] = setting(
        "Window of the mass [GeV], exclusive.", default=(105.0, 160.0), least=0,
        must="be two numbers",
    )  # fmt: skip

    def check(self) -> None:
        if not self.mass[0] < self.mass[1]:
            raise ValueError(f"mass must be an interval, got {self.mass}")

    def steps(self, schema: str) -> list[Step]:
        """The cuts for files of a format (``Schema.name``), in the order of the publications."""
        if self.tight and schema not in TIGHT:
            raise ValueError(f"tight photons are not known for {schema}: set tight to False")
        good = ["Photon_pt"]
        if self.max_abs_eta is not None or self.crack_veto:
            good.append("Photon_eta")
        if self.tight:
            good.append(f"Photon_{TIGHT[schema][0]}")
        kinematics = [*good, "Photon_eta", "Photon_phi"]

        tests: list[tuple[str, list[str], Callable[[Jagged], Array] | None]] = [
            ("two good photons", good, None),
            ("photon pt", good, self._above_pt),
            ("pt over mass", kinematics, self._relative_pt),
            ("mass", kinematics, self._in_mass),
        ]
        if self.isolation:
            isolation = [f"Photon_{column}" for column in self.isolation]
            tests.insert(2, ("isolation", [*good, *isolation], self._isolated))
        steps = [
            Step(name, list(dict.fromkeys(columns)), partial(self._judge, schema, passes))
            for name, columns, passes in tests
        ]
        if self.trigger is None:
            return steps
        fired = partial(event_flags, name=self.trigger)
        return [Step("trigger", [self.trigger], fired), *steps]

    def good(self, photons: Jagged, schema: str) -> NDArray[np.bool_]:
        """Which photons are good: shape (n_photons,)."""
        good = np.asarray(photons["pt"] > self.good_pt)
        if self.max_abs_eta is not None or self.crack_veto:
            eta = np.abs(photons["eta"])
            if self.max_abs_eta is not None:
                good &= eta < self.max_abs_eta
            if self.crack_veto:  # one notebook has "or", which is always true, and vetoes nothing
                good &= (eta < CRACK[0]) | (eta > CRACK[1])
        if self.tight:
            column, least = TIGHT[schema]
            good &= photons[column] >= least
        return good

    def pair(self, photons: Jagged, schema: str) -> Jagged:
        """The two photons, by descending pt, of events that have them."""
        if self.exactly_two:
            good = self.good(photons, schema)
            photons = photons if good.all() else photons.keep(good)
            pt = photons["pt"].reshape(-1, 2)
            return photons if (pt[:, 0] >= pt[:, 1]).all() else photons.sort("pt")
        ordered = photons.sort("pt")
        place = np.arange(ordered.n_particles) - np.repeat(ordered.offsets[:-1], ordered.counts)
        return ordered.keep(place < 2)

    def has_two(self, photons: Jagged, schema: str) -> NDArray[np.bool_]:
        """Which events have a pair of good photons: shape (n_events,)."""
        if self.exactly_two:
            good = self.good(photons, schema)
            counts = photons.counts if good.all() else photons.keep(good).counts
            return np.asarray(counts == 2)
        enough = photons.counts >= 2
        pairs = self.pair(photons[np.flatnonzero(enough)], schema)
        passed = np.zeros(len(photons), bool)
        passed[enough] = self.good(pairs, schema).reshape(-1, 2).all(axis=1)
        return passed

    def _judge(
        self, schema: str, passes: Callable[[Jagged], Array] | None, events: Selected
    ) -> Array:
        """Which events have a pair that passes: a step must be able to judge any event."""
        photons = events.Photon
        two = self.has_two(photons, schema)
        if passes is None:
            return two
        if two.all():
            return passes(self.pair(photons, schema))
        passed = np.zeros(len(photons), bool)
        passed[two] = passes(self.pair(photons[np.flatnonzero(two)], schema))
        return passed

    def _above_pt(self, pairs: Jagged) -> Array:
        return np.asarray((pairs["pt"].reshape(-1, 2) > self.min_pt).all(axis=1))

    def _isolated(self, pairs: Jagged) -> Array:
        ratios = [pairs[column] < limit * pairs["pt"] for column, limit in self.isolation.items()]
        return np.asarray(np.logical_and.reduce(ratios).reshape(-1, 2).all(axis=1))

    def _relative_pt(self, pairs: Jagged) -> Array:
        least = np.multiply.outer(diphoton_mass(pairs), self.min_pt_over_mass)
        return np.asarray((pairs["pt"].reshape(-1, 2) > least).all(axis=1))

    def _in_mass(self, pairs: Jagged) -> Array:
        mass = diphoton_mass(pairs)
        return np.asarray((mass > self.mass[0]) & (mass < self.mass[1]))


#: Cuts by name. "official-2020" is the C++ framework of the 10 fb-1 release, "official-2025" that of
#: the 36 fb-1 release with the crack veto that its notebook means.
PRESETS = {
    "slides": DiphotonSelection(),
    "official-2020": DiphotonSelection(
        tight=True, max_abs_eta=2.37, crack_veto=True, min_pt=(25.0, 25.0),
        isolation={"ptcone30": 0.065, "etcone20": 0.065},
    ),
    "official-2025": DiphotonSelection(
        trigger=None, exactly_two=False, tight=True, good_pt=0.0, max_abs_eta=2.37,
        crack_veto=True, min_pt=(50.0, 30.0), isolation={"ptcone20": 0.055},
        min_pt_over_mass=(0.35, 0.35), mass=(100.0, 160.0),
    ),
}  # fmt: skip


def selection_of(preset: str, cuts: Mapping[str, Any]) -> DiphotonSelection:
    """A preset with some of its cuts changed; ValueError with near misses for unknown names."""
    if preset not in PRESETS:
        raise ValueError(f"no selection {preset!r}: {near_misses(preset, PRESETS)}")
    known = [f.name for f in fields(DiphotonSelection)]
    for name in cuts:
        if name not in known:
            raise ValueError(f"no cut {name!r}: {near_misses(name, known)}")
    return replace(PRESETS[preset], **cuts)


def diphoton_mass(pairs: Jagged) -> NDArray[np.float64]:
    """m_yy [GeV] of events with two photons each: sqrt(2 pt1 pt2 (cosh d_eta - cos d_phi)).

    The massless form of the published analyses, as 4 pt1 pt2 (sinh² d_eta/2 + sin² d_phi/2), which
    does not cancel for small angles.
    """
    pt, eta, phi = (pairs[c].reshape(-1, 2).astype(np.float64) for c in ("pt", "eta", "phi"))
    eta_term = np.sinh((eta[:, 0] - eta[:, 1]) / 2) ** 2
    phi_term = np.sin((phi[:, 0] - phi[:, 1]) / 2) ** 2
    return np.asarray(2 * np.sqrt(pt[:, 0] * pt[:, 1] * (eta_term + phi_term)))


def unconverted_central(events: Events) -> NDArray[np.bool_]:
    """The category of best resolution: both photons unconverted with abs(eta) < 0.75.

    KeyError where the release has no ``convType``.
    """
    photons = events.particles["photon"]
    eta, conversion = (photons[c].reshape(-1, 2) for c in ("eta", "convType"))
    return np.asarray(((np.abs(eta) < 0.75) & (conversion == 0)).all(axis=1))
