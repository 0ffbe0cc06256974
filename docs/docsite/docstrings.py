"""Docstrings as Sphinx reads them: plain text, of which indented blocks are code, and sections have a title."""

import dataclasses
import re

from fastjag.analyses.common.config import accepted
from fastjag.core.settings import is_settings, keys_of


def as_rst(app, what, name, obj, options, lines):
    """Change the lines of a docstring: what looks like markup in it is text, but for backticks."""
    if lines and lines[0].startswith("Alias for field number"):
        lines[:] = []  # of a NamedTuple: says nothing
    lines[:] = _escaped(_sections(lines))
    if what == "class" and is_settings(obj):
        lines += _keys(obj)


def _indent(line):
    return len(line) - len(line.lstrip())


def _sections(lines):
    """Underlined titles become rubrics; names of parameters are shown as code."""
    given, parameters = [], False
    i = 0
    while i < len(lines):
        line, below = lines[i], lines[i + 1] if i + 1 < len(lines) else ""
        if line and re.fullmatch(r"-{3,}", below):
            given += [f".. rubric:: {line}", ""]
            parameters = line != "Examples"
            i += 1
        elif parameters and line and not _indent(line) and _indent(below):
            given.append(f"``{line}``")
        else:
            given.append(line)
        i += 1
    return given


def _escaped(lines):
    """Blocks deeper than the paragraph above are marked as code; outside of code nothing is markup."""
    given, last, code, example = [], "", None, False
    for i, line in enumerate(lines):
        if not line.strip():
            example = False
            given.append(line)
            continue
        first = not i or not lines[i - 1].strip()
        if code is not None and _indent(line) < code:
            code = None
        if code is None and first and last and _indent(line) > _indent(last):
            if last.endswith("::"):
                code = _indent(line)
            elif not last.lstrip().startswith(("- ", ".. ")):
                given += [" " * _indent(last) + "::", ""]
                code = _indent(line)
        example = example or line.lstrip().startswith(">>>")
        plain = code is None and not example
        given.append(escape(line, "`") if plain else line)
        last = line
    return given


def escape(text, code="``"):
    """Text for reStructuredText in which only backticks mean something; code is set in ``code``."""
    pieces = re.split(r"(``.*?``|:[\w:]+:`.*?`|`.*?`)", text)
    pieces[::2] = [
        re.sub(r"[|*]", r"\\\g<0>", re.sub(r"(?<=\w)_(?!\w)", r"\\_", piece))
        for piece in pieces[::2]
    ]
    pieces[1::2] = [
        f"`{piece}`" if code == "``" and re.match("`[^`]", piece) else piece
        for piece in pieces[1::2]
    ]
    return "".join(pieces)


def _keys(kind):
    """The keys of a class of settings: what they accept, their default and their meaning."""
    lines = ["", ".. rubric:: Keys", ""]
    for key, said in keys_of(kind).items():
        default = "required"
        if said.default is not None:
            value = said.default()
            shown = f"{type(value).__name__}()" if dataclasses.is_dataclass(value) else repr(value)
            default = f"default ``{shown}``"
        lines += [f"``{key}``", f"    {escape(said.doc)} {escape(accepted(said))}; {default}.", ""]
    return lines


_ARRAY = re.compile(
    r"~?(?:\w+\.)*ndarray\[tuple\[~?(?:\w+\.)*Any, \.\.\.\], ~?(?:\w+\.)*dtype\[~?(?:\w+\.)*(\w+)\]\]"
)
_ALIAS = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")


def shorten(app, what, name, obj, options, signature, returned):
    """Types as they are written in the sources: NDArray[float64], ArrayLike."""
    return tuple(
        part and _ALIAS.sub(r"\1", _ARRAY.sub(r"NDArray[\1]", part))
        for part in (signature, returned)
    )


def skip(app, what, name, obj, skip, options):
    """Methods that scikit-learn adds to its estimators are described there."""
    return True if re.fullmatch("set_.*_request", name) else None
