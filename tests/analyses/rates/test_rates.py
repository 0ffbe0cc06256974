"""Trigger rates: the numbers of the notes, counts against awkward's, fits, tables, commands."""

import json
import re
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st
from rate_samples import invoke, write_events
from sentences import first_sentence

from fastjag.analyses.rates.config import SectionWindow
from fastjag.analyses.rates.count import _Counts, _merge, _summed, count
from fastjag.analyses.rates.fit import fit_pileup
from fastjag.analyses.rates.rates import SECTION_SECONDS, Rate, measure, rate_of
from fastjag.analyses.rates.tables import read_rates, read_windows, write_csv
from fastjag.batch.merging import merged
from fastjag.io.files import ReadError
from fastjag.reporting.points import efficiency_errors
from fastjag.selection import LumiMask
from fastjag.toys.triggers import write_triggers

TRIGGER = "HLT_Photon30EB"


class TestNotes:
    """Run 355892 and the scaling of the notes."""

    def test_run_355892(self, tmp_path):
        rng = np.random.default_rng(1)
        section = np.r_[rng.integers(16, 101, 25_490), [15, 101, 102] * 10]
        path = write_events(tmp_path / "a.root", np.full(len(section), 355892), section,
                            **{TRIGGER: np.ones(len(section), bool)})  # fmt: skip
        counts = count(path, [TRIGGER])
        (rate,) = measure(counts, [SectionWindow.parse("355892:16-100")])
        assert (rate.counts, rate.sections) == (25_490, 85)
        assert round(rate.seconds, 1) == 1981.4
        assert round(rate.rate, 2) == 12.86
        assert rate.error == pytest.approx(np.sqrt(25_490) / 1981.4, rel=1e-4)

    def test_pileup_and_factor(self):
        rate = Rate(TRIGGER, 13.26, 0.1, pileup=32)
        assert round(rate.scaled(pileup=50)[0], 2) == 20.72
        assert round(rate.scaled(pileup=40)[0], 3) == 16.575
        assert rate.scaled(pileup=64) == pytest.approx((26.52, 0.2))
        assert Rate(TRIGGER, 20.65, None).scaled(factor=4.5) == (pytest.approx(92.925), None)
        assert round(fit_pileup([rate], intercept=False).predict(50)[0], 2) == 20.72

    def test_prescale_and_bunches(self):
        rate = Rate(TRIGGER, 20.65, 0.2, prescale=15, bunches=1200)
        assert rate.unprescaled == pytest.approx((309.75, 3.0))
        assert rate.scaled(bunches=2400) == pytest.approx((619.5, 6.0))
        with pytest.raises(ValueError, match="pileup of the measurement is not known"):
            rate.scaled(pileup=50)

    def test_rate_of(self):
        assert pytest.approx(23.311, abs=5e-4) == SECTION_SECONDS
        rate, error = rate_of(0, 10)
        assert (rate, error) == (0, pytest.approx(1 / (10 * SECTION_SECONDS)))
        assert rate_of(100, 10, dead_time=0.2)[0] == pytest.approx(rate_of(100, 8)[0])
        for bad in ((-1, 10, 0.0), (5, 0, 0.0), (5, 10, 1.0)):
            with pytest.raises(ValueError, match="need counts >= 0"):
                rate_of(*bad[:2], dead_time=bad[2])


