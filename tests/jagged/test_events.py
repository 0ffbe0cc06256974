"""Events of a Jagged one by one, columns as attributes, values of events for particles, and how it looks."""

import copy
import pickle

import numba
import numpy as np
import pytest
from hypothesis import given
from on_device import moved
from strategies import assert_same, jagged_arrays

import fastjag as fj
from fastjag.core.devices import to_host
from fastjag.kernels import reference


def made(**columns):
    given = {"pt": [41.5, 18.2, 33.0, 1.0], "n": [1, 2, 3, 4], **columns}
    return fj.Jagged([0, 2, 2, 3, 4], given)


class TestEvents:
    @given(jagged_arrays(n_columns=2))
    def test_iteration_and_numbers(self, device, parts):
        offsets, (a, b) = parts
        jagged = fj.Jagged(offsets, {"a": a, "b": b}).to(device)
        events = list(jagged)
        assert len(events) == len(jagged)
        for i, slots in reference.slices(offsets):
            for event in (events[i], jagged[i], jagged[i - len(jagged)], jagged[np.int16(i)]):
                assert list(event) == ["a", "b"]
                assert len(event) == slots.stop - slots.start
                assert_same(event["a"], a[slots])
                assert_same(event.b, b[slots])

    def test_is_a_dict_of_its_columns(self, device):
        event = made().to(device)[0]
        assert isinstance(event, fj.Event)
        assert list(event.keys()) == ["pt", "n"]
        assert "pt" in event
        assert "eta" not in event
        assert dict(event)["n"].tolist() == [1, 2]
        assert [values.tolist() for values in event.values()] == [[41.5, 18.2], [1, 2]]
        assert repr(event) == "<Event of 2 particles: pt [41.5, 18.2]  n [1, 2]>"
        for other in (copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
            assert fj.equal(other, event)
        assert event == event  # noqa: PLR0124 (of arrays no single bool)
        assert event != made().to(device)[0]
        with pytest.raises(KeyError, match="no column 'Pt': did you mean 'pt'"):
            event["Pt"]

    def test_numbers_of_the_device(self, device):
        jagged = made().to(device)
        longest = jagged.counts.argmax()
        assert len(jagged[longest]) == 2
        with pytest.raises(ValueError, match="must have one dimension"):
            jagged[longest > 0]

    def test_is_a_view(self, device):
        jagged = made().to(device)
        assert np.shares_memory(jagged[0].pt, jagged["pt"])

    def test_as_in_compiled_functions(self):
        """The same lines, compiled or not."""

        def walk(muons):
            total = muons.pt[0] + muons["n"][0]
            for event in muons:
                total += len(event) * len(event.pt) * len(muons[0].n)
                for x in event.pt:
                    total += x
                total += event["n"].sum()
            return total

        assert numba.njit(walk)(made()) == walk(made())

    def test_methods_win_in_compiled_functions(self):
        @numba.njit
        def column(muons):
            return muons["keep"][0]

        @numba.njit
        def attribute(muons):
            return muons.keep[0]

        jagged = made(keep=[7, 8, 9, 10])
        assert column(jagged) == 7
        with pytest.raises(numba.TypingError, match="Unknown attribute 'keep'"):
            attribute(jagged)


class TestAttributes:
    def test_columns(self, device):
        jagged = made().to(device)
        assert jagged.pt.tolist() == [41.5, 18.2, 33, 1]
        assert np.shares_memory(jagged.pt, jagged["pt"])
        assert jagged.pt is not jagged.pt  # views, of which dtype and shape can be set
        assert {"pt", "n", "keep"} <= set(dir(jagged))
        assert jagged._ipython_key_completions_() == ["pt", "n"]

    @pytest.mark.parametrize("name", ["keep", "offsets", "columns", "pad", "device", "to_arrow"])
    def test_methods_win(self, name):
        jagged = made(**{name: [5, 6, 7, 8]})
        assert jagged[name].tolist() == [5, 6, 7, 8]
        plain = getattr(made(), name)
        found = getattr(jagged, name)
        assert callable(found) if callable(plain) else not np.array_equal(found, [5, 6, 7, 8])

    def test_names_that_are_not_there(self):
        jagged = made(_x=[1, 2, 3, 4])
        assert jagged["_x"].tolist() == [1, 2, 3, 4]
        for name in ("_x", "__cuda_array_interface__", "__dlpack__", "__deepcopy__", "_ipython_x_"):
            with pytest.raises(AttributeError):
                getattr(jagged, name)
        with pytest.raises(AttributeError, match="no column 'PT': did you mean 'pt'"):
            _ = jagged.PT
        assert not hasattr(object.__new__(fj.Jagged), "pt")  # as in the middle of an unpickling

    def test_assignment_is_refused(self):
        with pytest.raises(AttributeError):
            made().pt = np.zeros(4)


class TestBroadcast:
    @given(jagged_arrays())
    def test_to_particles(self, device, parts):
        offsets, (values,) = parts
        per_event = (np.arange(len(offsets) - 1) % 99).astype(values.dtype)
        found = fj.Jagged(offsets, {"x": values}).to(device).broadcast(moved(per_event, device))
        assert_same(found, np.repeat(per_event, np.diff(offsets)))

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0], "values has 1 entries, but there are 4 events"),
            (1.0, "values must have one dimension"),
            (np.ones((4, 0)), "values has no numbers in its entries"),
        ],
    )
    def test_refused(self, values, message):
        with pytest.raises(ValueError, match=message):
            made().broadcast(values)

    def test_on_another_device(self, gpu):
        with pytest.raises(ValueError, match="must be on one device"):
            made().to("cuda").broadcast(np.ones(4))


