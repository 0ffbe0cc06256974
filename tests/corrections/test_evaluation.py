"""Corrections equal correctionlib's own evaluation to the last bit, and count what is outside."""

import pickle

import correction_files as files
import correctionlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag import corrections


def muons(n_events=200, seed=0, pt=(5.0, 200.0), dtype=np.float64):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.5, n_events)
    n = counts.sum()
    eta = rng.uniform(-2.4, 2.4, n)
    return fj.Jagged.from_counts(
        counts,
        {"pt": rng.uniform(*pt, n).astype(dtype), "eta": eta.astype(dtype),
         "phi": rng.uniform(-np.pi, np.pi, n), "abseta": np.abs(eta)},
    )  # fmt: skip


@pytest.fixture
def muon_file(tmp_path):
    return files.write(tmp_path / "muon.json.gz", [files.muon_factors(), files.pileup()])


def followed(node, values, found):
    """The meaning of a file for one entry, written out: marks (input, side) of all that it meets."""
    if not isinstance(node, dict):
        return None
    if node["nodetype"] == "category":
        key = values[node["input"]]
        for item in node["content"]:
            if item["key"] == key:
                return followed(item["value"], values, found)
        if isinstance(key, str):
            found.add(f"{node['input']} unknown")
        return followed(node["default"], values, found)
    if node["nodetype"] == "transform":
        followed(node["rule"], values, found)
        assert node["rule"]["nodetype"] == "formula"
        assert node["rule"]["expression"] == "2*x"
        return followed(
            node["content"], {**values, node["input"]: 2 * values[node["input"]]}, found
        )
    if node["nodetype"] not in ("binning", "multibinning"):
        return None
    one = node["nodetype"] == "binning"
    at, outside = 0, False
    for name, edges in zip([node["input"]] if one else node["inputs"],
                           [node["edges"]] if one else node["edges"], strict=True):  # fmt: skip
        if isinstance(edges, dict):
            edges = np.linspace(edges["low"], edges["high"], edges["n"] + 1).tolist()
        edges = [float(e) for e in edges]
        x = values[name]
        if x < edges[0] or x >= edges[-1]:
            outside = True
            found.add(f"{name} {'below' if x < edges[0] else 'above'}")
            if node["flow"] == "wrap":
                width = edges[-1] - edges[0]
                x = edges[0] + (x - edges[0]) % width
        bin_ = sum(x >= e for e in edges) - 1
        at = at * (len(edges) - 1) + min(max(bin_, 0), len(edges) - 2)
    if outside and not isinstance(node["flow"], str):
        return followed(node["flow"], values, found)
    return followed(node["content"][at], values, found)


