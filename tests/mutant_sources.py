"""Mutants of the CUDA kernels: where they are, and sources that hold all of them behind switches.

``switched`` writes ``a < b`` as ``(mutant(7) ? (a <= b) : (a < b))``, so that one build serves all mutants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# How a defect is made: name, what to look for in a line, what to put there.
OPERATORS = [
    ("no __syncthreads", re.compile(r"__syncthreads\(\);"), ";"),
    ("no __syncwarp", re.compile(r"__syncwarp\([^)]*\);"), ";"),
    ("< becomes <=", re.compile(r" < "), " <= "),
    (">= becomes >", re.compile(r" >= "), " > "),
    ("<= becomes <", re.compile(r" <= "), " < "),
    ("> becomes >=", re.compile(r" > "), " >= "),
    ("== and !=", re.compile(r" == (?!cudaSuccess)"), " != "),
    ("&& and ||", re.compile(r" &&(?: |$)"), " || "),
    ("|| and &&", re.compile(r" \|\|(?: |$)"), " && "),
    ("no + 1", re.compile(r" \+ 1\b(?![ul0-9.])"), ""),
    ("no - 1", re.compile(r" - 1\b(?![ul0-9.])"), ""),
    ("+= becomes =", re.compile(r" \+= "), " = "),
    ("% and /", re.compile(r" % (?=\w)"), " / "),
    (
        "half the lanes",
        re.compile(r"(?:(?<=half = )|(?<=lanes = )|(?<=step = ))(?:16|warp_lanes / 2|Lanes / 2)"),
        "HALF",
    ),
    ("no guard", re.compile(r"\bif \((?!constexpr).*\) (?:return|continue|break);"), ";"),
    ("plain, not atomic", re.compile(r"\batomic(?=(?:Add|Max|Min|Or|And|Exch|CAS)\()"), "plain"),
]
# x < y ? x : y is the same with <=.
SMALLER = re.compile(r"(.+?) \? [^:?]+ : \1(?=[;,)\]])")
COMPARISONS = {"< becomes <=", ">= becomes >", "<= becomes <", "> becomes >=", "== and !="}
CONDITION = re.compile(r"\b(?:for|if|while) \(|&&|\|\||\?|\breturn\b|\bbool\b")

ATOMICS = {
    "Add": "static_cast<T>(old + v)",
    "Max": "old < static_cast<T>(v) ? static_cast<T>(v) : old",
    "Min": "static_cast<T>(v) < old ? static_cast<T>(v) : old",
    "Or": "static_cast<T>(old | v)",
    "And": "static_cast<T>(old & v)",
    "Exch": "static_cast<T>(v)",
}
#: In front of every mutated file. ``maybeAdd(7, p, v)`` is a load, a computation and a store if mutant 7 is on.
PRELUDE = (
    "#ifndef FASTJAG_MUTANTS\n#define FASTJAG_MUTANTS\n#include <cuda_runtime.h>\n"
    "namespace cuda_emulation { __attribute__((const)) bool mutant(int number); }\n"
    "#define FASTJAG_MAYBE template <class T, class... U> __attribute__((always_inline)) inline T\n"
    + "\n".join(
        f"template <class T, class U> inline T plain{name}(T* p, U v) "
        f"{{ T const old = *p; *p = {new}; return old; }}\n"
        f"FASTJAG_MAYBE maybe{name}(int number, T* p, U... v) {{ return "
        f"cuda_emulation::mutant(number) ? plain{name}(p, v...) : atomic{name}(p, v...); }}"
        for name, new in ATOMICS.items()
    )
    + "\ntemplate <class T, class U, class V> inline T plainCAS(T* p, U was, V v) "
    "{ T const old = *p; if (old == static_cast<T>(was)) *p = static_cast<T>(v); return old; }\n"
    "FASTJAG_MAYBE maybeCAS(int number, T* p, U... v) { return "
    "cuda_emulation::mutant(number) ? plainCAS(p, v...) : atomicCAS(p, v...); }\n#endif\n"
)


@dataclass(frozen=True)
class Mutant:
    file: str  #: in cuda/, or in cpp/fastjag/ the rules that a kernel shares with the CPU
    line: int
    operator: str
    before: str  #: the line, without its indentation
    after: str
    column: int  #: where the line is changed
    end: str = ""  #: how it ended

    @property
    def words(self) -> list[str]:
        """Kernels to be tested: those that include a header."""
        if self.file.endswith(".cu"):
            stems = [self.file.removesuffix(".cu")]
        else:
            include = re.compile(rf'#include "(fastjag/)?{re.escape(self.file)}"')
            files = sorted((ROOT / "cuda").glob("*.cu"))
            stems = [f.stem for f in files if include.search(f.read_text())]
        return sorted({"pyramid" if stem == "pyramid_gram" else stem for stem in stems})

    @property
    def path(self) -> Path:
        """Its file, from the root of the sources."""
        return Path("cpp/fastjag" if self.file.endswith(".hpp") else "cuda") / self.file

    @property
    def key(self) -> tuple[str, str, str]:
        """What tests/equivalent_mutants.py knows it by."""
        return self.file, self.before, self.after


def sources() -> list[Path]:
    """Files with mutants."""
    paths = [p for p in sorted((ROOT / "cuda").glob("*.cu*")) if p.stem not in ("scan", "launch")]
    rules = [ROOT / "cpp" / "fastjag" / f"{p.stem}.hpp" for p in paths]
    return [*paths, *(p for p in rules if p.exists())]


def device_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of functions that run on the GPU, without comments."""
    header = body = None  # indentation of a function: its head, then its body
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"//.*", "", line).rstrip()
        indentation = len(code) - len(code.lstrip())
        if body is not None:
            if code.lstrip().startswith("}") and indentation <= body:
                body = None
            elif not code.lstrip().startswith(("#", "static_assert")):
                yield number, code
            continue
        if header is None and re.search(r"__(global|device)__|FASTJAG_HD", code):
            header = indentation
        if header is not None:
            if code.endswith("{"):
                header, body = None, header
            elif code.endswith((";", "}")):  # all on one line
                header = None
                yield number, code


