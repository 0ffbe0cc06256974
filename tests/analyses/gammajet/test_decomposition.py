"""Photon+jet: the response by parts of MPF, the second jet's pile-up identification, and bands."""

from dataclasses import replace

import numpy as np
import pytest
from gammajet_samples import selected

from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import GammaJetConfig, GammaJetSample, PhotonJetSelection
from fastjag.analyses.gammajet.decomposition import bands, decompose, hdm
from fastjag.analyses.gammajet.report import bands_table
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.run import run
from fastjag.io.files import ReadError

CONFIG = GammaJetConfig(
    samples=(GammaJetSample(name="data", files=("a.root",)),), pt_edges=(200.0, 300.0, 1000.0),
    eta_ranges=((0.0, 2.5),),
)  # fmt: skip


class TestDecomposition:
    @pytest.mark.parametrize("response", [0.9, 1.02])
    def test_response_comes_back_unbiased(self, response):
        pulls = []
        for seed in range(60):
            rows = toys.draw(1000, response=response, seed=seed)
            found = decompose(rows | {"weight": np.ones(1000)}, 0.92)
            pulls.append((found.mean - response) / found.error)
        assert abs(np.mean(pulls)) < 4 / np.sqrt(60)
        assert 0.7 < np.std(pulls) < 1.35

    def test_what_is_in_no_jet(self):
        """10 % of the recoil is unclustered, with a response of 0.6; jets have 0.95."""
        n = 10
        rows = {"mpf_lead": np.full(n, 0.8 * 0.95), "mpf_others": np.full(n, 0.1 * 0.95),
                "weight": np.ones(n)}  # fmt: skip
        rows["mpf"] = rows["mpf_lead"] + rows["mpf_others"] + 0.1 * 0.6
        assert decompose(rows, 0.6).mean == pytest.approx(0.95, rel=1e-12)
        assert decompose(rows, 0.95).mean != pytest.approx(0.95, rel=1e-3)

    def test_error_is_that_of_repeated_experiments(self):
        rng = np.random.default_rng(1)
        found = []
        for _ in range(300):
            lead, others = rng.normal(0.8, 0.1, 200), rng.normal(0.1, 0.05, 200)
            rows = {"mpf_lead": lead, "mpf_others": others, "weight": rng.uniform(0.5, 2, 200),
                    "mpf": lead + others + rng.normal(0.1, 0.1, 200)}  # fmt: skip
            found.append(decompose(rows, 0.8))
        assert np.std([f.mean for f in found]) == pytest.approx(
            np.mean([f.error for f in found]), rel=0.15
        )

    def test_few_events(self):
        rows = {c: np.ones(1) for c in ("mpf", "mpf_lead", "mpf_others", "weight")}
        assert np.isnan(decompose(rows, 0.9).mean)

    def test_parts_of_files_are_those_of_the_draw(self, tmp_path):
        path = toys.write(tmp_path / "a.root", 400, seed=4)
        rows, _ = selected(path, PhotonJetSelection())
        drawn = toys.draw(400, seed=4)
        assert len(rows["mpf"]) == 400
        for column in ("mpf_lead", "mpf_others", "mpf"):
            np.testing.assert_allclose(rows[column], drawn[column], rtol=2e-5, atol=2e-5)
        (part,) = hdm(rows | {"weight": rows["gen_weight"]}, CONFIG)
        assert [b["entries"] > 10 for b in part["bins"]] == [True, True]


def test_pileup_identification_of_the_second_jet(tmp_path, monkeypatch):
    plain = toys._nanoaod

    def with_puid(rows, **options):
        events = plain(rows, **options)
        jets = events["Jet"]
        # Every second event has second jets that only pass the loose working point.
        first = np.arange(jets.n_particles) // 6 % 2 == 0
        events["Jet"] = jets.with_columns(puId=np.where(first, 4, 7).astype(np.int32))
        return events

    path = toys.write(tmp_path / "without.root", 50, seed=1, low_pt=60.0)
    with pytest.raises(ReadError, match=r"no branch Jet_puId: PUPPI jets have none"):
        selected(path, PhotonJetSelection(second_jet_puid="loose"))
    monkeypatch.setattr(toys, "_nanoaod", with_puid)
    path = toys.write(tmp_path / "a.root", 600, seed=1, low_pt=150.0)
    rows = {p: selected(path, PhotonJetSelection(second_jet_puid=p))[0]
            for p in ("none", "loose", "medium", "tight")}  # fmt: skip
    second = rows["none"]["jet2_pt"]
    np.testing.assert_array_equal(rows["loose"]["jet2_pt"], second)
    np.testing.assert_array_equal(rows["medium"]["jet2_pt"], rows["tight"]["jet2_pt"])
    changed = rows["medium"]["jet2_pt"] != second
    assert 60 < changed.sum() < 500
    assert (rows["medium"]["jet2_pt"][changed] == 0).all()
    assert (second[changed] < 50).all()


