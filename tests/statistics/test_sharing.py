"""Likelihoods for other programs: pyhf, HS3 and datacards give the same numbers."""

import json
import subprocess
import sys
import venv

import numpy as np
import pytest
import uproot
from scipy import optimize, special

from fastjag.statistics import (
    BinnedModel,
    Family,
    Nuisance,
    Window,
    fit_signal,
    gaussian_peak,
    interval,
    to_hs3,
    to_pyhf,
    upper_limit,
    write_datacard,
)

WINDOW = Window(5, 9, 10.6, 16, sr_edges=3)
EDGES = np.linspace(5, 16, 12)
PEAK = gaussian_peak(EDGES, 9.5, 0.6)
NORMS = [Nuisance.lognormal("luminosity", 0.1), Nuisance.lognormal("efficiency", 0.3)]
SHAPES = [
    Nuisance.gaussian("acceptance", 0.15),
    Nuisance.shape("scale", gaussian_peak(EDGES, 9.8, 0.6), gaussian_peak(EDGES, 9.3, 0.6)),
]
MODELS = {
    "window": BinnedModel.of_window(WINDOW, Family("legendre", 2), NORMS),
    "peak": BinnedModel.of_edges(EDGES, PEAK, Family("bernstein", 2), NORMS[:1] + SHAPES),
}


def observed(model, seed=1):
    """Counts of an exponential and an excess; no coefficient of the fits is at 0."""
    e = np.exp(-(model.low + model.high) / 12) * (model.high - model.low)
    e = 2000 * e / e.sum() + 120 * model.signal / model.signal.sum()
    return np.random.default_rng(seed).poisson(e).astype(float)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jsonschema, in pyhf
class TestPyhf:
    @pytest.mark.parametrize("name", MODELS)
    def test_the_same_numbers(self, name):
        import pyhf

        model = MODELS[name]
        n = observed(model)
        workspace = pyhf.Workspace(to_pyhf(model, n))  # checks the schema
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3))
        pdf = workspace.model()
        data = workspace.data(pdf)
        best, free = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
        _, none = pyhf.infer.mle.fixed_poi_fit(0.0, data, pdf, return_fitted_val=True)
        found = fit_signal(model, n)
        assert found.q0 > 0.1
        assert float(none - free) == pytest.approx(float(found.q0), abs=1e-5)
        assert best[pdf.config.poi_index] == pytest.approx(float(found.S), abs=0.02 * found.error)
        one = interval(model, n)
        _, high = pyhf.infer.mle.fixed_poi_fit(float(one.high), data, pdf, return_fitted_val=True)
        assert float(high - free) == pytest.approx(1, abs=1e-5)
        limit = upper_limit(model, n)
        CLs = [
            pyhf.infer.hypotest(S, data, pdf, return_expected_set=True) for S in
            (float(limit.observed), float(limit.expected[0]), float(limit.expected[4]))
        ]  # fmt: skip
        # d ln CLs / d ln S is above 1: limits are equal within 1e-3 where CLs are
        assert float(CLs[0][0]) == pytest.approx(0.05, rel=1e-4)
        assert float(CLs[1][1][0]) == pytest.approx(0.05, rel=1e-4)
        assert float(CLs[2][1][4]) == pytest.approx(0.05, rel=1e-4)

    @pytest.mark.parametrize("name", MODELS)
    def test_the_same_likelihood(self, name):
        """-ln L of pyhf at any parameters, but for what depends on none of them."""
        import pyhf

        model = MODELS[name]
        n = observed(model)
        workspace = pyhf.Workspace(to_pyhf(model, n))
        pdf = workspace.model()
        data = workspace.data(pdf)
        shared = Shared.of_pyhf(to_pyhf(model, n))
        rng = np.random.default_rng(0)
        differences = []
        for _ in range(20):
            p = {"S": rng.uniform(0, 100), **{k: rng.normal() for k in shared.alphas},
                 **{k: rng.uniform(0.9, 1.1) * s for k, s in shared.start.items()}}  # fmt: skip
            values = [p[parameter] for parameter in pdf.config.par_order]
            differences.append(-float(pdf.logpdf(values, data)[0]) - shared.nll(p))
        assert np.ptp(differences) < 1e-5


