"""Text and HTML that show columns on a terminal and in a notebook: short, whatever their size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from fastjag.core.arrays import Array
from fastjag.core.devices import to_host

#: Names in a list, characters of a name, values in a cell, columns and rows of a table.
NAMES, LETTERS, VALUES, COLUMNS, ROWS = 8, 40, 4, 8, 6


def short(name: object) -> str:
    """A name in at most 40 characters, on one line."""
    text = " ".join(str(name).split())
    return text if len(text) <= LETTERS else text[: LETTERS - 3] + "..."


def listed(names: Sequence[str]) -> str:
    """At most eight names, and how many more there are."""
    more = f", ... ({len(names)} in all)" if len(names) > NAMES else ""
    return ", ".join(short(name) for name in names[:NAMES]) + more


def numbers(values: Array) -> str:
    """The first values of an array of numbers, or of text."""
    some = [short(x) if isinstance(x, str) else f"{x:.4g}" for x in to_host(values[:VALUES])]
    return ", ".join(some) + (", ..." if len(values) > VALUES else "")


def html_table(caption: str, header: Sequence[object], rows: Iterable[Sequence[Any]]) -> str:
    """A table for notebooks; everything in it is text, never markup."""
    cells = "".join(f"<th>{escape(short(name))}</th>" for name in header)
    lines = [f"<tr>{cells}</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    ]
    return f"<div><p>{escape(caption)}</p><table>{''.join(lines)}</table></div>"