def test_photons_with_another_scale(tmp_path):
    path = toys.write(tmp_path / "a.root", 300, seed=2)
    nominal, _ = selected(path, PhotonJetSelection())
    import fastjag as fj
    from fastjag.analyses.gammajet.selection import columns_of, select_events

    needed, optional = columns_of(PhotonJetSelection())
    batch = next(iter(fj.iterate(str(path), needed, optional=optional, progress=False)))
    moved = select_events(batch, PhotonJetSelection(), {}, photon_factor=1.01)
    np.testing.assert_allclose(moved["photon_pt"], 1.01 * nominal["photon_pt"], rtol=1e-6)
    np.testing.assert_allclose(moved["balance"], nominal["balance"] / 1.01, rtol=1e-6)
    # The same momentum of all else: MPF scales as the balance does.
    np.testing.assert_allclose(moved["mpf"], nominal["mpf"] / 1.01, rtol=1e-5, atol=1e-6)


class TestBands:
    def test_larger_side_and_quadrature(self):
        def part(mean):
            return [
                {"eta": [0, 1], "estimator": "mpf", "bins": [{"low": 1, "high": 2, "mean": mean}]}
            ]

        varied = {"a up": part(1.03), "a down": part(0.99), "b up": part(0.96), "b down": part(1.0)}
        (found,) = bands(part(1.0), varied)
        assert found["bins"][0]["band"] == pytest.approx(0.05)
        assert found["bins"][0]["shifts"]["a down"] == pytest.approx(-0.01)
        missing = bands(part(1.0), varied | {"b down": part(np.nan)})
        assert np.isnan(missing[0]["bins"][0]["band"])

    def test_in_a_measurement(self, tmp_path):
        toys.write(tmp_path / "data.root", 3000, response=0.97, seed=1)
        for seed, kind in enumerate(("gjets", "qcd"), 2):
            toys.write(tmp_path / f"{kind}.root", 3000, kind=kind, response=1.02, seed=seed)
        text = toys.configuration(tmp_path)
        text = text.replace("photon_scale = 0.005", "photon_scale = 0.01")
        (tmp_path / "g.toml").write_text(text)
        config = GammaJetConfig.read(tmp_path / "g.toml")
        results = run(config, tmp_path / "out", ["response"])
        summary = results.responses()
        nominal = GammaJetResults(config, tmp_path / "out").rows(data=False)
        for part, mean in zip(summary["bands"], summary["simulation"], strict=True):
            for b, m in zip(part["bins"], mean["bins"], strict=True):
                assert b["mean"] == m["mean"]
                if m["entries"] > 200:
                    # Photons above the last edges come and go: about 1 %, the sign for sure.
                    assert b["shifts"]["photon scale up"] == pytest.approx(-0.01, abs=0.006)
                    assert b["shifts"]["photon scale down"] == pytest.approx(0.01, abs=0.006)
                    assert b["band"] > 0.004
        # More radiation for the balance: events with a large alpha, where it is lower.
        (balance,) = [
            p for p in summary["bands"] if p["estimator"] == "balance" and p["eta"][1] == 2.5
        ]
        b = max(balance["bins"], key=lambda b: b["low"] == 200)
        assert b["shifts"]["ISR up"] < 0 < b["shifts"]["ISR down"]
        assert abs(b["shifts"]["FSR up"]) < abs(b["shifts"]["ISR up"])
        # A shower weight changes no cross-section.
        shower = results.rows(data=False, variation="ISR up")
        assert shower["weight"].sum() == pytest.approx(nominal["weight"].sum(), rel=0.02)
        hdm_mean = [
            b["mean"] for b in summary["hdm"]["simulation"][1]["bins"] if b["entries"] > 300
        ]
        assert np.mean(hdm_mean) == pytest.approx(1.02, abs=0.02)
        columns, rows = bands_table(summary["bands"])
        assert columns[4:] == (*results.variations(), "band")
        assert len(rows) > 5
        with pytest.raises(ValueError, match="photon_scale"):
            replace(config, photon_scale=0.7)
