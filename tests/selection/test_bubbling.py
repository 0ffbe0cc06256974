"""Mask bubbling: what is left equals reading everything and masking, bit by bit, for less work."""

from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_uproot import column_bytes

import fastjag as fj
from fastjag.io.files import ReadError
from fastjag.io.reader import Reader
from fastjag.io.sources import open_source
from fastjag.jagged import Jagged
from fastjag.jagged.joining import join
from fastjag.jagged.shapes import described
from fastjag.selection import Step, cheapest_first, columns, survivors

COMPRESSIONS = {"none": None, "lz4": uproot.LZ4(1), "zlib": uproot.ZLIB(1), "zstd": uproot.ZSTD(1)}


def write(path, chunks, compression="lz4"):
    """One basket per branch and chunk; photons counted, two flat branches of other widths."""
    with uproot.recreate(path, compression=COMPRESSIONS[compression]) as file:
        tree = file.mktree(
            "Events",
            {
                "Photon": chunks[0]["Photon"].to_awkward().type.content,
                **{name: v.dtype for name, v in chunks[0].items() if name != "Photon"},
            },
            counter_name=lambda counted: f"n{counted}",
            field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
        )
        for rows in chunks:
            tree.extend({**rows, "Photon": rows["Photon"].to_awkward()})
    return str(path)


