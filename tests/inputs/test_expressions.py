"""Expressions: against Python's own eval of one event after the other, and what is refused."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inputs.some_events import batch_of, batches, evaluated

from fastjag.core.devices import to_host
from fastjag.inputs import expression
from fastjag.inputs.functions import FUNCTIONS
from fastjag.inputs.values import EventNames

LEAVES = st.sampled_from(
    [
        ("Jet_pt", "Jet_pt"), ("Jet_eta", "Jet_eta"), ("Jet_n", "Jet_n"), ("MET_pt", "MET_pt"), ("nPV", "nPV"),
        ("2", "2"), ("0.5", "0.5"), ("Jet_pt[0]", "first(Jet_pt, 0)"), ("Jet_n[1]", "first(Jet_n, 1)"),
        ("Jet_eta[-1]", "first(Jet_eta, -1)"),
    ]
)  # fmt: skip


def larger(inner):
    """(our text, the same for eval) of expressions made of smaller ones."""
    operators = st.sampled_from(["+", "-", "*", "/", "<", ">=", "=="])
    binary = st.tuples(inner, operators, inner).map(
        lambda t: (f"({t[0][0]} {t[1]} {t[2][0]})", f"(w({t[0][1]}) {t[1]} w({t[2][1]}))")
    )
    one = st.tuples(st.sampled_from(["log", "sqrt", "exp", "abs", "tanh", "cosh"]), inner).map(
        lambda t: (f"{t[0]}({t[1][0]})", f"{t[0]}(w({t[1][1]}))")
    )
    two = st.tuples(st.sampled_from(["hypot", "minimum", "maximum"]), inner, inner).map(
        lambda t: (f"np.{t[0]}({t[1][0]}, {t[2][0]})", f"{t[0]}(w({t[1][1]}), w({t[2][1]}))")
    )
    chosen = st.tuples(inner, inner, inner).map(
        lambda t: (
            f"where({t[0][0]} > 1, {t[1][0]}, {t[2][0]})",
            f"where({t[0][1]} > 1, w({t[1][1]}), w({t[2][1]}))",
        )
    )
    linked = st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
        lambda t: (f"({t[0][0]} > 0 {t[1]} not {t[2][0]} < 1)",
                   f"logical_{t[1]}({t[0][1]} > 0, logical_not({t[2][1]} < 1))")
    )  # fmt: skip
    return st.one_of(binary, one, two, chosen, linked)


TEXTS = st.recursive(LEAVES, larger, max_leaves=6)


def value(batch, text, device="cpu"):
    return expression(text)(EventNames(batch.to(device)))


class TestAgainstEval:
    @settings(max_examples=120)
    @given(batch=batches(huge=60, dtypes=("f4", "f8", "i2", "u8", "?")), texts=TEXTS)
    @example(batch_of([0, 2, 2], {"pt": [1.0, 2.0], "eta": [0.1, 0.2], "n": [1.0, 2.0]},
                      {"MET_pt": np.array([1, 2], "f4"), "nPV": np.array([3, 255], "u1")}),
             ("(nPV + nPV)", "(nPV + nPV)"))  # fmt: skip
    def test_every_event(self, device, batch, texts):
        ours, theirs = texts
        if not expression(ours).names:
            return
        found = value(batch, ours, device)
        array, expected = to_host(found.array), evaluated(batch, theirs)
        if found.lists is None:
            assert array.shape == (len(batch),)
            events = [array[i] for i in range(len(batch))]
        else:
            assert np.array_equal(to_host(found.lists.offsets), batch.Jet.offsets)
            bounds = batch.Jet.offsets
            events = [array[bounds[i] : bounds[i + 1]] for i in range(len(batch))]
        for ours_now, theirs_now in zip(events, expected, strict=True):
            both = np.broadcast_arrays(np.asarray(ours_now), np.asarray(theirs_now))
            wide = [np.asarray(one, np.float64) for one in both]
            assert np.asarray(ours_now).shape == np.asarray(theirs_now).shape
            # NumPy's vectors of float32 are not rounded as single numbers are.
            np.testing.assert_allclose(*wide, rtol=2e-6, atol=1e-30)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("sum", [3.0, 0.0, 3.0]), ("max", [2.0, np.nan, 3.0]), ("min", [1.0, np.nan, 3.0]),
            ("mean", [1.5, np.nan, 3.0]), ("count", [2, 0, 1]), ("std", [0.5, np.nan, 0.0]),
        ],
    )  # fmt: skip
    def test_numbers_of_all_particles(self, device, name, expected):
        batch = batch_of([0, 2, 2, 3], {"pt": [1.0, 2.0, 3.0]})
        found = value(batch, f"{name}(Jet_pt)", device)
        assert found.lists is None
        np.testing.assert_array_equal(to_host(found.array), expected)
        above = value(batch, f"{name}(Jet_pt) + 0 * sum(Jet_pt > 1.5)", device)
        np.testing.assert_array_equal(to_host(above.array), expected)

    def test_any_and_all(self, device):
        batch = batch_of([0, 2, 2, 3], {"pt": [1.0, 2.0, 3.0]})
        assert to_host(value(batch, "any(Jet_pt > 1.5)", device).array).tolist() == [
            True,
            False,
            True,
        ]
        assert to_host(value(batch, "all(Jet_pt > 1.5)", device).array).tolist() == [
            False,
            True,
            True,
        ]


class TestNumbers:
    def test_float32_stays_beside_constants(self):
        batch = batch_of([0, 1], {"pt": np.array([2.0], "f4")})
        for text in ("2 * 3 * Jet_pt", "Jet_pt ** 2", "log(Jet_pt) - 0.7", "where(Jet_pt > 1, Jet_pt, 0.0)",
                     "Jet_pt * pi", "Jet_pt - Jet_pt[0]", "delta_phi(Jet_pt, 1)"):  # fmt: skip
            assert value(batch, text).array.dtype == np.float32

    def test_integers_never_wrap_around(self):
        batch = batch_of([0, 1], {"n": np.array([250], "u1")}, {"q": np.array([-128], "i1")})
        assert value(batch, "Jet_n + Jet_n").array.tolist() == [500]
        assert value(batch, "Jet_n - 251").array.tolist() == [-1]
        assert value(batch, "Jet_n * q").array.tolist() == [-32000]
        assert value(batch, "-q").array.tolist() == value(batch, "abs(q)").array.tolist() == [128.0]
        assert value(batch, "Jet_n * 2 > 300").array.tolist() == [True]

    def test_classes_of_integers_are_integers(self, device):
        flat = {"top": np.array([True, False, False]), "w": np.array([0, 1, 0], "u1")}
        batch = batch_of([0] * 4, {"pt": np.empty(0)}, flat)
        for text in (
            "2 * top + w",
            "3 - 1 - where(top, 0, where(w == 1, 1, 2))",
            "where(top, w + 2, w)",
        ):
            found = to_host(value(batch, text, device).array)
            assert found.dtype == np.int64
            assert found.tolist() == [2, 1, 0]

    def test_integers_beyond_64_bits(self):
        batch = batch_of(
            [0, 0],
            {"pt": np.empty(0)},
            {"n": np.array([2**40]), "event": np.array([2**64 - 1], np.uint64)},
        )
        assert value(batch, "n * n").array.tolist() == [2.0**80]
        assert value(batch, "n * 1000 - 1").array.tolist() == [2**40 * 1000 - 1]
        assert value(batch, "event + 1").array.tolist() == [2.0**64]
        assert value(batch, "0 * n + 2 ** 3 * 100000000000000000000").array.tolist() == [8e20]
        assert value(batch, "n * 100000000000000000000 * 0").array.tolist() == [0]

    def test_events_are_counted_exactly(self):
        numbers = np.array([2**64 - 1, 2**64 - 2, 5], np.uint64)
        batch = batch_of([0, 0, 0, 0], {"pt": np.empty(0)}, {"event": numbers})
        assert value(batch, "event % 2 == 0").array.tolist() == [False, True, False]
        assert value(batch, "event % 1000").array.tolist() == [n % 1000 for n in numbers.tolist()]
        assert value(batch, "event // 3").array.tolist() == [n // 3 for n in numbers.tolist()]
        assert value(batch, "event").array.dtype == np.uint64
        assert np.isnan(value(batch, "event % 0").array).all()

    def test_bits(self):
        batch = batch_of([0, 3], {"id": np.array([1, 2, 6], "u1")})
        assert value(batch, "(Jet_id & 2) > 0").array.tolist() == [False, True, True]
        assert value(batch, "(Jet_id > 1) & ~(Jet_id == 6)").array.tolist() == [False, True, False]
        assert value(batch, "1 < Jet_id < 6").array.tolist() == [False, True, False]

    def test_delta_phi(self):
        batch = batch_of([0, 3], {"phi": [3.0, -3.0, 0.0]})
        found = value(batch, "delta_phi(Jet_phi, Jet_phi[0])").array
        np.testing.assert_allclose(found, [0, 2 * np.pi - 6, -3])

    def test_four_vectors(self):
        rng = np.random.default_rng(1)
        p = rng.normal(size=(3, 9)) * 20
        energy = np.sqrt((p**2).sum(0) + 1.5**2)
        batch = batch_of([0, 4, 9], dict(zip("xyze", [*p, energy], strict=True)))
        of = "_p4_from_pxpypze(Jet_x, Jet_y, Jet_z, Jet_e)"
        pt, eta, phi = (value(batch, f"{of}.{n}").array for n in ("pt", "eta", "phi"))
        np.testing.assert_allclose(value(batch, f"{of}.m").array, 1.5, rtol=1e-9)
        again = batch_of(
            [0, 4, 9], {"pt": pt, "eta": eta, "phi": phi, "e": energy, "m": np.full(9, 1.5)}
        )
        for kind, last in (("ptetaphie", "e"), ("ptetaphim", "m")):
            four = f"_p4_from_{kind}(Jet_pt, Jet_eta, Jet_phi, Jet_{last})"
            for name, expected in zip(("px", "py", "pz", "E", "mass", "p"),
                                      [*p, energy, 1.5, np.sqrt((p**2).sum(0))], strict=True):  # fmt: skip
                np.testing.assert_allclose(
                    value(again, f"{four}.{name}").array, expected, rtol=1e-9
                )

    def test_several_numbers_per_event(self):
        batch = batch_of([0, 0], {"pt": np.empty(0)}, {"cov": np.array([[1.0, 2.0, 3.0]])})
        assert value(batch, "cov[1] + cov[-1]").array.tolist() == [5.0]
        with pytest.raises(ValueError, match=r"cov\[3\]: cov has 3 numbers per event"):
            value(batch, "cov[3]")


class TestFunctions:
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_as_numpy_has_them(self, device, name):
        batch = batch_of(
            [0, 3, 5], {"a": [0.25, -2.0, np.nan, 0.5, 7.0], "b": [1.0, 0.5, 2.0, -0.0, 2.0]}
        )
        of = {"abs": "absolute", "fabs": "absolute", "atan2": "arctan2"}
        if name == "delta_phi":
            return  # a test of its own
        numpy = getattr(np, of.get(name, name))
        a, b = (np.asarray(batch.Jet[n]) for n in "ab")
        given = {1: [a], 2: [a, b], 3: [a > 0.3, a, b]}[FUNCTIONS[name].arguments]
        text = {1: "Jet_a", 2: "Jet_a, Jet_b", 3: "Jet_a > 0.3, Jet_a, Jet_b"}[len(given)]
        with np.errstate(all="ignore"):
            expected = numpy(*given)
        for prefix in ("", "np."):
            found = to_host(value(batch, f"{prefix}{name}({text})", device).array)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-15)

    def test_truth_values_stay_what_they_are(self):
        batch = batch_of([0, 2], {"a": [1.0, 2.0]})
        assert value(batch, "where(Jet_a > 1, Jet_a < 5, False)").array.tolist() == [False, True]
        assert value(batch, "where(Jet_a > 1, Jet_a < 5, False)").array.dtype == bool
        assert value(batch, "where(Jet_a > 1, True, 0.5)").array.tolist() == [0.5, 1.0]


class TestNames:
    def test_of_branches(self):
        assert expression("log(Jet_pt) + Jet.PT - `e1/x y` * Jet_pt").names == (
            "Jet_pt",
            "Jet.PT",
            "e1/x y",
        )
        assert expression("np.log(math.pi * x)").names == ("x",)
        assert expression("Jet_pt").is_name
        assert not expression("-Jet_pt").is_name

    def test_several_lines(self):
        assert expression("(a > 1) |\n   (b < 2)\n").names == ("a", "b")

    def test_equal_and_pickled(self):
        again = pickle.loads(pickle.dumps(expression("log(x)")))
        assert again == expression("log(x)") != expression("log( x)")

    def test_a_name_that_was_not_read(self):
        batch = batch_of([0, 1], {"pt": [2.0]}, {"MET_pt": np.ones(1)})
        with pytest.raises(KeyError, match="no branch 'Jet_Pt' was read: did you mean 'Jet_pt'"):
            value(batch, "log(Jet_Pt)")

    def test_lists_of_other_lengths(self):
        jets = batch_of([0, 1, 3], {"pt": [2.0, 3.0, 4.0]})
        muons = batch_of([0, 1, 2], {"pt": [2.0, 3.0]}, collection="Muon")
        jets.collections |= muons.collections
        with pytest.raises(
            ValueError, match=r"'Jet_pt / Muon_pt': .*event 1 has 2 and 1; Muon_pt\[0\]"
        ):
            value(jets, "Jet_pt / Muon_pt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a text"),
        (5, "must be a text"),
        ("log(", "cannot be read"),
        ("lg(x)", r"no function 'lg': did you mean 'log'"),
        ("np.lg(x)", "no function 'lg'"),
        ("log(x, y)", "log takes 1 argument, got 2"),
        ("hypot(x)", "hypot takes 2 arguments, got 1"),
        ("sum(x, axis=1)", "sum takes no keywords, got 'axis'"),
        ("a if x else b", r"where\(condition, a, b\) does that"),
        ("x[y]", "places are integers"),
        ("x[0:1]", "places are integers"),
        ("x[True]", "places are integers"),
        ("'a' + x", "no number"),
        ("1j * x", "no number"),
        ("x > 1 & y > 2", "put comparisons in parentheses"),
        ("(x > 1 & y)", "put comparisons in parentheses"),
        ("x in y", "comparisons are"),
        ("x @ y", "not accepted"),
        ("x << 2", "not accepted"),
        ("[x]", "not accepted"),
        ("lambda: x", "not accepted"),
        ("(y := x)", "cannot be read|not accepted"),
        ("__import__('os').system('true')", "not accepted|no function"),
        ("x.__class__()", "no function"),
        ("().__class__", "four-vectors"),
        ("_p4_from_ptetaphie(a, b, c, d)", "take a coordinate"),
        ("_p4_from_ptetaphie(a, b, c, d).mas", "did you mean 'mass'"),
        ("(" * 500 + "x" + ")" * 500, "nested|too many|cannot be read"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ValueError, match=message):
        expression(text)


def test_floats_have_no_bits():
    batch = batch_of([0, 1], {"pt": [2.0]})
    with pytest.raises(TypeError, match=r"expression 'Jet_pt & 1': .*and Jet_pt is a float"):
        value(batch, "Jet_pt & 1")


def test_text_and_lists_are_refused():
    batch = batch_of([0], {"pt": np.empty(0)}, {"name": np.array([], object)})
    with pytest.raises(TypeError, match="'name' is text"):
        value(batch, "name == 1")