contents = st.recursive(
    st.floats(-2, 2),
    lambda inner: st.one_of(
        st.builds(
            lambda name, edges, parts, flow: files.binning(
                name, edges, (parts * 4)[: len(edges) - 1], flow
            ),
            st.sampled_from(["x", "y"]),
            st.lists(st.integers(-3, 3), min_size=2, max_size=5, unique=True).map(
                lambda e: [float(x) for x in sorted(e)]
            ),
            st.lists(inner, min_size=1, max_size=4),
            st.one_of(st.sampled_from(["clamp", "wrap"]), inner),
        ),
        st.builds(
            lambda parts, flow: {
                "nodetype": "multibinning", "inputs": ["x", "y"], "content": (parts * 4)[:4],
                "edges": [[-1.0, 0.0, 1.0], {"n": 2, "low": 0.0, "high": 2.0}], "flow": flow,
            },
            st.lists(inner, min_size=1, max_size=4),
            st.one_of(st.just("clamp"), inner),
        ),
        st.builds(lambda a, b: files.category("key", default=a, up=b), inner, inner),
        st.builds(
            lambda a, b: {**files.numbered("k", [a, b]), "default": 0.5}, inner, inner
        ),
        st.builds(
            lambda a: {
                "nodetype": "transform", "input": "x", "content": a,
                "rule": files.formula("2*x", "x"),
            },
            inner,
        ),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(contents, st.integers(0, 2**32 - 1), st.sampled_from(["up", "down"]))
def test_equals_correctionlib_and_counts_like_the_definition(tmp_path_factory, data, seed, key):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 30))
    x = rng.choice([-4.0, -3.0, -1.0, 0.0, 0.3, 1.0, 2.0, 3.5], n)
    y = rng.choice([-3.5, -1.0, 0.1, 0.0, 1.5, 2.0, 3.0], n)
    k = rng.integers(0, 3, n)
    path = tmp_path_factory.mktemp("c") / "a.json"
    one = files.correction("c", data, x="real", y="real", key="string", k="int")
    files.write(path, [one])
    c = corrections.read(path)["c"]
    ours = c({"x": x, "y": y, "k": k}, key=key)
    expected = {}
    for entry in range(n):
        found = set()
        followed(data, {"x": x[entry], "y": y[entry], "key": key, "k": k[entry]}, found)
        for where in found:
            expected[where] = expected.get(where, 0) + 1
    assert c.outside == expected
    if n:
        theirs = correctionlib.CorrectionSet.from_file(str(path))["c"].evaluate(x, y, key, k)
        np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == np.float64
    assert ours.shape == (n,)


class TestColumns:
    def test_particles_by_column_name(self, muon_file):
        own = corrections.read(muon_file)["ID"]
        theirs = correctionlib.CorrectionSet.from_file(str(muon_file))["ID"]
        m = muons()
        np.testing.assert_array_equal(
            own(m, scale_factors="systup"), theirs.evaluate(m["abseta"], m["pt"], "systup")
        )
        renamed = own(m, names={"abseta": "eta"}, pt=30.0, scale_factors="nominal", abseta=1.0)
        assert set(renamed) == {theirs.evaluate(1.0, 30.0, "nominal")}
        assert len(renamed) == m.n_particles

    def test_event_columns_count_for_every_particle(self, muon_file):
        pu = corrections.read(muon_file)["PU"]
        m = muons()
        n = np.arange(len(m)) % 90 + 0.5
        per_event = pu({"NumTrueInteractions": n}, weights="up")
        per_muon = pu(m, event={"NumTrueInteractions": n}, weights="up")
        np.testing.assert_array_equal(per_muon, m.broadcast(per_event))

    def test_float32_is_what_it_is_in_float64(self, muon_file):
        own = corrections.read(muon_file)["ID"]
        m = muons(dtype=np.float32)
        wide = m.with_columns(pt=m["pt"].astype(np.float64))
        np.testing.assert_array_equal(
            own(m, scale_factors="nominal"), own(wide, scale_factors="nominal")
        )

    def test_no_particles(self, muon_file):
        own = corrections.read(muon_file)["ID"]
        empty = muons().keep(np.zeros(muons().n_particles, bool))
        assert own(empty, scale_factors="nominal").shape == (0,)

    def test_errors_name_what_is_wrong(self, muon_file):
        own = corrections.read(muon_file)["ID"]
        m = muons()
        with pytest.raises(KeyError, match=r"no input 'scale_factor'.*scale_factors"):
            own(m, scale_factor="nominal")
        with pytest.raises(KeyError, match="no column 'scale_factors'"):
            own(m)
        with pytest.raises(TypeError, match="'scale_factors' of 'ID' must be a text"):
            own(m, scale_factors=1)
        with pytest.raises(ValueError, match="'pt' of 'ID' has 1 entries, but there are"):
            own(m, pt=[30.0], scale_factors="nominal")
        with pytest.raises(ValueError, match=r"correction 'ID': .*sideways"):
            own(m, scale_factors="sideways")
        with pytest.raises(KeyError, match=r"no correction 'id'.*did you mean 'ID'"):
            corrections.read(muon_file)["id"]

    def test_reals_are_no_integers(self, tmp_path):
        data = files.numbered("k", [0.5, 0.6])
        c = corrections.read(
            files.write(tmp_path / "a.json", [files.correction("c", data, k="int")])
        )
        np.testing.assert_array_equal(c["c"]({"k": np.array([1, 0], np.int8)}), [0.6, 0.5])
        with pytest.raises(TypeError, match="must be int, got a column of float64"):
            c["c"]({"k": [1.0]})
        with pytest.raises(ValueError, match="fit into int64"):
            c["c"]({"k": np.array([2**63], np.uint64)})


