"""Taylor coefficients of a network: which features, and which pairs of them, its output follows.

After S. Wunsch, R. Friese, R. Wolf, G. Quast, Comput. Softw. Big Sci. 2 (2018) 5, arXiv:1803.08782.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.core.checks import at_least, needs
from fastjag.reporting.progress import progress_bar

Floats = NDArray[np.float64]
Coefficients = dict[tuple[int, ...], float]

BATCH = 4096  #: events; larger ones gain nothing on a CPU
# What autograd calls functions made of straight pieces: their second derivative is zero.
_STRAIGHT = ("Relu", "LeakyRelu", "Prelu", "RreluWithNoise", "Hardtanh", "Hardsigmoid",
             "Threshold")  # fmt: skip
_UNEVEN = 10.0  # standard deviations further apart than this are not those of standardised features


def taylor_coefficients(
    model: Any,
    x: ArrayLike,
    order: int = 2,
    output: int = 0,
    weights: ArrayLike | None = None,
    *,
    scale: ArrayLike | None = None,
    batch_size: int = BATCH,
    progress: bool | None = None,
) -> Coefficients:
    """Mean absolute Taylor coefficients of a network's output over a sample.

    Around every event, f = t + sum_i t_i dx_i + sum_(i<=j) t_ij dx_i dx_j + ..., so that
    t_i = df/dx_i, t_ii = (1/2) d2f/dx_i2, and t_ij = d2f/(dx_i dx_j) for i < j: mixed terms count
    once. What is returned is <t> = sum_k w_k abs(t(x_k)) / sum_k w_k; signs do not cancel.

    Parameters
    ----------
    model
        A torch module, or any function of a tensor (n, F) made of torch operations, that treats
        events one by one and gives (n,) or (n, n_outputs). Modules are evaluated in eval mode, so
        that batch normalisation and dropout are fixed, and left in the mode they had. f includes
        what the model ends with: a sigmoid or softmax, if there is one.
    x
        (n, F) array, tensor or memory map of any real dtype; batches are brought to the dtype and
        the device of the model's parameters. Coefficients of features can only be compared where
        all have the same scale: standardise them, or give ``scale``.
    order
        1, or 2 for first and second derivatives.
    output
        Index of the output node.
    weights
        (n,) event weights, whose sum must be positive.
    scale
        (F,) standard deviations, for a model whose features are not standardised: t_i is
        multiplied by scale_i and t_ij by scale_i scale_j, as if they were.
    batch_size
        Events at a time; memory grows with it, not with n.

    Returns
    -------
    dict
        (0,), (1,), ... and for order 2 (0, 0), (0, 1), ..., (1, 1), ...: F + F (F + 1) / 2 floats,
        in units of f per (standard deviation of the features)^order, added up in float64.

    Warns
    -----
    UserWarning
        Where second derivatives vanish although f is not linear (ReLU and the like: use Tanh,
        Softplus, SiLU or GELU), and where features differ in scale by more than a factor 10.

    Raises
    ------
    ValueError
        For shapes that do not fit, numbers that are not finite (naming the event), an output that
        the model does not have, or a model whose output does not depend on x by torch operations.
    """
    return coefficients_and_errors(
        model, x, order, output, weights, scale=scale, batch_size=batch_size, progress=progress
    )[0]


def coefficients_and_errors(
    model: Any,
    x: ArrayLike,
    order: int = 2,
    output: int = 0,
    weights: ArrayLike | None = None,
    *,
    scale: ArrayLike | None = None,
    batch_size: int = BATCH,
    progress: bool | None = None,
) -> tuple[Coefficients, Coefficients]:
    """:func:`taylor_coefficients`, and their statistical errors over the events.

    Errors are those of weighted means, sqrt(sum w² (abs(t) - <t>)²) / sum w, of the same units. How the
    network would differ after another training is not in them.
    """
    needs("torch", "importance")
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        # torch.func sees no graph in it, and takes the second derivatives for zero.
        raise TypeError("the model is TorchScript, which torch.func cannot look into; give the "
                        "module it was made of")  # fmt: skip
    if isinstance(order, bool) or order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    at_least("batch_size", batch_size, 1)
    at_least("output", output, 0)
    n, n_features = _shape(x)
    w = _weights(weights, n)
    factor = _scale(scale, n_features)
    sums = _Sums(n_features, order)
    batches = _Batches(model, x, batch_size)
    straight: set[str] = set()
    with evaluated(model), progress_bar("Taylor coefficients", n, progress) as advance:
        for start, rows in batches:
            function = _node(model, output, len(rows))
            if start == 0 and order == 2:
                straight = _straight_parts(function, rows)
            sums.add(function, rows, w[start : start + batch_size])
            advance(len(rows))
    if scale is None:
        _warn_of_scales(batches)
    if order == 2:
        _warn_of_straightness(sums, straight)
    total = float(w.sum())
    means = sums.coefficients(sums.means(), factor, total)
    errors = sums.errors(total, float((w**2).sum()))
    return means, sums.coefficients(errors, factor, total)


class _Sums:
    """Sums of absolute derivatives, and how far first derivatives vary.

    Three of each, stacked: of w abs(t), of w² abs(t) and of w² t².
    """

    def __init__(self, n_features: int, order: int) -> None:
        shape = (3, n_features)
        self.first: Floats = np.zeros(shape)
        self.second: Floats | None = np.zeros((*shape, n_features)) if order == 2 else None
        self.low = np.full(n_features, np.inf)
        self.high = np.full(n_features, -np.inf)

    def add(self, function: Callable[[Any], Any], rows: Any, weights: Floats) -> None:
        import torch

        w = torch.as_tensor(weights, device=rows.device)
        squares = w * w

        def summed(values: Any) -> Floats:
            t = values.abs().double()
            return np.stack([(v @ x).cpu().numpy() for v, x in
                             ((w, t), (squares, t), (squares, t * t))])  # fmt: skip

        gradient = torch.func.grad(lambda batch: function(batch).sum())
        # Events do not see one another: the gradient of the sum holds that of each. Without
        # gradients outside torch.func, as parameters would otherwise ask for theirs.
        with torch.no_grad():
            if self.second is None:
                first = gradient(rows)
            else:
                first, backwards = torch.func.vjp(gradient, rows)
                direction = torch.zeros_like(rows)
                for i in range(rows.shape[1]):
                    direction.zero_()
                    direction[:, i] = 1
                    (row,) = backwards(direction)
                    self.second[:, i, i:] += summed(row[:, i:])
            self.first += summed(first)
            self.low = np.minimum(self.low, first.amin(0).double().cpu().numpy())
            self.high = np.maximum(self.high, first.amax(0).double().cpu().numpy())

    def means(self) -> list[Floats]:
        """Sums of both orders, in features without a scale, not divided by the sum of weights."""
        return [sums[0] for sums in (self.first, self.second) if sums is not None]

    def errors(self, total: float, squares: float) -> list[Floats]:
        """Of :meth:`means`, by the sum of weights and that of their squares."""
        found = []
        for sums in (s for s in (self.first, self.second) if s is not None):
            mean = sums[0] / total
            found.append(np.sqrt(np.maximum(sums[2] - 2 * mean * sums[1] + mean**2 * squares, 0)))
        return found

    @staticmethod
    def coefficients(orders: list[Floats], scale: Floats, total: float) -> Coefficients:
        """By indices; times the scale of the features, and half of it for squares of one."""
        first = orders[0] * scale / total
        result: Coefficients = {(i,): float(t) for i, t in enumerate(first)}
        for sums in orders[1:]:
            second = sums * np.outer(scale, scale) / total
            second[np.diag_indices_from(second)] /= 2
            for i in range(len(first)):
                result |= {(i, j): float(second[i, j]) for j in range(i, len(first))}
        wrong = [key for key, t in result.items() if not np.isfinite(t)]
        if wrong:
            raise ValueError(f"the model's derivative {wrong[0]} is not finite in some event")
        return result


class _Batches:
    """Rows of x as tensors that the model takes; checks them, and adds up their spread."""

    def __init__(self, model: Any, x: Any, size: int) -> None:
        self.model, self.x, self.size, self.n = model, x, size, len(x)
        self._sum: Any = 0.0
        self._squares: Any = 0.0
        self._origin: Any = None

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        import torch

        for start in range(0, self.n, self.size):
            rows = placed(self.model, self.x[start : start + self.size])
            bad = ~torch.isfinite(rows).all(1)
            if bad.any():
                event = int(bad.nonzero()[0, 0])
                raise ValueError(
                    f"x must be finite, event {start + event} is {rows[event].tolist()}"
                )
            values = rows.double().cpu().numpy()
            self._origin = values[0] if start == 0 else self._origin
            self._sum = self._sum + (values - self._origin).sum(0)
            self._squares = self._squares + ((values - self._origin) ** 2).sum(0)
            yield start, rows

    def spread(self) -> Floats:
        mean = self._sum / self.n
        return np.asarray(np.sqrt(np.maximum(0.0, self._squares / self.n - mean**2)))


def placed(model: Any, rows: Any) -> Any:
    """Rows as a tensor of the dtype and on the device of the model's parameters."""
    import torch

    if isinstance(rows, torch.Tensor):
        tensor = rows.detach()
    else:
        values = np.asarray(rows)
        if values.dtype.kind not in "biuf":
            raise TypeError(f"x must hold real numbers, got dtype {values.dtype}")
        if values.dtype.itemsize > 8 or values.dtype.kind == "u":  # torch lacks most of these
            values = values.astype(np.float64)
        # A copy: memory maps are read-only.
        tensor = torch.from_numpy(np.array(values, values.dtype.newbyteorder("="), order="C"))
    dtype, device = tensor.dtype if tensor.is_floating_point() else torch.float32, tensor.device
    if isinstance(model, torch.nn.Module):
        for parameter in (*model.parameters(), *model.buffers()):
            if parameter.is_floating_point():
                dtype, device = parameter.dtype, parameter.device
                break
    return tensor.to(device=device, dtype=dtype)