def chunk(rng, n):
    counts = rng.integers(0, 4, n)
    m = int(counts.sum())
    columns = {
        "pt": rng.integers(0, 99, m).astype(np.float32),
        "wide": rng.integers(0, 9, m).astype(np.float64),
        "good": rng.integers(0, 2, m).astype(bool),
    }
    return {
        "Photon": Jagged.from_counts(counts, columns),
        "trigger": rng.integers(0, 2, n).astype(bool),
        "met": rng.integers(0, 99, n).astype(np.float32),
        "w": rng.normal(size=n),
        "index": np.arange(n, dtype=np.int64),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """800 events in baskets of 100, 1, 299 and 400."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("bubbling") / "a.root"
    chunks = [chunk(rng, n) for n in (100, 1, 299, 400)]
    for first, rows in zip((0, 100, 101, 400), chunks, strict=True):
        rows["index"] += first
    return write(path, chunks)


STEPS = {
    "trigger": Step("trigger", ["trigger"], lambda e: e["trigger"]),
    "two": Step("two", ["Photon_pt"], lambda e: e.Photon.counts >= 2),
    "hard": Step(
        "hard",
        ["Photon_pt", "Photon_good"],
        lambda e: e.Photon.keep((e.Photon["pt"] > 30) & e.Photon["good"]).counts > 0,
    ),
    "met": Step("met", ["met"], lambda e: e["met"] > 40),
    "late": Step("late", ["index"], lambda e: e["index"] >= 420),
    "none": Step("none", ["met"], lambda e: e["met"] < 0),
    "all": Step("all", ["w", "Photon_pt"], lambda e: np.ones(len(e), bool)),
}
OUTPUT = ["Photon_*", "met", "index"]


@cache
def everything(path, columns):
    (batch,) = fj.iterate(path, list(columns), step=10**6)
    return batch


@cache
def cost_of_all(path, columns, batch_size):
    """Counters of reading columns for all events."""
    full = survivors(path, [], list(columns), batch_size=batch_size)
    list(full)
    assert full.counters.baskets_skipped == full.counters.bytes_skipped == 0
    return full.counters


def eager(path, steps, output=OUTPUT):
    """(mask of each step over all events, batch of everything)."""
    columns = [*output, *(c for step in steps for c in step.columns)]
    batch = everything(path, tuple(columns))
    return [np.asarray(step.passes(batch)) for step in steps], batch


def arrays(batches, of):
    """Every column of batches as bytes and dtype, lists with their counts."""
    result = {}
    for name in of.flat:
        parts = [b[name] for b in batches] or [of[name][:0]]
        result[name] = (column_bytes(np.concatenate(parts)), {p.dtype for p in parts})
    for name, jagged in of.collections.items():
        parts = [b.collections[name] for b in batches] or [jagged[:0]]
        result[name] = np.concatenate([p.counts for p in parts]).tolist()
        for column in jagged.columns:
            values = [p[column] for p in parts]
            result[f"{name}_{column}"] = (
                column_bytes(join(values, name)),
                {described(v) for v in values},
            )
    return result


class TestWorkedExample:
    """Ten events, three steps, with every mask and index in between."""

    n = (2, 1, 2, 3, 2, 0, 2, 2, 2, 1)
    mass = np.array([124, 0, 999, 90, 126, 0, 170, 118, 999, 0], np.float32)

    def test_photons(self, tmp_path):
        trigger = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 1], bool)
        trigger[2] = False
        rows = {
            "Photon": Jagged.from_counts(self.n, {"pt": np.arange(17, dtype=np.float32)}),
            "trigP": trigger,
            "m_yy": self.mass,
            "met": np.arange(10, dtype=np.float32),
        }
        path = write(tmp_path / "a.root", [rows])
        seen = []

        def seeing(passes):
            def step(events):
                mask = passes(events)
                seen.append((events.entries.tolist(), mask.astype(int).tolist()))
                return mask

            return step

        steps = [
            Step("n >= 2", ["Photon_pt"], seeing(lambda e: e.Photon.counts >= 2)),
            Step("trigger", ["trigP"], seeing(lambda e: e["trigP"])),
            Step("mass", ["m_yy"], seeing(lambda e: (e["m_yy"] > 105) & (e["m_yy"] < 160))),
        ]
        chosen = survivors(path, steps, ["Photon_pt", "met"])
        (batch,) = chosen
        assert seen == [
            (list(range(10)), [1, 0, 1, 1, 1, 0, 1, 1, 1, 0]),
            ([0, 2, 3, 4, 6, 7, 8], [1, 0, 1, 1, 1, 1, 0]),
            ([0, 3, 4, 6, 7], [1, 0, 1, 0, 1]),
        ]
        assert batch.entries.tolist() == [0, 4, 7]
        assert batch.Photon.offsets.tolist() == [0, 2, 4, 6]
        assert batch.Photon["pt"].tolist() == [0, 1, 8, 9, 12, 13]
        assert batch["met"].tolist() == [0, 4, 7]
        assert [(c.name, c.events, c.weighted) for c in chosen.cutflow] == [
            ("all", 10, 10.0), ("n >= 2", 7, 7.0), ("trigger", 5, 5.0), ("mass", 3, 3.0)
        ]  # fmt: skip
        # 10 photon lists (17 pt, 11 offsets), 7 trigger bits, 5 masses, 3 met.
        assert chosen.counters.bytes_copied == 17 * 4 + 11 * 8 + 7 + 5 * 4 + 3 * 4


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(sorted(STEPS)), max_size=4),
    st.sampled_from([13, 100, 101, 333, 10**6]),
    st.sampled_from([1, 2]),
)
@example(["late", "two", "met"], 100, 2)
@example(["none", "two"], 50, 1)
@example([], 300, 1)
def test_equals_eager(file, names, batch_size, threads):
    steps = [STEPS[name] for name in names]
    masks, _ = eager(file, steps)
    fj.set_num_threads(threads)
    try:
        chosen = survivors(file, steps, OUTPUT, weight="w", batch_size=batch_size)
        batches = list(chosen)
    finally:
        fj.set_num_threads(None)
    alive = np.logical_and.accumulate([np.ones(800, bool), *masks], axis=0)
    kept = np.flatnonzero(alive[-1])
    whole = eager(file, [])[1]
    expected = {n: j[kept] for n, j in whole.collections.items()}
    expected = type(whole)(expected, {n: v[kept] for n, v in whole.flat.items()}, whole.source)
    assert arrays(batches, expected) == arrays([expected], expected)
    if batches:
        assert np.concatenate([b.entries for b in batches]).tolist() == kept.tolist()
    # The cutflow is monotone by construction, and it is the eager one.
    assert [c.events for c in chosen.cutflow] == alive.sum(axis=1).tolist()
    weights = everything(file, ("w",))["w"]
    for cut, mask in zip(chosen.cutflow, alive, strict=True):
        assert cut.weighted == pytest.approx(weights[mask].sum(), abs=1e-9)
    # Never more work than reading the same columns for all events.
    columns = sorted({c for step in steps for c in step.columns} | {"w"})
    full, counters = cost_of_all(file, (*OUTPUT, *columns), batch_size), chosen.counters
    for name in ("baskets_read", "bytes_read", "bytes_decoded", "bytes_copied"):
        assert getattr(counters, name) <= getattr(full, name)
    assert counters.baskets_read + counters.baskets_skipped == full.baskets_read
    assert counters.bytes_read + counters.bytes_skipped == full.bytes_read
    if "late" in names and "none" not in names:  # three of four baskets of photons stay closed
        assert counters.bytes_decoded < full.bytes_decoded


@pytest.mark.parametrize("order", [["two", "met", "hard"], ["hard", "met", "two"]])
def test_order_changes_nothing(file, order):
    reference = list(survivors(file, [STEPS[n] for n in ("met", "two", "hard")], OUTPUT))
    found = list(survivors(file, [STEPS[n] for n in order], OUTPUT))
    assert arrays(found, found[0]) == arrays(reference, reference[0])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_nothing_left_stops_the_batch(tmp_path, compression):
    path = write(tmp_path / "a.root", [chunk(np.random.default_rng(2), 50)] * 3, compression)
    never = Step("never", ["Photon_pt"], lambda e: 1 / 0)
    chosen = survivors(path, [STEPS["none"], never], OUTPUT, batch_size=60)
    assert list(chosen) == []
    assert [c.events for c in chosen.cutflow] == [150, 0, 0]
    assert chosen.counters.baskets_read == 3  # met's
    assert chosen.counters.baskets_skipped == 3 * 4  # three of photons, index


def test_a_basket_shared_by_batches_is_read_once(file):
    chosen = survivors(file, [], "Photon_pt", batch_size=3)
    assert sum(len(b) for b in chosen) == 800
    assert chosen.counters.baskets_read == 4


def test_several_files_and_empty_ones(tmp_path, file):
    rng = np.random.default_rng(5)
    empty = write(tmp_path / "empty.root", [chunk(rng, 0)])
    other = write(tmp_path / "other.root", [chunk(rng, 30)])
    steps = [STEPS["two"], STEPS["met"]]
    chosen = survivors([file, empty, other], steps, OUTPUT)
    batches = list(chosen)
    assert [b.source.file for b in batches] == [file, other]
    parts = [eager(path, steps)[0] for path in (file, other)]
    expected = sum(int(np.logical_and(*masks).sum()) for masks in parts)
    assert sum(len(b) for b in batches) == chosen.cutflow[-1].events == expected > 0
    assert chosen.cutflow[0].events == 830


class TestOrder:
    def test_cheapest_first(self, file):
        steps = [STEPS[name] for name in ("hard", "all", "trigger", "late")]
        found = cheapest_first(file, steps, n_events=800)
        masks, _ = eager(file, steps)
        passed = {s.name: m.mean() for s, m in zip(steps, masks, strict=True)}
        assert {s.name: s.passed for s in found} == pytest.approx(passed)
        rank = [s.cost / (1 - s.passed) if s.passed < 1 else np.inf for s in found]
        assert rank == sorted(rank)
        # A bool is cheaper than lists of floats; what rejects nothing comes last.
        assert found[0].name == "trigger"
        assert found[-1].name == "all"
        costs = {s.name: s.cost for s in found}
        assert costs["trigger"] < costs["late"] < costs["hard"]

    def test_same_survivors(self, file):
        steps = [STEPS[name] for name in ("hard", "met", "trigger")]
        given_order = list(survivors(file, steps, OUTPUT))
        cheapest = list(survivors(file, cheapest_first(file, steps), OUTPUT))
        assert arrays(cheapest, cheapest[0]) == arrays(given_order, given_order[0])


class TestErrors:
    @pytest.mark.parametrize(
        ("step", "error", "message"),
        [
            (Step("bad", ["met"], lambda e: e["met"]), TypeError, "mask of step 'bad' .*boolean"),
            (Step("bad", ["met"], lambda e: [True]), ValueError, "step 'bad' has 1 .* 800 events"),
            (Step("bad", ["Met"], lambda e: e["Met"]), ReadError, r"no branch 'Met'.*'met'"),
        ],
    )
    def test_steps(self, file, step, error, message):
        with pytest.raises(error, match=message) as caught:
            list(survivors(file, [step]))
        assert error is ReadError or "in step 'bad' on " in caught.value.__notes__[0]

    def test_what_a_step_raises_says_where(self, file):
        with pytest.raises(ZeroDivisionError) as caught:
            list(survivors(file, [Step("one", ["met"], lambda e: 1 / 0)], batch_size=100))
        assert "in step 'one' on" in caught.value.__notes__[0]
        assert "[0:100]" in caught.value.__notes__[0]

    def test_arguments(self, file):
        with pytest.raises(TypeError, match=r"must be fastjag\.selection\.Step, got function"):
            survivors(file, [lambda e: e["met"] > 0])
        with pytest.raises(TypeError, match="columns of step 'x' must be a list, got 'met'"):
            survivors(file, [Step("x", "met", lambda e: e["met"] > 0)])
        with pytest.raises(ValueError, match="batch_size must be an integer >= 1, got 0"):
            survivors(file, [], batch_size=0)
        with pytest.raises(FileNotFoundError):
            list(survivors("nowhere.root", []))

    def test_weights(self, file):
        with pytest.raises(ReadError, match="no branch 'weight'"):
            list(survivors(file, [], weight="weight"))
        with pytest.raises(KeyError, match="'Photon_pt' is jagged"):
            list(survivors(file, [], weight="Photon_pt"))

    def test_weights_by_a_pattern(self, file):
        by_name, by_pattern = survivors(file, [], weight="met"), survivors(file, [], weight="me[t]")
        assert [len(b) for b in by_name] == [len(b) for b in by_pattern]
        assert by_name.cutflow[-1].weighted == by_pattern.cutflow[-1].weighted > 0

    def test_optional_columns(self, file):
        (batch,) = survivors(file, [], ["met"], optional=["truth", "w"])
        assert set(batch.flat) == {"met", "w"}

    def test_damage_is_an_error(self, tmp_path, file):
        data = bytearray(Path(file).read_bytes())
        with uproot.open(file) as opened:
            seek = int(opened["Events/Photon_pt"].member("fBasketSeek")[2])
        data[seek + 100] ^= 0xFF
        path = tmp_path / "damaged.root"
        path.write_bytes(data)
        with pytest.raises(ReadError, match=r"damaged\.root:Events\[100:200\]: cannot be read"):
            list(survivors(str(path), [], ["Photon_pt"], batch_size=100))
        # Nothing is wrong as long as nobody needs that basket.
        steps = [Step("early", ["index"], lambda e: e["index"] < 100)]
        assert sum(map(len, survivors(str(path), steps, ["Photon_pt"], batch_size=100))) == 100


def test_without_tables_of_offsets(tmp_path, file):
    """Lists whose baskets leave out where entries begin, as ROOT can: their counter says it."""
    path = write(tmp_path / "a.root", [chunk(np.random.default_rng(6), 60)] * 3, "none")
    with uproot.open(path) as opened:
        branch = opened["Events/Photon_pt"]
        n_key = branch.basket_key(0).fKeylen
        seeks = branch.member("fBasketSeek")[:3].tolist()
        lasts = [int(branch.basket(i).border) for i in range(3)]
    data = bytearray(Path(path).read_bytes())
    for seek, last in zip(seeks, lasts, strict=True):
        n_bytes = int.from_bytes(data[seek : seek + 4], "big")
        # A key that ends with the values: the table after them is not part of the basket any more.
        data[seek : seek + 4] = (n_key + last).to_bytes(4, "big")
        data[seek + 6 : seek + 10] = last.to_bytes(4, "big")
        assert n_bytes > n_key + last
    reader = Reader(path, None, None)
    with reader.file:
        stored = reader.stored_branch(reader.branch("Photon_pt"))
        expected = reader.tree["Photon_pt"].array(library="ak")
    short = tmp_path / "short.root"
    short.write_bytes(data)
    stored = replace(stored, sizes=[n_key + last for last in lasts])
    with closing(open_source(str(short))) as opened:
        column = columns._Own(stored, opened)
        chosen = np.array([0, 3, 4, 59, 60, 119, 170])
        offsets, values = column.read(chosen)
    assert np.diff(offsets).tolist() == ak.num(expected[chosen]).tolist()
    assert values.tolist() == ak.flatten(expected[chosen]).tolist()


FILES = {
    "atlas_PHYSLITE_mc700322_100ev": (
        "Photon_pt", lambda e: e.Photon.counts >= 2,
        ["Photon_*", "Jet_pt", "EventInfoAuxDyn.mcEventWeights", "EventInfoAuxDyn.PileupWeight_NOSYS"],
    ),
    "nanoAOD_2015_CMS_Open_Data_ttbar": (
        "Photon_pt", lambda e: e.Photon.counts >= 1, ["Photon_*", "Jet_*", "MET_*", "HLT_Ph*"],
    ),
    "coffea_nano_dy": ("Muon_pt", lambda e: e.Muon.counts == 2, ["Muon_*", "Jet_*", "HLT_Mu5*"]),
    "uproot-HZZ": ("Muon_Px", lambda e: e.Muon.counts == 2, ["Muon_*", "Photon_*", "MET_*"]),
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple": (
        "Muon_pt", lambda e: e.Muon.counts == 2, ["Muon_*"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_real_files(real_data, name):
    """std::vector, counted and RNTuple columns of real files, against uproot and awkward."""
    path = str(real_data / f"{name}.root")
    column, passes, output = FILES[name]
    steps = [Step("cut", [column], passes)]
    masks, whole = eager(path, steps, output)
    kept = np.flatnonzero(masks[0])
    assert 0 < len(kept) < len(whole)
    batches = list(survivors(path, steps, output, batch_size=37))
    groups = {n: j[kept] for n, j in whole.collections.items()}
    expected = type(whole)(groups, {n: v[kept] for n, v in whole.flat.items()}, whole.source)
    assert set(batches[0].flat) == {n for n in expected.flat if n != column}
    assert arrays(batches, batches[0]) == arrays([expected], batches[0])
    assert len(batches[0].collections) >= 1
