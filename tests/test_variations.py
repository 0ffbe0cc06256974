"""fj.Variations against a selection that is run again from the start for every variation."""

from pathlib import Path

import hist
import numpy as np
import pytest
from docsite import tutorials
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag import batch as jobs

AXIS = (12, 0.0, 120.0)
EDGES = np.concatenate([[-np.inf], np.linspace(0, 120, 13), [np.inf]])


def scaled(factor):
    return {"Muon": lambda Muon: Muon.with_columns(pt=Muon["pt"] * factor)}


def both_scaled(factor):
    return {**scaled(factor), "MET_pt": lambda MET_pt: MET_pt / factor}


def a_batch(n=300, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.8, n)
    m = counts.sum()
    pt = rng.exponential(25, m) + 4
    pt[rng.random(m) < 0.02] = np.nan
    muons = {"pt": pt, "eta": rng.normal(0, 1.5, m), "phi": rng.uniform(-3, 3, m),
             "charge": rng.choice([-1, 1], m)}  # fmt: skip
    return {
        "Muon": fj.Jagged.from_counts(counts, muons),
        "MET_pt": rng.exponential(30, n), "w": rng.normal(1, 0.3, n), "trigger": rng.uniform(0.8, 1, n),
        "pdf": rng.normal(1, 0.1, (n, 5)),
    }  # fmt: skip


class Counted:
    """The selection, and how often each of its steps ran."""

    def __init__(self):
        self.ran = {"good": 0, "pairs": 0, "met": 0}
        self.v = v = fj.Variations()

        @v.step
        def good(Muon):
            self.ran["good"] += 1
            return Muon.keep(Muon["pt"] > 10)

        @v.step
        def pairs(good):
            self.ran["pairs"] += 1
            return fj.dimuon(good)

        @v.step
        def met(MET_pt):
            self.ran["met"] += 1
            return {"MET": MET_pt}

        v.weight("gen", lambda w: w)
        v.weight("trigger", lambda trigger: trigger, up=lambda trigger: trigger**0.5,
                 down=lambda trigger: trigger**2)  # fmt: skip
        v.weights("pdf", lambda pdf, w: pdf.T, labels=5)
        v.weight("muons", lambda good: 0.97**good.counts, up=lambda good: 0.98**good.counts)
        v.shift("scale", up=scaled(1.1), down=scaled(0.9))
        v.shift("both", up=both_scaled(1.3))
        self.plan = {
            "pairs": {"mass": AXIS, ("mass", "pt"): (AXIS, (3, 0, 90))},
            "met": {"MET": AXIS},
        }


def from_the_start(b):
    """Mass of pairs, MET and weights of events, of every variation."""

    def selected(muon_factor, met_factor):
        muons = b["Muon"].with_columns(pt=b["Muon"]["pt"] * muon_factor)
        good = muons.keep(muons["pt"] > 10)
        return fj.dimuon(good), b["MET_pt"] / met_factor, good.counts

    values = {}
    pairs, met, n = selected(1, 1)
    gen, trigger = b["w"], b["trigger"]
    values["nominal"] = pairs, met, gen * trigger * 0.97**n
    values["trigger up"] = pairs, met, gen * trigger**0.5 * 0.97**n
    values["trigger down"] = pairs, met, gen * trigger**2 * 0.97**n
    for i in range(5):
        values[f"pdf {i}"] = pairs, met, gen * trigger * b["pdf"][:, i] * 0.97**n
    values["muons up"] = pairs, met, gen * trigger * 0.98**n
    for name, factors in (
        ("scale up", (1.1, 1)),
        ("scale down", (0.9, 1)),
        ("both up", (1.3, 1.3)),
    ):
        pairs, met, n = selected(*factors)
        values[name] = pairs, met, gen * trigger * 0.97**n
    return values


def check(found, b):
    expected = from_the_start(b)
    assert list(found["pairs"]["mass"].axes["variation"]) == list(expected)
    for name, (pairs, met, w) in expected.items():
        for h, values, weights in (
            (found["pairs"]["mass"], pairs.mass, w[pairs.event]),
            (found["met"]["MET"], met, w),
        ):
            view = h[name, :].view(flow=True)
            for key, power in (("value", 1), ("variance", 2)):
                sums, _ = np.histogram(values, EDGES, weights=weights**power)
                np.testing.assert_allclose(view[key], sums, rtol=1e-12, atol=1e-11)
        two = found["pairs"][("mass", "pt")][name, ...].values(flow=True)
        flat, *_ = np.histogram2d(pairs.mass, pairs.pt, [EDGES, [-np.inf, 0, 30, 60, 90, np.inf]],
                                  weights=w[pairs.event])  # fmt: skip
        np.testing.assert_allclose(two, flat, rtol=1e-12, atol=1e-11)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 7, 300]))
