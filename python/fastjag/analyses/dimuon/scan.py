"""scan: every excess in the whole mass spectrum, before the cuts of the search."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag.analyses.dimuon.config import ScanSettings
from fastjag.analyses.dimuon.preprocess import Floats
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.reporting.output import results_directory, write_json
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


def scan(results: DimuonResults) -> None:
    """Scan the opposite-sign pairs before the cuts."""
    pairs = results.prepared("all_pairs", {"dimu_mass", "charge"}.__contains__)
    masses = pairs["dimu_mass"][pairs["charge"] == 0].astype(np.float64)
    record = scan_spectrum(masses, results.config.scan, results.config.seed)
    with results_directory(results.folder("scan")) as directory:
        write_json(directory / "scan.json", record)


def scan_spectrum(masses: Floats, settings: ScanSettings, seed: int) -> dict[str, Any]:
    """Peaks, their names, and the most significant place besides them; all that was fitted."""
    try:
        fitted = mass_scan(masses, **vars(settings), seed=seed)
    except ValueError as error:
        raise ValueError(f"scan: {error}") from None
    # Windows that hold nothing of a peak.
    half = (1 + settings.resolution) ** (settings.sr_bins / 2) * (1 - 1e-9)
    outside = fitted.usable.copy()
    for peak in fitted.peaks:
        outside &= (fitted.mass * half <= peak.low) | (fitted.mass / half >= peak.high)
    where = int(np.where(outside, fitted.Z, -1).argmax()) if outside.any() else None
    elsewhere = None if where is None else {
        "mass": fitted.mass[where], "Z": fitted.Z[where], "Z_profiled": fitted.Z_profiled[where], "S": fitted.S[where], "B": fitted.B[where],
        "Z_global": fitted.global_Z(fitted.Z[where]), "p_global": fitted.global_p(fitted.Z[where]),
    }  # fmt: skip
    return {
        "model": _model(settings),
        "seed": seed,
        "n_pairs": len(masses),
        "n_in_range": int(fitted.counts.sum()),
        "peaks": [
            {**peak._asdict(), "p_global": fitted.global_p(peak.Z), "names": _names(peak)}
            for peak in sorted(fitted.peaks)
        ],
        "elsewhere": elsewhere,
        **{name: getattr(fitted, name) for name in (
            "edges", "counts", "expected", "mass", "Z", "Z_profiled", "S", "B", "error", "usable", "degree", "p_fit",
            "toy_maxima", "upcrossings")},
    }  # fmt: skip


def _model(s: ScanSettings) -> str:
    """The background, in words."""
    return (
        f"Bins of {s.resolution:.2%} in mass between {s.low:g} and {s.high:g} GeV. At every bin a window "
        f"of {s.sr_bins} bins between {s.sb_bins} + {s.sb_bins} sideband bins, or two thirds of them, "
        "whose background is the exponential of a polynomial in ln(mass), its degree chosen by F test up "
        f"to {s.degree}, fitted to the sidebands by Poisson likelihood without the bins of peaks already "
        "found; windows without a fit are not used; look-elsewhere effect from "
        f"{s.toys} background-only spectra that are scanned in the same way."
    )


def _names(peak: Any) -> list[str]:
    return [name for name, mass in KNOWN.items() if peak.low <= mass <= peak.high]
