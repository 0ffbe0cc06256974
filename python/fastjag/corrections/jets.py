"""Energies of jets in data and simulation, and regions of the detector to leave out.

Sources: CMS, "Jet energy scale and resolution in the CMS experiment in pp collisions at 8 TeV", JINST 12
(2017) P02014 (arXiv:1607.03663); for smearing the JetMET group's page
https://twiki.cern.ch/twiki/bin/view/CMSPublic/WorkBookJetEnergyResolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import near_misses
from fastjag.corrections.evaluation import Correction
from fastjag.corrections.muons import identity
from fastjag.corrections.philox import normal
from fastjag.jagged import Jagged
from fastjag.neighbours import delta_phi

Floats = NDArray[np.float64]

#: Names of NanoAOD for the inputs of files of the JetMET group.
NAMES = {
    "JetPt": "pt", "JetEta": "eta", "JetPhi": "phi", "JetA": "area", "Rho": "Rho_fixedGridRhoFastjetAll",
}  # fmt: skip


def jet_energy(
    jets: Jagged, correction: Correction, event: Any = None, *,
    names: Mapping[str, str] | None = None, **given: Any,
) -> Jagged:  # fmt: skip
    """Jets with the energies of a correction, instead of those that the file has.

    pt and mass are taken back to the raw ones by ``rawFactor``, pt_raw = pt (1 - rawFactor), and
    multiplied by the correction of the raw pt: a compound one of all levels ("L1L2L3Res"), or one
    level. Returns the jets with new ``pt``, ``mass`` where they have one, ``rawFactor``, in the order
    that they had. Inputs are found by the names of NanoAOD (``NAMES``), by ``names``, or are given by
    keyword; ``event`` has those of events, such as the density Rho.

    Raises KeyError for a column that is missing, ValueError for a corrected pt that is not positive.
    Source: JINST 12 (2017) P02014, section 3.
    """
    if "rawFactor" not in jets:
        raise KeyError("jets have no column 'rawFactor', by which their corrections are taken back")
    stored = np.asarray(jets["pt"], np.float64)
    raw = stored * (1 - np.asarray(jets["rawFactor"], np.float64))
    factor = correction(
        jets.with_columns(pt=raw), names=_names(names, given, correction), event=event, **given
    )
    pt = raw * factor
    if (wrong := ~(pt > 0)).any():
        first = int(wrong.argmax())
        raise ValueError(
            f"jet {first} of {raw[first]:g} GeV (raw) has {pt[first]:g} GeV after {correction.name!r}"
        )
    return _scaled(jets, pt, stored).with_columns(rawFactor=1 - 1 / factor)


def jet_smearing(
    jets: Jagged, resolution: Correction, scale_factor: Correction, event: Any, *, seed: int,
    generated: Jagged | None = None, variation: str = "nom", cone: float = 0.4,
    names: Mapping[str, str] | None = None, **given: Any,
) -> Jagged:  # fmt: skip
    """Jets of a simulation with the resolution of data: new ``pt``, and ``mass`` where there is one.

    With the relative resolution r of simulation and the ratio s of resolutions in data and simulation,
    a jet with a generated partner is scaled by

        c = 1 + (s - 1) (pt - pt_generated) / pt

    and every other one by c = 1 + r x sqrt(max(s² - 1, 0)), x normal. A partner is the generated jet of
    ``genJetIdx``, if it is within cone / 2 and pt differs by less than 3 r pt. c is at least 0.01 GeV /
    E, so that no jet turns around. x belongs to the jet: it follows from ``seed``, from run,
    luminosityBlock and event, and from the jet's place in the event (column ``index`` where there is
    one), so that it is the same in every batch, order, thread and machine.

    ``generated`` are the generated jets (``pt``, ``eta``, ``phi``); None: no jet has a partner.
    ``variation`` is the key of ``scale_factor``: "nom", "up", "down". Source: the JetMET group's page on
    resolution, "hybrid method" (the module's text).
    """
    keys = [name for name in scale_factor.inputs if scale_factor.types[name] == "string"]
    for key in keys:
        given.setdefault(key, variation)
    pt = np.asarray(jets["pt"], np.float64)
    both = (resolution, scale_factor)
    r, s = (
        c(jets, names=_names(names, given, c, *both), event=event,
          **{k: v for k, v in given.items() if k in c.inputs})
        for c in both
    )  # fmt: skip
    x = normal(*identity(jets, event), seed=seed)
    c = 1 + r * x * np.sqrt(np.maximum(s**2 - 1, 0))
    if generated is not None and generated.n_particles:
        partner, has = _partners(jets, generated)
        apart = [np.asarray(jets[n], np.float64) for n in ("eta", "phi")]
        far = [np.asarray(generated[n], np.float64)[partner] for n in ("pt", "eta", "phi")]
        near = np.hypot(apart[0] - far[1], delta_phi(apart[1], far[2])) < cone / 2
        has = has & near & (np.abs(pt - far[0]) < 3 * r * pt)
        c = np.where(has, 1 + (s - 1) * (pt - far[0]) / pt, c)
    mass = np.asarray(jets["mass"], np.float64) if "mass" in jets else 0.0
    energy = np.hypot(pt * np.cosh(np.asarray(jets["eta"], np.float64)), mass)
    return _scaled(jets, pt * np.maximum(c, 0.01 / energy), pt)


def vetoed(
    jets: Jagged, maps: Correction, *, names: Mapping[str, str] | None = None, **given: Any
) -> NDArray[np.bool_]:
    """Which jets lie in a region that a map of the JetMET group leaves out, bool (n_particles,).

    The map is not 0 there. Its inputs are eta and phi of the jets, and the kind of map by keyword
    (``type="jetvetomap"``). An event with such a jet is left out of analyses that use jets or
    missing momentum: ``~(jets.keep(corrections.vetoed(jets, maps, type="jetvetomap")).counts > 0)``.
    """
    if "phi" in maps.inputs:
        # float32 pi is above pi, where a map ends.
        phi = np.asarray(jets[(names or {}).get("phi", "phi")], np.float64)
        phi = phi - 2 * np.pi * np.round(phi / (2 * np.pi))
        given.setdefault("phi", np.clip(phi, -3.14159, 3.14159))
    return np.asarray(maps(jets, names=_names(names, given, maps), **given) != 0)


def _names(
    names: Mapping[str, str] | None, given: Mapping[str, Any], *corrections: Correction
) -> dict[str, str]:
    """Columns of the inputs of the first correction; no name may be unknown to all of them."""
    inputs = [name for c in corrections for name in c.inputs]
    for name in names or ():
        if name not in inputs:
            raise KeyError(
                f"correction {corrections[0].name!r} has no input {name!r}: {near_misses(name, inputs)}"
            )
    own = corrections[0].inputs
    usual = {k: v for k, v in NAMES.items() if k in own and k not in given}
    return usual | {k: v for k, v in (names or {}).items() if k in own}


def _scaled(jets: Jagged, pt: Floats, old: Floats) -> Jagged:
    new: dict[str, Any] = {"pt": pt}
    if "mass" in jets:
        new["mass"] = np.asarray(jets["mass"], np.float64) * (pt / old)
    return jets.with_columns(**new)


def _partners(jets: Jagged, generated: Jagged) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the generated partner of each jet is in the columns, and whether there is one."""
    if "genJetIdx" not in jets:
        raise KeyError("jets have no column 'genJetIdx', which says what generated jet they are")
    if len(jets) != len(generated):
        raise ValueError(f"{len(jets)} events of jets, but {len(generated)} of generated ones")
    index = np.asarray(jets["genJetIdx"]).astype(np.int64)
    counts = np.repeat(np.asarray(generated.counts), np.asarray(jets.counts))
    first = np.asarray(generated.offsets[:-1])
    has = (index >= 0) & (index < counts)
    at = np.where(has, np.repeat(first, np.asarray(jets.counts)) + index, 0)
    return at, has
