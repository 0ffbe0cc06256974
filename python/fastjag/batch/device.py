"""Batches on the way to the GPU, and results on the way back."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from typing import Any

from fastjag.core.ahead import copied_ahead
from fastjag.core.devices import on_gpu, to_host


def on_device(batches: Iterable[Any]) -> Generator[Any]:
    """Batches on the GPU; each is copied while the function works on the one before."""
    return copied_ahead(batches, lambda batch: batch.to("cuda"))


class OnDevice:
    """Survivors whose batches are on the GPU; ``cutflow``, ``counters`` and others are theirs."""

    def __init__(self, survivors: Any) -> None:
        self._survivors = survivors

    def __iter__(self) -> Iterator[Any]:
        with closing(on_device(self._survivors)) as batches:
            yield from batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._survivors, name)


def on_host(value: Any) -> Any:
    """A result without arrays on the GPU: NumPy's in their place, numbers where they have no dimensions."""
    if on_gpu(value):
        array = to_host(value)
        return array if array.ndim else array[()]
    if hasattr(type(value), "_joined"):
        if hasattr(type(value), "to"):
            return value.to("cpu")  # Jagged, Batch
        make, arguments = value.__reduce__()[:2]  # pairs
        return make(*map(on_host, arguments))
    if isinstance(value, Mapping):
        kind = type(value)
        changed = {name: on_host(one) for name, one in value.items()}
        return changed if kind is dict else _of_kind(value, changed)
    if isinstance(value, (list, tuple)):
        parts = [on_host(one) for one in value]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*parts)
        return type(value)(parts)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        return replace(value, **{name: on_host(getattr(value, name)) for name in names})
    return value


def _of_kind(value: Mapping[Any, Any], changed: dict[Any, Any]) -> Any:
    """A mapping of the same class, such as Counter or defaultdict."""
    if hasattr(value, "copy"):
        copy: Any = value.copy()
        for name, one in changed.items():  # Counter's update would add
            copy[name] = one
        return copy
    return changed
