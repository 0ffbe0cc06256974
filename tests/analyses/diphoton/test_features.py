"""Features of diphoton events against loops over events, and against awkward on real files."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag.analyses.diphoton.column_statistics import STATISTICS, column_statistics
from fastjag.analyses.diphoton.event_shapes import SHAPES
from fastjag.analyses.diphoton.events import Events
from fastjag.analyses.diphoton.features import (
    DEFAULT,
    GROUPS,
    aggregates,
    documentation,
    feature_names,
    thin,
)

ROOT = Path(__file__).parents[3]


def sample(n=60, seed=3):
    """Events with few and many particles of every kind, and some with none at all."""
    rng = np.random.default_rng(seed)

    def particles(mean, **more):
        counts = rng.poisson(mean, n)
        counts[:3] = 0
        m = counts.sum()
        pt, eta = 20 + rng.exponential(40, m), rng.normal(0, 1.6, m)
        columns = {
            "pt": pt, "eta": eta, "phi": rng.uniform(-np.pi, np.pi, m),
            "E": np.hypot(pt * np.cosh(eta), rng.exponential(5, m)),
        } | {name: make(m) for name, make in more.items()}  # fmt: skip
        return fj.Jagged.from_counts(counts, columns)

    kinds = {
        "photon": particles(2.5, ptcone30=lambda m: rng.exponential(1, m)),
        "lep": particles(
            1.2, charge=lambda m: rng.choice([-1, 1], m),
            type=lambda m: rng.choice([11, 13], m).astype("u4"),
        ),
        "jet": particles(
            3.0, MV2c10=lambda m: rng.uniform(-1, 1, m), trueflav=lambda m: rng.integers(0, 6, m)
        ),
        "tau": particles(0.3),
    }  # fmt: skip
    flat = {"met_et": rng.exponential(30, n), "met_phi": rng.uniform(-np.pi, np.pi, n)}
    return Events(kinds, flat, ("all",))


# ---- one event at a time ------------------------------------------------------------------------


class P:
    def __init__(self, px, py, pz, E, **more):
        self.px, self.py, self.pz, self.E = px, py, pz, E
        self.pt, self.phi = np.hypot(px, py), np.arctan2(py, px)
        self.eta = np.arcsinh(pz / self.pt) if self.pt else np.nan
        self.m = np.sqrt(max(0, E**2 - px**2 - py**2 - pz**2))
        self.p = np.array([px, py, pz])
        self.__dict__.update(more)

    def __add__(self, other):
        return P(self.px + other.px, self.py + other.py, self.pz + other.pz, self.E + other.E)


def d_phi(a, b):
    d = abs(a.phi - b.phi)
    return min(d, 2 * np.pi - d)


def d_r(a, b):
    return np.hypot(a.eta - b.eta, d_phi(a, b))


def objects(events, kind, i):
    j = events.particles[kind][i : i + 1]
    found = []
    for k in range(j.n_particles):
        x = {c: j[c][k] for c in j.columns}
        pt, eta, phi = x.pop("pt"), x.pop("eta"), x.pop("phi")
        found.append(P(pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), **x))
    return sorted(found, key=lambda p: -p.pt)


def best(values, function=min):
    values = list(values)
    return function(values) if values else np.nan


def nearest_to(target, masses):
    return best(masses, lambda m: min(m, key=lambda x: abs(x - target)))


def expected(events, i):
    """Everything that `GROUPS` names, by the definitions of textbooks."""
    y, lep, jet, tau = (objects(events, kind, i) for kind in ("photon", "lep", "jet", "tau"))
    size, angle = events.flat["met_et"][i], events.flat["met_phi"][i]
    met = P(size * np.cos(angle), size * np.sin(angle), 0.0, size)
    ht, lt, py = (sum(p.pt for p in some) for some in (jet, lep, y))
    pairs = list(itertools.combinations(jet, 2))
    masses = [(a + b).m for a, b in pairs]
    leptons = list(itertools.combinations(lep, 2))
    ossf = [(a, b) for a, b in leptons if a.charge != b.charge and a.type == b.type]
    found = dict.fromkeys((n for g in GROUPS for n in g.documented), np.nan)
    found |= {
        "ht": ht, "mht": np.hypot(sum(j.px for j in jet), sum(j.py for j in jet)),
        **{f"n_jets_{c}": sum(j.pt > c for j in jet) for c in (25, 30, 40, 50)},
        "n_central_jets": sum(abs(j.eta) < 2.5 for j in jet),
        "n_forward_jets": sum(abs(j.eta) > 2.5 for j in jet),
        "max_m_jj": best(masses, max), "min_m_jj": best(masses),
        "m_jj_near_w": nearest_to(80.4, masses), "m_jj_near_z": nearest_to(91.2, masses),
        "m_jj_near_h": nearest_to(125, masses),
        "max_delta_eta_jj": best((abs(a.eta - b.eta) for a, b in pairs), max),
        "m_jets": sum(jet[1:], jet[0]).m if jet else np.nan,
        "min_delta_r_photon_jet": best(d_r(a, b) for a in y for b in jet),
        "mean_delta_r_photon_jet": best((d_r(a, b) for a in y for b in jet), np.mean),
        "n_b_85": sum(j.MV2c10 > 0.1758 for j in jet), "n_b_77": sum(j.MV2c10 > 0.6459 for j in jet),
        "n_b_70": sum(j.MV2c10 > 0.8244 for j in jet), "n_b_60": sum(j.MV2c10 > 0.9349 for j in jet),
        "n_electrons": sum(p.type == 11 for p in lep), "n_muons": sum(p.type == 13 for p in lep),
        "lt": lt, "total_charge": sum(p.charge for p in lep),
        "n_os_pairs": sum(a.charge != b.charge for a, b in leptons),
        "n_sf_pairs": sum(a.type == b.type for a, b in leptons), "n_ossf_pairs": len(ossf),
        "m_ll_near_z": nearest_to(91.2, [(a + b).m for a, b in ossf]),
        "min_delta_r_lep_photon": best(d_r(a, b) for a in lep for b in y),
        "min_delta_r_lep_jet": best(d_r(a, b) for a in lep for b in jet),
        "met": size, "met_over_sqrt_ht": size / np.sqrt(ht) if jet else np.nan,
        "met_over_sqrt_sum": size / np.sqrt(ht + lt + py) if y or lep or jet else np.inf,
        "meff": ht + lt + size, "st": ht + lt + py + size,
        "min_delta_phi_jet_met": best(d_phi(j, met) for j in jet[:4]),
    }  # fmt: skip
    tags = sorted((j.MV2c10 for j in jet), reverse=True)
    found |= {f"btag_{k + 1}": tags[k] for k in range(min(2, len(tags)))}
    if len(y) > 1:
        a, b = y[:2]
        yy, m2 = a + b, 2 * a.pt * b.pt * (np.cosh(a.eta - b.eta) - np.cos(a.phi - b.phi))
        thrust = (a.p - b.p)[:2] / np.linalg.norm((a.p - b.p)[:2])
        # The polar angle of a photon in the frame of Collins and Soper, by their own formula.
        plus = [(p.E + p.pz) / np.sqrt(2) for p in (massless(a), massless(b))]
        minus = [(p.E - p.pz) / np.sqrt(2) for p in (massless(a), massless(b))]
        cosine = 2 * (plus[0] * minus[1] - minus[0] * plus[1]) / np.sqrt(m2 * (m2 + yy.pt**2))
        found |= {
            "pt_yy": yy.pt, "ptt_yy": abs(yy.px * thrust[1] - yy.py * thrust[0]), "eta_yy": yy.eta,
            "delta_eta_yy": abs(a.eta - b.eta), "delta_phi_yy": d_phi(a, b), "delta_r_yy": d_r(a, b),
            "cos_theta_star": abs(cosine), "pt1_over_m": a.pt / np.sqrt(m2),
            "pt2_over_m": b.pt / np.sqrt(m2), "delta_phi_yy_met": d_phi(yy, met),
        }  # fmt: skip
    if len(jet) > 1:
        a, b = jet[:2]
        jj = a + b
        found |= {
            "m_jj": jj.m, "pt_jj": jj.pt, "delta_eta_jj": abs(a.eta - b.eta),
            "delta_phi_jj": d_phi(a, b), "delta_r_jj": d_r(a, b),
        }  # fmt: skip
        if len(y) > 1:
            found |= {
                "zeppenfeld": abs(yy.eta - (a.eta + b.eta) / 2),
                "delta_phi_yy_jj": d_phi(yy, jj), "pt_yyjj": (yy + jj).pt,
            }  # fmt: skip
    if len(lep) > 1:
        found["m_ll"] = (lep[0] + lep[1]).m
    if lep:
        found |= {
            "delta_phi_lep_met": d_phi(lep[0], met), "pt_lep_met": (lep[0] + met).pt,
            "mt_lep_met": np.sqrt(2 * lep[0].pt * size * (1 - np.cos(d_phi(lep[0], met)))),
        }  # fmt: skip
    return found | shapes([*y, *lep, *tau, *jet])


def massless(p):
    return P(p.px, p.py, p.pz, np.linalg.norm(p.p))


def shapes(every):
    found = dict.fromkeys(SHAPES, np.nan) | {"n_objects": len(every)}
    if not every:
        return found
    p = np.array([o.p for o in every])
    size = np.linalg.norm(p, axis=1)
    _, l2, l3 = np.linalg.eigvalsh(p.T @ p / (size**2).sum())[::-1]
    flat = np.linalg.eigvalsh(p[:, :2].T @ p[:, :2])
    energy = sum(o.E for o in every)
    x = np.clip(p @ p.T / np.outer(size, size), -1, 1)
    for k in range(5):
        polynomial = np.polynomial.legendre.Legendre.basis(k)(x)
        found[f"fox_wolfram_{k}"] = (np.outer(size, size) * polynomial).sum() / energy**2
    return found | {
        "m_all": sum(every[1:], every[0]).m, "centrality": sum(o.pt for o in every) / energy,
        "sphericity": 1.5 * (l2 + l3), "aplanarity": 1.5 * l3,
        "transverse_sphericity": 2 * flat[0] / flat.sum(), "thrust": exact_thrust(p) / size.sum(),
    }  # fmt: skip


def exact_thrust(p):
    """Over all ways to add or subtract the momenta: slow, and without any search."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(p) - 1)))
    sums = p[0] + signs @ p[1:] if len(p) > 1 else p
    return np.linalg.norm(sums, axis=-1).max()


