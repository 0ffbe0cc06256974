"""What a model sees of an event: groups of particles, dense or ragged, and numbers of the event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.devices import namespace
from fastjag.core.settings import setting, settings
from fastjag.inputs.columns import InputColumn, columns_of, full
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.values import EventNames, Value, of_events, together
from fastjag.jagged import Jagged, Padded

#: Column of rows by which particles are ordered: no expression has this text.
ORDER = " by"

Rows = Any  # Jagged, or an array of shape (n_events, F)


@settings
class InputGroup:
    """Columns that a model sees together. :func:`particles`, :func:`ragged` and :func:`features` make it."""

    name: str = setting("Name of its tensor", least=1)
    kind: Literal["particles", "ragged", "features"] = setting("Dense, ragged, or of the event")
    columns: tuple[InputColumn, ...] = setting("What is seen of each particle or event")
    width: int | None = setting("Slots per event of a dense group", least=1, default=None)
    by: str | None = setting(
        "Particles in descending order of this expression", default=None, none=False
    )
    where: str | None = setting("Only particles for which this is true", default=None, none=False)
    layout: Literal["NKF", "NFK"] = setting("Order of the axes", default="NKF")
    pad_mode: Literal["constant", "wrap"] = setting(
        "What stands in empty slots", default="constant"
    )
    nan: float | None = setting("Number instead of NaN", default=None)
    mask: bool = setting("Whether a dense group has its mask as a tensor", default=True)

    def check(self) -> None:
        names = [column.name for column in self.columns]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"columns of {self.name!r} must be different, got {twice[0]!r} twice")
        if (self.width is None) == (self.kind == "particles"):
            raise ValueError(f"width is what a group of particles has, and no other: {self.name!r}")
        if self.kind == "features" and (self.by is not None or self.where is not None):
            raise ValueError(f"by and where are of particles, and {self.name!r} has none")
        for text in (self.by, self.where):
            if text is not None:
                expression(text)

    # ---- what is known before any event ---------------------------------------------------------

    @property
    def expressions(self) -> list[Expression]:
        """All that is evaluated."""
        texts = [column.expression for column in self.columns]
        return [expression(text) for text in (*texts, self.by, self.where) if text is not None]

    @property
    def fitted(self) -> bool:
        return not any(column.fit and column.mean is None for column in self.columns)

    @property
    def dense_bytes(self) -> int:
        """Bytes per event of its dense tensors; 0 of a ragged group."""
        if self.kind == "features":
            return 4 * len(self.columns)
        return (self.width or 0) * (4 * len(self.columns) + self.mask)

    # ---- of events -------------------------------------------------------------------------------

    def rows(self, names: EventNames) -> Rows:
        """Columns of the group for a batch, not standardised: a Jagged, or (n_events, F) floats."""
        values = {column.name: column.value(names) for column in self.columns}
        if self.kind == "features":
            return self._features(values)
        if self.by is not None:
            values[ORDER] = expression(self.by)(names)
        if self.where is not None:
            values[" where"] = expression(self.where)(names)
        arrays, lists = together(values)
        if lists is None:  # numbers of the event are one particle
            arrays = [self._of_event(name, v) for name, v in values.items()]
            offsets = namespace(arrays[0]).arange(len(names) + 1)
        else:
            offsets = lists._offsets
            arrays = [_filled(a, int(offsets[-1]), offsets) for a in arrays]
        columns = dict(zip(values, arrays, strict=True))
        chosen = columns.pop(" where", None)
        rows = Jagged._of(offsets, columns)
        if chosen is not None:
            rows = rows.keep(chosen != 0)
        if self.kind == "ragged" and self.by is not None:
            rows = rows.sort(ORDER)[[column.name for column in self.columns]]
        return rows

    def _features(self, values: Mapping[str, Value]) -> Array:
        found = [self._of_event(name, value) for name, value in values.items()]
        small = all(
            a.dtype == np.float32 or (a.dtype.kind != "f" and a.dtype.itemsize < 4) for a in found
        )
        dtype = np.float32 if small else np.float64
        xp = namespace(found[0])
        rows: Array = xp.stack([a.astype(dtype, copy=False) for a in found], axis=1)
        return rows

    def _of_event(self, name: str, value: Value) -> Array:
        if value.is_constant:
            raise ValueError(f"{name!r} of {self.name!r} is one number for all events")
        return of_events(value, name)

    def tensors(self, rows: Rows, out: Mapping[str, Any] | None = None) -> dict[str, Array]:
        """Tensors of rows: dense and standardised, or values and offsets."""
        if not self.fitted:
            missing = next(c.name for c in self.columns if c.fit and c.mean is None)
            raise ValueError(
                f"column {missing!r} of {self.name!r} is to be standardised, but nobody has fitted "
                "the inputs: call inputs.fit(batches) first, or load what was saved"
            )
        options: dict[str, Any] = {
            "mean": [c.mean for c in self.columns], "scale": [c.scale for c in self.columns],
            "clip": [c.bounds for c in self.columns], "nan": self.nan, "dtype": np.float32,
        }  # fmt: skip
        if all(all(v is None for v in options[k]) for k in ("mean", "scale", "clip")):
            options |= {"mean": None, "scale": None, "clip": None}
        names = [column.name for column in self.columns]
        if self.kind == "particles":
            assert self.width is not None
            given = None if out is None else _padded(out, self.name, self.mask)
            padded = rows.pad(
                self.width, names, by=ORDER if self.by is not None else None, layout=self.layout,
                mode=self.pad_mode, fill=[c.fill for c in self.columns], out=given, **options,
            )  # fmt: skip
            mask = {f"{self.name}_mask": padded.mask} if self.mask else {}
            return {self.name: padded.values, **mask}
        if self.kind == "features" and options["mean"] is None and self.nan is None:
            return {self.name: rows.astype(np.float32, copy=False)}
        if self.kind == "features":
            columns = {
                name: namespace(rows).ascontiguousarray(rows[:, i]) for i, name in enumerate(names)
            }
            return {self.name: _one_each(columns, len(rows), names, options, rows)}
        columns = {name: rows[name] for name in names}
        values = _one_each(columns, rows.n_particles, names, options, rows._offsets)
        return {self.name: values, f"{self.name}_offsets": rows.offsets}


def particles(
    collection: str,
    columns: str | Iterable[str],
    width: int,
    *,
    by: str | None = None,
    where: str | None = None,
    log: str | Iterable[str] = (),
    standardise: str | Mapping[str, Any] | None = None,
    clip: tuple[float, float] | Mapping[str, Any] | None = None,
    fill: float | Mapping[str, float] = 0.0,
    pad_mode: str = "constant",
    nan: float | None = None,
    layout: str = "NKF",
    name: str | None = None,
) -> InputGroup:
    """Particles as a dense tensor with a mask: ``width`` slots per event.

    Its tensors are ``name``, float32 (n_events, width, F), or (n_events, F, width) for ``layout="NFK"``, and
    ``name + "_mask"``, bool (n_events, width): true where a particle stands.

    Parameters
    ----------
    collection
        Such as "Jet": a column that is a name alone has it as prefix.
    columns
        EventNames of columns (``"pt"`` is the branch ``Jet_pt``) and expressions of branches
        (``"log(Jet_pt / MET_pt)"``, :func:`fastjag.inputs.expression`). A branch without the prefix that
        stands alone is put in backticks.
    width
        Slots per event: more particles are cut off, empty slots are filled.
    by
        The particles of an event are taken in descending order of this column or expression; default: as they
        are stored.
    where
        Only particles for which this is true, ``"Jet_pt > 30 and abs(Jet_eta) < 2.5"``.
    log
        Columns of which the model sees the natural logarithm.
    standardise
        The model sees ``(x - mean) / scale`` (of the logarithm, where it is one): "fit" takes mean and
        standard deviation of a sample of events, of the particles that the model sees (:meth:`Inputs.fit`); a
        mapping says for each column "fit", None or (mean, scale).
    clip
        Lowest and highest number after that, for all columns or for each in a mapping. Infinities are clipped,
        NaN is not.
    fill
        Number in empty slots, written as it is; or a mapping.
    pad_mode
        "constant", or "wrap": the particles again, from the first on, as :meth:`Jagged.pad` has it.
    nan
        Number instead of NaN, at the end. Default: NaN stays NaN.
    name
        Of the tensor; default: ``collection``.

    Examples
    --------
    >>> import fastjag as fj
    >>> jets = fj.particles("Jet", ["pt", "eta", "Jet_phi - Jet_phi[0]"], width=2, log=["pt"])
    >>> [column.expression for column in jets.columns]
    ['Jet_pt', 'Jet_eta', 'Jet_phi - Jet_phi[0]']
    """
    prefix = _collection(collection)
    return InputGroup(
        name=collection if name is None else name, kind="particles", width=width, mask=True,
        columns=columns_of(columns, prefix, log, standardise, clip, fill),
        by=None if by is None else full(by, prefix), where=where,
        layout=layout, pad_mode=pad_mode, nan=nan,  # type: ignore[arg-type]
    )  # fmt: skip


def ragged(
    collection: str,
    columns: str | Iterable[str],
    *,
    by: str | None = None,
    where: str | None = None,
    log: str | Iterable[str] = (),
    standardise: str | Mapping[str, Any] | None = None,
    clip: tuple[float, float] | Mapping[str, Any] | None = None,
    nan: float | None = None,
    name: str | None = None,
) -> InputGroup:
    """All particles as values and offsets, for models of sets and graphs: nothing is cut off or filled.

    Its tensors are ``name``, float32 (n_particles, F), and ``name + "_offsets"``, int64 (n_events + 1,).
    :func:`fastjag.inputs.nested` makes a ``torch.nested`` tensor of them. Options are those of
    :func:`particles`.

    Examples
    --------
    >>> import fastjag as fj
    >>> fj.ragged("Jet", ["pt", "eta"], log=["pt"]).kind
    'ragged'
    """
    prefix = _collection(collection)
    return InputGroup(
        name=collection if name is None else name, kind="ragged", nan=nan, mask=False,
        columns=columns_of(columns, prefix, log, standardise, clip),
        by=None if by is None else full(by, prefix), where=where,
    )  # fmt: skip


def features(
    columns: str | Iterable[str],
    *,
    log: str | Iterable[str] = (),
    standardise: str | Mapping[str, Any] | None = None,
    clip: tuple[float, float] | Mapping[str, Any] | None = None,
    nan: float | None = None,
    name: str = "features",
) -> InputGroup:
    """Numbers of the event: branches, and expressions with one number per event.

    Its tensor is ``name``, float32 (n_events, F). Options are those of :func:`particles`.

    Examples
    --------
    >>> import fastjag as fj
    >>> event = fj.features(["MET_pt", "sum(Jet_pt)", "Jet_pt[0]"], log=["MET_pt"], nan=0)
    >>> event.name, len(event.columns)
    ('features', 3)
    """
    made = columns_of(columns, None, log, standardise, clip)
    return InputGroup(name=name, kind="features", columns=made, nan=nan, mask=False)


def _collection(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"collection must be a text, such as 'Jet', got {name!r}")
    return name


def _one_each(
    columns: dict[str, Array], n: int, names: list[str], options: dict[str, Any], like: Array
) -> Array:
    """(n, F): by the kernel that pads, for which each row is an event of one particle."""
    rows = Jagged._of(namespace(like).arange(n + 1), columns)
    values: Array = rows.pad(1, names, **options).values[:, 0]
    return values


def _padded(out: Mapping[str, Any], name: str, mask: bool) -> Padded | None:
    """What an earlier call gave, to be written again."""
    return Padded(out[name], out[f"{name}_mask"]) if mask and name in out else None


def _filled(array: Any, n: int, like: Array) -> Array:
    """A column of the kernels: of n particles, also where it is a constant."""
    if isinstance(array, (bool, int, float)):
        full: Array = namespace(like).full(n, array)
        return full
    found: Array = array
    return found
