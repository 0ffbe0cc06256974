"""Overlapping samples of photon+jet events: which events of each count."""

import typing

import numpy as np
import pytest
import uproot
from gammajet_samples import selected

import fastjag as fj
from fastjag.analyses.gammajet import toys
from fastjag.analyses.gammajet.config import PhotonJetSelection
from fastjag.analyses.gammajet.stitching import continuity, photon_parton_delta_r, stitched


class TestStitching:
    def test_pair_of_samples_gives_the_unsplit_one(self, tmp_path):
        unsplit = toys.draw(4000, seed=6)["delta_r"]
        rows = {}
        for kind in ("gjets", "qcd"):
            path = toys.write(tmp_path / f"{kind}.root", 4000, kind=kind, seed=6)
            found, _ = selected(path, PhotonJetSelection())
            rows[kind] = found["delta_r"][stitched(kind, found["delta_r"])]
        assert rows["gjets"].min() > 0.4 >= rows["qcd"].max()
        both = np.concatenate(list(rows.values()))
        edges = np.linspace(0, 3.5, 71)
        np.testing.assert_array_equal(np.histogram(both, edges)[0], np.histogram(unsplit, edges)[0])

    def test_continuity(self):
        rng = np.random.default_rng(7)
        pulls = []
        for _ in range(100):
            x = rng.triangular(0, 3, 3.5, 50_000)
            pulls.append(continuity(x, np.full(50_000, 0.3)).pull)
        assert abs(np.mean(pulls)) < 0.4
        assert 0.8 < np.std(pulls) < 1.25
        step = np.append(x, np.repeat(x[x > 0.4], 2))
        assert continuity(step, np.ones(len(step))).pull > 5

    def test_photons_without_partons_and_none(self):
        class Events:
            source = "here"
            collections: typing.ClassVar = {
                "GenPart": fj.Jagged([0, 2, 2, 4], {
                    "pt": [9.0, 50.0, 40.0, 60.0], "eta": [0.0, 1.0, 0.0, 0.0], "phi": [0.0, 3.1, 0.0, 1.0],
                    "pdgId": [22, 22, 22, 22], "status": [1, 1, 1, 23], "statusFlags": [1, 1, 0, 1],
                }),
                "LHEPart": fj.Jagged([0, 3, 3, 4], {
                    "eta": [1.0, 1.0, 1.0, 0.0], "phi": [-3.1, 3.1, 3.1, 0.0],
                    "pdgId": [2, 2, 11, 21], "status": [1, -1, 1, 1],
                }),
            }  # fmt: skip
            GenPart, LHEPart = collections["GenPart"], collections["LHEPart"]

            def __len__(self):
                return 3

        # The hardest prompt photon; incoming partons and leptons do not count; the wrap in phi.
        found = photon_parton_delta_r(Events())
        np.testing.assert_allclose(found, [2 * np.pi - 6.2, np.nan, np.nan])
        assert stitched("qcd", found).tolist() == [True, True, True]
        assert stitched("gjets", [np.inf, 0.4, np.nan]).tolist() == [True, False, False]
        assert stitched("qcd", [np.inf, 0.4, np.nan]).tolist() == [False, True, True]
        with pytest.raises(ValueError, match="kind must be one of data, gjets"):
            stitched("gjet", found)

    def test_real_generator_records(self, real_data):
        path = real_data / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
        (batch,) = fj.iterate(str(path), ["GenPart_*", "LHEPart_*"])
        found = photon_parton_delta_r(batch)
        events = uproot.open(path)["Events"].arrays(filter_name=["GenPart_*", "LHEPart_*"])
        n = 0
        for e, dr in zip(events, found, strict=True):
            photons = [
                i for i in range(len(e["GenPart_pt"]))
                if e["GenPart_pdgId"][i] == 22 and e["GenPart_status"][i] == 1
                and e["GenPart_statusFlags"][i] & 1
            ]  # fmt: skip
            if not photons:
                assert np.isnan(dr)
                continue
            n += 1
            i = max(photons, key=lambda i: e["GenPart_pt"][i])
            distances = [
                np.hypot(e["LHEPart_eta"][j] - e["GenPart_eta"][i],
                         (e["LHEPart_phi"][j] - e["GenPart_phi"][i] + np.pi) % (2 * np.pi) - np.pi)
                for j in range(len(e["LHEPart_eta"]))
                if e["LHEPart_status"][j] == 1
                and (abs(e["LHEPart_pdgId"][j]) <= 5 or e["LHEPart_pdgId"][j] == 21)
            ]  # fmt: skip
            assert dr == pytest.approx(min(distances, default=np.inf), abs=1e-5)
        assert n > 0
