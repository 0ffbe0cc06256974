"""Intervals, limits and the test of the background in a search, and what it shares."""

import json
from dataclasses import replace

import pytest
from search_samples import CONFIG, PASSED, scored

pytest.importorskip("pyarrow")

from fastjag.analyses.dimuon.inference import inference, model_of
from fastjag.analyses.dimuon.inference_report import inference_section
from fastjag.analyses.dimuon.pictures.inference import impacts, spurious_signals
from fastjag.analyses.dimuon.significance import compute_significances
from fastjag.reporting.output import write_json
from fastjag.reporting.report import Report
from fastjag.statistics import fit_signal, interval, upper_limit

ASKED = replace(CONFIG.significance, limits=True, luminosity=100.0, efficiency=0.5,
                signal_errors={"luminosity": 0.02, "efficiency": 0.1})  # fmt: skip
SEARCH = replace(CONFIG, significance=ASKED)


@pytest.fixture(scope="module")
def found():
    return compute_significances({"OS": scored()}, SEARCH, PASSED)


def test_numbers_are_those_of_the_likelihood(found):
    rows = {
        r["selection"]: r for r in found["table"] if r["discriminant"] in ("none", "classifier")
    }
    model = model_of(SEARCH.window, ASKED)
    for selection in ("inclusive", "best cut"):
        signal = found["OS"]["inference"]["signals"][selection]
        row = rows[selection]
        assert signal["Z"] == pytest.approx(row["Z"], abs=1e-5)
        assert signal["S"] == pytest.approx(row["S"], abs=1e-3)
        limit = upper_limit(model, signal["counts"])
        assert signal["observed"] == pytest.approx(float(limit.observed), rel=1e-4)
        wide = interval(model, signal["counts"], 0.95)
        assert signal["interval95"] == pytest.approx([float(wide.low), float(wide.high)], rel=1e-4)
        cross = signal["cross_section"]
        assert cross["observed"] == pytest.approx(signal["observed"] / 50)
        assert [n["name"] for n in signal["impacts"]["nuisances"]] == ["efficiency", "luminosity"]


def test_z_profiled_is_of_all_choices(found):
    test = found["OS"]["inference"]["background"]
    assert len(test["choices"]) >= 2
    row = next(r for r in found["table"] if r["selection"] == "inclusive")
    signal = found["OS"]["inference"]["signals"]["inclusive"]
    assert row["Z_profiled"] == pytest.approx(float(signal["profiled"]["Z"]), abs=1e-4)
    reweighting = next(r for r in found["table"] if r["selection"] == "likelihood reweighting")
    assert reweighting["Z_profiled"] is None


def test_the_check_of_the_background_is_one_of_the_search(found):
    bias = found["checks"]["bias"]
    assert bias["passes"] is (not found["OS"]["inference"]["background"]["biased"])
    assert "legendre 2" in bias["says"]


def test_few_pairs_have_intervals_by_toys():
    """Of a tenth of the pairs, the best cut leaves few."""
    from fastjag.analyses.dimuon.cuts import CLASSIFIER
    from fastjag.analyses.dimuon.significance import grid

    few = scored(n=80, signal=0)
    curves = grid({"OS": few.cuts([1.0])}, SEARCH.window, 2)[2, SEARCH.window.sr_edges]["OS"]
    asked = replace(ASKED, toys=100)
    record = inference({CLASSIFIER: curves[CLASSIFIER]}, SEARCH.window, asked, 1)
    signal = record["signals"]["inclusive"]
    assert signal["counts"][-1] < 20
    assert signal["toys"]["toys"] == 100
    low, high = signal["toys"]["interval68"]
    assert 0 <= low <= max(float(signal["S"]), 0) <= high
    assert signal["toys"]["interval95"][1] > high


def test_pictures_and_section(found, tmp_path):
    write_json(tmp_path / "numbers.json", {**found, "train_on": "OS"})
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    record = numbers["OS"]["inference"]
    assert spurious_signals({"OS": record["background"]}) is not None
    assert spurious_signals({"OS": {**record["background"], "truths": []}}) is None
    assert impacts(record["signals"]["best cut"]["impacts"]) is not None
    assert impacts({"nuisances": []}) is None
    page, shown = Report("x"), []
    inference_section(page, numbers, ["OS"], lambda *names: shown.extend(names))
    page.write(tmp_path / "x.html", "")
    text = (tmp_path / "x.html").read_text()
    for word in (
        "S profiled",
        "Cross-sections [pb]",
        "impact up",
        "legendre 2",
        "order of the F test",
    ):
        assert word in text
    assert shown == ["background_bias", "impacts"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jsonschema, in pyhf
def test_the_shared_workspace_gives_the_same_numbers(found):
    import pyhf

    from fastjag.statistics import to_pyhf

    signal = found["OS"]["inference"]["signals"]["inclusive"]
    model = model_of(SEARCH.window, ASKED)
    workspace = pyhf.Workspace(to_pyhf(model, signal["counts"]))
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3))
    pdf = workspace.model()
    data = workspace.data(pdf)
    _, free = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
    _, none = pyhf.infer.mle.fixed_poi_fit(0.0, data, pdf, return_fitted_val=True)
    assert float(none - free) == pytest.approx(float(signal["q0"]), abs=1e-5)
    assert float(fit_signal(model, signal["counts"]).q0) == pytest.approx(
        float(signal["q0"]), abs=1e-9
    )
    CLs = pyhf.infer.hypotest(float(signal["observed"]), data, pdf)
    assert float(CLs) == pytest.approx(0.05, rel=1e-3)
