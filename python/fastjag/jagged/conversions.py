"""What a Jagged is made of, and what it becomes, in other libraries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Self

from numpy.typing import ArrayLike

from fastjag.core.arrays import Array, Offsets
from fastjag.jagged import arrow, interchange
from fastjag.jagged.columns import ParticleColumns
from fastjag.jagged.shapes import is_flat, is_lists, refuse


class Conversions(ParticleColumns):
    """From and to awkward, Arrow, pandas and torch: the methods of Jagged that do this."""

    __slots__ = ()
    _offsets: Offsets

    @abstractmethod
    def __init__(self, offsets: ArrayLike, columns: Mapping[str, Any] | None = None) -> None:
        """As Jagged, which is what these methods make."""

    def _how(self) -> str:
        return f"{super()._how()}; .pad(4) makes a dense array, .to_awkward() one of lists, .to_pandas() a frame"

    @classmethod
    def _made(cls, parts: interchange.Parts) -> Self:
        """Of offsets and columns, where those of lists are such parts themselves."""
        offsets, columns = parts
        made = {n: cls._made(c) if isinstance(c, tuple) else c for n, c in columns.items()}
        return cls(offsets, made)

    # ---- awkward ----------------------------------------------------------------------------

    @classmethod
    def from_awkward(cls, array: Any, columns: str | Iterable[str] | None = None) -> Self:
        """From an awkward array of records, such as ``ak.zip`` or a NanoEvents collection.

        The columns are not copied where awkward holds them in one piece, offsets are; event masks
        (ListArray) and reordered particles (IndexedArray) are gathered. ``columns`` picks some of
        the fields. Lists of each particle are a column that is a Jagged; lists of plain numbers have
        one column there, ``value``. Missing values (option types) and text are refused.
        """
        names = [columns] if isinstance(columns, str) else columns
        return cls._made(interchange.from_awkward(array, None if names is None else list(names)))

    def to_awkward(self, with_name: str | None = None) -> Any:
        """An awkward array of records without a copy, for example ``with_name="Momentum4D"``.

        Of columns on the CPU: those of a GPU take ``.to("cpu")`` first, as for Arrow. awkward's own
        functions take a Jagged as such an array: ``ak.Array(muons)``, ``ak.num(muons)``.
        """
        return interchange.to_awkward(self._offsets, self._columns, with_name)

    def __awkward_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return interchange.call_awkward(function, args, kwargs)

    # ---- Arrow and pandas -------------------------------------------------------------------

    @classmethod
    def from_arrow(cls, array: Any) -> Self:
        """From an Arrow list array of structs (or its ChunkedArray); nulls and text are refused.

        Lists of each particle are a column that is a Jagged, as from awkward.
        """
        return cls._made(arrow.from_arrow(array))

    def to_arrow(self) -> Any:
        """An Arrow LargeListArray of structs; only boolean columns are copied."""
        return arrow.to_arrow(self._offsets, self._columns)

    def __arrow_array__(self, type: Any = None) -> Any:
        array = self.to_arrow()
        return array if type is None else array.cast(type)

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row per particle; columns are copied.

        Its index is that of ``ak.to_dataframe``: ``entry`` is the event, ``subentry`` the particle's
        position in it. Events without particles have no row. Columns of lists, or of several numbers per
        particle, have Arrow's dtype, as pandas has none.
        """
        return arrow.to_pandas(self._offsets, self._columns)

    # ---- torch ------------------------------------------------------------------------------

    def to_torch(self, columns: str | Iterable[str] | None = None) -> Any:
        """A torch nested tensor in jagged layout, sharing memory where one column is asked for.

        Shape (n_events, j) for one column, (n_events, j, 3) if it has three numbers per particle,
        (n_events, j, F) for several (stacked, one copy). Tensors
        of one Jagged share their offsets, so that ``muons.to_torch("pt") * muons.to_torch("eta")`` works, and
        ``to_padded_tensor(0.0)`` is as wide as the longest event. ``muons.pad(...).to_torch()`` makes
        dense tensors.
        """
        if isinstance(columns, str):
            one = self._column(columns)
            return interchange.to_torch(
                self._offsets, self._flat(columns, "a tensor") if is_lists(one) else one
            )
        names = self._columns if columns is None else columns
        return interchange.to_torch(self._offsets, [self._flat(n, "a tensor") for n in names])

    def _flat(self, name: str, what: str, way: str = "") -> Array:
        """A column of one number per particle; a TypeError names one that is not."""
        column = self._column(name)
        if not is_flat(column):
            refuse(name, column, what, way)
        array: Array = column
        return array
