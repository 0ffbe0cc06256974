"""Expressions of branches, compiled once from their syntax tree: nothing is ever run as Python code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias

import numpy as np

from fastjag.core.checks import near_misses
from fastjag.inputs.functions import (
    CONSTANTS,
    COORDINATES,
    FUNCTIONS,
    OF_EVENT,
    OTHER_NAMES,
    PREFIXES,
    VECTORS,
    aggregated,
    nth,
    of_vector,
)
from fastjag.inputs.values import EventNames, Value, number, together
from fastjag.jagged import Jagged

Step: TypeAlias = Callable[[EventNames], Value]

_EXACT: dict[type, Any] = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply}
_ARITHMETIC: dict[type, Any] = {ast.Div: np.true_divide, ast.Pow: np.power}
_COUNTING: dict[type, Any] = {ast.Mod: np.remainder, ast.FloorDiv: np.floor_divide}
_BITS: dict[type, Any] = {
    ast.BitAnd: np.bitwise_and, ast.BitOr: np.bitwise_or, ast.BitXor: np.bitwise_xor,
}  # fmt: skip
_COMPARISONS: dict[type, Any] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip
_LINKS: dict[type, Any] = {ast.And: np.logical_and, ast.Or: np.logical_or}

# `Jet/Jet.PT` in backticks: a name that Python's grammar does not know.
_QUOTED = re.compile(r"`([^`]+)`")
_STAND_IN = "quoted_name_{}_"


class Expression:
    """An expression such as ``log(Jet_pt)``: its text, the names in it, and what it gives.

    Two of the same text are equal. ``expression(text)`` makes one.
    """

    def __init__(self, text: str, names: tuple[str, ...], run: Step, *, is_name: bool) -> None:
        self.text, self.names, self._run = text, names, run
        self.is_name = is_name  #: whether it is one name and nothing else

    def __call__(self, names: EventNames) -> Value:
        """Its value for the events of a batch; a ValueError or TypeError names the expression."""
        try:
            with np.errstate(
                all="ignore"
            ):  # log(0) is -inf, and what becomes of it is said elsewhere
                return self._run(names)
        except (ValueError, TypeError, OverflowError) as error:
            if str(error).startswith("expression "):
                raise
            raise type(error)(f"expression {self.text!r}: {error}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"expression({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return expression, (self.text,)


@lru_cache(maxsize=4096)
def expression(text: Any) -> Expression:
    """Compile an expression; a ValueError says what of it is not known, and what is.

    EventNames are branches (``Jet_pt``, ``MET_pt``; ``Jet.PT``; in backticks whatever they are called). Accepted
    are numbers, ``+ - * / // % **``, comparisons (also ``0 < x < 5``), ``and or not & | ^ ~``, ``x[0]`` for
    the first particle of each event (``x[-1]`` the last, NaN where there is none), and functions: ``log
    log10 log2 log1p exp expm1 sqrt square abs sign floor ceil sin cos tan arcsin arccos arctan arctan2 sinh
    cosh tanh arcsinh arccosh arctanh hypot power minimum maximum delta_phi where isnan isfinite ones_like
    zeros_like``; of all particles of an event ``sum min max mean std count any all``. ``np.log`` is
    ``log``, ``ak.where`` is ``where``.

    Sums, differences and products of integers and truth values are int64, and never wrap around: what is beyond is
    float64, as is all that comes of ``uint64``. ``//`` and ``%`` of integers are exact, also ``event % 2`` of 64 bits. Other
    functions take integers as float64. float32 stays float32 beside constants.
    Values of events go with each particle of the event.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"an expression must be a text, got {text!r}")
    return _Compiler(text).compiled()


