"""Rates of skims, whose sections may have lost all events; windows and conditions of any size."""

import gzip
import json

import numpy as np
import pytest
from rate_samples import invoke, write_events

from fastjag.analyses.rates.config import SectionWindow, Target
from fastjag.analyses.rates.count import count
from fastjag.analyses.rates.rates import SECTION_SECONDS, TriggerCounts, measure
from fastjag.analyses.rates.tables import read_rates
from fastjag.io.files import ReadError
from fastjag.selection import LumiMask

# Runs 1 (three sections, two events), 2 (none), 3 (one section without events).
BLOCKS = [(1, 1), (1, 2), (1, 7), (2, 5), (2, 6), (3, 9)]


@pytest.fixture
def skim(tmp_path):
    return write_events(tmp_path / "skim.root", [1, 1], [1, 7], BLOCKS,
                        HLT_A=np.array([True, False]))  # fmt: skip


class TestSkims:
    def test_runs_without_events_count_their_time(self, skim):
        counts = count(skim, ["HLT_A"])
        rates = measure(counts)
        assert [(r.run, r.counts, r.sections, r.seen) for r in rates] == [
            (1, 1, 3, 3), (2, 0, 2, 2), (3, 0, 1, 1)]  # fmt: skip
        assert [r.rate for r in rates[1:]] == [0, 0]
        # An error of one count.
        assert rates[1].error == pytest.approx(1 / (2 * SECTION_SECONDS))
        assert rates[1].seconds == pytest.approx(2 * SECTION_SECONDS)
        assert [(r.first, r.last) for r in rates] == [(1, 7), (5, 6), (9, 9)]

    def test_files_without_events(self, skim, tmp_path):
        """In any order; and alone, where the trigger must be there all the same."""
        none = write_events(tmp_path / "none.root", [], [], [(5, 1), (5, 2)],
                            HLT_A=np.zeros(0, bool))  # fmt: skip
        bare = write_events(tmp_path / "bare.root", [], [], [(6, 1)])
        for files in ([skim, none, bare], [bare, none, skim]):
            counts = count(files, ["HLT_A"])
            assert counts.complete
            assert [(r.run, r.counts, r.sections) for r in measure(counts)] == [
                (1, 1, 3), (2, 0, 2), (3, 0, 1), (5, 0, 2), (6, 0, 1)]  # fmt: skip
        (rate,) = measure(count(none, ["HLT_*"]))
        assert (rate.trigger, rate.run, rate.counts, rate.sections) == ("HLT_A", 5, 0, 2)
        with pytest.raises(ReadError, match=r"none.root.*no branch 'HLT_B': did you mean 'HLT_A'"):
            count(none, ["HLT_B"])

    def test_windows_without_events(self, skim):
        counts = count(skim, ["HLT_A"])
        (rate,) = measure(counts, [SectionWindow(1, 2, 6)])
        assert (rate.counts, rate.sections, rate.seen, rate.first, rate.last) == (0, 5, 1, 2, 6)
        (rate,) = measure(counts, [SectionWindow(2)])
        assert (rate.counts, rate.sections) == (0, 2)
        for window in (SectionWindow(4), SectionWindow(1, 3, 6), SectionWindow(2, 1, 4)):
            with pytest.raises(ValueError, match=rf"window {window}: no events; the files have"):
                measure(counts, [window])

    def test_certified_sections_without_events(self, skim):
        counts = count(skim, ["HLT_A"])
        golden = LumiMask({"1": [[2, 3]], "2": [[6, 100]]})
        rates = measure(counts, golden=golden)
        assert [(r.run, r.counts, r.sections) for r in rates] == [(1, 0, 1), (2, 0, 1)]
        (rate,) = measure(counts, [SectionWindow(2, 6, 80)], golden=golden)
        assert (rate.counts, rate.sections, rate.seen) == (0, 75, 1)
        with pytest.raises(ValueError, match=r"window 3: no events; .*not all of it certified"):
            measure(counts, [SectionWindow(3)], golden=golden)

    def test_window_at_its_borders(self):
        counts = TriggerCounts(np.full(4, 7), np.array([3, 4, 8, 9]), np.ones(4, int),
                        {"a": np.array([1, 2, 4, 8])}, True)  # fmt: skip
        (rate,) = measure(counts, [SectionWindow(7, 4, 8)], dead_time=0.5)
        assert (rate.counts, rate.sections, rate.seen) == (6, 5, 2)
        assert rate.rate == pytest.approx(6 / (5 * SECTION_SECONDS * 0.5))
        assert rate.seconds == pytest.approx(2.5 * SECTION_SECONDS)

    def test_real_skim(self, cases):
        """Sections that kept no event count 0, and their time."""
        path = cases / "faults" / "skim_lumis.root"
        import uproot

        with uproot.open(path) as file:
            blocks = file["LuminosityBlocks"].arrays(["run", "luminosityBlock"], library="np")
            events = file["Events"].arrays(library="np")
        bits = [name for name in events if name.startswith("HLT_")]
        rates = measure(count(path, bits))
        for rate in rates:
            here = events["run"] == rate.run
            sections = set(blocks["luminosityBlock"][blocks["run"] == rate.run].tolist())
            sections |= set(events["luminosityBlock"][here].tolist())
            assert rate.sections == len(sections)
            assert rate.counts == events[rate.trigger][here].sum()
        runs = {int(r) for r in blocks["run"]} | {int(r) for r in events["run"]}
        assert {r.run for r in rates} == runs
        assert any(r.counts == 0 for r in rates)

    def test_command(self, skim, tmp_path):
        golden = tmp_path / "golden.json.gz"
        golden.write_bytes(gzip.compress(b'{"1": [[1, 1]], "2": [[5, 4294967295]], "1": [[7, 7]]}'))
        done = invoke("count", skim, "--trigger", "HLT_A", "--golden", golden, "--window",
                      "1:1-4294967295", "--window", "2", "--out", tmp_path / "out")  # fmt: skip
        assert done.exit_code == 0, done.exception
        rows = json.loads((tmp_path / "out" / "rates.json").read_text())["rates"]
        assert [(r["run"], r["counts"], r["sections"]) for r in rows] == [(1, 1, 2), (2, 0, 2)]
        assert (tmp_path / "out" / "report.html").exists()