class TestObservables:
    def test_equal_loops_over_events(self):
        events = sample()
        names = [name for group in GROUPS for name in group.documented]
        found = aggregates(events, names)
        wanted = [expected(events, i) for i in range(len(events))]
        assert list(found) == names
        thrust = found.pop("thrust")
        for name, values in found.items():
            loop = np.array([w[name] for w in wanted], float)
            assert np.isnan(loop).mean() < 0.95, f"{name}: hardly ever defined here"
            np.testing.assert_allclose(values, loop, rtol=1e-7, atol=2e-5, err_msg=name)
        # A lower bound, and mostly the thing itself.
        exact = np.array([w["thrust"] for w in wanted])
        some = np.isfinite(exact)
        assert np.array_equal(np.isfinite(thrust), some)
        assert (thrust[some] <= exact[some] + 1e-12).all()
        assert np.mean(thrust[some] > exact[some] - 1e-9) > 0.85
        assert (thrust[some] > 0.95 * exact[some]).all()

    def test_order_of_particles_and_orientation_of_events_do_not_matter(self):
        events = sample()
        rng = np.random.default_rng(5)
        turn = rng.uniform(-np.pi, np.pi, len(events))

        def turned(particles):
            phi = particles["phi"] + np.repeat(turn, particles.counts)
            shuffled = particles.with_columns(
                phi=(phi + np.pi) % (2 * np.pi) - np.pi, r=rng.random(len(phi))
            )
            return shuffled.sort("r")[list(particles.columns)]

        flat = events.flat | {"met_phi": events.flat["met_phi"] + turn}
        other = Events({k: turned(p) for k, p in events.particles.items()}, flat, events.classes)
        names = [name for group in GROUPS for name in group.documented]
        before, after = aggregates(events, names), aggregates(other, names)
        for name in names:
            np.testing.assert_allclose(
                before[name], after[name], rtol=1e-6, atol=1e-5, err_msg=name
            )


