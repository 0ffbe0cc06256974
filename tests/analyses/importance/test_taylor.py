"""Taylor coefficients: analytic cases, finite differences, batches, weights, modes and memory."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastjag.analyses.importance import TaylorHistory, taylor_coefficients
from fastjag.analyses.importance.taylor import coefficients_and_errors

RNG = np.random.default_rng(1)
NORMALS = RNG.normal(size=(200_000, 2))
MEAN_ABS = np.sqrt(2 / np.pi)  # of a unit normal


pytestmark = pytest.mark.usefixtures("one_thread")


def network(n_features=3, n_outputs=1, activation=torch.nn.Tanh, end=torch.nn.Sigmoid):
    torch.manual_seed(2)
    layers = [torch.nn.Linear(n_features, 6), activation(), torch.nn.Linear(6, n_outputs)]
    return torch.nn.Sequential(*layers, *([end()] if end else [])).double()


class TestAnalytic:
    def test_product(self):
        t = taylor_coefficients(lambda x: x[:, 0] * x[:, 1], NORMALS)
        assert t[0,] == pytest.approx(MEAN_ABS, abs=0.005)
        assert t[1,] == pytest.approx(MEAN_ABS, abs=0.005)
        assert (t[0, 1], t[0, 0], t[1, 1]) == (1, 0, 0)

    def test_square(self):
        t = taylor_coefficients(lambda x: x[:, 0] ** 2, NORMALS)
        assert t[0,] == pytest.approx(2 * MEAN_ABS, abs=0.01)
        assert (t[0, 0], t[1,], t[0, 1]) == (1, 0, 0)

    def test_plane_and_no_warning(self):
        plane = torch.nn.Linear(3, 1)
        t = taylor_coefficients(plane, RNG.normal(size=(500, 3)))
        w = plane.weight.detach().abs().numpy()[0]
        np.testing.assert_allclose([t[i,] for i in range(3)], w, rtol=1e-6)
        assert list(t) == [(0,), (1,), (2,), (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
        assert not any(t[key] for key in t if len(key) == 2)

    def test_first_order_only(self):
        assert list(taylor_coefficients(lambda x: x.sum(1), NORMALS[:10], order=1)) == [(0,), (1,)]


def by_finite_differences(f, x, output, h=1e-4):
    """Central differences of f: (n, F) -> (n, outputs), and absolute means."""
    unit = np.eye(x.shape[1]) * h

    def g(shift):
        return f(x + shift)[:, output]

    result = {}
    for i, a in enumerate(unit):
        result[i,] = np.abs((g(a) - g(-a)) / (2 * h)).mean()
        for j, b in enumerate(unit[: i + 1]):
            if i == j:
                value = (g(a) - 2 * g(0) + g(-a)) / h**2 / 2
            else:
                value = (g(a + b) - g(a - b) - g(b - a) + g(-a - b)) / (4 * h**2)
            result[j, i] = np.abs(value).mean()
    return result


class TestNetworks:
    @pytest.mark.parametrize("output", [0, 1, 2])
    @pytest.mark.parametrize("activation", [torch.nn.Tanh, torch.nn.SiLU, torch.nn.Softplus])
    def test_finite_differences_of_softmax(self, output, activation):
        x = RNG.normal(size=(40, 4))
        model = network(4, 3, activation, lambda: torch.nn.Softmax(1))

        def f(rows):
            with torch.no_grad():
                return model(torch.from_numpy(rows)).numpy()

        found = taylor_coefficients(model, x, output=output)
        expected = by_finite_differences(f, x, output)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)

    def test_batch_normalisation_and_dropout(self):
        layers = [torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh(),
                  torch.nn.Dropout(0.5), torch.nn.Linear(5, 1)]  # fmt: skip
        model = torch.nn.Sequential(*layers).double()
        model(torch.randn(64, 3).double())  # running mean and variance
        model[1].eval()  # as when fine-tuning: kept as it is
        x = RNG.normal(size=(30, 3))
        t = taylor_coefficients(model, x)
        assert [part.training for part in model] == [True, False, True, True, True]
        assert all(p.grad is None for p in model.parameters())
        model.eval()
        expected = by_finite_differences(
            lambda rows: model(torch.from_numpy(rows)).detach().numpy(), x, 0
        )
        assert t == pytest.approx(expected, rel=1e-5, abs=1e-7)

    @pytest.mark.parametrize("end", [None, torch.nn.Sigmoid])
    def test_relu_warns(self, end):
        model = network(activation=lambda: torch.nn.ReLU(inplace=True), end=end)
        x = RNG.normal(size=(50, 3))
        with pytest.warns(UserWarning, match="second derivatives.*use Tanh"):
            taylor_coefficients(model, x)
        assert taylor_coefficients(model, x, order=1)[0,] > 0

    def test_functional_relu_warns(self):
        with pytest.warns(UserWarning, match=r"without second derivatives \(Relu\)"):
            taylor_coefficients(lambda x: torch.sigmoid(torch.relu(x).sum(1)), NORMALS[:50])

    def test_dtypes(self):
        x = RNG.normal(size=(300, 3))
        exact = taylor_coefficients(network(), x)
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
            found = taylor_coefficients(network().to(dtype), x)
            assert found == pytest.approx(exact, rel=tolerance, abs=tolerance / 10)
        for kind in (np.asfortranarray(x), x.astype(">f8"), torch.from_numpy(x)):
            assert taylor_coefficients(network(), kind) == exact
        whole = RNG.integers(-2, 3, size=(50, 3))
        assert taylor_coefficients(network(), whole.astype(np.int16)) == pytest.approx(
            taylor_coefficients(network(), whole.astype(np.float64)), rel=1e-12
        )

    def test_memory_map_and_read_only(self, tmp_path):
        x = RNG.normal(size=(30, 3))
        np.save(tmp_path / "x.npy", x)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        assert taylor_coefficients(network(), mapped) == taylor_coefficients(network(), x)

    @settings(max_examples=15)
    @given(st.integers(1, 80), st.integers(1, 90))
    def test_batches_equal_one_pass(self, n, size):
        x = np.random.default_rng(n).normal(size=(n, 3))
        w = np.random.default_rng(n + 1).exponential(size=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two events may have any spread
            whole = taylor_coefficients(network(), x, weights=w, batch_size=n)
            parts = taylor_coefficients(network(), x, weights=w, batch_size=size)
        assert parts == pytest.approx(whole, rel=1e-12)

    def test_weights_are_repetitions(self):
        x, times = RNG.normal(size=(60, 3)), RNG.integers(1, 5, 60)
        weighted = taylor_coefficients(network(), x, weights=0.1 * times)
        assert weighted == pytest.approx(
            taylor_coefficients(network(), np.repeat(x, times, axis=0)), rel=1e-12
        )
        signed = np.where(np.arange(60) < 5, -1.0, 1.0)  # as of NLO generators
        t = taylor_coefficients(network(), x, 1, weights=signed)
        parts = [taylor_coefficients(network(), x[cut], 1)[0,] for cut in (signed > 0, signed < 0)]
        assert t[0,] == pytest.approx((55 * parts[0] - 5 * parts[1]) / 50, rel=1e-12)

    def test_scale(self):
        """Raw features with their spread give what standardised ones give."""
        z = RNG.normal(size=(80, 3))
        mean, scale = np.array([5.0, -1.0, 0.0]), np.array([100.0, 1.0, 0.01])
        model = network()

        def of_raw(x):
            return model((x - torch.from_numpy(mean)) / torch.from_numpy(scale))

        expected = taylor_coefficients(model, z)
        x = z * scale + mean
        assert taylor_coefficients(of_raw, x, scale=scale) == pytest.approx(expected, rel=1e-9)
        with pytest.warns(UserWarning, match="range from .* standardise x or give scale"):
            taylor_coefficients(of_raw, x)

    def test_one_batch_at_a_time(self):
        seen = set()

        def f(x):
            seen.add(len(x))
            return torch.sin(x).sum(1)

        taylor_coefficients(f, NORMALS[:1000], batch_size=64)
        assert seen == {64, 1000 % 64}

    def test_memory_is_bounded(self):
        """Hessians of all events would be 216 MB, gradients 7 MB; a batch needs 2."""
        x = RNG.normal(size=(60_000, 30)).astype(np.float32)
        model = network(30, end=None).float()
        taylor_coefficients(model, x[:5000])
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
        before = peak_kilobytes()
        taylor_coefficients(model, x)
        assert peak_kilobytes() - before < 30_000


def peak_kilobytes():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"order": 3}, "order must be 1 or 2"),
            ({"order": True}, "order must be 1 or 2"),
            ({"output": 1}, "output must be below the model's 1"),
            ({"output": -1}, "output must be an integer >= 0"),
            ({"batch_size": 0}, "batch_size must be"),
            ({"x": np.zeros(3)}, r"x must have shape \(n, F\)"),
            ({"x": np.zeros((0, 3))}, r"x must have shape \(n, F\)"),
            ({"x": np.array([[1, 2, 3], [1, np.nan, 2]])}, "event 1 is"),
            ({"weights": [1.0]}, r"weights must have shape \(4,\)"),
            ({"weights": [1, 1, np.inf, 1]}, "event 2 has inf"),
            ({"weights": [0, 0, 0, 0]}, "sum of weights must be positive"),
            ({"scale": [1, 2]}, "scale must be 3 numbers"),
            ({"model": lambda x: x.detach()[:, 0]}, "does not depend on x"),
            ({"model": lambda x: x.sum()}, r"must give \(4,\) or"),
            ({"model": lambda x: torch.sqrt(x.abs()).sum(1)}, r"derivative .* is not finite"),
        ],
    )
    def test_values(self, change, message):
        arguments = {"model": network(), "x": np.zeros((4, 3)), **change}
        with pytest.raises(ValueError, match=message):
            taylor_coefficients(**arguments)

    def test_types(self):
        with pytest.raises(TypeError, match="dtype <U1"):
            taylor_coefficients(network(), np.array([["a", "b", "c"]]))
        with pytest.raises(TypeError, match="must give a tensor, not tuple"):
            taylor_coefficients(lambda x: (x, x), NORMALS[:5])

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_torchscript_is_refused(self):
        """torch.func takes its second derivatives for zero."""
        with pytest.raises(TypeError, match="TorchScript"):
            taylor_coefficients(torch.jit.trace(network(), torch.zeros(1, 3).double()), NORMALS)


def test_history():
    x = RNG.normal(size=(50, 3))
    model, history = network(), TaylorHistory(x, order=2)
    history(model)
    with torch.no_grad():
        model[2].weight *= 2
    latest = history(model, 7)
    assert history.steps == [0, 7]
    assert latest == taylor_coefficients(model, x)
    assert history.values[0, 1][1] == latest[0, 1] != history.values[0, 1][0]


def test_errors_are_those_of_weighted_means():
    """Of derivatives that are known: t_0 = 2 x_0 x_1, t_1 = x_0², t_00 = x_1, t_01 = 2 x_0."""
    x, w = RNG.normal(size=(700, 2)), RNG.uniform(0.2, 3, 700)
    scale = np.array([2.0, 0.5])
    means, errors = coefficients_and_errors(
        lambda x: x[:, 0] ** 2 * x[:, 1], x, weights=w, scale=scale, batch_size=64
    )
    known = {(0,): 4 * x[:, 0] * x[:, 1], (1,): 0.5 * x[:, 0] ** 2, (0, 0): 4 * x[:, 1],
             (0, 1): 2 * x[:, 0], (1, 1): 0 * x[:, 0]}  # fmt: skip
    for key, t in known.items():
        mean = np.average(np.abs(t), weights=w)
        assert means[key] == pytest.approx(mean)
        error = np.sqrt((w**2 * (np.abs(t) - mean) ** 2).sum()) / w.sum()
        assert errors[key] == pytest.approx(error, abs=1e-9)