#: The best cut of the search's demo: in the last bin of the right sideband the best polynomial is zero.
BEST_CUT = [
    4, 5, 2, 3, 1, 4, 4, 0, 6, 3, 2, 1, 3, 2, 3, 2, 1, 3, 1, 7, 2, 1, 3, 2, 2, 1, 3, 1, 1, 2, 0, 2, 2, 1, 1, 0, 0, 1, 0, 3, 2, 1, 0, 0, 0, 2, 0, 0, 1, 2, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 69,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jsonschema, in pyhf
def test_a_background_that_is_zero_at_an_end_of_the_window():
    """Minuit found no minimum where an end of the allowed polynomials was no end of a factor's range."""
    import pyhf

    window = Window(5, 9, 10.6, 16, sr_edges=12)
    model = BinnedModel.of_window(window, Family("legendre", 5), NORMS)
    content = to_pyhf(model, BEST_CUT)
    ranges = {p["name"]: p["bounds"][0] for p in content["measurements"][0]["config"]["parameters"]}
    assert [ranges[f"background_{i}"][0] for i in range(6)] == [-100.0] * 5 + [0.0]
    templates = [np.array(s["data"]) for s in content["channels"][0]["samples"][1:]]
    assert [t[-1] > 1e-9 for t in templates] == [False] * 5 + [True]
    assert min(t.min() for t in templates) >= 0
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3))
    pdf = pyhf.Workspace(content).model()
    data = [*content["observations"][0]["data"], *pdf.config.auxdata]
    _, free = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
    _, none = pyhf.infer.mle.fixed_poi_fit(0.0, data, pdf, return_fitted_val=True)
    found = fit_signal(model, BEST_CUT)
    assert found.q0 > 10
    assert float(none - free) == pytest.approx(float(found.q0), abs=1e-5)
    high = float(interval(model, BEST_CUT).high)
    _, rise = pyhf.infer.mle.fixed_poi_fit(high, data, pdf, return_fitted_val=True)
    assert float(rise - free) == pytest.approx(1, abs=1e-4)


class Shared:
    """The likelihood as another program would build it from a file: nothing of fastjag.statistics."""

    def __init__(self, n, signal, terms, start, alphas):
        self.n, self.signal, self.terms, self.start, self.alphas = n, signal, terms, start, alphas

    @staticmethod
    def of_pyhf(content):
        signal, *terms = content["channels"][0]["samples"]
        alphas = {}
        for m in signal["modifiers"][1:]:
            d = m["data"]
            alphas[m["name"]] = d["hi"] if m["type"] == "normsys" else (d["hi_data"], d["lo_data"])
        start = {
            p["name"]: p["inits"][0] for p in content["measurements"][0]["config"]["parameters"]
        }
        start.pop("S")
        data = {t["name"]: np.array(t["data"]) for t in terms}
        return Shared(
            np.array(content["observations"][0]["data"]),
            np.array(signal["data"]),
            data,
            start,
            alphas,
        )

    @staticmethod
    def of_hs3(content):
        signal, *terms = content["distributions"][0]["samples"]
        alphas = {}
        for m in signal["modifiers"][1:]:
            assert m["constraint"] == "Gauss"
            hi, lo = m["data"]["hi"], m["data"]["lo"]
            alphas[m["parameter"]] = (
                hi if m["type"] == "normsys" else (hi["contents"], lo["contents"])
            )
        start = {p["name"]: p["value"] for p in content["parameter_points"][0]["parameters"]}
        data = {t["name"]: np.array(t["data"]["contents"]) for t in terms}
        return Shared(np.array(content["data"][0]["contents"]), np.array(signal["data"]["contents"]),
                      data, {name: start[name] for name in data}, alphas)  # fmt: skip

    @staticmethod
    def of_datacard(path):
        """Counts, templates, lnN and rateParam of a datacard of one channel."""
        rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("-")]
        shapes = next(r for r in rows if r[0] == "shapes")
        names = next(r for r in rows if r[0] == "process")[1:]
        channel = next(r for r in rows if r[0] == "bin")[1]
        rates = dict(
            zip(names, map(float, next(r for r in rows if r[0] == "rate")[1:]), strict=True)
        )
        with uproot.open(path.with_name(shapes[3])) as file:

            def template(name):
                return file[
                    shapes[4].replace("$CHANNEL", channel).replace("$PROCESS", name)
                ].values()

            n = template("data_obs")
            assert n.sum() == float(next(r for r in rows if r[0] == "observation")[1])
            data = {name: template(name) for name in names}
        for name, values in data.items():
            assert values.sum() == pytest.approx(rates[name], rel=1e-12)
        signal = data.pop("signal")
        alphas = {r[0]: float(r[2]) for r in rows if len(r) > 1 and r[1] == "lnN"}
        start = {r[0]: float(r[4]) for r in rows if len(r) > 1 and r[1] == "rateParam"}
        return Shared(n, signal, data, start, alphas)

    def nll(self, p):
        signal, factor = self.signal.copy(), 1.0
        for name, size in self.alphas.items():
            a = p[name]
            if isinstance(size, float):
                factor *= size**a
                continue
            up, down = np.array(size[0]) - self.signal, self.signal - np.array(size[1])
            S, A = (up + down) / 2, (up - down) / 16
            inside = a * (S + a * A * (15 + a * a * (-10 + 3 * a * a)))
            signal = signal + (inside if abs(a) < 1 else a * (up if a > 0 else down))
        e = p["S"] * factor * signal + sum(p[k] * t for k, t in self.terms.items())
        if (e <= 0).any():
            return 1e9
        return float((e - special.xlogy(self.n, e)).sum() + sum(p[k] ** 2 for k in self.alphas) / 2)

    def q0(self):
        names = ["S", *self.alphas, *self.start]
        start = np.array([1.0, *np.zeros(len(self.alphas)), *self.start.values()])

        def fit(fixed):
            def value(x):
                return self.nll(dict(zip(names, np.r_[0.0, x] if fixed else x, strict=True)))

            begin = start[1:] if fixed else start
            for _ in range(3):  # BFGS ends early where its steps are noise
                done = optimize.minimize(
                    value, begin, method="BFGS", jac="3-point", options={"gtol": 1e-7}
                )
                begin = done.x
            return done.fun

        return 2 * (fit(True) - fit(False))