class TestStatistics:
    @settings(max_examples=25)
    @given(st.lists(st.lists(st.floats(-100, 100, width=32), max_size=6), max_size=8))
    def test_equal_numpy(self, lists):
        rng = np.random.default_rng(1)
        x = [np.array(values, np.float64) for values in lists]
        pt = [rng.permutation(len(values)) + 1.0 for values in x]
        flat = np.concatenate([*x, np.empty(0)])
        jagged = fj.Jagged.from_counts(
            np.array([len(v) for v in x], np.int64), {"x": flat, "pt": np.concatenate([*pt, []])}
        )
        with np.errstate(all="ignore"):
            found = column_statistics(jagged, "x", STATISTICS)
            for i, values in enumerate(x):
                for name, wanted in self.loop(values, pt[i]).items():
                    np.testing.assert_allclose(
                        found[name][i], wanted, rtol=1e-6, atol=1e-7, err_msg=name
                    )

    @staticmethod
    def loop(x, pt):
        n, total = len(x), x.sum()
        by_pt = x[np.argsort(-pt)]
        found = dict.fromkeys(STATISTICS, np.nan) | {
            "sum": total, "sumabs": np.abs(x).sum(), "sumsq": (x**2).sum(),
            "any": float(x.any()), "all": float(x.all()),
        }  # fmt: skip
        if n == 0:
            return found
        unit = np.exp(1j * x).sum()
        found |= {
            "mean": x.mean(), "std": x.std(), "var": x.var(), "min": x.min(), "max": x.max(),
            "absmax": np.abs(x).max(), "range": np.ptp(x), "median": np.median(x),
            "argmin": x.argmin(), "argmax": x.argmax(), "wmean": np.average(x, weights=pt),
            **{f"lead{k + 1}": by_pt[k] for k in range(min(5, n))},
            "circvar": 1 - abs(unit) / n,
        }  # fmt: skip
        if abs(unit) > 1e-3:
            found["circmean"] = np.angle(unit)
        else:
            del found["circmean"]  # rounding decides
        if n > 1:
            found |= {"samplestd": x.std(ddof=1), "ratio": np.divide(by_pt[1], by_pt[0])}
        if abs(total) > 1e-3:
            found |= {"share": by_pt[0] / total, "dispersion": np.sqrt((x**2).sum()) / total}
        else:
            found = {k: v for k, v in found.items() if k not in ("share", "dispersion")}
        if x.std() > 1e-3:
            z = (x - x.mean()) / x.std()
            found |= {"skew": (z**3).mean(), "kurt": (z**4).mean() - 3}
        elif np.ptp(x) > 0:
            found = {k: v for k, v in found.items() if k not in ("skew", "kurt")}
        return found

    def test_angles_have_no_seam(self):
        jagged = fj.Jagged([0, 2], {"phi": [np.pi - 0.1, -np.pi + 0.3]})
        found = column_statistics(jagged, "phi", ["circmean", "circvar", "mean"])
        assert found["circmean"][0] == pytest.approx(-np.pi + 0.1)
        assert found["circvar"][0] == pytest.approx(1 - np.cos(0.2))
        assert abs(found["mean"][0]) < 0.2  # which is why there is a circular one

    def test_equal_awkward_on_a_real_file(self, real_data):
        import awkward as ak
        import uproot

        with uproot.open(real_data / "uproot-HZZ.root")["events"] as tree:
            for kind in ("Muon", "Jet", "Photon"):
                p = {c: tree[f"{kind}_{c}"].array() for c in ("Px", "Py", "E")}
                array = ak.zip({"pt": np.hypot(p["Px"], p["Py"]), "E": p["E"]})
                found = column_statistics(fj.Jagged.from_awkward(array), "E", STATISTICS)
                e = ak.values_astype(array.E, "float64")
                ordered = e[ak.argsort(array.pt, ascending=False, stable=True)]
                wanted = {
                    "sum": ak.sum(e, axis=1), "mean": ak.mean(e, axis=1), "std": ak.std(e, axis=1),
                    "var": ak.var(e, axis=1), "min": ak.min(e, axis=1), "max": ak.max(e, axis=1),
                    "range": ak.ptp(e, axis=1), "sumsq": ak.sum(e**2, axis=1),
                    "argmax": ak.argmax(e, axis=1), "argmin": ak.argmin(e, axis=1),
                    "lead1": ak.firsts(ordered), "lead2": ak.firsts(ordered[:, 1:]),
                    "wmean": ak.mean(e, weight=array.pt, axis=1),
                    "share": ak.firsts(ordered) / ak.sum(e, axis=1),
                }  # fmt: skip
                for name, values in wanted.items():
                    values = ak.to_numpy(ak.fill_none(values, np.nan))
                    np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