class TestNonsense:
    def test_windows(self):
        for first, last in ((0, 5), (5, 4), (1, 2**32), (-1, 3)):
            with pytest.raises(ValueError, match=rf"run 1: sections {first}-{last} are no range"):
                SectionWindow(1, first, last)
        with pytest.raises(ValueError, match="run 2147483648 is no run"):
            SectionWindow(2**31)
        assert SectionWindow(2**31 - 1, 1, 2**32 - 1).sections == (1, 2**32 - 1)
        for text in ("1:1-99999999999", "99999999999", "1:-5", "1:1", "1:1-2\n"):
            with pytest.raises(ValueError, match="a window is RUN:FIRST-LAST or RUN"):
                SectionWindow.parse(text)
        with pytest.raises(ValueError, match="first and last section, or neither"):
            SectionWindow(1, None, 5)

    @pytest.mark.parametrize("name", ["pileup", "prescale", "bunches"])
    @pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
    def test_conditions(self, name, value):
        with pytest.raises(ValueError, match=f"run 1: {name} must be positive"):
            SectionWindow(1, **{name: value})

    @pytest.mark.parametrize("name", ["pileup", "bunches", "factor"])
    @pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
    def test_targets(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must be a number above 0"):
            Target(**{name: value})

    def test_columns_twice(self, tmp_path):
        (tmp_path / "r.csv").write_text("rate, pileup, rate\n1, 2, 3\n")
        with pytest.raises(ValueError, match=r"r.csv: there are two columns 'rate'"):
            read_rates(tmp_path / "r.csv")

    def test_negative_bits(self, tmp_path):
        path = write_events(tmp_path / "a.root", [1, 1], [1, 1],
                            HLT_A=np.array([-1, 1], np.int8))  # fmt: skip
        with pytest.raises(ReadError, match=r"a.root.*: HLT_A is no bit: int8 from -1 to 1"):
            count(path, ["HLT_A"])
