"""Rates, windows, fits and tables at their borders, each against the definition."""

import numpy as np
import pytest

from fastjag.analyses.rates.config import SectionWindow
from fastjag.analyses.rates.fit import fit_pileup
from fastjag.analyses.rates.rates import SECTION_SECONDS, Rate, TriggerCounts, measure, rate_of
from fastjag.analyses.rates.results import PileupFit
from fastjag.analyses.rates.tables import read_rates, read_windows, write_csv


class TestRateOf:
    def test_by_definition(self):
        assert pytest.approx(262_144 / 11_245.5) == SECTION_SECONDS
        for counts, sections, dead_time in ((1, 0.5, 0.0), (9, 1, 0.25), (0, 3, 0.9)):
            seconds = sections * SECTION_SECONDS * (1 - dead_time)
            rate, error = rate_of(counts, sections, dead_time=dead_time)
            assert rate == pytest.approx(counts / seconds)
            assert error == pytest.approx(max(counts, 1) ** 0.5 / seconds)
        assert rate_of(4, 2) == rate_of(4, 2, dead_time=0.0)

    @pytest.mark.parametrize(
        ("counts", "sections", "dead_time"),
        [(-1, 1, 0), (1, 0, 0), (1, -1, 0), (1, np.nan, 0), (1, 1, 1), (1, 1, 1.5), (1, 1, -0.1),
         (1, 1, np.nan)],
    )  # fmt: skip
    def test_nonsense(self, counts, sections, dead_time):
        with pytest.raises(ValueError, match="need counts >= 0"):
            rate_of(counts, sections, dead_time=dead_time)


class TestWindow:
    def test_accepted(self):
        assert SectionWindow(0).sections == (0, 2**32 - 1)
        assert SectionWindow(1, 5, 5).sections == (5, 5)
        assert SectionWindow(1, 1, 9).sections == (1, 9)
        assert (SectionWindow(7).prescale, SectionWindow(7).pileup, SectionWindow(7).trigger) == (
            1,
            None,
            None,
        )
        assert SectionWindow(1, pileup=0.5, prescale=0.5, bunches=0.5).pileup == 0.5
        assert SectionWindow.parse("355892:16-100") == SectionWindow(355892, 16, 100)
        assert SectionWindow.parse("355892") == SectionWindow(355892)
        assert str(SectionWindow(355892, 16, 100)) == "355892:16-100"
        assert str(SectionWindow(355892)) == "355892"

    def test_negative_runs(self):
        with pytest.raises(ValueError, match="run -1 is no run"):
            SectionWindow(-1)


class TestRate:
    def test_scaled(self):
        rate = Rate("a", 6.0, 0.5, prescale=3.0, pileup=20.0, bunches=100.0)
        assert rate.unprescaled == (18, 1.5)
        assert rate.scaled() == (18, 1.5)
        assert rate.scaled(pileup=40.0) == (36, 3)
        assert rate.scaled(bunches=50.0) == (9, 0.75)
        assert rate.scaled(pileup=10.0, bunches=200.0, factor=2.0) == (36, 3)
        assert Rate("a", 6.0, None).scaled(factor=0.5) == (3, None)
        assert Rate("a", 6.0, None).prescale == 1
        with pytest.raises(ValueError, match="run 4: bunches of the measurement is not known"):
            Rate("a", 6.0, None, run=4, pileup=3.0).scaled(bunches=2.0)

    def test_measured(self):
        """Every field of a line of the table."""
        counts = TriggerCounts(np.array([1, 1, 1, 2]), np.array([3, 5, 8, 5]), np.array([9, 9, 9, 9]),
                        {"a": np.array([1, 2, 4, 8]), "b": np.array([0, 0, 1, 0])}, True)  # fmt: skip
        window = SectionWindow(1, pileup=30.0, prescale=2.0, bunches=7.0, trigger="a")
        (found,) = measure(counts, [window], dead_time=0.2)
        seconds = 3 * SECTION_SECONDS * 0.8
        rate, error = rate_of(7, 3, dead_time=0.2)
        assert found == Rate(
            "a", rate, error, 1, 3, 8, 3, 3, 7, pytest.approx(seconds), 2.0, 30.0, 7.0
        )
        names = [(r.trigger, r.run, r.counts) for r in measure(counts)]
        assert names == [("a", 1, 7), ("b", 1, 1), ("a", 2, 8), ("b", 2, 0)]
        assert measure(counts)[0].seconds == pytest.approx(3 * SECTION_SECONDS)
        (part,) = measure(counts, [SectionWindow(1, 4, 8, trigger="a")])
        assert (part.first, part.last, part.sections, part.seen, part.counts) == (4, 8, 5, 2, 6)


