"""padding: dense tensors against the reference, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_device import KernelsOnGpu
from strategies import DTYPES, FLOATS, assert_same, column, jagged_arrays, uneven_jagged
from traffic import counted, sectors, worst_conflict

from fastjag import kernels
from fastjag.core import devices
from fastjag.kernels import reference

# Less than a register, several, some and a rest, and rows that follow their event's length.
WIDTHS = st.sampled_from([1, 2, 3, 8, 16, 33, 70, 300])
CLIPS = st.sampled_from([None, (-1.5, 2.0), (-np.inf, 0.0), (0.25, 0.25)])
LAYOUTS = st.sampled_from(["NKF", "NFK"])


def three(*values):
    """One value for each of three columns."""
    return st.lists(st.sampled_from(values), min_size=3, max_size=3)


def padded(kernels, offsets, columns, width, *, key=None, layout="NKF", **options):
    """Values always as (events, slots, columns), and the mask."""
    order = None if key is None else kernels.order(offsets, key, limit=width)
    mask = np.empty((len(offsets) - 1, width), bool)
    values = kernels.padding(
        offsets, columns, width, layout=layout, order=order, mask=mask, **options
    )
    return (values if layout == "NKF" else values.transpose(0, 2, 1)), mask


class TestPadding:
    @given(jagged_arrays(n_columns=3, same_dtype=True), WIDTHS, st.sampled_from(["NKF", "NFK"]))
    def test_copies_bits(self, kernels, parts, width, layout):
        offsets, columns = parts
        fill = 1 if columns[0].dtype.kind == "b" else 7
        values, mask = padded(kernels, offsets, columns, width, fill=fill, layout=layout)
        expected, expected_mask = reference.padding(offsets, columns, width, fill)
        assert_same(values, expected)
        assert_same(mask, expected_mask)

    @given(st.integers(0, 2**64 - 1), st.sampled_from(FLOATS))
    def test_keeps_nan_payloads(self, kernels, bits, dtype):
        value = np.array([bits], np.uint64).view(dtype)
        values, _ = padded(kernels, np.array([0, len(value)]), [value], 2, fill=np.nan)
        assert values.tobytes()[: value.nbytes] == value.tobytes()

    @given(jagged_arrays(n_columns=2, same_dtype=True), WIDTHS)
    def test_in_order_of_a_key(self, kernels, parts, width):
        offsets, (values, key) = parts
        found, mask = padded(kernels, offsets, [values], width, key=key, fill=0)
        expected, expected_mask = reference.padding(offsets, [values], width, 0, key=key)
        assert_same(found, expected)
        assert_same(mask, expected_mask)

    @given(jagged_arrays(n_columns=3), WIDTHS, st.sampled_from(FLOATS))
    def test_casts_each_column(self, kernels, parts, width, dtype):
        offsets, columns = parts
        values, _ = padded(kernels, offsets, columns, width, fill=-1.5, dtype=dtype)
        with np.errstate(over="ignore"):
            expected, _ = reference.padding(offsets, columns, width, -1.5, dtype=dtype)
        assert_same(values, expected)

    @given(
        jagged_arrays(n_columns=3),
        WIDTHS,
        st.sampled_from(FLOATS),
        st.lists(st.sampled_from([0.3, -20.0, 1e4]), min_size=3, max_size=3),
        st.lists(st.sampled_from([1.0, -0.7, 3e-3]), min_size=3, max_size=3),
        CLIPS,
        st.sampled_from(["NKF", "NFK"]),
    )
    def test_standardises(self, kernels, parts, width, dtype, mean, scale, clip, layout):
        offsets, columns = parts
        values, _ = padded(
            kernels, offsets, columns, width, fill=5, mean=mean, scale=scale, clip=clip, dtype=dtype,
            layout=layout,
        )  # fmt: skip
        with np.errstate(over="ignore", invalid="ignore"):
            single = [
                reference.padding(offsets, [c], width, 5, None, m, s, clip, dtype)[0]
                for c, m, s in zip(columns, mean, scale, strict=True)
            ]
        assert_same(values, np.concatenate(single, axis=2))

    @given(jagged_arrays(n_columns=3, same_dtype=True), WIDTHS, LAYOUTS, three(0, 1))
    def test_wraps_bits(self, kernels, parts, width, layout, fill):
        offsets, columns = parts
        values, mask = padded(
            kernels, offsets, columns, width, mode="wrap", fill=fill, layout=layout
        )
        single = [
            reference.padding(offsets, [c], width, x, mode="wrap")[0]
            for c, x in zip(columns, fill, strict=True)
        ]
        assert_same(values, np.concatenate(single, axis=2))
        assert_same(mask, reference.padding(offsets, columns, width, 0)[1])

    @given(
        jagged_arrays(n_columns=4),
        WIDTHS,
        st.sampled_from(FLOATS),
        st.sampled_from([None, {"mean": [0.3, None, -20.0], "scale": [1.0, -0.7, None]}]),
        st.one_of(st.none(), st.tuples(CLIPS, CLIPS, CLIPS)),
        st.sampled_from([None, 0.0, -1.5, np.nan]),
        three(0, np.nan, 5),
        st.sampled_from(["constant", "wrap"]),
        st.booleans(),
        LAYOUTS,
    )
    def test_each_column_by_itself(
        self, kernels, parts, width, dtype, shift, clip, nan, fill, mode, by, layout
    ):
        offsets, (*columns, last) = parts
        key = last if by else None
        values, _ = padded(
            kernels, offsets, columns, width, key=key, mode=mode, fill=fill, clip=clip, nan=nan,
            dtype=dtype, layout=layout, **(shift or {}),
        )  # fmt: skip
        with np.errstate(over="ignore", invalid="ignore"):
            single = [
                reference.padding(
                    offsets, [c], width, fill[f], key,
                    0.0 if shift is None else shift["mean"][f] or 0.0,
                    1.0 if shift is None else shift["scale"][f] or 1.0,
                    None if clip is None else clip[f], dtype, mode, nan,
                )[0]
                for f, c in enumerate(columns)
            ]  # fmt: skip
        assert_same(values, np.concatenate(single, axis=2))

    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    @pytest.mark.parametrize("width", [1, 2, 5, 17, 64, 65, 130, 200])
    def test_wraps_every_length(self, kernels, dtype, width):
        """Every number of particles up to one above the width; those behind end the content."""
        counts = np.arange(width + 2)
        offsets = np.concatenate([[0], np.cumsum([*counts, *counts[::-1]])])
        values = (np.arange(offsets[-1]) % 251).astype(dtype)
        for layout in ("NKF", "NFK"):
            for options in ({"fill": 7}, {"fill": 7, "scale": 1, "dtype": "f4"}):
                found, _ = padded(
                    kernels, offsets, [values, values[::-1].copy()], width, mode="wrap",
                    layout=layout, **options,
                )  # fmt: skip
                sizes = np.diff(offsets)[:, None]
                at = offsets[:-1, None] + np.arange(width) % np.maximum(sizes, 1)
                at = np.minimum(at, len(values) - 1)
                for f, x in enumerate((values, values[::-1])):
                    expected = np.where(sizes > 0, x[at], x.dtype.type(7))
                    assert_same(found[:, :, f], expected.astype(found.dtype))

    def test_nan_is_replaced_in_particles_only(self, kernels):
        column = np.array([np.nan, np.inf, 1.0])
        options = {"fill": np.nan, "nan": 0.0}
        values, _ = padded(kernels, np.array([0, 3]), [column], 4, **options)
        assert_same(values[0, :, 0], np.array([0, np.inf, 1, np.nan]))
        values, _ = padded(kernels, np.array([0, 3]), [column], 4, mean=np.inf, **options)
        assert_same(values[0, :, 0], np.array([0, 0, -np.inf, np.nan]))

    def test_integers_have_no_nan(self, kernels):
        column = np.array([2**63 - 1, -1], "i8")
        values, _ = padded(kernels, np.array([0, 2]), [column], 3, nan=0.5)
        assert_same(values[0, :, 0], np.array([2**63 - 1, -1, 0]))

    @pytest.mark.parametrize(
        ("dtypes", "expected"),
        [(["f4", "f4"], "f4"), (["f4", "f8"], "f8"), (["i2", "i2"], "i2"), (["i2", "f4"], "f4"),
         (["?", "u1"], "f4"), (["i8", "f4"], "f8"), (["?"], "?")],
    )  # fmt: skip
    def test_default_dtype(self, kernels, dtypes, expected):
        columns = [np.zeros(3, dtype) for dtype in dtypes]
        assert kernels.padding(np.array([0, 3]), columns, 2).dtype == np.dtype(expected)
        if np.dtype(expected).kind != "f":  # integers cannot be standardised in place
            assert kernels.padding(np.array([0, 3]), columns, 2, mean=1).dtype == np.float32

    def test_out_is_written_again(self, kernels):
        offsets, column = np.array([0, 1, 1, 4]), np.arange(4.0)
        out, mask = np.full((3, 2, 1), 99.0), np.ones((3, 2), bool)
        result = kernels.padding(offsets, [column], 2, fill=-1, out=out, mask=mask)
        assert result is out
        assert out[:, :, 0].tolist() == [[0, -1], [-1, -1], [1, 2]]
        assert mask.tolist() == [[True, False], [False, False], [True, True]]

    @pytest.mark.parametrize("fill", [0, -0.0, 3])
    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    def test_fresh_memory_is_filled(self, fill, layout):
        """Above 32 MiB, slots of a zero fill may be left as the system gave them."""
        rng = np.random.default_rng(1)
        n, width = 20_000, 300
        offsets = np.r_[0, np.cumsum(rng.integers(0, 100, n))]
        columns = [rng.normal(size=offsets[-1]).astype("f4") for _ in range(2)]
        values, _ = padded(kernels, offsets, columns, width, fill=fill, layout=layout)
        assert values.nbytes > 32 * 2**20
        again = np.full((n, 2, width) if layout == "NFK" else (n, width, 2), 9, "f4")
        expected, mask = padded(
            kernels, offsets, columns, width, fill=fill, layout=layout, out=again
        )
        assert_same(values, expected)
        assert_same(values[~mask], np.full((int((~mask).sum()), 2), fill, "f4"))

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_a_zero_keeps_its_sign_at_a_bound_of_zero(self, kernels, dtype):
        column = np.array([-0.0, 0.0], dtype)
        for clip in ((0, 1), (-1, 0)):
            values, _ = padded(kernels, np.array([0, 2]), [column], 2, mean=0, clip=clip)
            assert np.signbit(values).ravel().tolist() == [True, False]

    @pytest.mark.parametrize("zero", [0.0, -0.0])
    def test_zeros_keep_their_signs(self, kernels, zero):
        column = np.array([-3.0, 3.0], "f4")
        values, _ = padded(kernels, np.array([0, 2]), [column], 4, fill=zero, clip=(zero, zero))
        assert_same(values[0, :, 0], np.full(4, zero, "f4"))

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 5, 7, 10, 5000])
    @pytest.mark.parametrize("width", [1, 3, 4, 6])
    def test_columns_innermost(self, kernels, n_columns, width):
        rng = np.random.default_rng(1)
        offsets = np.array([2, 3, 3, 12, 16, 17, 17])
        columns = [rng.integers(0, 99, 20).astype("f4") for _ in range(n_columns)]
        values, _ = padded(kernels, offsets, columns, width, fill=-1)
        assert_same(values, reference.padding(offsets, columns, width, -1)[0])

    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    def test_many_events(self, kernels, dtype, layout):
        offsets, rng = uneven_jagged(), np.random.default_rng(1)
        columns = [column(rng, dtype, int(offsets[-1])) for _ in range(3)]
        values, mask = padded(kernels, offsets, columns, 5, fill=3, layout=layout)
        inside = np.arange(5) < np.diff(offsets)[:, None]
        at = np.where(inside, offsets[:-1, None] + np.arange(5), 0)
        assert_same(mask, inside)
        for f, x in enumerate(columns):
            assert_same(values[:, :, f], np.where(inside, x[at], x.dtype.type(3)))

    @pytest.mark.parametrize("dtype", ["f4", "f8", "u2"])
    @pytest.mark.parametrize(
        ("n_events", "width", "n_columns", "mode"),
        [(820, 128, 24, "constant"), (820, 128, 24, "wrap"), (700, 126, 16, "constant"),
         (400, 8, 336, "constant"), (20_000, 16, 6, "constant"), (3000, 128, 3, "constant")],
    )  # fmt: skip
    @pytest.mark.parametrize("begin", [0, 8])
    def test_tensors_that_no_cache_holds(self, dtype, n_events, width, n_columns, mode, begin):
        """Written past the caches where whole lines are; events of all lengths follow one another."""
        rng = np.random.default_rng(3)
        counts = rng.integers(0, width + 9, n_events)
        counts[rng.integers(0, n_events, n_events // 4)] = 0
        offsets = np.concatenate([[0], np.cumsum(counts)])
        columns = [column(rng, dtype, int(offsets[-1])) for _ in range(n_columns)]
        shape = n_events, width, n_columns
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(size + 128, 7, np.uint8)
        start = begin - memory.__array_interface__["data"][0] % 64 + 64
        out = memory[start : start + size].view(dtype).reshape(shape)
        fill = np.arange(n_columns)
        for _ in range(2):  # what an earlier call has left is written again
            values, mask = padded(kernels, offsets, columns, width, fill=fill, mode=mode, out=out)
            other, _ = padded(kernels, offsets, columns, width, fill=fill, mode=mode, layout="NFK")
            assert_same(values, other)
            assert (mask == (np.arange(width) < counts[:, None])).all()
        assert (memory[:start] == 7).all()
        assert (memory[start + size :] == 7).all()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_same_on_any_number_of_threads(self, large, dtype):
        offsets, make = large
        columns = [make(dtype), make(dtype)]
        for options in ({"layout": "NFK"}, {"mean": 0.1, "clip": (-1, 1), "dtype": "f4"}):
            one = padded(kernels, offsets, columns, 5, key=columns[1], threads=1, **options)
            for threads in (2, 3, 4):
                more = padded(
                    kernels, offsets, columns, 5, key=columns[1], threads=threads, **options
                )
                assert one[0].tobytes() == more[0].tobytes()
                assert one[1].tobytes() == more[1].tobytes()


def test_more_cells_than_a_gpu_has_threads(emulation):
    """One block, whose threads go on with what is behind it."""
    emulation.set_blocks(1)
    offsets = np.arange(0, 2001, 4)
    values, mask = padded(KernelsOnGpu(), offsets, [np.arange(2000.0)], 5)
    assert_same(mask, np.tile([True] * 4 + [False], (500, 1)))
    assert_same(values[:, :4, 0].ravel(), np.arange(2000.0))


class TestTraffic:
    """On a GPU: memory is read and written by whole sectors."""

    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    @pytest.mark.parametrize("n_columns", [1, 3, 40])
    def test_writes(self, emulation, dtype, layout, n_columns):
        xp, rng = devices.cupy(), np.random.default_rng(1)
        offsets = xp.asarray(np.concatenate([[0], np.cumsum(rng.poisson(3, 500))]))
        columns = [xp.asarray(column(rng, dtype, int(offsets[-1]))) for _ in range(n_columns)]
        with counted(emulation) as rows:
            kernels.padding(offsets, columns, 8, layout=layout, mask=xp.empty((500, 8), bool))
        for kernel in ("pad_cells", "pad_mask"):
            found, ideal, _ = sectors(rows, kernel, "global write")
            assert found == ideal

    @pytest.mark.parametrize("layout", ["NKF", "NFK"])
    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
    @pytest.mark.parametrize("n_columns", [1, 3, 40])
    def test_reads(self, emulation, dtype, layout, n_columns):
        """Of full events, where all lanes read."""
        xp, rng = devices.cupy(), np.random.default_rng(1)
        columns = [xp.asarray(column(rng, dtype, 4000)) for _ in range(n_columns)]
        with counted(emulation) as rows:
            kernels.padding(xp.asarray(np.arange(0, 4001, 8)), columns, 8, layout=layout)
        assert worst_conflict(rows) <= 2
        found, ideal, accesses = sectors(rows, "pad_cells", "global read")
        # One piece of memory for each column that a warp meets, of three reads in a row.
        pieces = {("NKF", 1): 1, ("NKF", 3): 3, ("NKF", 40): 32}.get((layout, n_columns), 4)
        assert found <= ideal + accesses * pieces / 3


FLOAT, INTEGER = [np.zeros(3)], [np.zeros(3, np.uint8)]


@pytest.mark.parametrize(
    ("columns", "options", "error", "message"),
    [
        (FLOAT, {"layout": "KNF"}, ValueError, "layout must be 'NKF' or 'NFK', got 'KNF'"),
        (FLOAT, {"width": 0}, ValueError, "width must be an integer >= 1, got 0"),
        (FLOAT, {"width": True}, ValueError, "width must be an integer >= 1, got True"),
        (FLOAT, {"width": 2.0}, ValueError, "width must be an integer >= 1, got 2.0"),
        ([], {}, ValueError, "columns must name at least one column"),
        (FLOAT, {"dtype": "i4"}, TypeError, "dtype int32 .* accepted are float32, float64"),
        (INTEGER, {"dtype": "i4"}, TypeError, "accepted are float32, float64, uint8"),
        (INTEGER, {"dtype": "u1", "mean": 1}, TypeError, "accepted are float32, float64$"),
        (FLOAT, {"dtype": ">f8"}, TypeError, "dtype >f8 is not supported"),
        (
            FLOAT,
            {"mean": [1, 2]},
            ValueError,
            r"mean must be .* one per column \(1\), got \[1, 2\]",
        ),
        (FLOAT, {"mean": "a"}, ValueError, r"mean must be a number .*, got 'a'"),
        (FLOAT, {"scale": 0}, ValueError, "scale must be finite and not 0, got 0"),
        (FLOAT, {"scale": np.nan}, ValueError, "scale must be finite and not 0, got nan"),
        (FLOAT, {"clip": (1, 0)}, ValueError, r"clip must be \(low, high\) .*, got \(1, 0\)"),
        (FLOAT, {"clip": (np.nan, 1)}, ValueError, r"clip must be \(low, high\)"),
        (FLOAT, {"clip": 5}, ValueError, r"clip must be \(low, high\) .*, got 5"),
        (FLOAT, {"clip": (1, 2, 3)}, ValueError, r"clip must be \(low, high\) .*, got \(1, 2, 3\)"),
        (FLOAT, {"clip": (None, 2)}, ValueError, r"clip must be \(low, high\) .*, got \(None, 2\)"),
        (FLOAT, {"clip": [(0, 1)] * 2}, ValueError, r"for each column \(1\) .*, got \[\(0, 1\), "),
        (FLOAT, {"clip": [(1, 0)]}, ValueError, r"clip must be .*, got \[\(1, 0\)\]"),
        (FLOAT, {"clip": []}, ValueError, r"clip must be .*, got \[\]"),
        (FLOAT, {"mode": "edge"}, ValueError, "mode must be 'constant' or 'wrap', got 'edge'"),
        (FLOAT, {"mode": "wrap", "width": 2**31}, ValueError, r"below 2\*\*31, got 2147483648"),
        (FLOAT, {"nan": "0"}, ValueError, "nan must be one number .*, got '0'"),
        (
            FLOAT,
            {"nan": 1e300, "dtype": "f4"},
            ValueError,
            "nan must be .* float32 can hold, got 1e",
        ),
        (FLOAT * 2, {"fill": [0, None]}, ValueError, "fill must be one number .*, got None"),
        (INTEGER * 2, {"fill": [0, 300]}, ValueError, "fill must be one number .*, got 300"),
        (INTEGER, {"fill": 300}, ValueError, "fill must be one number that uint8 .*, got 300"),
        (INTEGER, {"fill": 0.5}, ValueError, "fill must be one number that uint8 can hold"),
        (INTEGER, {"fill": np.nan}, ValueError, "fill must be one number that uint8 .*, got nan"),
        (INTEGER, {"fill": 2**70}, ValueError, "fill must be one number that uint8 can hold"),
        (FLOAT, {"fill": 1e300, "dtype": "f4"}, ValueError, "float32 can hold, got 1e"),
        (
            FLOAT,
            {"fill": [1, 2]},
            ValueError,
            r"fill must be a number or one per column \(1\), got \[1, ",
        ),
        (FLOAT, {"fill": None}, ValueError, "fill must be one number .*, got None"),
        (FLOAT, {"fill": "a"}, ValueError, "fill must be one number .*, got 'a'"),
        (FLOAT, {"out": [1]}, TypeError, "out must be a NumPy array, got list"),
        (FLOAT, {"out": np.zeros((1, 2, 2))}, ValueError, r"out must have shape \(1, 2, 1\)"),
        (FLOAT, {"out": np.zeros((1, 2, 1), "f4")}, ValueError, "dtype float64, got .* float32"),
        (FLOAT, {"out": np.zeros((1, 4, 1))[:, ::2]}, ValueError, "out must be C-contiguous"),
        (FLOAT, {"threads": 0}, ValueError, "threads must be a positive integer, got 0"),
    ],
)
def test_errors_say_what_is_accepted(columns, options, error, message):
    with pytest.raises(error, match=message):
        kernels.padding(np.array([0, 3]), columns, **{"width": 2, **options})


def test_read_only_out():
    out = np.zeros((1, 2, 1))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        kernels.padding(np.array([0, 3]), FLOAT, 2, out=out)
