"""A ``hist.Hist`` that keeps count of NaN through arithmetic, slices, copies and pickles."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import hist


class Hist(hist.Hist, family=hist):  # type: ignore[call-arg,misc]
    """What :func:`fastjag.histogram` returns: a ``hist.Hist`` with ``metadata["nan"]``.

    ``metadata["nan"]`` is the number of entries that were NaN (weighted: the sum of their weights).
    Sums and differences of two histograms have the sum and the difference of the two numbers; products
    and quotients with a number scale it; with an array or a histogram there is no such number, and
    the result has no entry "nan". Slices, projections and copies keep it. No two histograms share
    a metadata dict.
    """

    def __iadd__(self, other: Any) -> Self:
        mine, others = _nan(self), _nan(other)
        known = self._knows_variances() and isinstance(other, hist.BaseHist)
        known = known and other.variances() is not None
        result = super().__iadd__(other)
        if known and self.storage_type is not hist.storage.Weight:
            result._variance_known = True  # counts and counts are counts
        _set(result, mine if others is None else (mine or 0) + others)
        return result

    def __isub__(self, other: Any) -> Self:
        mine, others = _nan(self), _nan(other)
        result = super().__isub__(other)
        _set(result, mine if others is None else (mine or 0) - others)
        return result

    def __imul__(self, other: Any) -> Self:
        mine = _nan(self)
        result = super().__imul__(other)
        _set(result, mine * other if mine is not None and isinstance(other, Real) else None)
        return result

    def __itruediv__(self, other: Any) -> Self:
        mine = _nan(self)
        result = super().__itruediv__(other)
        _set(result, mine / other if mine is not None and isinstance(other, Real) else None)
        return result

    def _knows_variances(self) -> bool:
        return self.variances() is not None

    def __getitem__(self, index: Any) -> Any:
        return _own(super().__getitem__(index))

    def project(self, *axes: Any) -> Any:
        return _own(super().project(*axes))

    def __copy__(self) -> Self:
        return _own(super().__copy__())

    def copy(self, *, deep: bool = True) -> Self:
        return _own(super().copy(deep=deep))

    def reset(self) -> Self:
        result = super().reset()
        if _nan(self) is not None:
            _set(result, 0)
        return result


def count_nan(h: Any, more: float) -> None:
    """Add to the NaN of any ``hist.Hist``, in a metadata dict of its own."""
    _set(h, (_nan(h) or 0) + more)


def _nan(h: Any) -> Any:
    metadata = getattr(h, "__dict__", {}).get("metadata")
    return metadata.get("nan") if isinstance(metadata, dict) else None


def _set(h: Any, nan: float | None) -> None:
    # A new dict: the old one may be another histogram's, too.
    known = h.__dict__.get("metadata")
    if known is None or isinstance(known, dict):
        kept = {key: value for key, value in (known or {}).items() if key != "nan"}
        h.metadata = kept if nan is None else {**kept, "nan": nan}


def _own(h: Any) -> Any:
    if isinstance(h, Hist):
        _set(h, _nan(h))
    return h
