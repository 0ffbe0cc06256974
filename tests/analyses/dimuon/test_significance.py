"""Every number of a search: the table, grids, toys and bands, against single fits."""

import json
from dataclasses import replace

import numpy as np
import pytest
from search_samples import CONFIG, PASSED, WINDOW, cut_curve, scored

pytest.importorskip("pyarrow")

from fastjag.analyses.dimuon.config import COARSE, FINE
from fastjag.analyses.dimuon.pairs import WindowPairs
from fastjag.analyses.dimuon.significance import ScoredPairs, bands, compute_significances, grid
from fastjag.core.devices import on_gpu, to_gpu
from fastjag.reporting.output import write_json
from fastjag.statistics import Window, significance, toy_curve


def with_fits(**changes):
    return replace(CONFIG, significance=replace(CONFIG.significance, **changes))


@pytest.fixture(scope="module")
def found():
    classes = {"OS": scored(), "SS": scored(2, n=1500, signal=0, hole=True)}
    return classes, compute_significances(classes, CONFIG, PASSED)


def test_grid_equals_single_curves(found):
    classes, _ = found
    cuts = {c: s.cuts(CONFIG.significance.all_rates) for c, s in classes.items()}
    curves = grid(cuts, WINDOW, 2, (2, 3), (6, 8))
    assert set(curves) == {(2, 6), (3, 6), (2, 8), (3, 8)}
    for degree, edges in curves:
        for c, some in classes.items():
            assert set(curves[degree, edges][c]) == {"classifier", "dimu_pt", "mu0_ip3d", "random"}
            one = cut_curve(
                some.pairs, some.discriminants["mu0_ip3d"], replace(WINDOW, sr_edges=edges),
                degree=degree, rates=CONFIG.significance.all_rates,
            )  # fmt: skip
            many = curves[degree, edges][c]["mu0_ip3d"]
            np.testing.assert_array_equal(many.cuts, one.cuts)
            np.testing.assert_allclose(many.result.Z, one.result.Z, atol=1e-9)


def test_nominal_is_fitted_also_if_it_is_no_variation():
    curves = grid({"OS": scored().cuts([1.0])}, WINDOW, 2, [3], [8])
    assert set(curves) == {(2, 6), (3, 8)}


def test_table(found):
    classes, result = found
    rows = result["table"]
    for c in classes:
        names = [(r["discriminant"], r["selection"]) for r in rows if r["pairs"] == c]
        expected = [("none", "inclusive"), ("dimu_pt", "best cut"), ("mu0_ip3d", "best cut")]
        expected += [("classifier", f"{100 * r:g} %") for r in COARSE[1:]]
        expected += [("classifier", "best cut"), ("classifier", "likelihood reweighting")]
        assert names == expected
    for row in rows:
        assert row["alternate"] == (row["pairs"] == "SS")
        some = classes[row["pairs"]]
        if row["selection"] == "likelihood reweighting":
            assert result[row["pairs"]]["reweighted"]["Z"] == row["Z"]
            assert row["toy_p"] == result[row["pairs"]]["toys_reweighted"]["p"]
            continue
        name = "classifier" if row["discriminant"] == "none" else row["discriminant"]
        x = some.discriminants[name]
        chosen = some.pairs.mass if row["cut"] is None else some.pairs.mass[x >= row["cut"]]
        left, signal, right, _ = WINDOW.count(chosen)
        one = significance(left, signal, right, window=WINDOW, degree=2)
        expected = [float(one.S), float(one.B), float(one.Z)]
        assert [row["S"], row["B"], row["Z"]] == pytest.approx(expected, abs=1e-6)
        best = row["selection"] == "best cut"
        assert (row["p_global"] is not None) == best
        if best:
            assert row["Z_global"] <= row["Z"]
    inclusive, best = (
        next(r for r in rows if r["selection"] == s and r["discriminant"] != "dimu_pt")
        for s in ("inclusive", "best cut")
    )
    assert best["Z"] > inclusive["Z"]
    assert inclusive["toys"] == 30
    assert inclusive["toy_p_low"] <= inclusive["toy_p"] <= inclusive["toy_p_high"]


def test_no_excess_no_reweighting(found):
    """An experiment as all others: with Z = 0 and the p-value of that."""
    _, result = found
    assert result["SS"]["reweighted"]["S"] < 0
    assert (result["SS"]["reweighted"]["Z"], result["SS"]["toys_reweighted"]["p"]) == (0, 1)
    assert result["SS"]["toys_reweighted"]["toys"] == 30
    assert result["SS"]["toys_reweighted"]["agrees"]
    assert all(v["reweighted"] == 0 for v in result["SS"]["variations"])
    assert 0 < result["OS"]["toys_reweighted"]["p"] < 0.2