class TestOutside:
    def test_counted_and_reported(self, muon_file):
        file = corrections.read(muon_file)
        m, counts = muons(), {}
        file["ID"](m, scale_factors="nominal", counts=counts)
        low, high = np.count_nonzero(m["pt"] < 15), np.count_nonzero(m["pt"] >= 120)
        assert low > 0
        assert high > 0
        assert file.outside == {"ID": {"pt below": low, "pt above": high}}
        assert counts == {"ID: pt below": low, "ID: pt above": high}
        file["ID"](m, scale_factors="nominal", counts=counts)
        assert counts["ID: pt below"] == 2 * low

    def test_an_error_names_the_entry(self, tmp_path):
        levels, stack = files.jet_corrections()
        c = corrections.read(files.write(tmp_path / "a.json", levels, stack))["L2"]
        with pytest.raises(
            ValueError, match=r"1 entries of JetEta are outside -5.2 to 5.2.*entry 1 with 6"
        ):
            c({"JetPt": [30.0, 40.0], "JetEta": [0.0, 6.0]})

    def test_pickles_work_and_have_no_counts(self, muon_file):
        c = corrections.read(muon_file)["ID"]
        before = pickle.dumps(c)
        values = c(muons(), scale_factors="nominal")
        assert pickle.dumps(c) == before
        again = pickle.loads(before)
        assert again.outside == {}
        np.testing.assert_array_equal(again(muons(), scale_factors="nominal"), values)


@pytest.mark.parametrize("input_op", ["+", "*", "/"])
@pytest.mark.parametrize("output_op", ["+", "*", "/", "last"])
def test_compound_equals_correctionlib(tmp_path, input_op, output_op):
    levels, (stack,) = files.jet_corrections()
    stack |= {"input_op": input_op, "output_op": output_op}
    path = files.write(tmp_path / "jec.json.gz", levels, [stack])
    rng = np.random.default_rng(4)
    n = 500
    columns = {"JetA": rng.uniform(0.3, 0.7, n), "JetEta": rng.uniform(-5, 5, n),
               "JetPt": rng.uniform(10, 900, n), "Rho": rng.uniform(0, 40, n)}  # fmt: skip
    theirs = correctionlib.CorrectionSet.from_file(str(path)).compound["L1L2Res"]
    np.testing.assert_array_equal(
        corrections.read(path)["L1L2Res"](columns), theirs.evaluate(*columns.values())
    )


class TestFiles:
    def test_compressed_by_content_not_name(self, tmp_path, muon_file):
        renamed = tmp_path / "muon.json"
        renamed.write_bytes(muon_file.read_bytes())
        assert list(corrections.read(renamed)) == ["ID", "PU"]
        assert len(corrections.read(renamed)) == 2

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "not JSON"),
            ('{"schema_version": 1}', "must be version 2, got 1"),
            ("[]", "must be version 2, got None"),
            ('{"schema_version": 2, "corrections": [{"name": "a"}]}', "correctionlib cannot read"),
        ],
    )
    def test_errors_name_the_file(self, tmp_path, text, message):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"bad.json: .*{message}"):
            corrections.read(path)

    def test_damaged_gzip(self, tmp_path, muon_file):
        path = tmp_path / "short.json.gz"
        path.write_bytes(muon_file.read_bytes()[:100])
        with pytest.raises(ValueError, match=r"short.json.gz: no corrections can be read"):
            corrections.read(path)