@contextmanager
def evaluated(model: Any) -> Iterator[None]:
    """In eval mode, and afterwards each part of it in the mode it had."""
    import torch

    parts = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False  # not by eval(), which exported programs refuse
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _node(model: Any, output: int, n: int) -> Callable[[Any], Any]:
    """One output of the model as a function of n rows."""
    import torch

    def function(rows: Any) -> Any:
        result = model(rows)
        if not isinstance(result, torch.Tensor):
            raise TypeError(f"the model must give a tensor, not {type(result).__name__}")
        shape = tuple(result.shape)
        if len(shape) not in (1, 2) or shape[0] != n:
            raise ValueError(f"the model must give ({n},) or ({n}, n_outputs), got {shape}")
        n_outputs = shape[1] if len(shape) == 2 else 1
        if output >= n_outputs:
            raise ValueError(f"output must be below the model's {n_outputs}, got {output}")
        return result[:, output] if len(shape) == 2 else result

    return function


def _straight_parts(function: Callable[[Any], Any], rows: Any) -> set[str]:
    """Names of the activations on the way from x to f whose second derivative is zero."""
    import torch

    with torch.enable_grad():
        # Cloned again: the first layer may work in place, which a leaf does not allow.
        result = function(rows.clone().requires_grad_().clone())
    if result.grad_fn is None:
        raise ValueError("the model's output does not depend on x by operations torch can follow")
    todo, seen, operations = [result.grad_fn], set(), set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name().split("Backward")[0].removesuffix("Kernel")
        operations |= {name} & set(_STRAIGHT)
        todo += [parent for parent, _ in node.next_functions]
    return operations


