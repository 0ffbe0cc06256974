"""The scan of a mass spectrum: known resonances in real data, injected peaks, nothing elsewhere."""

import numpy as np
import pytest

import fastjag as fj
from fastjag.statistics import mass_scan, scan_counts

special = pytest.importorskip("scipy.special")
stats = pytest.importorskip("scipy.stats")


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
    far = scan.global_p(6.0)  # beyond all toys: about upcrossings times the local tail
    assert 0.4 < far / (scan.upcrossings * np.exp(-35 / 2)) < 1.2
    # However far, the global Z follows the local one, as p is a logarithm.
    assert 59 < scan.global_Z(60.0) < 60
    assert scan.global_Z(0.0) == 0


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
        ({"low": 1, "high": 100, "sb_bins": 1}, "sb_bins must be an integer >= 5, got 1"),
        (
            {"low": 1, "high": 100, "sb_bins": 4},
            "sb_bins must be an integer >= 5, got 4",
        ),
        ({"low": 1, "high": 100, "degree": 2}, "degree must be an integer >= 3, got 2"),
        ({"low": 1, "high": np.inf}, "low 1, high inf"),
        ({"low": 1, "high": 100, "discovery": np.nan}, "discovery must be above 0, .* got nan"),
        ({"low": 1, "high": 100, "discovery": 0}, "discovery must be above 0, .* got 0"),
        ({"low": 1, "high": 100, "discovery": np.inf}, "discovery must be above 0, .* got inf"),
        ({"low": 1, "high": 100, "resolution": 1.0}, "resolution 1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        mass_scan(np.ones(10), **arguments)


@pytest.mark.parametrize(
    ("counts", "edges", "message"),
    [
        (
            np.ones(40),
            1.1 ** np.arange(40),
            r"shapes \(n,\) and \(n \+ 1,\), got \(40,\) and \(40,\)",
        ),
        (np.ones(40), np.arange(1.0, 42), "of equal ratios"),
        (np.ones(40), 1.1 ** -np.arange(41.0), "of equal ratios"),
        (-np.ones(40), 1.1 ** np.arange(41), "counts must be finite and not negative"),
        (np.full(40, np.nan), 1.1 ** np.arange(41), "counts must be finite and not negative"),
    ],
)
def test_errors_of_counts(counts, edges, message):
    with pytest.raises(ValueError, match=message):
        scan_counts(counts, edges)


def finite(scan):
    arrays = (scan.expected, scan.Z, scan.S, scan.B, scan.error, scan.p_fit, scan.toy_maxima)
    return all(np.isfinite(a).all() for a in arrays) and np.isfinite(scan.peaks).all()


def test_an_empty_sample():
    scan = mass_scan(np.zeros(0), 2, 120, toys=26)
    assert scan.peaks == []
    assert finite(scan)
    assert (scan.Z == 0).all()
    assert (scan.toy_maxima == np.zeros(26)).all()
    assert scan.upcrossings == 0
    assert scan.global_p(scan.Z.max()) == 1


def spectrum(shape, n, resolution, low=10.0, high=100.0):
    """Edges of equal ratio, and the exact expectation of their bins for n events of a density."""
    bins = int(np.log(high / low) / np.log1p(resolution))
    edges = low * (1 + resolution) ** np.arange(bins + 1)
    x, weight = np.polynomial.legendre.leggauss(8)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    expected = (weight * shape(middle + half * x) * half).sum(axis=1)
    return edges, expected / expected.sum() * n


SHAPES = {
    "m^-2": lambda m: m**-2,
    "m^-4": lambda m: m**-4,
    "m^-6": lambda m: m**-6,
    "exp(-m/3)": lambda m: np.exp(-m / 3),
    "turn-on": lambda m: m**-3 / (1 + np.exp(-(m - 15) / 3)),
}


@pytest.mark.parametrize("resolution", [0.015, 0.05])
@pytest.mark.parametrize("n", [1e4, 1e6, 3e7])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_background_is_not_biased(shape, n, resolution):
    """On exact expectations: below 0.2 of the Poisson error, or the window says that it is not usable."""
    edges, expected = spectrum(SHAPES[shape], n, resolution)
    scan = scan_counts(expected, edges, toys=1)
    view = np.lib.stride_tricks.sliding_window_view(expected, 4)
    true = view.sum(axis=1)[12 : 12 + len(scan.mass)]
    bias = np.abs(scan.B - true) / np.sqrt(true)
    assert bias[scan.usable].max() < 0.2
    assert scan.peaks == []
    assert finite(scan)
    if shape != "turn-on":
        assert scan.usable.mean() > 0.9
        assert (np.abs(scan.expected - expected) <= np.sqrt(expected) + 0.1).all()


@pytest.mark.parametrize(
    ("shape", "n", "resolution", "seeds"),
    [("m^-4", 1e6, 0.03, 4), ("m^-6", 3e5, 0.02, 6), ("m^-6", 5e6, 0.02, 3), ("turn-on", 2.2e7, 0.015, 1)],
)  # fmt: skip
def test_a_smooth_spectrum_has_no_peak(shape, n, resolution, seeds):
    """A cubic in mass found peaks of up to 11 sigma in these, and one of Z = NaN."""
    edges, expected = spectrum(SHAPES[shape], n, resolution)
    for seed in range(seeds):
        scan = scan_counts(np.random.default_rng(seed).poisson(expected), edges, toys=40)
        assert scan.peaks == []
        assert finite(scan)
        assert scan.Z.max() < 4
        assert scan.usable.mean() > 0.75


def test_an_edge_is_no_peak():
    """A step has no background that fits: its windows say so, and none of them is a peak."""
    edges, expected = spectrum(lambda m: m**-2 * np.where(m > 30, 8, 1), 1e6, 0.02)
    scan = scan_counts(np.random.default_rng(1).poisson(expected), edges, toys=20)
    across = (scan.mass > 27) & (scan.mass < 33)
    assert not scan.usable[across].any()
    assert (scan.Z[~scan.usable] == 0).all()
    assert (scan.S[~scan.usable] == 0).all()
    assert (scan.error[~scan.usable] == 0).all()
    np.testing.assert_allclose(
        scan.B[~scan.usable],
        np.lib.stride_tricks.sliding_window_view(scan.expected, 4).sum(axis=1)[12:][: len(scan.Z)][
            ~scan.usable
        ],
    )
    assert scan.peaks == []
    assert finite(scan)
    assert scan.expected.max() < 3 * scan.counts.max()


def test_nothing_bypasses_the_toys():
    """A local 7 sigma is no peak where 30 are asked for globally."""
    rng = np.random.default_rng(2)
    masses = np.concatenate([falling(rng, 20_000), rng.normal(30, 0.36, 250)])
    found = mass_scan(masses, 2, 120, toys=30)
    assert len(found.peaks) == 1
    assert found.peaks[0].Z > 6
    scan = mass_scan(masses, 2, 120, toys=30, discovery=30)
    assert scan.peaks == []
    assert scan.Z.max() > 5


def test_an_excess_over_many_events():
    """366 events over 3,700 at 20 GeV are 6 sigma of 3,700 alone.

    The window holds 95 % of them, and the count and the background have errors: 4.4 sigma are left.
    """
    edges, expected = spectrum(lambda m: m**-3, 1.0, 0.05)
    view = np.lib.stride_tricks.sliding_window_view
    places = np.sqrt(edges[:-4] * edges[4:])
    window = int(np.abs(places - 20).argmin())
    background = expected * 3700 / view(expected, 4)[window].sum()
    cdf = special.ndtr((edges - places[window]) / (0.05 * places[window]))
    Z, pulls, found = [], [], 0
    for seed in range(12):
        counts = np.random.default_rng(seed).poisson(background + 366 * np.diff(cdf))
        scan = scan_counts(counts, edges, toys=30, seed=seed)
        at = window - 12
        Z.append(scan.Z[at])
        pulls.append((scan.S[at] - 366 * (cdf[window + 4] - cdf[window])) / max(scan.error[at], 1))
        found += any(p.low < places[window] < p.high for p in scan.peaks)
    assert np.median(Z) == pytest.approx(4.4, abs=0.6)
    assert found >= 6  # three sigma globally are 3.7 locally
    assert np.median(pulls) == pytest.approx(0, abs=0.5)


def test_toys_have_the_shape_of_the_data():
    """Where narrow sidebands are used, and where none are, toys have no notches that data have not."""
    edges, expected = spectrum(SHAPES["turn-on"], 3e7, 0.05)
    for seed in range(3):
        counts = np.random.default_rng(seed).poisson(expected)
        scan = scan_counts(counts, edges, toys=1)
        assert not scan.usable.all()
        assert np.abs((scan.expected - expected) / np.sqrt(expected)).max() < 6


def test_global_p_is_uniform():
    """Smooth spectra have any global p equally often."""
    edges, expected = spectrum(SHAPES["m^-4"], 1e5, 0.05)
    rng = np.random.default_rng(3)
    p = []
    for seed in range(40):
        scan = scan_counts(rng.poisson(expected), edges, toys=50, seed=seed)
        p.append(float(scan.global_p(scan.Z.max())))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (np.array(p) < 0.05).sum() <= 6


def test_windows_near_a_known_peak_leave_it_out():
    """A small peak beside a large one, in its sideband, is measured as if it were alone."""
    edges, expected = spectrum(SHAPES["m^-2"], 1e5, 0.015)
    cdf = [special.ndtr((edges - m) / (0.012 * m)) for m in (25.0, 29.5)]
    small = 900 * np.diff(cdf[1])
    counts = np.random.default_rng(4).poisson(expected + 20_000 * np.diff(cdf[0]) + small)
    scan = scan_counts(counts, edges, toys=20)
    assert [p.mass for p in scan.peaks] == pytest.approx([25, 29.5], rel=0.01)
    large, beside = scan.peaks
    assert large.high <= beside.low
    assert pytest.approx(880, abs=4 * np.sqrt(beside.S + 2 * beside.B)) == beside.S
