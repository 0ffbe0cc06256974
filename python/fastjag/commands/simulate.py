"""``fastjag simulate``: samples from a generator and a fast detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastjag.commands import App, OutOption, finish, show

app = App(help="Simulated samples: Pythia 8, fastjet and a fast detector.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command(epilog="Example: fastjag simulate diphoton --out samples --events 10000 --seed 1")
def diphoton(
    out: OutOption = Path("samples"),
    events: Annotated[int, typer.Option(min=1, help="Events to generate of each class.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same gives the same events.")] = 0,
    classes: Annotated[
        str | None, typer.Option(help="Some only, such as 'ggH125_gamgam,yy'. Default: all.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
) -> None:
    """Higgs production modes and prompt diphotons as ATLAS 2020 `mini` files, one per class."""
    from fastjag.analyses.diphoton.simulation.generate import simulate

    chosen = None if classes is None else [c.strip() for c in classes.split(",")]
    record = simulate(out, events, seed, chosen, workers=workers)
    table = Table("class", "generated", "with two photons", "cross-section [pb]")
    for name, sample in record["classes"].items():
        table.add_row(
            name, f"{sample['generated']:,}", f"{sample['written']:,}",
            f"{sample['cross_section_pb']:.4g}",
        )  # fmt: skip
    show(table, classes=record["classes"])
    lists = "std::vector" if record["std::vector"] else "counted arrays (std::vector needs PyROOT)"
    finish(f"lists are {lists}; files in {out}", out=out)