class TestFit:
    def test_inflation(self):
        for chi2, dof, expected in ((8.0, 2, 2), (4.5, 2, 1.5), (1.0, 2, 1), (0.0, 0, 1),
                                    (None, 3, 1)):  # fmt: skip
            fit = PileupFit(1.0, 2.0, np.diag([4.0, 1.0]), chi2, dof, None)
            assert fit.inflation == expected
            assert fit.predict(3.0) == (7.0, pytest.approx(13**0.5 * expected))
        assert PileupFit(1.0, 2.0, None, 8.0, 2, None).predict(3.0) == (7.0, None)

    def test_two_points_are_a_line(self):
        rates = [Rate("a", 10.0, 0.1, pileup=20.0), Rate("a", 16.0, 0.2, pileup=30.0)]
        fit = fit_pileup(rates)
        assert (fit.intercept, fit.slope) == pytest.approx((-2, 0.6))
        assert (fit.dof, fit.inflation) == (0, 1)
        assert fit.predict(30.0) == pytest.approx((16, 0.2))
        alone = fit_pileup(rates[:1], intercept=False)
        assert (alone.intercept, alone.slope, alone.dof) == (0, pytest.approx(0.5), 0)
        assert alone.predict(40.0) == pytest.approx((20, 0.2))
        with pytest.raises(ValueError, match=r"two values of pileup, all are at 20"):
            fit_pileup(rates[:1])

    @pytest.mark.parametrize("odd", [None, 0.0])
    def test_one_error_that_is_not_known(self, odd):
        """Then all points weigh the same, and their scatter gives the errors."""
        rates = [Rate("a", r, e, pileup=mu) for r, e, mu in
                 ((10.0, 0.1, 20.0), (12.0, 5.0, 30.0), (20.0, odd, 40.0))]  # fmt: skip
        fit = fit_pileup(rates)
        (slope, intercept), covariance = np.polyfit([20, 30, 40], [10, 12, 20], 1, cov=True)
        assert (fit.intercept, fit.slope) == pytest.approx((intercept, slope))
        np.testing.assert_allclose(fit.covariance, covariance[::-1, ::-1])
        assert fit.chi2 is None

    def test_bunches(self):
        rates = [Rate("a", 10.0, 0.1, pileup=20.0, bunches=600.0),
                 Rate("a", 30.0, 0.1, pileup=30.0, bunches=1200.0)]  # fmt: skip
        with pytest.raises(ValueError, match=r"different numbers of bunches \("):
            fit_pileup(rates)
        assert fit_pileup(rates, bunches=1200.0).slope == pytest.approx(1.0)
        same = [Rate("a", r.rate, r.error, pileup=r.pileup, bunches=600.0) for r in rates]
        assert fit_pileup(same).slope == pytest.approx(2.0)
        assert fit_pileup(same).bunches is None


def rates_of(path, text):
    path.write_text(text)
    return read_rates(path)


class TestTables:
    def test_what_is_given_and_what_follows(self, tmp_path):
        """Time by seconds before sections before counts / rate; the error given, or of the counts."""
        one, two, three, four, five, six = rates_of(tmp_path / "r.csv", (
            "rate,counts,seconds,sections,error,prescale,trigger,run\n"
            ",50,100,7,,,HLT_A,3\n"
            "2,10,7,,0.25,0.5,,\n"
            "2,16,,,,1,,\n"
            "0,5,,,,,,\n"
            ",0,,10,,,,\n"
            "0,0,,,,,,\n"
        ))  # fmt: skip
        assert (one.rate, one.seconds, one.error) == (0.5, 100, pytest.approx(0.5 / 50**0.5))
        assert (one.trigger, one.run, one.prescale, one.sections) == ("HLT_A", 3, 1, 7)
        assert (two.rate, two.seconds, two.error, two.prescale) == (2, 7, 0.25, 0.5)
        assert (three.seconds, three.error, three.prescale) == (8, 0.5, 1)
        assert three.trigger == "trigger"
        assert (four.seconds, four.error) == (None, 0)
        assert five.error == pytest.approx(1 / (10 * SECTION_SECONDS))
        assert (six.rate, six.error, six.seconds) == (0, None, None)
        assert isinstance(one.run, int)
        assert isinstance(one.seconds, float)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("seconds,pileup\n5,2\n", "line 2: needs a rate, or counts with"),
            ("counts,seconds\n5,0\n", "line 2: needs a rate, or counts with"),
            ("rate,pileup\n1,0\n", "line 2: pileup must be positive, got 0"),
            ("rate,error\n1,-1\n", "line 2: error must be positive, got -1"),
            ("rate,run\n1,inf\n", "line 2: run cannot be 'inf'"),
            ("rate,rate\n1,1\n", "there are two columns 'rate'"),
        ],
    )
    def test_errors(self, tmp_path, text, message):
        with pytest.raises(ValueError, match=rf"r.csv.*{message}"):
            rates_of(tmp_path / "r.csv", text)

    def test_single_rows(self, tmp_path):
        write_csv(tmp_path / "r.csv", [Rate("a", 2.0, 0.5)])
        assert read_rates(tmp_path / "r.csv") == [Rate("a", 2.0, 0.5)]
        write_csv(tmp_path / "w.csv", [SectionWindow(5)])
        assert read_windows(tmp_path / "w.csv") == [SectionWindow(5)]
