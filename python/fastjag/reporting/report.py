"""Self-contained HTML reports: text, tables and pictures in one file."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fastjag.reporting.output import write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff }
h1, h2 { line-height: 1.2 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.wide { overflow-x: auto }
.many { font-size: .85rem }
.many th, .many td { padding: .2rem .4rem }
td.path { overflow-wrap: anywhere }
.warning { margin: 1rem 0; padding: .1rem 1rem; border-left: .4rem solid #bd1f01; background: #fbeeec }
figure { margin: 1rem 0 }
img { max-width: 100% }
nav { margin: 1rem 0; padding: .5rem 1rem; background: #f4f4f4 }
nav a { margin-right: 1rem }
footer { color: #666; font-size: .85rem; margin-top: 3rem }
"""


_LEAST = 3  # headings of a page with a list of contents
_MANY = 8  # columns from which on a table has smaller letters
_LISTED = 50  # files


class Report:
    """Collects sections in order; :meth:`write` makes the page.

    Warnings stand above all, whenever they were added. The contents are listed before the first
    heading, below what was added until then.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.headings: list[str] = []
        self.warnings: list[str] = []
        self._first = 0  # of ``parts``, the first heading
        self.parts = [f"<p>{escape(subtitle)}</p>"] if subtitle else []

    def warning(self, text: str) -> None:
        """What a reader must know before anything else."""
        self.warnings.append(text)

    def left_out(self, skipped: Sequence[Any]) -> None:
        """Warns of what could not be read, if there is anything; the page lists it with the reasons."""
        if skipped:
            self.warning(
                f"! {len(skipped)} of the files, or parts of them, cannot be read and are left out; they "
                "are listed below."
            )

    def heading(self, text: str) -> None:
        self._first = self._first if self.headings else len(self.parts)
        self.headings.append(text)
        anchor = f'<a id="section-{len(self.headings)}"></a>'
        self.parts.append(f"{anchor}<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        self.parts.append(f"<p>{escape(text)}</p>")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        def line(cells: Sequence[Any], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(_shown(c))}</{tag}>" for c in cells) + "</tr>"

        body = "".join(line(row, "td") for row in rows)
        table = f"<table>{line(columns, 'th')}{body}</table>"
        many = " many" if len(columns) >= _MANY else ""
        # One that is wider than the page all the same scrolls, not the page.
        self.parts.append(f'<div class="wide{many}">{table}</div>')

    def settings(self, values: Mapping[str, Any]) -> None:
        """All settings, those of sections as ``section.key``."""
        self.table(("setting", "value"), list(flat(values).items()))

    def files(self, files: Sequence[Any], what: str = "input file") -> None:
        """The files that all of this is made of."""
        shown = [str(file) for file in files[:_LISTED]]
        if len(files) > _LISTED:
            shown.append(f"and {len(files) - _LISTED:,} more")
        rows = "".join(f'<tr><td class="path">{escape(file)}</td></tr>' for file in shown)
        head = f"<tr><th>{len(files):,} {escape(what)}{'s' * (len(files) != 1)}</th></tr>"
        self.parts.append(f"<table>{head}{rows}</table>")

    def figure(self, png: Path, caption: str) -> None:
        """A picture, embedded."""
        data = base64.b64encode(png.read_bytes()).decode()
        self.parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def _contents(self) -> list[str]:
        links = (
            f'<a href="#section-{i}">{escape(heading)}</a>'
            for i, heading in enumerate(self.headings, 1)
        )
        return [f"<nav>{' '.join(links)}</nav>"] if len(self.headings) >= _LEAST else []

    def write(self, path: Path, footer: str) -> None:
        warnings = "".join(f"<p>{escape(text)}</p>" for text in self.warnings)
        top = [
            f"<h1>{escape(self.title)}</h1>",
            f'<div class="warning">{warnings}</div>' * bool(warnings),
        ]
        first, rest = self.parts[: self._first], self.parts[self._first :]
        body = "".join([*top, *first, *self._contents(), *rest])
        write_text(
            path,
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body>{body}<footer>{escape(footer)}</footer></body></html>\n",
        )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``section.key``."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            plain |= flat(value, f"{prefix}{key}.")
        else:
            plain[f"{prefix}{key}"] = value
    return plain


def fixed(value: float, digits: int) -> str:
    """With so many decimals; what rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def with_error(value: float, error: float) -> str:
    """A number with its error, both to the second digit of the error.

    >>> with_error(3.09428, 0.000613)
    '3.09428 ± 0.00061'
    >>> with_error(5123.4, 87.2)
    '5123 ± 87'
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    digits = max(0, 1 - math.floor(math.log10(float(f"{error:.1e}"))))
    return f"{fixed(value, digits)} ± {error:.{digits}f}"


def _shown(value: Any) -> str:
    if value is None or value in (float("inf"), float("-inf")):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # zero has no sign
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