def test_equals_a_selection_from_the_start(seed, n):
    b = a_batch(n, seed)
    c = Counted()
    check(c.v.histograms(b, c.plan), b)


def some(b, which):
    return {name: values[which] for name, values in b.items()}


def test_what_does_not_change_is_shared():
    c = Counted()
    c.v.histograms(a_batch(), c.plan)
    # Nominal, two of scale and one of both; missing momentum changes in the last one alone.
    assert c.ran == {"good": 4, "pairs": 4, "met": 2}
    other = fj.Variations()
    calls = []
    other.step(lambda_named("table", lambda w: calls.append(1) or {"x": w}))
    other.shift("s", up={"MET_pt": lambda MET_pt: 2 * MET_pt})
    h = other.histograms(a_batch(), {"table": {"x": AXIS}})["table"]["x"]
    assert calls == [1]
    np.testing.assert_array_equal(h["s up", :].view(flow=True), h["nominal", :].view(flow=True))


def lambda_named(name, function):
    function.__name__ = name
    return function


@pytest.mark.parametrize("step", [13, 64, 150])
@pytest.mark.parametrize("threads", [1, 3])
def test_steps_and_threads_do_not_matter(step, threads):
    b, c = a_batch(), Counted()
    b["Muon"] = b["Muon"].with_columns(pt=np.nan_to_num(b["Muon"]["pt"], nan=17.0))
    whole = c.v.histograms(b, c.plan)
    out = merged = None
    for start in range(0, 300, step):
        part = some(b, slice(start, start + step))
        out = c.v.histograms(part, c.plan, out=out, threads=threads)
        merged = jobs.merge(merged, c.v.histograms(part, c.plan, threads=threads))
    check(out, b)
    for table, columns in c.plan.items():
        for column in columns:
            for other in (out, merged):
                h = other[table][column]
                assert isinstance(h.axes[0], hist.axis.StrCategory)
                np.testing.assert_allclose(
                    h.values(flow=True),
                    whole[table][column].values(flow=True),
                    rtol=1e-12,
                    atol=1e-12,
                )
                assert h.metadata["nan"] == whole[table][column].metadata["nan"]


def test_counts_are_exact_and_nan_is_counted():
    n = 50_000
    rng = np.random.default_rng(3)
    x = rng.normal(50, 30, n)
    x[::1000] = np.nan
    v = fj.Variations()
    v.step(lambda_named("table", lambda x: {"x": x}))
    v.shift("up only", up={"x": lambda x: x + 1})
    h = v.histograms({"x": x}, {"table": {"x": AXIS}}, threads=2)["table"]["x"]
    counts, _ = np.histogram(x, EDGES)
    np.testing.assert_array_equal(h["nominal", :].values(flow=True), counts)
    np.testing.assert_array_equal(
        h["up only up", :].values(flow=True), np.histogram(x + 1, EDGES)[0]
    )
    assert h.metadata["nan"] == 100


def test_rows_with_numbers_of_events():
    v = fj.Variations()
    v.step(
        lambda_named(
            "rows", lambda w: {"x": np.array([1.0, 1.0, 5.0]), "event": np.array([2, 0, 0])}
        )
    )
    v.weight("w", lambda w: w, up=lambda w: 2 * w)
    h = v.histograms({"w": np.array([1.0, 10.0, 100.0])}, {"rows": {"x": (2, 0, 8)}})["rows"]["x"]
    assert h.values().tolist() == [[101, 1], [202, 2]]


def test_values_and_weights_by_name():
    b, c = a_batch(), Counted()
    masses = c.v.evaluate(b, "pairs")
    expected = from_the_start(b)
    assert list(masses) == ["nominal", "scale up", "scale down", "both up"]
    for name, pairs in masses.items():
        np.testing.assert_array_equal(pairs.mass, expected[name][0].mass)
    rows = c.v.event_weights(b)
    assert list(rows) == list(expected) == list(c.v.names)
    for name, row in rows.items():
        np.testing.assert_allclose(row, expected[name][2], rtol=1e-13)