class TestProd:
    @given(jagged_arrays())
    def test_products(self, parts):
        offsets, (values,) = parts
        found = fj.Jagged(offsets, {"x": values}).aggregate("x", ["prod", "count"])
        assert list(found) == ["prod", "count"]
        kind = {"f": np.float64, "i": np.int64}.get(values.dtype.kind, np.uint64)
        assert found["prod"].dtype == kind
        with np.errstate(all="ignore"):
            expected = [np.prod(values[s].astype(kind)) for _, s in reference.slices(offsets)]
            expected = np.array(expected, kind)
            special = ~np.isfinite(expected) | (np.abs(expected) < 1e-290)
            if kind is not np.float64:
                assert_same(found["prod"], expected)
            elif not special.any():
                np.testing.assert_allclose(found["prod"], expected, rtol=1e-12)

    def test_on_a_gpu(self, gpu):
        with pytest.raises(ValueError, match=r"on the CPU only: call \.to\(\"cpu\"\) first"):
            made().to("cuda").aggregate("pt", ["prod"])

    def test_is_known(self):
        with pytest.raises(ValueError, match=r"unknown statistic 'product': .*'prod'"):
            made().aggregate("pt", ["product"])


class TestLooks:
    def test_many_columns_and_long_names(self):
        names = [f"x{i}" for i in range(200)] + ["a" * 5000, "<script>alert(1)</script>", "a\nb"]
        jagged = fj.Jagged([0, 1000], {name: np.arange(1000.0) for name in reversed(names)})
        assert len(repr(jagged)) < 1000
        assert "(203 in all)" in repr(jagged)
        html = jagged._repr_html_()
        assert len(html) < 3000
        assert "<script>" not in html
        assert "&lt;script&gt;" in html

    def test_padded(self, device):
        padded = made().to(device).pad(2)
        assert (
            repr(padded) == "<Padded: values (4, 2, 2) float64, mask (4, 2), 4 of 8 slots filled>"
        )
        assert "<td>41.5, 1, 18.2, 2</td>" in padded._repr_html_()
        large = fj.Jagged(np.arange(10_001), {"x": np.zeros(10_000)}).pad(50)
        assert len(repr(large)) < 200
        assert len(large._repr_html_()) < 2000
        assert repr(made().pad(2, "pt").to_torch()).startswith("<Padded: values (4, 2) float64")

    def test_html(self, device):
        html = made().to(device)._repr_html_()
        assert html.count("<tr>") == 5
        assert "<td>41.5, 18.2</td>" in html
        assert html.count("&lt;Jagged") == 1

    def test_nothing_there(self, device):
        empty = fj.Jagged([0], {"x": []}).to(device)
        for some in (empty, empty.pad(3)):
            assert "(0, 3" in repr(some) or "0 events" in repr(some)
            assert "<table>" in some._repr_html_()


def test_what_is_no_array(device):
    jagged = made().to(device)
    for wrong in (
        lambda: jagged + 1, lambda: 1 / jagged, lambda: ~jagged, lambda: -jagged, lambda: jagged < 3,
        lambda: np.add(jagged, 1), lambda: np.ones(4) * jagged, lambda: np.asarray(jagged),
        lambda: np.mean(jagged), lambda: np.stack([jagged]), lambda: jagged[0] > 1,
        lambda: jagged.keep(jagged),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"a column is one|aggregate"):
            wrong()
    assert jagged == jagged  # noqa: PLR0124 (what it always was)
    assert jagged != made()
    assert {jagged: 1}[jagged] == 1
    assert to_host(jagged.pt)[0] == 41.5
