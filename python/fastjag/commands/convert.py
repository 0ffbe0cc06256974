"""``fastjag convert``: ROOT files to Parquet, HDF5 or NPZ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastjag.commands import (
    App,
    ExecutorOption,
    FilesArgument,
    KeepOption,
    OutOption,
    ReadDeviceOption,
    SkipOption,
    StepOption,
    finish,
    remark,
    show,
    show_skipped,
    step_of,
)

_LISTED = 10  # branches that are left out, in the terminal

app = App()


@app.command(
    reads=True,
    epilog="Example: fastjag convert jets.root --out h5 --format hdf5 --columns 'pfcand_*' "
    "--columns 'track_*' --pad pfcand=100 --pad track=60",
)
def convert(
    files: FilesArgument,
    out: OutOption = Path("converted"),
    format: Annotated[str, typer.Option(help="parquet, hdf5 or npz.")] = "parquet",
    columns: Annotated[
        list[str] | None, typer.Option(help="Branches or patterns; repeat. Default: all.")
    ] = None,
    pad: Annotated[
        list[str] | None,
        typer.Option(
            help="Zero-pad a collection: Muon=5, or Muon=5:pt for the 5 highest pt; "
            "nMuon then still counts all."
        ),
    ] = None,
    fill: Annotated[float, typer.Option(help="Value of empty slots.")] = 0.0,
    step: StepOption = "100 MB",
    skip_errors: SkipOption = False,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """ROOT files to Parquet, HDF5 or NPZ with flat, jagged and zero-padded columns."""
    from fastjag.analyses import convert as job
    from fastjag.commands.executors import workers_of

    result = job.convert(
        files,
        out,
        format=format,
        columns=columns,
        pad=job.Pad.parse_all(pad or []),
        fill=fill,
        step=step_of(step),
        on_error="skip" if skip_errors else "raise",
        workers=workers_of(executor, keep, device),
    )
    table = Table("output", "events")
    for name, n in result.events.items():
        table.add_row(name, f"{n:,}")
    show(table, events=result.events)
    show_skipped(result.skipped)
    left_out = dict.fromkeys((b.branch, b.reason) for b in result.left_out)  # of all files
    for branch, reason in list(left_out)[:_LISTED]:
        remark("left out", f"{branch}: {reason}")
    if len(left_out) > _LISTED:
        remark("left out", f"{len(left_out) - _LISTED} more branches, listed in {out}/convert.json")
    finish(f"{len(result.columns)} columns; results in {out}", columns=result.columns, out=out)