class TestErrors:
    def test_names(self):
        c = Counted()
        b = a_batch()
        with pytest.raises(KeyError, match=r"no step 'pair': did you mean 'pairs'"):
            c.v.histograms(b, {"pair": {"mass": AXIS}})
        with pytest.raises(KeyError, match="no step, collection or branch 'MET_pt'"):
            c.v.histograms({k: v for k, v in b.items() if k != "MET_pt"}, c.plan)
        assert c.ran == {"good": 0, "pairs": 0, "met": 0}
        with pytest.raises(KeyError, match="no column 'masses' for a histogram"):
            c.v.histograms(b, {"pairs": {"masses": AXIS}})
        with pytest.raises(ValueError, match="a variation 'trigger up' already"):
            c.v.weight("trigger", up=lambda w: w)
        with pytest.raises(ValueError, match="a step 'good' already"):
            c.v.step(lambda_named("good", lambda w: w))
        assert set(c.v.inputs) == {"Muon", "MET_pt", "w", "trigger", "pdf"}

    def test_events_that_are_lost(self):
        v = fj.Variations()
        v.step(lambda_named("pairs", lambda Muon: fj.dimuon(Muon[Muon.counts >= 2])))
        b = a_batch()
        with pytest.raises(ValueError, match=r"step 'pairs' returns \d+ events of 300: keep all"):
            v.histograms(b, {"pairs": {"mass": AXIS}})
        v.step(lambda_named("short", lambda w: {"x": w[:5]}))
        with pytest.raises(ValueError, match="column 'x' of step 'short' has 5 entries"):
            v.histograms(b, {"short": {"x": AXIS}})
        v.step(lambda_named("wrong", lambda w: {"x": w[:2], "event": np.array([0, 300])}))
        with pytest.raises(ValueError, match="'event' must be integers from 0 to 299"):
            v.histograms(b, {"wrong": {"x": AXIS}})
        v.step(lambda_named("number", lambda w: 3))
        with pytest.raises(TypeError, match="step 'number' must return a Jagged, pairs or a dict"):
            v.histograms(b, {"number": {"x": AXIS}})

    def test_weights(self):
        v = fj.Variations()
        v.step(lambda_named("table", lambda w: {"x": w}))
        v.weights("pdf", lambda pdf: pdf.T, labels=4)
        with pytest.raises(ValueError, match="weights 'pdf' must have 4 rows, got 5"):
            v.histograms(a_batch(), {"table": {"x": AXIS}})
        u = fj.Variations()
        u.step(lambda_named("table", lambda w: {"x": w}))
        u.weight("short", lambda w: w[:3])
        with pytest.raises(
            ValueError, match="weight 'short' has 3 entries, but there are 300 events"
        ):
            u.histograms(a_batch(), {"table": {"x": AXIS}})
        with pytest.raises(ValueError, match="must not grow"):
            v.histograms(a_batch(), {"table": {"x": hist.axis.Regular(3, 0, 1, growth=True)}})

    def test_circles(self):
        v = fj.Variations()
        v.step(lambda_named("a", lambda b: b))
        v.step(lambda_named("b", lambda a: a))
        with pytest.raises(ValueError, match="steps go in a circle: a > b > a"):
            v.histograms({"w": np.ones(3)}, {"a": {"x": AXIS}})


def test_numbers_of_a_list_in_every_event():
    v = fj.Variations()
    v.step(lambda_named("table", lambda w: {"x": w}))
    v.weights("pdf", lambda pdf: pdf, labels=["a", "b"])
    pdf = fj.Jagged([0, 2, 4], {"pdf": [1.0, 2.0, 3.0, 4.0]})
    b = {"w": np.array([10.0, 50.0]), "pdf": pdf}
    h = v.histograms(b, {"table": {"x": (2, 0, 100)}})["table"]["x"]
    assert h.values().tolist() == [[1, 1], [1, 3], [2, 4]]
    with pytest.raises(ValueError, match="must have 2 numbers in every event"):
        v.histograms({**b, "pdf": fj.Jagged([0, 1, 4], {"pdf": [1.0, 2.0, 3.0, 4.0]})},
                     {"table": {"x": AXIS}})  # fmt: skip


def test_on_executors(tmp_path):
    from fastjag import toys

    path = toys.write(tmp_path / "toys.root", 3000, seed=1)
    v = fj.Variations()
    v.step(lambda_named("pairs", lambda Muon: fj.dimuon(Muon)))
    v.weight("event", up=lambda event: 1 + event % 3)
    v.shift("scale", up={"Muon": lambda Muon: Muon.with_columns(pt=1.01 * Muon["pt"])})

    def job(events):
        return v.histograms(events, {"pairs": {"mass": AXIS}})

    columns = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "event"]
    here = jobs.run(job, fj.ranges(str(tmp_path / "toys.root"), 500), columns).value
    there = jobs.run(job, fj.ranges(str(tmp_path / "toys.root"), 500), columns,
                     executor=jobs.processes(2)).value  # fmt: skip
    assert path is not None
    np.testing.assert_array_equal(
        here["pairs"]["mass"].view(flow=True), there["pairs"]["mass"].view(flow=True)
    )
    assert here["pairs"]["mass"].values().sum() > 0


def test_the_page_runs(tmp_path, monkeypatch):
    path = Path(__file__).parents[1] / "docs" / "variations.md"
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "__main__"}
    for code in tutorials.blocks(path.read_text()):
        exec(compile(code, str(path), "exec"), scope)  # noqa: S102
    assert list(scope["mass"].axes["variation"]) == list(scope["v"].names)
