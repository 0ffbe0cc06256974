"""The scan of a mass spectrum: known resonances in real data, injected peaks, nothing elsewhere."""

import numpy as np
import pytest

import fastjag as fj
from fastjag.statistics import mass_scan


def falling(rng, n, low=2.0, high=120.0):
    """Masses of a smooth background, mostly at low mass."""
    return low * (high / low) ** rng.beta(1, 1.5, n)


def test_no_signal_no_peak():
    scan = mass_scan(falling(np.random.default_rng(1), 30_000), 2, 120, toys=60, seed=3)
    assert scan.peaks == []
    assert np.nanmax(scan.Z) < 4.5
    assert scan.global_Z(np.nanmax(scan.Z)) < 3
    assert scan.seed == 3
    # The background is that of the sample: all counts within their errors.
    pull = (scan.counts - scan.expected) / np.sqrt(scan.expected + 1)
    assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
    assert pull.std() == pytest.approx(1, abs=0.15)


def test_injected_peaks_are_found_and_measured():
    rng = np.random.default_rng(2)
    injected = {5.0: 400, 30.0: 300}
    signal = [rng.normal(m, 0.012 * m, n) for m, n in injected.items()]
    scan = mass_scan(np.concatenate([falling(rng, 30_000), *signal]), 2, 120, toys=60)
    peaks = sorted(scan.peaks)
    assert [p.mass for p in peaks] == pytest.approx(list(injected), rel=0.03)
    for peak, n in zip(peaks, injected.values(), strict=True):
        assert peak.low < peak.mass < peak.high
        assert peak.Z > 6
        assert 3 < peak.Z_global < peak.Z
        # A window of 4 bins of 1.5 % holds 98 % of the peak where it is centred.
        assert pytest.approx(n, abs=5 * np.sqrt(peak.S + peak.B)) == peak.S
    outside = ~np.any(
        [(scan.mass > p.low * 0.9) & (scan.mass < p.high * 1.1) for p in peaks], axis=0
    )
    assert np.nanmax(scan.Z[outside]) < 4.5


def test_look_elsewhere():
    """The largest Z of background toys has the distribution that the scan says."""
    scan = mass_scan(falling(np.random.default_rng(4), 20_000), 2, 120, toys=200)
    Z = np.linspace(0, 8, 200)
    p = scan.global_p(Z)
    assert (p[:-1] >= p[1:] - 0.02).all()
    assert scan.global_p(np.median(scan.toy_maxima)) == pytest.approx(0.5, abs=0.01)
    assert 1.5 < np.median(scan.toy_maxima) < 3.8
    far = scan.global_p(6.0)  # beyond all toys: the bound, about upcrossings times the local tail
    assert far == pytest.approx(scan.upcrossings * np.exp(-35 / 2), rel=0.05)


def test_one_seed_one_result():
    masses = falling(np.random.default_rng(5), 5000)
    first, second, other = (mass_scan(masses, 2, 120, toys=30, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.toy_maxima, second.toy_maxima)
    assert not np.array_equal(first.toy_maxima, other.toy_maxima)


def test_real_collisions(real_data):
    """CMS Open Data 2012: J/psi, psi(2S), Upsilon and Z, and nothing else above 3 sigma global."""
    masses = np.concatenate(
        [
            fj.dimuon(batch.Muon).mass
            for batch in fj.iterate(
                real_data / "agc_open-data-example.root",
                ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"],
            )
        ]
    )
    scan = mass_scan(masses, 1.8, 140, toys=100)
    peaks = sorted(scan.peaks)
    assert [p.mass for p in peaks] == pytest.approx([3.097, 3.686, 9.55, 91.0], rel=0.015)
    assert all(p.Z_global > 5 for p in peaks)
    known = np.zeros(len(scan.mass), bool)
    for peak in peaks:
        known |= (scan.mass > 0.96 * peak.low) & (scan.mass < 1.04 * peak.high)
    assert scan.global_Z(np.nanmax(scan.Z[~known])) < 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0, "high": 10}, "low 0, high 10"),
        ({"low": 5, "high": 6}, "range 5 to 6 GeV has 12 bins of 1.50%, but a window needs 28"),
        ({"low": 1, "high": 100, "toys": 0}, "toys must be an integer >= 1, got 0"),
        ({"low": 1, "high": 100, "sb_bins": 1}, "sb_bins must be an integer >= 2, got 1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        mass_scan(np.ones(10), **arguments)


def test_an_empty_sample():
    scan = mass_scan(np.zeros(0), 2, 120, toys=2)
    assert scan.peaks == []
    assert np.isnan(scan.Z).all()
