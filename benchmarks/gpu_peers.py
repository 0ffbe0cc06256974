"""What people use on a GPU instead: CuPy, torch, FBGEMM. Results have the names of ours.

Functions take the array library (CuPy; NumPy in the tests) and the arrays of a job.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gpu_jobs import Arrays


def _slots(xp: Any, a: Arrays) -> tuple[Any, Any]:
    """Event and position within it of every particle."""
    offsets = a["offsets"]
    particle = xp.arange(int(offsets[-1]))
    event = xp.searchsorted(offsets, particle, side="right") - 1
    return event, particle - offsets[event]


def pad(xp: Any, a: Arrays) -> Arrays:
    event, slot = _slots(xp, a)
    first = slot < 4
    values = xp.zeros((len(a["offsets"]) - 1, 4, 3), np.float32)
    mask = xp.zeros(values.shape[:2], np.bool_)
    for i, name in enumerate(("pt", "eta", "phi")):
        values[event[first], slot[first], i] = a[name][first]
    mask[event[first], slot[first]] = True
    return {"values": values, "mask": mask}


def _stacked(torch: Any, a: Arrays) -> tuple[Any, Any]:
    columns = [torch.from_dlpack(a[name]) for name in ("pt", "eta", "phi")]
    return torch.stack(columns, dim=1), torch.from_dlpack(a["offsets"])


def _from_torch(xp: Any, tensor: Any) -> Any:
    return xp.from_dlpack(tensor)


def pad_torch(xp: Any, a: Arrays) -> Arrays:
    import torch

    values, offsets = _stacked(torch, a)
    nested = torch.nested.nested_tensor_from_jagged(values, offsets)
    padded = torch.nested.to_padded_tensor(nested, 0.0)[:, :4]
    missing = 4 - padded.shape[1]
    padded = torch.nn.functional.pad(padded, (0, 0, 0, missing)) if missing > 0 else padded
    return {"values": _from_torch(xp, padded.contiguous())}


def pad_fbgemm(xp: Any, a: Arrays) -> Arrays:
    import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
    import torch

    values, offsets = _stacked(torch, a)
    padded = torch.ops.fbgemm.jagged_to_padded_dense(values, [offsets], [4], 0.0)
    return {"values": _from_torch(xp, padded)}


def keep(xp: Any, a: Arrays) -> Arrays:
    kept = xp.concatenate([xp.zeros(1, np.int64), xp.cumsum(a["mask"])])
    return {"offsets": kept[a["offsets"]], "pt": a["pt"][a["mask"]]}


def order(xp: Any, a: Arrays) -> Arrays:
    event, _ = _slots(xp, a)
    return {"order": xp.lexsort(xp.stack([-a["pt"].astype(np.float64), event]))}


def aggregate(xp: Any, a: Arrays) -> Arrays:
    event, _ = _slots(xp, a)
    n = len(a["offsets"]) - 1
    count = a["offsets"][1:] - a["offsets"][:-1]
    largest = xp.full(n, -np.inf, np.float32)
    xp.maximum.at(largest, event, a["pt"])
    largest[count == 0] = np.nan
    return {
        "count": count,
        "sum": xp.bincount(event, a["pt"], minlength=n),
        "max": largest,
    }


def aggregate_torch(xp: Any, a: Arrays) -> Arrays:
    import torch

    pt, offsets = torch.from_dlpack(a["pt"]), torch.from_dlpack(a["offsets"])
    found = torch.segment_reduce(pt.double(), "sum", offsets=offsets, initial=0.0)
    return {"sum": _from_torch(xp, found)}


def pair_mass(xp: Any, a: Arrays) -> Arrays:
    """As one would write it: in float64, by sums of energies and momenta."""
    legs = []
    for leg in "12":
        pt, eta, phi = (a[f"{name}{leg}"].astype(np.float64) for name in ("pt", "eta", "phi"))
        momentum = (pt * xp.cos(phi), pt * xp.sin(phi), pt * xp.sinh(eta))
        energy = xp.sqrt(sum(p * p for p in momentum) + 0.1056583755**2)
        legs.append((energy, *momentum))
    energy, *momentum = (one + other for one, other in zip(*legs, strict=True))
    squared = energy**2 - sum(p * p for p in momentum)
    return {"mass": xp.sqrt(xp.maximum(squared, 0))}


def _with_flow(xp: Any, x: Any, edges: Any, weights: Any = None) -> Any:
    """Underflow, bins, overflow: our slots but for NaN."""
    slot = xp.searchsorted(xp.asarray(edges), x, side="right")
    return xp.bincount(slot, weights, minlength=len(edges) + 1)


def histogram(xp: Any, a: Arrays) -> Arrays:
    return {"counts": _padded(xp, _with_flow(xp, a["mass"], a["edges"]))}


def histogram_torch(xp: Any, a: Arrays) -> Arrays:
    import torch

    mass, edges = torch.from_dlpack(a["mass"]), a["edges"]
    counts = torch.histc(mass, len(edges) - 1, float(edges[0]), float(edges[-1]))
    flow = torch.stack([(mass < edges[0]).sum(), (mass >= edges[-1]).sum()]).to(counts.dtype)
    counts = torch.cat([flow[:1], counts, flow[1:]])
    return {"counts": _padded(xp, _from_torch(xp, counts))}


def weighted(xp: Any, a: Arrays) -> Arrays:
    weights = a["weights"].astype(np.float64)
    sums = (_with_flow(xp, a["mass"], a["edges"], w) for w in (weights, weights**2))
    return {name: _padded(xp, s) for name, s in zip(("sumw", "sumw2"), sums, strict=True)}


def _padded(xp: Any, slots: Any) -> Any:
    """With the slot of NaN, of which the jobs have none."""
    return xp.concatenate([slots, xp.zeros(1, slots.dtype)])


PEERS = {
    "3 columns to (N, 4, 3), and the mask": {
        "CuPy": pad, "torch.nested": pad_torch, "FBGEMM": pad_fbgemm,
    },
    "particles above 10 GeV, of 1 column": {"CuPy": keep},
    "order by pt": {"CuPy": order},
    "count, sum and max of pt": {"CuPy": aggregate, "torch.segment_reduce": aggregate_torch},
    "masses of given pairs": {"CuPy": pair_mass},
    "counts, 100 bins": {"CuPy": histogram, "torch.histc": histogram_torch},
    "weighted, 100 bins": {"CuPy": weighted},
}  # fmt: skip