class TestNames:
    def test_default(self):
        events = sample()
        found = aggregates(events)
        assert list(found) == [n for n in DEFAULT if n in feature_names(events)]
        assert {"n_b_70", "m_jj", "jet_pt_lead1", "photon_n", "thrust"} <= set(found)
        assert all(v.shape == (len(events),) and v.dtype == np.float64 for v in found.values())
        assert not any("trueflav" in name for name in feature_names(events))

    def test_chosen(self):
        events = sample()
        found = aggregates(events, ["jet_pt_*", "met", "jet_n"])
        assert list(found) == [*(f"jet_pt_{s}" for s in STATISTICS), "met", "jet_n"]
        assert np.array_equal(found["jet_n"], events.particles["jet"].counts)

    def test_without_b_tags_and_leptons(self):
        events = sample()
        kinds = {k: v for k, v in events.particles.items() if k in ("photon", "jet")}
        kinds["jet"] = kinds["jet"][["pt", "eta", "phi", "E"]]
        found = aggregates(Events(kinds, events.flat, events.classes))
        assert {"pt_yy", "m_jj", "sphericity"} <= set(found)
        assert not {"n_b_70", "m_ll", "meff"} & set(found)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("m_jjj", "no feature 'm_jjj' of these events: did you mean 'm_jj'"),
            ("jet_trueflav_mean", "no feature 'jet_trueflav_mean'"),
            ("jet_pt_maxi", "did you mean 'jet_pt_max'"),
        ],
    )
    def test_unknown(self, name, message):
        with pytest.raises(ValueError, match=message):
            aggregates(sample(), ["met", name])

    def test_no_events(self):
        found = aggregates(sample()[:0])
        assert all(values.shape == (0,) for values in found.values())

    def test_documentation_is_that_of_the_code(self):
        assert documentation() in (ROOT / "docs" / "diphoton.md").read_text()


class TestThin:
    def events(self):
        label = np.repeat([0, 1, 2], [50, 20, 30])
        weight = np.linspace(-0.2, 1, 100)
        return Events({}, {"label": label, "weight": weight}, ("a", "b", "c"))

    def test_keeps_yields(self):
        events = self.events()
        thinned = thin(events, 25, seed=2)
        assert np.bincount(thinned.flat["label"]).tolist() == [25, 20, 25]
        before, after = (np.bincount(e.flat["label"], e.flat["weight"]) for e in (events, thinned))
        np.testing.assert_allclose(before, after)

    def test_is_one_of_a_seed(self):
        weights = [thin(self.events(), 25, seed).flat["weight"] for seed in (2, 2, 3)]
        assert np.array_equal(weights[0], weights[1])
        assert not np.array_equal(weights[0], weights[2])
