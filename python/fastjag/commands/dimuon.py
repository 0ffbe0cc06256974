"""``fastjag dimuon``: the dimuon anomaly search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fastjag import __version__
from fastjag.commands import App, DeviceOption, OutOption, ThreadsOption, console
from fastjag.commands.importance import show

app = App(help="The dimuon anomaly search: flow, classifiers and bump hunt.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command(epilog="Example: fastjag dimuon run search.toml --out search")
def run(
    config: Annotated[Path, typer.Argument(help="The configuration, TOML or YAML.")],
    out: OutOption = Path("dimuon"),
    until: Annotated[
        str,
        typer.Option(
            help="Last stage: prepare, scan, flow, samples, check, classify, significance, report."
        ),
    ] = "report",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.dimuon.config import Config
    from fastjag.analyses.dimuon.search import STAGES, Search
    from fastjag.arrays import one_of

    stages = STAGES[: STAGES.index(one_of("until", until, STAGES)) + 1]
    search = Search(Config.read(config), out, threads=threads, device=device)
    search.run(stages, told=lambda what: console.print(what, highlight=False))
    if until == "report":
        results = json.loads((search.folder("report") / "results.json").read_text())
        console.print(_summary(results["table"]))
    console.print(f"results in {search.folder(until)}", soft_wrap=True)


def _summary(rows: list[dict[str, Any]]) -> Table:
    """What the report's table comes to: one line for each way to look for the excess."""
    table = Table(
        "pairs", "discriminant", "Z", "global Z", "S", "B", "of sidebands", title="Significances"
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for pairs in dict.fromkeys(row["pairs"] for row in rows):
        best: dict[str, dict[str, Any]] = {}
        for row in (row for row in rows if row["pairs"] == pairs):
            name, selection = row["discriminant"], row["selection"]
            if selection == "likelihood reweighting":
                kind = selection
            elif name == "none":
                kind = "inclusive"
            else:
                kind = "classifier cut" if name == "classifier" else "best feature cut"
            if kind not in best or best[kind]["Z"] < row["Z"]:
                best[kind] = row
        for kind, row in best.items():
            label = f"{kind}: {row['discriminant']}" if kind == "best feature cut" else kind
            rate, overall = row["rate"], row["Z_global"]
            table.add_row(
                pairs, label, f"{row['Z']:.2f}", "" if overall is None else f"{overall:.2f}",
                f"{row['S']:.1f}", f"{row['B']:.1f}", "" if rate is None else f"{rate:.2%}",
                end_section=row is list(best.values())[-1],
            )  # fmt: skip
    return table


@app.command(epilog="Example: fastjag dimuon importance search.toml --out search")
def importance(
    config: Annotated[Path, typer.Argument(help="The configuration, TOML or YAML.")],
    out: OutOption = Path("dimuon"),
    threads: ThreadsOption = None,
) -> None:
    """Which features tell the data of the signal region from the flows' samples there."""
    from fastjag.analyses.dimuon.config import Config
    from fastjag.analyses.dimuon.importance import importances
    from fastjag.analyses.dimuon.search import Search
    from fastjag.analyses.importance import pages

    search = Search(Config.read(config), out, threads=threads)
    search.run(["samples"], told=lambda what: console.print(what, highlight=False))
    result = importances(search)
    pages.write(result, out / "importance", __version__)
    show(result, out / "importance")


@app.command(
    epilog="Example: fastjag dimuon toys toys/toys.root --events 80000 --signal 270 --seed 1"
)
def toys(
    path: Annotated[Path, typer.Argument(help="The ROOT file; search.toml is written beside it.")],
    events: Annotated[
        int, typer.Option(min=1, help="Number of events, one pair or more in each.")
    ] = 80_000,
    signal: Annotated[
        int, typer.Option(min=0, help="Hidden Upsilons among them, of which 36 % pass the cuts.")
    ] = 270,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
) -> None:
    """Simulated pairs with a hidden, anti-isolated Upsilon, and the configuration to find it."""
    from fastjag.analyses.dimuon.toys import write_search

    config = write_search(path, events, signal=signal, seed=seed)
    console.print(f"{events:,} events in {path}; fastjag dimuon run {config}", soft_wrap=True)
