"""scan: every excess in the whole mass spectrum, before the cuts of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.core.checks import near_misses
from fastjag.statistics import mass_scan

#: Masses [GeV] of what decays to two muons and is seen (Particle Data Group, 2024).
KNOWN = {
    "rho, omega": 0.78,
    "phi": 1.0195,
    "J/psi": 3.0969,
    "psi(2S)": 3.6861,
    "Upsilon(1S)": 9.4604,
    "Upsilon(2S)": 10.0234,
    "Upsilon(3S)": 10.3551,
    "Z": 91.188,
}


@dataclass(frozen=True)
class ScanSettings:
    """Range [GeV], bins and toys: see :func:`fastjag.statistics.mass_scan`."""

    low: float = 2.0
    high: float = 120.0
    resolution: float = 0.015
    sr_bins: int = 4
    sb_bins: int = 12
    degree: int = 8
    toys: int = 300

    @property
    def model(self) -> str:
        """The background, in words."""
        return (
            f"Bins of {self.resolution:.2%} in mass between {self.low:g} and {self.high:g} GeV. At every "
            f"bin a window of {self.sr_bins} bins between {self.sb_bins} + {self.sb_bins} sideband bins, or "
            f"two thirds of them, whose background is the exponential of a polynomial in ln(mass), its degree "
            f"chosen by F test up to {self.degree}, fitted to the sidebands by Poisson likelihood without the "
            f"bins of peaks already found; windows without a fit are not used; look-elsewhere effect from "
            f"{self.toys} background-only spectra that are scanned in the same way."
        )


def scan_settings(given: Mapping[str, Any]) -> ScanSettings:
    """Settings from the ``[scan]`` section of a configuration; errors name near misses."""
    known = [f.name for f in fields(ScanSettings)]
    for name in given:
        if name not in known:
            raise ValueError(f"unknown key in scan: {name!r}: {near_misses(name, known)}")
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"scan.{name} must be a number, got {value!r}")  # noqa: TRY004
    return ScanSettings(**given)


def scan_spectrum(masses: Floats, settings: ScanSettings, seed: int) -> dict[str, Any]:
    """Peaks, their names, and the most significant place besides them; all that was fitted."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    try:
        found = mass_scan(masses, **values, seed=seed)
    except ValueError as error:
        raise ValueError(f"scan: {error}") from None
    # Windows that hold nothing of a peak.
    half = (1 + settings.resolution) ** (settings.sr_bins / 2) * (1 - 1e-9)
    outside = found.usable.copy()
    for peak in found.peaks:
        outside &= (found.mass * half <= peak.low) | (found.mass / half >= peak.high)
    where = int(np.where(outside, found.Z, -1).argmax()) if outside.any() else None
    elsewhere = None if where is None else {
        "mass": found.mass[where], "Z": found.Z[where], "S": found.S[where], "B": found.B[where],
        "Z_global": found.global_Z(found.Z[where]), "p_global": found.global_p(found.Z[where]),
    }  # fmt: skip
    return {
        "model": settings.model,
        "seed": seed,
        "n_pairs": len(masses),
        "n_in_range": int(found.counts.sum()),
        "peaks": [
            {**peak._asdict(), "p_global": found.global_p(peak.Z), "names": _names(peak)}
            for peak in sorted(found.peaks)
        ],
        "elsewhere": elsewhere,
        **{name: getattr(found, name) for name in (
            "edges", "counts", "expected", "mass", "Z", "S", "B", "error", "usable", "degree", "p_fit",
            "toy_maxima", "upcrossings")},
    }  # fmt: skip


def _names(peak: Any) -> list[str]:
    return [name for name, mass in KNOWN.items() if peak.low <= mass <= peak.high]


def pair_masses(prepared: Path, charge_class: str) -> Floats:
    """Masses [GeV] of all pairs of a charge class before the cuts, from ``all_pairs.parquet``."""
    import pyarrow.parquet as pq

    table = pq.read_table(prepared / "all_pairs.parquet", columns=["dimu_mass", "charge"])
    charge = table["charge"].to_numpy()
    chosen = charge == 0 if charge_class == "OS" else np.abs(charge) == 2
    return np.asarray(table["dimu_mass"].to_numpy()[chosen], np.float64)