def test_toys_are_those_of_the_curve(found):
    classes, result = found
    curve = cut_curve(
        classes["OS"].pairs, classes["OS"].discriminants["dimu_pt"], WINDOW, degree=2,
        rates=CONFIG.significance.all_rates,
    )  # fmt: skip
    toys = toy_curve(*curve.counts[:3], window=WINDOW, degree=2, toys=30, seed=4)
    assert result["OS"]["toys"]["dimu_pt"]["p_global"] == toys.p_global
    assert "random" not in result["OS"]["toys"]


def test_spectra_have_bands(found):
    _, result = found
    spectra = result["OS"]["spectra"]
    assert [s["wanted"] for s in spectra][:2] == [1.0, 0.25]
    for spectrum in spectra[:3]:
        background = np.array(spectrum["background"])
        middle = slice(40, 160)
        assert (background[middle] > 0).all()
        assert (spectrum["error"][middle] > 0).all()
        assert (spectrum["error"][middle] < 0.4 * background[middle]).all()


def test_without_toys_and_as_json(found, tmp_path):
    classes, _ = found
    result = compute_significances({"OS": classes["OS"]}, with_fits(toys=0), PASSED)
    assert result["OS"]["toys"] == {}
    assert {row["toy_p"] for row in result["table"]} == {None}
    write_json(tmp_path / "a.json", result)
    again = json.loads((tmp_path / "a.json").read_text())
    assert again["table"][0]["selection"] == "inclusive"


def test_bands():
    experiments = [scored(seed, signal=50) for seed in range(6)]
    result = bands(experiments, CONFIG, "toys")
    assert result["wanted"] == sorted({*CONFIG.significance.rates, *COARSE}, reverse=True)
    band = result["curves"]["classifier"]
    Z = np.array(band["Z"])
    assert Z.shape == (6, len(result["wanted"]))
    inclusive = [
        cut_curve(s.pairs, np.zeros(len(s.pairs)), WINDOW, degree=2, rates=[1.0]).result.Z[0]
        for s in experiments
    ]
    np.testing.assert_allclose(Z[:, 0], inclusive, atol=1e-9)
    assert band["median"][0] == pytest.approx(np.median(inclusive))
    assert band["low68"][0] == pytest.approx(np.percentile(inclusive, 16))
    for low, high in (("low95", "low68"), ("low68", "median"), ("median", "high68")):
        assert (band[low][:5] <= band[high][:5]).all()
    assert bands([], CONFIG, "none") is None


def test_a_cut_that_leaves_too_few_to_fit_is_not_the_best():
    """Two of the sideband bins filled do not hold a parabola, whatever significance they give."""
    loose = scored(3, n=3000, signal=40)
    mass = np.r_[loose.pairs.mass, 5.5, 5.5, 14.0, np.full(30, 9.8)]
    score = np.r_[loose.discriminants["classifier"], np.full(33, 0.995)]
    events = WindowPairs(mass, {}, (mass < 9) | (mass >= 10.6))
    rates = [1.0, 0.3, 3 / np.count_nonzero(events.sideband)]
    curve = cut_curve(events, score, WINDOW, degree=2, rates=rates)
    assert curve.few.tolist() == [False, False, True]
    assert (curve.counts.left[2].sum(), curve.counts.right[2].sum()) == (2, 1)
    assert curve.result.Z[2] == curve.result.Z.max() > curve.result.Z[curve.best]
    assert curve.best in (0, 1)
    only = ScoredPairs(events, {"classifier": score})
    config = with_fits(rates=rates)
    result = compute_significances({"OS": only}, config, PASSED)
    curve = cut_curve(events, score, WINDOW, degree=2, rates=config.significance.all_rates)
    assert not curve.few[curve.best]
    assert curve.result.Z[curve.best] < curve.result.Z.max()
    best = result["table"][-2]
    assert (best["selection"], best["few_events"]) == ("best cut", False)
    assert best["Z"] == pytest.approx(curve.result.Z[curve.best], abs=1e-6)
    # The global p-value is of that cut, against the best of such cuts of every toy.
    toys = result["OS"]["toys"]["classifier"]
    assert toys["Z"] == pytest.approx(best["Z"], abs=1e-6)
    tight = [r for r in result["table"] if r["selection"] == "0.1 %"]
    assert [r["few_events"] for r in tight] == [True]  # still shown


