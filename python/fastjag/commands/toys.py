"""``fastjag toys``: simulated dimuon events in a NanoAOD-format file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastjag.commands import App, finish

app = App()


@app.command(epilog="Example: fastjag toys toys.root --events 200000 --seed 1")
def toys(
    path: Annotated[Path, typer.Argument(help="The ROOT file to write.")],
    events: Annotated[int, typer.Option(min=0, help="Number of events.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
    compression: Annotated[str, typer.Option(help="lz4, zstd, zlib, lzma or none.")] = "lz4",
) -> None:
    """Write a NanoAOD-format file of simulated dimuon events."""
    from fastjag import toys as generator

    generator.write(path, events, seed=seed, compression=compression)
    finish(f"{events:,} events in {path}", events=events, out=path)
