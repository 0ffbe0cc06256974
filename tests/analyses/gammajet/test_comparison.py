"""The Kolmogorov-Smirnov test with weights, and what is compared."""

import numpy as np
import pytest
from scipy import stats

from fastjag.analyses.gammajet import comparison
from fastjag.analyses.gammajet.pictures.comparison import distributions


class TestKolmogorovSmirnov:
    def test_weighted_ks(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(size=300), rng.normal(size=400)
        from scipy.stats import ks_2samp

        plain = comparison.weighted_ks(x, y)
        assert plain.statistic == pytest.approx(ks_2samp(x, y).statistic)
        assert plain.p == pytest.approx(ks_2samp(x, y, method="asymp").pvalue, abs=0.02)
        # A sample with each event twice as two halves is the same sample.
        twice = comparison.weighted_ks(np.repeat(x, 2), y, np.full(600, 0.5))
        assert twice.statistic == pytest.approx(plain.statistic)
        ps = [comparison.weighted_ks(rng.normal(size=200), rng.normal(size=200),
                                   rng.exponential(size=200)).p for _ in range(200)]  # fmt: skip
        assert 0.3 < np.mean(ps) < 0.7

    def test_by_hand(self):
        """Equal values step together; p is that of the effective numbers of entries."""
        u, v = np.array([1.0, 2, 3, 0.5]), np.array([2.0, 1, 0.25])
        found = comparison.weighted_ks([1, 2, 2, 5], [2, 4, 0.5], u, v)
        # Cumulative after 0.5, 1, 2, 4, 5 of the first and the second.
        a = np.array([0, 1, 6, 6, 6.5]) / 6.5
        b = np.array([0.25, 0.25, 2.25, 3.25, 3.25]) / 3.25
        assert found.statistic == pytest.approx(np.abs(a - b).max())
        n, m = 6.5**2 / (1 + 4 + 9 + 0.25), 3.25**2 / (4 + 1 + 0.0625)
        expected = stats.kstwobign.sf(np.abs(a - b).max() * np.sqrt(n * m / (n + m)))
        assert found.p == pytest.approx(expected)

    def test_weights_that_add_up_to_nothing(self):
        for a, b in (([1, -1], [1, 1]), ([1, 1], [1, -1]), ([-1, 0], [1, 1]), ([1, 1], [0, -1])):
            found = comparison.weighted_ks([1, 2], [1, 3], a, b)
            assert np.isnan(found.statistic)
            assert np.isnan(found.p)
        assert comparison.weighted_ks([1, 2], [1, 3], [0.1, 0.1], [0.2, 0.2]).statistic == 0.5


def test_nothing_is_clipped_without_a_mark():
    """Arrows where the ratio is beyond the axis, and the share of the data beside the axes."""
    rng = np.random.default_rng(4)
    rows = [
        {name: rng.normal(mean, 1, 4000) for name in comparison.COMPARED}
        | {"weight": np.ones(4000)}
        for mean in (10.0, 12.0)
    ]
    compared = {name: comparison.compare(*rows, name) for name in comparison.COMPARED}
    for content in compared.values():
        edges = content["edges"]
        for own in (content["data"], content["simulation"]):
            inside = float((own["density"] * np.diff(edges)).sum())
            assert own["below"] + own["above"] + inside == pytest.approx(1)
    axes = distributions(compared).axes
    assert len(axes) == 2 * len(compared)
    for (top, below), content in zip(
        zip(axes[::2], axes[1::2], strict=True), compared.values(), strict=True
    ):
        marks = [t.get_text() for t in top.texts]
        assert marks == [
            t for t in (f"← {100 * content['data']['below']:.3g} %",) if content["data"]["below"]
        ]
        arrows = [line for line in below.lines if line.get_marker() in ("^", "v")]
        assert {line.get_marker() for line in arrows} == {"^", "v"}
        assert below.get_ylim() == (0.5, 1.5)
