"""The table that ends ``fastjag dimuon run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from fastjag.analyses.dimuon.verdicts import mark
from fastjag.reporting.report import fixed

_DISAGREE = "! beside toy p: it disagrees with the asymptotic p of Z; trust the toys"


def significances(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What the report's table comes to: one line for each way to look for the excess.

    Of cuts the best one is shown, as the global significance is that of the best.
    """
    shown = _shown(rows)
    toys = any(row["toy_p"] is not None for _, row in shown)
    titles = ["pairs", "excess in", "Z", *(["toy p", "global Z"] if toys else []), "S", "B", "rate"]
    table = Table(title="Significances", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for i, title in enumerate(titles):
        table.add_column(title, justify="left" if i < 2 else "right", overflow="fold")
    for i, (kind, row) in enumerate(shown):
        label = f"{kind}: {row['discriminant']}" if kind == "best feature cut" else kind
        cells = [row["pairs"], label, fixed(row["Z"], 2) + (" !" if mark(row) else "")]
        if toys:
            overall = row["Z_global"]
            cells += [_toy_p(row), "" if overall is None else fixed(overall, 2)]
        rate = row["rate"]
        cells += [fixed(row["S"], 1), fixed(row["B"], 1), "" if rate is None else f"{rate:.2%}"]
        last = i + 1 == len(shown) or shown[i + 1][1]["pairs"] != row["pairs"]
        table.add_row(*cells, end_section=last)
    said = [f"! beside Z: {why}" for why in dict.fromkeys(mark(row)[2:] for _, row in shown) if why]
    if any(row["agrees"] is False for _, row in shown):
        said.append(_DISAGREE)
    table.caption = "\n".join(said) or None
    table.caption_style = "bold red"
    return table


def _shown(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        name, selection = row["discriminant"], row["selection"]
        if selection in ("likelihood reweighting", "inclusive"):
            kind = selection
        elif selection == "best cut":
            kind = "classifier cut" if name == "classifier" else "best feature cut"
        else:
            continue  # a fixed rate: none of them is better than the best cut
        key = (row["pairs"], kind)
        if key not in best or best[key]["Z"] < row["Z"]:
            best[key] = row
    return [(kind, row) for (_, kind), row in best.items()]


def _toy_p(row: Mapping[str, Any]) -> str:
    """Of toys, with "!" where the asymptotic one disagrees; "" without toys."""
    if row["toy_p"] is None:
        return ""
    return f"{row['toy_p']:.2g}" + ("" if row["agrees"] else " !")