class _Compiler:
    def __init__(self, text: str) -> None:
        self.text, self.names = text, dict[str, None]()
        self.quoted: dict[str, str] = {}

        def stand_in(match: re.Match[str]) -> str:
            name = _STAND_IN.format(len(self.quoted))
            self.quoted[name] = match[1]
            return name

        self.source = " ".join(_QUOTED.sub(stand_in, text).split())

    def refuse(self, why: str) -> NoReturn:
        raise ValueError(f"expression {self.text!r}: {why}")

    def compiled(self) -> Expression:
        try:
            tree = ast.parse(self.source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = error.msg if isinstance(error, SyntaxError) else str(error)
            self.refuse(f"cannot be read: {what}")
        try:
            run = self.step(tree)
        except RecursionError:
            self.refuse("is nested too deeply")
        text = self.text.strip()
        return Expression(text, tuple(self.names), run, is_name=self.dotted(tree) is not None)

    # ---- one kind of node after the other ------------------------------------------------------

    def step(self, node: ast.expr) -> Step:
        name = self.dotted(node)
        if name is not None:
            return self.named(name)
        kind = getattr(self, f"of_{type(node).__name__.lower()}", None)
        if kind is None:
            hint = ": where(condition, a, b) does that" if isinstance(node, ast.IfExp) else ""
            self.refuse(f"{self.shown(node)!r} is not accepted{hint}; accepted are arithmetic, "
                        "comparisons, and/or/not, x[0] and functions")  # fmt: skip
        made: Step = kind(node)
        return made

    def shown(self, node: ast.expr) -> str:
        text = ast.unparse(node)
        for stand_in, name in self.quoted.items():
            text = text.replace(stand_in, name)
        return text

    def dotted(self, node: ast.expr) -> str | None:
        """``Jet.PT`` of attributes of a name, without weaver's prefixes."""
        if isinstance(node, ast.Name):
            return self.quoted.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (front := self.dotted(node.value)) is not None:
            return node.attr if front in PREFIXES else f"{front}.{node.attr}"
        return None

    def named(self, name: str) -> Step:
        if name in CONSTANTS and name not in self.quoted.values():
            constant = Value(CONSTANTS[name])
            return lambda _: constant
        self.names[name] = None
        return lambda names: names(name)

    def of_constant(self, node: ast.Constant) -> Step:
        if not isinstance(node.value, (bool, int, float)):
            self.refuse(f"{self.shown(node)} is no number")
        constant = Value(node.value)
        return lambda _: constant

    def of_unaryop(self, node: ast.UnaryOp) -> Step:
        inner = self.step(node.operand)
        text = self.shown(node.operand)
        if isinstance(node.op, ast.Not):
            return self.combine(np.logical_not, {text: inner}, numbers=False)
        if isinstance(node.op, ast.Invert):
            return self.combine(_invert, {text: inner}, numbers=False)
        sign = np.negative if isinstance(node.op, ast.USub) else np.positive
        return self.combine(sign, {text: inner}, numbers=True)

    def of_binop(self, node: ast.BinOp) -> Step:
        kind = type(node.op)
        parts = self.parts(node.left, node.right)
        if kind in _EXACT:
            whole = _EXACT[kind]
            return self.combine(lambda a, b: _exact(whole, a, b), parts, numbers=False)
        if kind in _ARITHMETIC:
            return self.combine(_ARITHMETIC[kind], parts, numbers=True)
        if kind in _COUNTING:
            ufunc = _COUNTING[kind]
            return self.combine(lambda a, b: _counted(ufunc, a, b), parts, numbers=False)
        if kind not in _BITS:
            self.refuse(f"{self.shown(node)!r} is not accepted")
        ufunc, texts = _BITS[kind], [text.strip() for text in parts]
        return self.combine(lambda *ab: _bitwise(ufunc, ab, texts), parts, numbers=False)

    def of_boolop(self, node: ast.BoolOp) -> Step:
        link = _LINKS[type(node.op)]
        steps = [(self.shown(value), self.step(value)) for value in node.values]
        text, step = steps[0]
        for more, following in steps[1:]:
            step = self.combine(link, {text: step, _other(more, text): following}, numbers=False)
        return step

    def of_compare(self, node: ast.Compare) -> Step:
        operands = [node.left, *node.comparators]
        for operand in operands:
            if isinstance(operand, ast.BinOp) and type(operand.op) in _BITS:
                self.check_parentheses(operand)
        pairs = list(zip(operands[:-1], node.ops, operands[1:], strict=True))
        for _, sign, _ in pairs:
            if type(sign) not in _COMPARISONS:
                self.refuse(
                    f"{self.shown(node)!r} is not accepted: comparisons are < <= > >= == !="
                )
        steps = [
            self.combine(_COMPARISONS[type(sign)], self.parts(a, b), numbers=False)
            for a, sign, b in pairs
        ]
        step = steps[0]
        for following in steps[1:]:
            step = self.combine(np.logical_and, {"one": step, "two": following}, numbers=False)
        return step

    def check_parentheses(self, node: ast.BinOp) -> None:
        """``a > 1 & b > 2`` is ``a > (1 & b) > 2`` in Python, which nobody means."""
        source = self.source.encode()
        assert node.end_col_offset is not None
        before = source[: node.col_offset].rstrip()[-1:]
        after = source[node.end_col_offset :].lstrip()[:1]
        if (before, after) != (b"(", b")"):
            self.refuse(
                f"{self.shown(node)!r} is computed before the comparison: put comparisons in "
                "parentheses, (a > 1) & (b > 2), or write a > 1 and b > 2"
            )

    def of_subscript(self, node: ast.Subscript) -> Step:
        place = node.slice
        sign = 1
        if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
            place, sign = place.operand, -1
        if not isinstance(place, ast.Constant) or type(place.value) is not int:
            self.refuse(f"{self.shown(node)!r}: places are integers, as in Jet_pt[0]")
        index, text, inner = sign * place.value, self.shown(node.value), self.step(node.value)
        return lambda names: nth(inner(names), index, text)

    def of_attribute(self, node: ast.Attribute) -> Step:
        """``_p4_from_ptetaphie(pt, eta, phi, energy).mass``."""
        call = node.value
        name = self.dotted(call.func) if isinstance(call, ast.Call) else None
        if not isinstance(call, ast.Call) or name not in VECTORS:
            self.refuse(f"{self.shown(node)!r} is not accepted: only four-vectors have coordinates")
        asked = OTHER_NAMES.get(node.attr, node.attr)
        if asked not in COORDINATES:
            self.refuse(
                f"a four-vector has no {node.attr!r}: {near_misses(node.attr, COORDINATES)}"
            )
        self.check_call(call, name, 4)
        return self.combine(
            lambda *c: of_vector(name, c, asked), self.parts(*call.args), numbers=True
        )

    def of_call(self, node: ast.Call) -> Step:
        name = self.dotted(node.func)
        if name in VECTORS:
            self.refuse(f"{self.shown(node)!r} is a four-vector: take a coordinate, such as .mass")
        if name in OF_EVENT:
            self.check_call(node, name, 1)
            inner, text = self.step(node.args[0]), self.shown(node.args[0])
            return lambda names: aggregated(name, inner(names), text)
        if name not in FUNCTIONS:
            known = [*FUNCTIONS, *OF_EVENT]
            self.refuse(
                f"no function {name or self.shown(node.func)!r}: {near_misses(str(name), known)}"
            )
        function = FUNCTIONS[name]
        self.check_call(node, name, function.arguments)
        return self.combine(function.call, self.parts(*node.args), numbers=function.numbers)

    def check_call(self, node: ast.Call, name: str, arguments: int) -> None:
        if node.keywords:
            self.refuse(f"{name} takes no keywords, got {node.keywords[0].arg!r}")
        if len(node.args) != arguments:
            self.refuse(
                f"{name} takes {arguments} argument{'s' * (arguments > 1)}, got {len(node.args)}"
            )

    # ---- values --------------------------------------------------------------------------------

    def parts(self, *nodes: ast.expr) -> dict[str, Step]:
        """Steps by their texts; a text that comes twice is one step."""
        found: dict[str, Step] = {}
        for node in nodes:
            text = self.shown(node)
            found[_other(text, *found)] = self.step(node)
        return found

    def combine(
        self, call: Callable[..., Any], parts: Mapping[str, Step], *, numbers: bool
    ) -> Step:
        steps = dict(parts)

        def run(names: EventNames) -> Value:
            values = {text: step(names) for text, step in steps.items()}
            if numbers:
                values = {text: v._replace(array=number(v.array)) for text, v in values.items()}
            arrays, lists = together(values)
            return _as_value(call(*arrays), lists)

        return run


def _other(text: str, *taken: str) -> str:
    """A key for a text beside others: spaces behind it, if there is one."""
    while text in taken:
        text += " "
    return text


def _as_value(result: Any, lists: Jagged | None) -> Value:
    """What comes of constants alone is a Python number: NumPy's would widen float32."""
    if isinstance(result, np.generic) or (isinstance(result, np.ndarray) and result.ndim == 0):
        result = result.item()
    return Value(result, lists)


def _bitwise(ufunc: Any, pair: tuple[Any, Any], texts: list[str]) -> Any:
    for values, text in zip(pair, texts, strict=True):
        if isinstance(values, float) or getattr(values, "dtype", np.dtype(bool)).kind == "f":
            raise TypeError(f"& | ^ take truth values and integers, and {text} is a float")
    return ufunc(*pair)


def _exact(ufunc: Any, first: Any, second: Any) -> Any:
    """Sums, differences and products: of integers, int64, or float64 where that cannot hold them."""
    if all(isinstance(values, (bool, int, float)) for values in (first, second)):
        return ufunc(np.array(first, object), second)  # as Python has it, without limits
    numbers = number(first), number(second)
    wide = [_wide(values) for values in (first, second)]
    large = any(isinstance(w, int) and abs(w) >= 2**62 for w in wide)
    if large or any(w is None or getattr(w, "dtype", None) == np.uint64 for w in wide):
        return ufunc(*numbers)
    rounded = ufunc(*numbers)
    if bool((abs(rounded) >= 2.0**62).any()):
        return rounded
    return ufunc(*wide)


def _counted(ufunc: Any, first: Any, second: Any) -> Any:
    """Remainders and whole quotients: of integers, exactly; NaN where a number is divided by 0."""
    arrays = [first, second]
    wide = [_wide(values) for values in arrays]
    if any(values is None for values in wide) or (
        len({values.dtype for values in wide if hasattr(values, "dtype")}) > 1
    ):
        return ufunc(*(number(values) for values in arrays))
    divisor = wide[1]
    zero = (divisor == 0) if isinstance(divisor, int) else bool((divisor == 0).any())
    if zero:  # integers have no NaN
        return ufunc(*(number(values) for values in arrays))
    return ufunc(*wide)


def _wide(values: Any) -> Any:
    """Integers of 64 bits, or None for what is no integer."""
    if isinstance(values, (bool, int)):
        return int(values) if abs(values) < 2**64 else None
    if isinstance(values, float) or values.dtype.kind == "f":
        return None
    return values if values.dtype == np.uint64 else values.astype(np.int64)


def _invert(values: Any) -> Any:
    if isinstance(values, bool):
        return not values
    return np.invert(values)
