"""``fastjag dimuon``: the dimuon anomaly search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastjag.commands import OutOption, ThreadsOption, console

app = typer.Typer(
    help="The dimuon anomaly search: flow, classifiers and bump hunt.", no_args_is_help=True
)


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
            help="Last stage: prepare, flow, samples, check, classify, significance or report."
        ),
    ] = "report",
    device: Annotated[str, typer.Option(help="cpu or cuda, for flows and classifiers.")] = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.dimuon.config import Config
    from fastjag.analyses.dimuon.search import Search

    search = Search(Config.read(config), out, threads=threads, device=device)
    search.run([until], told=lambda what: console.print(what, highlight=False))
    console.print(f"results in {search.folder(until)}", soft_wrap=True)