class TestHs3:
    @pytest.mark.parametrize("name", MODELS)
    def test_read_back(self, name):
        model = MODELS[name]
        n = observed(model)
        content = json.loads(json.dumps(to_hs3(model, n)))
        assert Shared.of_hs3(content).q0() == pytest.approx(
            float(fit_signal(model, n).q0), abs=1e-6
        )
        # ROOT reads no document without these.
        assert content["domains"][0]["name"] == "default_domain"
        assert content["parameter_points"][0]["name"] == "default_values"
        names = {p["name"] for p in content["domains"][0]["axes"]}
        assert names == {p["name"] for p in content["parameter_points"][0]["parameters"]}

    @pytest.mark.slow
    @pytest.mark.parametrize("name", MODELS)
    def test_read_back_by_pyhs3(self, name, tmp_path):
        """In an environment of its own: pyhs3 asks for an older numba than the tests."""
        model = MODELS[name]
        n = observed(model)
        (tmp_path / "model.json").write_text(json.dumps(to_hs3(model, n)))
        (tmp_path / "read.py").write_text(READ_HS3)
        venv.create(tmp_path / "env", with_pip=True)
        python = tmp_path / "env" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", "pyhs3", "scipy"], check=True)
        done = subprocess.run(
            [python, "read.py"], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert float(done.stdout.split()[-1]) == pytest.approx(
            float(fit_signal(model, n).q0), abs=1e-6
        )


READ_HS3 = """
import json
import numpy as np
import pyhs3
import pytensor
from pytensor.graph.traversal import graph_inputs
from scipy import optimize

content = json.load(open("model.json"))
model = pyhs3.Workspace(**content).model("S", progress=False)
start = {p["name"]: p["value"] for p in content["parameter_points"][0]["parameters"]}
inputs = [v for v in graph_inputs([model.log_prob]) if v.name and not hasattr(v, "data")]
log_prob = pytensor.function(inputs, model.log_prob, mode="FAST_COMPILE")

def fit(free, fixed):
    def value(x):
        p = dict(zip(free, x)) | fixed
        total = -float(log_prob(*[np.asarray(p[v.name]) for v in inputs]))
        return total if np.isfinite(total) else 1e9
    x = [start[name] for name in free]
    for _ in range(3):
        x = (done := optimize.minimize(value, x, method="BFGS", options={"gtol": 1e-7})).x
    return done.fun

every = list(start)
print(2 * (fit(every[1:], {"S": 0.0}) - fit(every, {})))
"""


class TestDatacard:
    def test_read_back(self, tmp_path):
        model = MODELS["window"]
        n = observed(model)
        histograms = write_datacard(tmp_path / "card.txt", model, n)
        assert histograms == tmp_path / "card.root"
        found = Shared.of_datacard(tmp_path / "card.txt")
        assert found.q0() == pytest.approx(float(fit_signal(model, n).q0), abs=1e-6)
        assert found.alphas == {"luminosity": 1.1, "efficiency": 1.3}

    def test_shapes_have_their_templates(self, tmp_path):
        model = MODELS["peak"]
        write_datacard(tmp_path / "card.txt", model, observed(model))
        assert "scale shape 1 - - -" in (tmp_path / "card.txt").read_text()
        with uproot.open(tmp_path / "card.root") as file:
            assert file["window/signal_scaleUp"].values() == pytest.approx(SHAPES[1].up)
            assert file["window/signal_acceptanceDown"].values() == pytest.approx(0.85 * PEAK)

    def test_a_name_that_is_no_datacard(self, tmp_path):
        with pytest.raises(ValueError, match=r"must end in .txt"):
            write_datacard(tmp_path / "card.root", MODELS["window"], observed(MODELS["window"]))
        assert not list(tmp_path.iterdir())


class TestWhatCannotBeShared:
    def test_exponentials(self):
        model = MODELS["window"].with_family(Family("exponential", 1))
        for share in (to_pyhf, to_hs3):
            with pytest.raises(ValueError, match="no sum of terms"):
                share(model, observed(model))

    def test_several_spectra(self):
        model = MODELS["window"]
        with pytest.raises(ValueError, match="one spectrum"):
            to_pyhf(model, [observed(model)] * 2)

    def test_templates_are_never_negative(self):
        for model in MODELS.values():
            for sample in to_pyhf(model, observed(model))["channels"][0]["samples"]:
                assert min(sample["data"]) >= 0


def test_sharing_loads_no_other_program():
    code = "import sys, fastjag.statistics; print({'pyhf', 'pyhs3', 'ROOT'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