def _warn_of_straightness(sums: _Sums, straight: set[str]) -> None:
    assert sums.second is not None
    varies = (sums.high - sums.low) > 1e-6 * np.maximum(np.abs(sums.high), np.abs(sums.low))
    hint = "; use Tanh, Softplus, SiLU or GELU for second-order coefficients"
    if varies.any() and not sums.second.any():
        warnings.warn(f"all second derivatives vanish, but the model is not linear{hint}",
                      stacklevel=3)  # fmt: skip
    elif straight:
        names = ", ".join(sorted(straight))
        warnings.warn(f"the model has parts without second derivatives ({names}){hint}",
                      stacklevel=3)  # fmt: skip


def _warn_of_scales(batches: _Batches) -> None:
    spread = batches.spread()
    spread = spread[spread > 0]
    if len(spread) and spread.max() > _UNEVEN * spread.min():
        warnings.warn(
            f"standard deviations of the features range from {spread.min():.3g} to "
            f"{spread.max():.3g}: coefficients cannot be compared; standardise x or give scale",
            stacklevel=3,
        )


def _shape(x: Any) -> tuple[int, int]:
    shape = tuple(np.shape(x))
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"x must have shape (n, F) with n, F > 0, got {shape}")
    return shape


def _weights(weights: ArrayLike | None, n: int) -> Floats:
    w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if w.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), got {w.shape}")
    if not np.isfinite(w).all():
        event = int((~np.isfinite(w)).argmax())
        raise ValueError(f"weights must be finite, event {event} has {w[event]}")
    if w.sum() <= 0:
        raise ValueError(f"the sum of weights must be positive, got {w.sum():g}")
    return w


def _scale(scale: ArrayLike | None, n_features: int) -> Floats:
    factor = np.ones(n_features) if scale is None else np.asarray(scale, np.float64)
    if factor.shape != (n_features,) or not (np.isfinite(factor).all() and (factor >= 0).all()):
        raise ValueError(f"scale must be {n_features} numbers >= 0, got {scale!r}")
    return factor


class TaylorHistory:
    """Coefficients as a training goes on: which features are learned when.

    Call it after every epoch with the model (and the step, default: how often it was called)::

        history = TaylorHistory(x_test[:2000], order=2)
        for epoch in range(50):
            ...
            history(model)

    ``steps`` and ``values`` (a list per index tuple) then hold what happened. Arguments are
    those of :func:`taylor_coefficients`; a few thousand events are enough for two digits.
    """

    def __init__(self, x: ArrayLike, order: int = 1, output: int = 0,
                 weights: ArrayLike | None = None, **options: Any) -> None:  # fmt: skip
        self._x, self._options = x, options
        self._options |= {"order": order, "output": output, "weights": weights}
        self.steps: list[int] = []
        self.values: dict[tuple[int, ...], list[float]] = {}

    def __call__(self, model: Any, step: int | None = None) -> Coefficients:
        now = taylor_coefficients(model, self._x, **{"progress": False, **self._options})
        self.steps.append(len(self.steps) if step is None else step)
        for key, value in now.items():
            self.values.setdefault(key, []).append(value)
        return now