class Change(NamedTuple):
    """What a mutant does to the text of a file."""

    mutant: Mutant
    start: int
    stop: int
    put: str


def changes(path: Path, text: str = "") -> Iterator[Change]:
    text = text or path.read_text()
    begins = [0]
    for line in text.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    unfinished = ""  # what an expression began with, in the lines before
    for number, code in device_lines(text):
        condition = CONDITION.search(unfinished + code)
        unfinished = "" if code.endswith((";", "{", "}")) else unfinished + code
        for name, pattern, new in OPERATORS:
            if name in COMPARISONS and not condition:
                continue
            if name == "+= becomes =" and re.search(r"\bfor \(.*;.*;", code):
                continue  # a loop that never ends
            for found in pattern.finditer(code):
                if name == "< becomes <=" and SMALLER.match(code[found.end() :]):
                    continue
                put = found[0] + " / 2" if new == "HALF" else new
                after = code[: found.start()] + put + code[found.end() :]
                mutant = Mutant(path.name, number, name, code.strip(), after.strip(), found.start())
                at = begins[number - 1]
                yield Change(mutant, at + found.start(), at + found.end(), put)


def alone(text: str, change: Change) -> str:
    """The text of a file with one mutant, which is always on."""
    changed = text[: change.start] + change.put + text[change.stop :]
    return with_prelude(changed)


def with_prelude(text: str) -> str:
    once = "#pragma once\n"
    front = once if once in text else ""
    return f"{front}{PRELUDE}#line 1\n{text.replace(once, chr(10), 1)}"


# What an expression stands between, where no bracket is open.
BEFORE = (" ? ", " : ", " = ", "return ", "else ", "case ",
          *(f" {sign}= " for sign in ("+", "-", "*", "/", "%", "|", "&", "^", "<<", ">>")))  # fmt: skip


def expression(flat: str, start: int, stop: int, *, assignment: bool = False) -> slice:
    """The whole expression around [start, stop); ``flat``: a text without comments and line breaks."""
    before = (") ", "else ") if assignment else BEFORE
    behind = () if assignment else (" ? ", " : ")
    depth, begin = 0, start
    while not (depth == 0 and (flat[begin - 1] in "([{;," or flat.endswith(before, 0, begin))):
        depth += (flat[begin - 1] in ")]}") - (flat[begin - 1] in "([{")
        begin -= 1
    depth, end = 0, stop
    while not (depth == 0 and (flat[end] in ")]};," or flat.startswith(behind, end))):
        depth += (flat[end] in "([{") - (flat[end] in ")]}")
        end += 1
    return slice(begin, end)


def switched(text: str, numbered: dict[int, Change]) -> str:
    """The text of a file with all of its mutants, each of which ``mutant(its number)`` turns on.

    Lines stay where they are."""
    flat = re.sub(r"//.*|\n", lambda found: " " * len(found[0]), text)
    regions: dict[tuple[int, int], list[int]] = {}
    for number, c in numbered.items():
        where = slice(c.start, c.stop)
        if c.mutant.operator == "+= becomes =":
            where = expression(flat, c.start, c.stop, assignment=True)
        elif c.mutant.operator == "plain, not atomic":
            where = slice(c.start, flat.index("(", c.start) + 1)
        elif c.put != ";":
            where = expression(flat, c.start, c.stop)
        blank = len(flat[where]) - len(flat[where].lstrip())
        regions.setdefault((where.start + blank, where.stop), []).append(number)

    def emit(begin: int, end: int, own: bool = True) -> str:
        """A part of the text; without ``own`` what is inside of this very region only."""
        out, at = "", begin
        inside = [r for r in regions if begin <= r[0] and r[1] <= end]
        inside = [r for r in inside if own or r != (begin, end)]
        for first, last in sorted(inside, key=lambda r: (r[0], -r[1])):
            if first >= at:
                out += text[at:first] + region(first, last)
                at = last
        return out + text[at:end]

    def region(first: int, last: int) -> str:
        changed, default = "", None
        for number in regions[first, last]:
            c, on = numbered[number], f"cuda_emulation::mutant({number})"
            if c.mutant.operator.startswith("no __sync"):
                return f"if (!{on}) {text[first:last]}"
            if c.mutant.operator == "no guard":
                close = text.rindex(") ", first, last)
                return f"if (!{on} && ({emit(first + 4, close)}){text[close:last]}"
            if c.mutant.operator == "plain, not atomic":
                return f"maybe{text[first:last].removeprefix('atomic')}{number}, "
            if c.mutant.operator == "+= becomes =":
                default = f"{emit(first, c.start)} += {emit(c.stop, last)}"
                changed += f"{on} ? ({flat[first : c.start]} = {flat[c.stop : last]}) : "
            else:
                mutated = flat[first : c.start] + c.put + flat[c.stop : last]
                changed += f"{on} ? ({mutated}) : "
        default = emit(first, last, own=False) if default is None else default
        return f"({changed}({default}))"

    return with_prelude(emit(0, len(text)))