def test_cuts_that_leave_nothing_are_nan_in_bands():
    few = scored(3, n=40, signal=5)
    result = bands([few, few], CONFIG, "toys")
    Z = result["curves"]["classifier"]["Z"]
    assert np.isfinite(Z[:, 0]).all()
    assert np.isnan(Z[:, -1]).all()  # 0.1 % of 40
    assert Z[0].tolist() == pytest.approx(Z[1].tolist(), nan_ok=True)


def test_the_published_table(cases):
    """Converged numbers for the masses behind the published table, in one batch of spectra.

    Of CATHODE at 0.5 and 0.1 % and of the spectrum before isolation with degree 7 the published
    minimiser had not converged: 3.618, 0.370 and 27.71.
    """
    masses = np.load(cases / "masses_OS.npz")
    window = Window(5, 9, 10.6, 16, sr_edges=12)
    counts = [window.count(masses[f"OS_{i}"]) for i in range(8)]
    left, signal, right = (np.stack(side) for side in list(zip(*counts, strict=True))[:3])
    quintic = significance(left, signal, right, window=window, degree=5)
    assert quintic.converged.all()
    table = dict(zip([*COARSE, "before isolation"], quintic.Z.round(3).tolist(), strict=True))
    assert table == {
        1.0: 1.596, 0.25: 2.966, 0.1: 5.126, 0.05: 4.788, 0.01: 4.816, 0.005: 3.125, 0.001: 0.193,
        "before isolation": 28.922,
    }  # fmt: skip
    assert (quintic.S[0], quintic.B[0]) == pytest.approx((97.16, 1594.84), abs=5e-3)
    assert (quintic.S[7], quintic.B[7]) == pytest.approx((2956, 3586), abs=1)
    septic = significance(left[7], signal[7], right[7], window=window, degree=7)
    assert pytest.approx(23.886, abs=5e-4) == septic.Z
    # The spectra are nested cuts: the best of them is not as significant as it looks.
    toys = toy_curve(left[:7], signal[:7], right[:7], window=window, degree=5, toys=200, seed=1)
    assert pytest.approx(5.126, abs=5e-4) == toys.Z
    assert 4.3 < toys.Z_global < 4.9
    assert len(FINE) == 25


def test_picture_of_what_p_cannot_say(found, tmp_path):
    """45 sigma beside none: the axis is ln p, and nothing is infinite."""
    from fastjag.analyses.dimuon.pictures.curves import significances
    from fastjag.reporting.plots import save
    from fastjag.statistics import log_p

    _, result = found
    some = {c: {**result[c], "curves": dict(result[c]["curves"])} for c in ("OS", "SS")}
    curve = some["OS"]["curves"]["classifier"]
    Z = np.linspace(45, 0, len(curve["Z"]))
    some["OS"]["curves"]["classifier"] = {**curve, "Z": Z.tolist(), "p": [0.0] * len(Z)}
    band = {"low68": np.maximum(Z - 1, 0), "high68": [None, *(Z[1:] + 1)]}
    some["OS"]["bands"] = {"wanted": curve["wanted"], "curves": {"classifier": band}}
    figure = significances(some)
    save(figure, tmp_path / "significances.png")
    shown = next(x for x in figure.axes[0].lines if x.get_label() == "classifier").get_ydata()
    np.testing.assert_allclose(shown, log_p(Z) / np.log(10))
    assert figure.axes[0].get_ylim()[0] < shown.min() < -440
    assert "$10^{0}$" in [text.get_text() for text in figure.axes[0].get_yticklabels()]


class TestCountedOnTheGpu:
    """Counts are the same to the last bit, and with them every number of the search."""

    def test_equals_the_cpu(self, emulation, found):
        classes, cpu = found
        there = {c: replace(some, counted_on="cuda") for c, some in classes.items()}
        assert on_gpu(there["OS"].cuts([0.5])["random"].mass)
        gpu = compute_significances(there, CONFIG, PASSED)
        assert json.dumps(gpu, default=repr) == json.dumps(cpu, default=repr)

    def test_weights(self, emulation):
        rng = np.random.default_rng(4)
        mass, weights = 5 + rng.exponential(7, 500), rng.random(500)
        cpu = WINDOW.count_cuts(mass, mass, [0.0, 9.0], weights)
        gpu = WINDOW.count_cuts(*map(to_gpu, (mass, mass)), [0.0, 9.0], to_gpu(weights))
        for ours, theirs in zip((*gpu[:3], *gpu[3]), (*cpu[:3], *cpu[3]), strict=True):
            assert isinstance(ours, np.ndarray)
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
