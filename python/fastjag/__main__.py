"""The command line: ``fastjag spectrum | convert | dimuon | toys | info``; analyses of stages in ``commands``."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Annotated

try:
    import typer
    from rich.table import Table
except ImportError as error:
    from fastjag.core.extras import how_to_install

    sys.exit(f"fastjag: error: {error}; the command line needs: {how_to_install('cli')}")

import numpy as np

from fastjag import __version__, kernels
from fastjag.commands import (
    App,
    FilesArgument,
    OutOption,
    SkipOption,
    StepOption,
    ThreadsOption,
    console,
    dimuon,
    diphoton,
    gammajet,
    importance,
    jets,
    rates,
    remark,
    simulate,
    step_of,
)
from fastjag.core import extras
from fastjag.reporting.output import results_directory

_LISTED = 10  # branches that are left out, in the terminal

app = App(
    help="Jagged collider events to tensors, observables and histograms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(dimuon.app, name="dimuon")
app.add_typer(jets.app, name="jets")
app.add_typer(gammajet.app, name="gammajet")
app.add_typer(diphoton.app, name="diphoton")
app.add_typer(simulate.app, name="simulate")
app.add_typer(importance.app, name="importance")
app.add_typer(rates.app, name="rates")


@app.command(epilog="Example: fastjag spectrum toys.root --out results --min-pt 4")
def spectrum(
    files: FilesArgument,
    out: OutOption = Path("spectrum"),
    min_pt: Annotated[float, typer.Option(help="Muon pt above this [GeV].")] = 0.0,
    max_abs_eta: Annotated[float, typer.Option(help="Muon |eta| below this.")] = float("inf"),
    muon_id: Annotated[
        str | None, typer.Option(help="Boolean muon column, such as tightId.")
    ] = None,
    exactly_two: Annotated[
        bool, typer.Option("--exactly-two", help="Only events with exactly two selected muons.")
    ] = False,
    trigger: Annotated[
        str | None, typer.Option(help="Boolean event branch, such as HLT_Mu17_Mu8.")
    ] = None,
    bins: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Bins of the logarithmic mass axis.")
    ] = 400,
    low: Annotated[float, typer.Option(help="Lowest mass [GeV].")] = 0.3,
    high: Annotated[float, typer.Option(help="Highest mass [GeV].")] = 150.0,
    step: StepOption = "100 MB",
    skip_errors: SkipOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Dimuon mass spectrum: picture, histograms (ROOT), summary (JSON) and report (HTML)."""
    from fastjag.analyses import spectrum as job

    with results_directory(out) as directory:  # now: hours later is late for "cannot be written"
        result = job.spectrum(
            files,
            job.Selection(min_pt, max_abs_eta, muon_id, exactly_two, trigger),
            bins=bins,
            mass_range=(low, high),
            step=step_of(step),
            on_error="skip" if skip_errors else "raise",
            threads=threads,
        )
        job.write(result, directory, __version__)
    table = Table("step", "events or pairs", title="Cutflow")
    table.columns[1].justify = "right"
    for name, n in result.cutflow.items():
        table.add_row(name, f"{n:,}")
    console.print(table)
    windows = Table("window", "GeV", "opposite sign", "same sign", title="Yields")
    for name, yields in result.windows.items():
        lo, hi = job.WINDOWS[name]
        windows.add_row(name, f"{lo}-{hi}", f"{yields['opposite']:,}", f"{yields['same']:,}")
    console.print(windows)
    _print_skipped([(s.file, s.reason) for s in result.skipped])
    console.print(f"{result.seconds:.2f} s; results in {out}", soft_wrap=True)


@app.command(
    epilog="Example: fastjag convert jets.root --out h5 --format hdf5 --columns 'pfcand_*' "
    "--columns 'track_*' --pad pfcand=100 --pad track=60"
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
) -> None:
    """ROOT files to Parquet, HDF5 or NPZ with flat, jagged and zero-padded columns."""
    from fastjag.analyses import convert as job

    result = job.convert(
        files,
        out,
        format=format,
        columns=columns,
        pad=job.Pad.parse_all(pad or []),
        fill=fill,
        step=step_of(step),
        on_error="skip" if skip_errors else "raise",
        version=__version__,
    )
    table = Table("output", "events")
    for name, n in result.events.items():
        table.add_row(name, f"{n:,}")
    console.print(table)
    _print_skipped([(s.file, s.reason) for s in result.skipped])
    left_out = dict.fromkeys((b.branch, b.reason) for b in result.left_out)  # of all files
    for branch, reason in list(left_out)[:_LISTED]:
        remark("left out", f"{branch}: {reason}")
    if len(left_out) > _LISTED:
        remark("left out", f"{len(left_out) - _LISTED} more branches, listed in {out}/convert.json")
    console.print(f"{len(result.columns)} columns; results in {out}", soft_wrap=True)


@app.command(epilog="Example: fastjag toys toys.root --events 200000 --seed 1")
def toys(
    path: Annotated[Path, typer.Argument(help="The ROOT file to write.")],
    events: Annotated[int, typer.Option(min=0, help="Number of events.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
    compression: Annotated[str, typer.Option(help="lz4, zstd, zlib or none.")] = "lz4",
) -> None:
    """Write a NanoAOD-format file of simulated dimuon events."""
    from fastjag import toys as generator

    generator.write(path, events, seed=seed, compression=compression)
    console.print(f"{events:,} events in {path}", soft_wrap=True)


@app.command(epilog="Example: fastjag info")
def info() -> None:
    """Version, how the kernels were built, and what they will use here."""
    table = Table(show_header=False)
    table.add_row("fastjag", __version__)
    table.add_row("Python, NumPy", f"{sys.version.split()[0]}, {np.__version__}")
    for name, value in kernels.build_info().items():
        table.add_row(name, str(value))
    table.add_row("threads", str(kernels.get_num_threads()))
    table.add_row("CUDA", _cuda())
    absent = extras.incomplete_extras()
    for extra, modules in absent.items():
        table.add_row(f"extra {extra}", f"lacks {', '.join(modules)}")
    console.print(table)
    for extra in absent:
        console.print(extras.how_to_install(extra), soft_wrap=True, highlight=False, markup=False)


def _cuda() -> str:
    """Which CUDA the kernels were built with, or why there is none to be used."""
    try:
        runtime = kernels.cuda_module().runtime
    except RuntimeError as error:
        return str(error).removeprefix("device 'cuda' is ")
    return f"{runtime // 1000}.{runtime % 1000 // 10}"


def _print_skipped(skipped: list[tuple[str, str]]) -> None:
    for file, reason in skipped:
        remark("skipped", f"{file}: {reason}")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fastjag {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"fastjag: warning: {message}", file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> None:
    print(f"fastjag: ended by {signal.Signals(signum).name}", file=sys.stderr)
    sys.exit(128 + signum)  # an exception, so that half-written results are removed


def main() -> None:
    """Entry point: one line per error on stderr, exit code 1; 130 after Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _terminate)
    warnings.showwarning = _show_warning  # one line each, without the line of Python
    try:
        app()
    except (OSError, ValueError, KeyError, TypeError, ImportError, MemoryError) as error:
        if os.environ.get("FASTJAG_TRACEBACK"):
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"fastjag: error: {text}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
