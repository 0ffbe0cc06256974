"""What people write or install instead: numba loops, fbgemm, torch. Absent ones say so."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

numba = None
if find_spec("numba"):
    import numba
torch = None
if find_spec("torch"):
    import torch

    torch.set_num_threads(1)
FBGEMM = torch is not None and find_spec("fbgemm_gpu") is not None
if FBGEMM:
    import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
WEAVER = bool(numba and find_spec("weaver"))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return numba.njit(function) if numba else function


def present(work: str, candidates: dict[str, Callable[[], Any] | None]) -> tuple[str, dict]:
    """The work and its candidates, those that are None named as not installed."""
    missing = [name for name, candidate in candidates.items() if candidate is None]
    note = f" (not installed: {', '.join(missing)})" if missing else ""
    return work + note, {n: c for n, c in candidates.items() if c is not None}


# ---- padding ---------------------------------------------------------------------------------


@compiled
def pad_rows(content, offsets, out):
    for i in range(len(offsets) - 1):
        n = min(offsets[i + 1] - offsets[i], out.shape[1])
        for k in range(n):
            out[i, k] = content[offsets[i] + k]


def pad_numba(content, offsets, width):
    out = np.zeros((len(offsets) - 1, width), content.dtype)
    pad_rows(content, offsets, out)
    return out


def pad_numpy(content, offsets, width):
    counts = np.diff(offsets)
    mask = np.arange(width) < counts[:, None]
    out = np.zeros(mask.shape, content.dtype)
    slot = np.arange(len(content)) - np.repeat(offsets[:-1], counts)
    out[mask] = content[slot < width]
    return out


def pad_fbgemm(content, offsets, width):
    padded = torch.ops.fbgemm.jagged_to_padded_dense(
        torch.from_numpy(content).unsqueeze(1), [torch.from_numpy(offsets)], [width], 0.0
    )
    return padded.squeeze(2).numpy()


def pad_torch(content, offsets, width):
    return (
        torch.ops.aten._jagged_to_padded_dense_forward(
            torch.from_numpy(content).unsqueeze(1), [torch.from_numpy(offsets)], [width], 0.0
        )
        .squeeze(2)
        .numpy()
    )


@compiled
def standardise_rows(content, starts, offsets, mean, scale, low, high, out):
    """One pass over all columns, as weaver-core does it now."""
    for i in range(out.shape[0]):
        first = offsets[i]
        n = min(offsets[i + 1] - first, out.shape[2])
        for c in range(out.shape[1]):
            for k in range(n):
                x = (content[starts[c] + first + k] - mean[c]) * scale[c]
                out[i, c, k] = min(max(x, low), high)


def wrap_weaver(array, names, mean, scale, clip, width):
    """weaver-core's own function for the inputs of a model."""
    from weaver.utils.data.tools import _fused_pad_and_stack

    parameters = {
        name: {
            "length": width, "pad_mode": "wrap", "center": m, "scale": 1 if s is None else 1 / s,
            "min": -5 if c is None else c[0], "max": 5 if c is None else c[1], "pad_value": 0,
        }
        for name, m, s, c in zip(names, mean, scale, clip, strict=True)
    }  # fmt: skip
    return _fused_pad_and_stack(array, names, parameters)


# ---- dimuon ----------------------------------------------------------------------------------


@compiled
def dimuon_rows(offsets, pt, eta, phi, charge, m, mass, pair_pt, pair_eta, pair_phi, delta_r):
    found = 0
    for i in range(len(offsets) - 1):
        a = b = -1
        for k in range(offsets[i], offsets[i + 1]):
            if a < 0 or pt[k] > pt[a]:
                a, b = k, a
            elif b < 0 or pt[k] > pt[b]:
                b = k
        if b < 0 or charge[a] * charge[b] >= 0:
            continue
        pt1, eta1, phi1 = np.float64(pt[a]), np.float64(eta[a]), np.float64(phi[a])
        pt2, eta2, phi2 = np.float64(pt[b]), np.float64(eta[b]), np.float64(phi[b])
        x1, y1, z1 = pt1 * math.cos(phi1), pt1 * math.sin(phi1), pt1 * math.sinh(eta1)
        x2, y2, z2 = pt2 * math.cos(phi2), pt2 * math.sin(phi2), pt2 * math.sinh(eta2)
        e = math.sqrt(x1 * x1 + y1 * y1 + z1 * z1 + m * m)
        e += math.sqrt(x2 * x2 + y2 * y2 + z2 * z2 + m * m)
        x, y, z = x1 + x2, y1 + y2, z1 + z2
        transverse = math.sqrt(x * x + y * y)
        turn = abs(phi1 - phi2)
        turn = min(turn, 2 * math.pi - turn)
        mass[found] = math.sqrt(max(e * e - transverse * transverse - z * z, 0.0))
        pair_pt[found] = transverse
        pair_eta[found] = math.asinh(z / transverse)
        pair_phi[found] = math.atan2(y, x)
        delta_r[found] = math.sqrt((eta1 - eta2) ** 2 + turn * turn)
        found += 1
    return found


def dimuon_numba(offsets, pt, eta, phi, charge, m):
    out = [np.empty(len(offsets) - 1, pt.dtype) for _ in range(5)]
    found = dimuon_rows(offsets, pt, eta, phi, charge, m, *out)
    return [values[:found] for values in out]


# ---- aggregate -------------------------------------------------------------------------------


@compiled
def aggregate_rows(offsets, values, count, total, mean, std, low, high):
    for i in range(len(offsets) - 1):
        x = values[offsets[i] : offsets[i + 1]]
        count[i] = len(x)
        total[i] = 0.0
        low[i] = high[i] = x[0] if len(x) else np.nan
        for value in x:
            total[i] += value
            low[i] = min(low[i], value)
            high[i] = max(high[i], value)
        mean[i] = total[i] / len(x) if len(x) else np.nan
        squares = 0.0
        for value in x:
            squares += (value - mean[i]) ** 2
        std[i] = math.sqrt(squares / len(x)) if len(x) else np.nan


def aggregate_numba(offsets, values):
    n = len(offsets) - 1
    names, dtypes = (
        ("count", "sum", "mean", "std", "min", "max"),
        ("i8", "f8", "f8", "f8", "f4", "f4"),
    )
    out = {name: np.empty(n, dtype) for name, dtype in zip(names, dtypes, strict=True)}
    aggregate_rows(offsets, values, *out.values())
    return out
