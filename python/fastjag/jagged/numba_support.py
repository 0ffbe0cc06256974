"""Jagged in functions compiled by numba: columns, events, and their columns, without copies.

A Jagged argument has ``len(muons)``, ``muons.offsets``, ``muons["pt"]`` or ``muons.pt``, ``muons[i]`` and
``for event in muons``; an event has ``len(event)`` and ``event["pt"]`` or ``event.pt``. Names are constants, columns
read-only, and neither is returned to Python (arrays of columns are).

numba imports this module by itself (entry point ``numba_extensions``) before it compiles for the
first time; nothing else does.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

from llvmlite.ir import Constant, IntType
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import RefType, impl_ret_borrowed, iternext_impl, lower_getattr_generic
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import (
    NativeValue,
    lower_builtin,
    make_attribute_wrapper,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.numpy_support import from_dtype

from fastjag.core.checks import near_misses
from fastjag.jagged import Event, Jagged
from fastjag.jagged.shapes import described, is_flat

# Compiled functions are cached on disk under the names of their argument types: another number
# here when the layout of the structures below changes.
LAYOUT = 1


def _read_only(dtype: types.Type) -> types.Array:
    # Arrays that may be written and those that may not are one type here, so that a function is
    # compiled once for both.
    return types.Array(dtype, 1, "C", readonly=True)


OFFSETS = _read_only(types.int64)


class JaggedType(types.IterableType):
    """A Jagged with columns of certain names and dtypes; passed to functions, never returned."""

    def __init__(self, columns: tuple[tuple[str, types.Type], ...]) -> None:
        self.columns = {name: _read_only(dtype) for name, dtype in columns}
        listed = ", ".join(f"{name} {dtype}" for name, dtype in columns)
        super().__init__(f"fastjag.Jagged{LAYOUT}({listed})")

    @property
    def iterator_type(self) -> IteratorType:
        return IteratorType(self)


class EventType(types.Type):
    """The particles of one event of a Jagged."""

    def __init__(self, jagged: JaggedType) -> None:
        self.jagged = jagged
        super().__init__(f"Event of {jagged.name}")


class IteratorType(types.SimpleIteratorType):
    def __init__(self, jagged: JaggedType) -> None:
        self.jagged = jagged
        super().__init__(f"Iterator of {jagged.name}", EventType(jagged))


@register_model(JaggedType)
class _JaggedModel(models.StructModel):
    def __init__(self, manager: Any, jagged: JaggedType) -> None:
        members = [("offsets", OFFSETS)]
        members += [(_member(name), array) for name, array in jagged.columns.items()]
        super().__init__(manager, jagged, members)


@register_model(EventType)
class _EventModel(models.StructModel):
    """Where the event is, and the Jagged, borrowed: counting references for every event would take
    longer than most of what is done with it. Jagged are arguments, so the caller holds them."""

    def __init__(self, manager: Any, event: EventType) -> None:
        members = [("jagged", event.jagged), ("start", types.int64), ("stop", types.int64)]
        super().__init__(manager, event, members)

    def traverse(self, builder: Any) -> list[Any]:
        return []  # nothing to count references of


@register_model(IteratorType)
class _IteratorModel(models.StructModel):
    def __init__(self, manager: Any, iterator: IteratorType) -> None:
        members = [("jagged", iterator.jagged), ("next", types.EphemeralPointer(types.int64))]
        super().__init__(manager, iterator, members)


make_attribute_wrapper(JaggedType, "offsets", "offsets")


# ---- jagged.pt, event.pt: as in Python, unless a method has the name ----------------------------


@infer_getattr
class _ColumnOfJagged(AttributeTemplate):
    key = JaggedType

    def generic_resolve(self, jagged: Any, name: str) -> Any:
        return None if hasattr(Jagged, name) else jagged.columns.get(name)


@infer_getattr
class _ColumnOfEvent(AttributeTemplate):
    key = EventType

    def generic_resolve(self, event: Any, name: str) -> Any:
        return None if hasattr(Event, name) else event.jagged.columns.get(name)


def _member(column: str) -> str:
    return f"column {column}"


@cache  # called for each argument of each call
def _type_of(columns: tuple[tuple[str, Any], ...]) -> JaggedType:
    return JaggedType(tuple((name, from_dtype(dtype)) for name, dtype in columns))


@typeof_impl.register(Jagged)
def _typeof(jagged: Jagged, context: Any) -> JaggedType:
    if jagged.device != "cpu":
        raise TypingError('compiled functions read a Jagged on the CPU: call .to("cpu") first')
    if other := [name for name, values in jagged._columns.items() if not is_flat(values)]:
        raise TypingError(
            f"compiled functions read one number per particle, but {other[0]!r} holds "
            f"{described(jagged[other[0]])}: pick columns, as in muons[['pt', 'eta']], and pass "
            f"lists as a Jagged of their own, .flatten({other[0]!r}) or [{other[0]!r}]"
        )
    return _type_of(tuple((name, values.dtype) for name, values in jagged._columns.items()))


@unbox(JaggedType)
def _unbox(typ: JaggedType, obj: Any, c: Any) -> NativeValue:
    """The arrays of the Jagged; each stays alive until the call is over."""
    native = cgutils.create_struct_proxy(typ)(c.context, c.builder)
    offsets = c.pyapi.object_getattr_string(obj, "_offsets")
    columns = c.pyapi.object_getattr_string(obj, "_columns")
    unboxed = c.unbox(OFFSETS, offsets)
    native.offsets = unboxed.value
    failed = unboxed.is_error
    for name, array in typ.columns.items():
        unboxed = c.unbox(array, c.pyapi.dict_getitem_string(columns, name))
        setattr(native, _member(name), unboxed.value)
        failed = c.builder.or_(failed, unboxed.is_error)
    c.pyapi.decref(offsets)
    c.pyapi.decref(columns)
    return NativeValue(native._getvalue(), is_error=failed)


# ---- len(jagged), len(event) ------------------------------------------------------------------


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], (JaggedType, EventType)):
            return signature(types.intp, *args)
        return None


@lower_builtin(len, JaggedType)
def _len_of_jagged(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _n_events(context, builder, _struct(context, builder, sig.args[0], args[0]))


@lower_builtin(len, EventType)
def _len_of_event(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    event = _struct(context, builder, sig.args[0], args[0])
    return builder.sub(event.stop, event.start)


# ---- jagged["pt"], jagged[i], event["pt"] -----------------------------------------------------


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    prefer_literal = True

    def generic(self, args: Any, kws: Any) -> Any:
        particles, key = args
        if isinstance(particles, JaggedType) and isinstance(key, types.Integer):
            return signature(EventType(particles), particles, types.int64)
        if isinstance(particles, (JaggedType, EventType)):
            jagged = particles if isinstance(particles, JaggedType) else particles.jagged
            if not isinstance(key, types.StringLiteral):
                accepted = "a column's name as a constant"
                accepted += " or an event's number" if particles is jagged else ""
                raise TypingError(f"the index must be {accepted}, got {key}")
            name = key.literal_value
            if name not in jagged.columns:
                raise TypingError(f"no column {name!r}: {near_misses(name, jagged.columns)}")
            return signature(jagged.columns[name], particles, key)
        return None


@lower_builtin(operator.getitem, JaggedType, types.Integer)
def _event_of_jagged(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    jagged = _struct(context, builder, sig.args[0], args[0])
    n, zero = _n_events(context, builder, jagged), Constant(args[1].type, 0)
    negative = builder.icmp_signed("<", args[1], zero)
    number = builder.select(negative, builder.add(args[1], n), args[1])
    # One comparison for both ends: what is negative is huge if unsigned.
    with builder.if_then(builder.icmp_unsigned(">=", number, n), likely=False):
        context.call_conv.return_user_exc(
            builder, IndexError, ("the Jagged has no event of this number",)
        )
    return _event(context, builder, sig.return_type, args[0], number)


@lower_builtin(operator.getitem, JaggedType, types.StringLiteral)
def _column_of_jagged(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _attribute_of_jagged(context, builder, sig.args[0], args[0], sig.args[1].literal_value)


@lower_getattr_generic(JaggedType)
def _attribute_of_jagged(context: Any, builder: Any, typ: Any, value: Any, name: str) -> Any:
    values = getattr(_struct(context, builder, typ, value), _member(name))
    return impl_ret_borrowed(context, builder, typ.columns[name], values)


@lower_builtin(operator.getitem, EventType, types.StringLiteral)
def _column_of_event(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _attribute_of_event(context, builder, sig.args[0], args[0], sig.args[1].literal_value)


@lower_getattr_generic(EventType)
def _attribute_of_event(context: Any, builder: Any, typ: Any, value: Any, name: str) -> Any:
    event = _struct(context, builder, typ, value)
    jagged = _struct(context, builder, typ.jagged, event.jagged)
    array = typ.jagged.columns[name]
    values = _struct(context, builder, array, getattr(jagged, _member(name)))
    n = builder.sub(event.stop, event.start)
    values.data = builder.gep(values.data, [event.start])
    values.nitems = n
    values.shape = cgutils.pack_array(builder, [n])
    return impl_ret_borrowed(context, builder, array, values._getvalue())


# ---- for event in jagged ----------------------------------------------------------------------


@lower_builtin("getiter", JaggedType)
def _iterator(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    iterator = _struct(context, builder, sig.return_type)
    iterator.jagged = args[0]
    iterator.next = cgutils.alloca_once_value(builder, Constant(IntType(64), 0))
    return impl_ret_borrowed(context, builder, sig.return_type, iterator._getvalue())


@lower_builtin("iternext", IteratorType)
@iternext_impl(RefType.UNTRACKED)
def _next(context: Any, builder: Any, sig: Any, args: Any, result: Any) -> None:
    jagged_type = sig.args[0].jagged
    iterator = _struct(context, builder, sig.args[0], args[0])
    number = builder.load(iterator.next)
    jagged = _struct(context, builder, jagged_type, iterator.jagged)
    valid = builder.icmp_signed("<", number, _n_events(context, builder, jagged))
    result.set_valid(valid)
    with builder.if_then(valid):
        event = EventType(jagged_type)
        result.yield_(_event(context, builder, event, iterator.jagged, number))
        builder.store(builder.add(number, Constant(number.type, 1)), iterator.next)


# ---- shared -----------------------------------------------------------------------------------


def _struct(context: Any, builder: Any, typ: types.Type, value: Any = None) -> Any:
    return context.make_helper(builder, typ, value=value)


def _n_events(context: Any, builder: Any, jagged: Any) -> Any:
    offsets = _struct(context, builder, OFFSETS, jagged.offsets)
    return builder.sub(offsets.nitems, Constant(offsets.nitems.type, 1))


def _event(context: Any, builder: Any, typ: EventType, jagged: Any, number: Any) -> Any:
    native = _struct(context, builder, typ.jagged, jagged)
    offsets = _struct(context, builder, OFFSETS, native.offsets)
    event = _struct(context, builder, typ)
    event.jagged = jagged
    bounds = builder.gep(offsets.data, [number])
    event.start = builder.load(bounds)
    event.stop = builder.load(cgutils.gep_inbounds(builder, bounds, 1))
    return event._getvalue()


def register() -> None:
    """What numba calls; importing this module has done it all."""