class TestCounts:
    @given(
        st.lists(
            st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.booleans())),
            min_size=1, max_size=80,
        )
    )  # fmt: skip
    def test_same_as_by_hand(self, batches):
        parts = []
        expected = {}
        for batch in filter(None, batches):
            run, section, a, b = (np.array([e[i] for e in batch], np.int64) for i in range(4))
            bits = {"a": a.astype(bool), "b": b.astype(np.uint8)}
            names = ["a", "b"] if len(parts) % 2 == 0 else ["b", "a"]  # as files have them
            key = (run << 32) | section
            parts.append(_summed("x", key, {name: bits[name] for name in names}))
            for r, s, x, y in batch:
                n = expected.setdefault((r, s), np.zeros(3, int))
                n += [1, x, y]
        nothing = _Counts("", ("a", "b"), np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
        total = _merge(nothing, merged(parts, _merge)) if parts else nothing
        total = _merge(total, total.with_sections(np.array([(9 << 32) | 9])))
        expected[9, 9] = np.zeros(3, int)
        counts = total.counts(complete=True, files=[])
        keys = list(zip(counts.run, counts.section, strict=True))
        assert keys == sorted(expected)
        found = np.column_stack([counts.events, counts.fired["a"], counts.fired["b"]])
        np.testing.assert_array_equal(found, [expected[key] for key in keys])

    def test_files_batches_patterns(self, tmp_path):
        rng = np.random.default_rng(2)
        files, all_rows = [], []
        for i in range(3):
            rows = rng.integers(1, 4, (200, 2)), rng.random((200, 2)) < 0.3
            blocks = [(r, s) for r in (1, 2, 3) for s in (1, 2, 3, 4)]
            files.append(write_events(tmp_path / f"{i}.root", *rows[0].T, blocks,
                                      HLT_A=rows[1][:, 0], HLT_B=rows[1][:, 1]))  # fmt: skip
            all_rows.append(rows)
        counts = count(files, ["HLT_*"], step=7)
        assert list(counts.fired) == ["HLT_A", "HLT_B"]
        assert counts.complete
        assert len(counts) == 12
        for r, s, n, b in zip(counts.run, counts.section, counts.events, counts.fired["HLT_B"],
                              strict=True):  # fmt: skip
            chosen = [(k == [r, s]).all(1) for k, _ in all_rows]
            assert n == sum(c.sum() for c in chosen)
            bits = [x[c, 1] for c, (_, x) in zip(chosen, all_rows, strict=True)]
            assert b == np.concatenate(bits).sum()
        # Sections 4 have no event, but count.
        rates = measure(counts)
        assert [r.sections for r in rates] == [4] * 6
        assert [r.first for r in rates] == [1] * 6
        golden = LumiMask({"1": [[1, 1], [3, 4]], "2": [[2, 9]]})
        (rate,) = measure(counts, [SectionWindow(1, 1, 3, trigger="HLT_A")], golden=golden)
        assert (rate.sections, rate.seen) == (2, 2)
        inside = (counts.run == 1) & np.isin(counts.section, [1, 3])
        assert rate.counts == counts.fired["HLT_A"][inside].sum()
        (rate,) = measure(counts, [SectionWindow(2, trigger="HLT_A")], golden=golden)
        assert rate.sections == 3

    def test_sections_without_a_tree(self, tmp_path):
        path = write_events(tmp_path / "a.root", [1, 1], [3, 7], HLT_A=np.array([1, 0], np.uint8))
        counts = count(path, ["HLT_A"])
        assert not counts.complete
        (rate,) = measure(counts)
        assert (rate.sections, rate.first, rate.last, rate.counts) == (2, 3, 7, 1)

    @pytest.mark.parametrize(
        "name",
        ["coffea_nano_dimuon.root", "coffea_pfnano.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"],
    )
    def test_real_files(self, real_data, name):
        """Equal to awkward's counts."""
        with uproot.open(real_data / name) as file:
            tree = file["Events"]
            triggers = sorted(k for k in tree.keys() if k.startswith("HLT_"))[:300]  # noqa: SIM118
            events = tree.arrays(["run", "luminosityBlock", *triggers])
            sections = set(zip(events.run.tolist(), events.luminosityBlock.tolist(), strict=True))
            complete = "LuminosityBlocks" in file
            if complete:
                blocks = file["LuminosityBlocks"].arrays(["run", "luminosityBlock"])
                rows = zip(blocks.run.tolist(), blocks.luminosityBlock.tolist(), strict=True)
                sections |= set(rows)
        counts = count(real_data / name, triggers, step=50)
        assert counts.complete == complete
        assert set(zip(counts.run.tolist(), counts.section.tolist(), strict=True)) == sections
        for i in range(len(counts)):
            chosen = events[(events.run == counts.run[i])
                            & (events.luminosityBlock == counts.section[i])]  # fmt: skip
            assert counts.events[i] == len(chosen)
            expected = [int(ak.sum(chosen[t])) for t in triggers]
            assert [int(counts.fired[t][i]) for t in triggers] == expected

    def test_errors(self, tmp_path):
        path = write_events(tmp_path / "a.root", [1, 1], [3, 7], HLT_A=np.array([True, False]),
                            MET_pt=np.array([1.0, 2.0]), n=np.array([0, 5]))  # fmt: skip
        other = write_events(tmp_path / "b.root", [1], [3], HLT_AB=np.array([True]))
        empty = write_events(tmp_path / "c.root", [], [], HLT_A=np.zeros(0, bool))
        with pytest.raises(ReadError, match=r"a.root:Events: no branch 'HLT_a': did you mean"):
            count(path, ["HLT_a"])
        with pytest.raises(ReadError, match=r"a.root.* MET_pt is no bit: float64"):
            count(path, ["MET_pt"])
        with pytest.raises(ReadError, match=r"a.root.* n is no bit: int64 up to 5"):
            count(path, ["n"])
        with pytest.raises(ReadError, match=r"b.root.*other triggers .*HLT_A, HLT_AB"):
            count([path, other], ["HLT_*"])
        with pytest.raises(ValueError, match="the files hold no events"):
            count(empty, ["HLT_A"])
        with pytest.raises(ValueError, match="at least one branch"):
            count(path, [])
        (tmp_path / "d.root").write_text("x")
        with pytest.raises(ReadError, match=r"d.root: not a readable"):
            count([path, tmp_path / "d.root"], ["HLT_A"])
        counts = count(path, ["HLT_A"])
        with pytest.raises(ValueError, match="window 2:1-9: no events; the files have run 1"):
            measure(counts, [SectionWindow(2, 1, 9)])
        with pytest.raises(ValueError, match="'HLT_B' was not counted: did you mean 'HLT_A'"):
            measure(counts, [SectionWindow(1, trigger="HLT_B")])
        with pytest.raises(
            ValueError, match=r"no event is in a certified .*the golden JSON has run 5"
        ):
            measure(counts, golden=LumiMask({"5": [[1, 9]]}))


class TestToys:
    def test_known_rates(self, tmp_path):
        """Counts of 40 runs: pulls of mean 0 and width 1; every section is there."""
        pulls = []
        for run in range(1, 41):
            pileup = np.linspace(50, 30, 20)
            path = write_triggers(tmp_path / "t.root", run, pileup, {"HLT_A": 0.3}, seed=3, first=5)
            (rate,) = measure(count(path, ["HLT_A"], progress=False))
            assert (rate.first, rate.last, rate.sections, rate.seen) == (5, 24, 20, 20)
            pulls.append((rate.rate - 0.3 * 40) / rate.error)
        assert abs(np.mean(pulls)) < 3 / np.sqrt(40)
        assert np.std(pulls) == pytest.approx(1, abs=0.35)

    def test_pulls_of_predictions(self):
        """Errors of the fit cover the truth; those inflated by chi2 are never smaller."""
        rng = np.random.default_rng(4)
        mu = np.array([25.0, 30, 35, 45, 55])
        pulls = []
        for _ in range(400):
            n = rng.poisson((2 + 0.4 * mu) * 100 * SECTION_SECONDS)
            rates = [Rate("a", *rate_of(int(k), 100), pileup=m) for k, m in zip(n, mu, strict=True)]
            fit = fit_pileup(rates)
            at = np.array([1, 70])
            error = np.sqrt(at @ fit.covariance @ at)
            value, inflated = fit.predict(70)
            assert inflated >= error
            pulls.append((value - 30) / error)
        assert abs(np.mean(pulls)) < 3.5 / np.sqrt(400)
        assert np.std(pulls) == pytest.approx(1, abs=0.12)


class TestFit:
    RATES = (Rate("a", 10.0, 0.1, pileup=25), Rate("a", 13.1, 0.2, pileup=31),
             Rate("a", 15.9, 0.1, pileup=40), Rate("a", 20.3, 0.3, pileup=50))  # fmt: skip

    def test_same_as_polyfit(self):
        fit = fit_pileup(self.RATES)
        x, y, e = (
            np.array([getattr(r, n) for r in self.RATES]) for n in ("pileup", "rate", "error")
        )
        (slope, intercept), covariance = np.polyfit(x, y, 1, w=1 / e, cov="unscaled")
        assert (fit.intercept, fit.slope) == pytest.approx((intercept, slope))
        np.testing.assert_allclose(fit.covariance, covariance[::-1, ::-1])
        assert fit.chi2 == pytest.approx((((y - intercept - slope * x) / e) ** 2).sum())
        assert fit.dof == 2
        assert fit.inflation > 1
        assert fit.inflation == pytest.approx(np.sqrt(fit.chi2 / 2))

    def test_without_errors(self):
        rates = [replace(r, error=None) for r in self.RATES]
        fit = fit_pileup(rates)
        x, y = (np.array([getattr(r, n) for r in rates]) for n in ("pileup", "rate"))
        (slope, intercept), covariance = np.polyfit(x, y, 1, cov=True)
        assert (fit.intercept, fit.slope) == pytest.approx((intercept, slope))
        np.testing.assert_allclose(fit.covariance, covariance[::-1, ::-1])
        assert fit_pileup(rates[:1], intercept=False).predict(50) == (pytest.approx(20.0), None)

    def test_bunches_and_prescales(self):
        rates = []
        for r, bunches in zip(self.RATES, (600, 1200, 2400, 300), strict=True):
            k = bunches / 2400 / 5
            rates.append(
                replace(r, bunches=bunches, rate=r.rate * k, error=r.error * k, prescale=5)
            )
        with pytest.raises(ValueError, match="different numbers of bunches"):
            fit_pileup(rates)
        assert fit_pileup(rates, bunches=2400).predict(60) == pytest.approx(
            fit_pileup(self.RATES).predict(60)
        )

    def test_errors(self):
        with pytest.raises(ValueError, match="run 7 has none"):
            fit_pileup([*self.RATES, Rate("a", 1, 1, run=7)])
        with pytest.raises(ValueError, match="two values of pileup, all are at 25"):
            fit_pileup([self.RATES[0]] * 2)
        with pytest.raises(ValueError, match="there are no rates"):
            fit_pileup([])


class TestTables:
    def test_round_trip(self, tmp_path):
        rates = [Rate("HLT_A", 12.5, 0.1, 1, 16, 100, 85, 80, 25_490, 1981.4, 15.0, 32.0, 2400.0),
                 Rate("HLT_B", 0.0, None)]  # fmt: skip
        write_csv(tmp_path / "r.csv", rates)
        assert read_rates(tmp_path / "r.csv") == rates
        windows = [SectionWindow(1), SectionWindow(2, 3, 4, 30.5, 2.0, 1200.0, "HLT_A")]
        write_csv(tmp_path / "w.csv", windows)
        assert read_windows(tmp_path / "w.csv") == windows

    def test_by_hand(self, tmp_path):
        (tmp_path / "r.csv").write_text(
            "run, rate, counts, sections, pileup, prescale\n"
            "355892,,25490,85,31,\n"
            "355913, 13.26, 50888,, 32, 15\n"
        )
        first, second = read_rates(tmp_path / "r.csv")
        assert round(first.rate, 2) == 12.86
        assert first.error == pytest.approx(first.rate / np.sqrt(25_490))
        assert second.seconds == pytest.approx(3837.7, abs=0.1)  # not 2,100 sections: dead ones
        assert second.error == pytest.approx(13.26 / np.sqrt(50_888))
        assert second.prescale == 15
        assert (first.trigger, first.prescale) == ("trigger", 1)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no rows"),
            ("rate\n", "holds no rows"),
            ("rates\n1\n", "unknown column 'rates': did you mean 'rate'"),
            ("rate,pileup\n1,x\n", "line 2: pileup is not a number: 'x'"),
            ("rate,run\n1,1.5\n", "line 2: run cannot be '1.5'"),
            ("rate,pileup\n1,nan\n", "line 2: pileup cannot be 'nan'"),
            ("rate,pileup\n1,2\n1,-3\n", "line 3: pileup must be positive"),
            ("rate,pileup\n-1,2\n", "line 2: rate must be positive"),
            ("counts,pileup\n5,2\n", "line 2: needs a rate, or counts with"),
            ("rate,pileup\n1\n", "line 2: 2 cells are expected"),
            ("rate,pileup\n1,2,3\n", "line 2: 2 cells are expected"),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        (tmp_path / "r.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_rates(tmp_path / "r.csv")

    def test_errors_of_windows(self, tmp_path):
        (tmp_path / "w.csv").write_text("run,first,last\n1,5,3\n")
        with pytest.raises(ValueError, match=r"w.csv, line 2: run 1: sections 5-3 are no range"):
            read_windows(tmp_path / "w.csv")
        (tmp_path / "w.csv").write_text("pileup\n5\n")
        with pytest.raises(ValueError, match="line 2: has no run"):
            read_windows(tmp_path / "w.csv")
        for text in ("355892:16", "a", "1:2-3-4", "-1"):
            with pytest.raises(ValueError, match="a window is RUN:FIRST-LAST or RUN"):
                SectionWindow.parse(text)
        with pytest.raises(ValueError, match="first and last section, or neither"):
            SectionWindow(1, 5)
        with pytest.raises(FileNotFoundError):
            read_rates(tmp_path / "none.csv")


class TestCommands:
    def test_demo_and_its_tables(self, tmp_path):
        done = invoke("demo", "--out", tmp_path / "demo")
        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / "demo" / "rates.json").read_text())
        for trigger, truth in (("HLT_Photon30EB", 20.5), ("HLT_DoubleMu4", 4.5)):
            for fit in ("line", "proportional"):
                rate, error = found["predictions"][trigger][fit]
                assert abs(rate - truth) < 3.5 * error < 0.05 * truth
        assert found["settings"]["seed"] == 1
        assert found["notes"] == []
        page = (tmp_path / "demo" / "report.html").read_text()
        assert page.count("<img") == 3
        said = r"HLT_DoubleMu4 has 4\.\d+ ± 0\.\d+ Hz at pileup 50, by a line through 6 rates with chi2"
        assert re.search(said, first_sentence(page))
        shares = found["shares"]
        assert len(shares) == 12
        for row in shares:
            assert row["share"] == pytest.approx(row["fired"] / row["events"])
            errors = efficiency_errors(row["fired"], row["events"])
            assert [row["error_below"], row["error_above"]] == pytest.approx(errors.tolist())
        of_run = [row["fired"] for row in shares if row["run"] == 400_000]
        assert sum(of_run) == shares[0]["events"]  # a toy event fires one trigger
        assert "chi2 / dof" in page
        # The table that it leaves gives the same prediction.
        again = invoke("fit", tmp_path / "demo" / "rates.csv", "--at", 50, "--bunches", 2400,
                       "--factor", 2, "--out", tmp_path / "fit")  # fmt: skip
        assert again.exit_code == 0, again.output
        twice = json.loads((tmp_path / "fit" / "rates.json").read_text())["predictions"]
        expected = np.array(found["predictions"]["HLT_DoubleMu4"]["line"]) * 2
        assert twice["HLT_DoubleMu4"]["line"] == pytest.approx(expected)

    def test_count(self, tmp_path):
        path = write_events(tmp_path / "a.root", [1, 1, 1], [1, 2, 2], [(1, 1), (1, 2)],
                            HLT_A=np.array([True, False, True]))  # fmt: skip
        done = invoke("count", path, "--trigger", "HLT_A", "--window", "1:1-10", "--at", 50,
                      "--out", tmp_path / "out")  # fmt: skip
        assert done.exit_code == 0, done.output
        (row,) = json.loads((tmp_path / "out" / "rates.json").read_text())["rates"]
        assert (row["counts"], row["sections"], row["seen"]) == (2, 10, 2)
        assert "the files have 2 of 10 sections of 1-10" in done.output
        assert "no fit, as not every rate has its pileup: HLT_A" in done.output
        import pyarrow.parquet as pq

        table = pq.read_table(tmp_path / "out" / "counts.parquet").to_pydict()
        assert table == {"run": [1, 1], "section": [1, 2], "events": [1, 2], "HLT_A": [1, 1]}

    def test_errors_leave_nothing(self, tmp_path):
        path = write_events(tmp_path / "a.root", [1], [1], HLT_A=np.array([True]))
        done = invoke("count", path, "--trigger", "HLT_B", "--out", tmp_path / "out")
        assert "no branch 'HLT_B': did you mean 'HLT_A'" in str(done.exception)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("command", ["count", "fit", "demo"])
    def test_help(self, command):
        assert f"Example: fastjag rates {command}" in invoke(command, "--help").output
