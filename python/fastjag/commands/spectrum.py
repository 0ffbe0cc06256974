"""``fastjag spectrum``: the dimuon mass spectrum."""

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
    ThreadsOption,
    finish,
    remark,
    show,
    show_skipped,
    step_of,
)
from fastjag.reporting.output import results_directory

app = App()


@app.command(
    reads=True, draws=True, epilog="Example: fastjag spectrum toys.root --out results --min-pt 4"
)
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
    fit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PEAK", help="Fit J/psi, Upsilon or a window such as 2.9:3.3; may be repeated."
        ),
    ] = None,
    variations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Variations of scales and weights: docs/spectrum.md."
        ),
    ] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Leave out the pictures.")
    ] = False,
    step: StepOption = "100 MB",
    skip_errors: SkipOption = False,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """Dimuon mass spectrum: picture, histograms (ROOT), summary (JSON) and report (HTML)."""
    from fastjag.analyses import spectrum as job
    from fastjag.analyses import spectrum_fits
    from fastjag.analyses.common.variations import read_variations
    from fastjag.commands.executors import workers_of

    varied = read_variations(variations) if variations else ()
    workers = workers_of(executor, keep, device)
    # Now: hours later is late for "cannot be written".
    with results_directory(out, job.earlier_pictures) as directory:
        result = job.spectrum(
            files,
            job.MuonSelection(min_pt, max_abs_eta, muon_id, exactly_two, trigger),
            bins=bins,
            mass_range=(low, high),
            step=step_of(step),
            on_error="skip" if skip_errors else "raise",
            threads=threads,
            fits=fit or (),
            variations=varied,
            workers=workers,
        )
        job.write(result, directory, pictures=not no_pictures)
    table = Table("step", "events or pairs", title="Cutflow")
    table.columns[1].justify = "right"
    for name, n in result.cutflow.items():
        table.add_row(name, f"{n:,}")
    show(table, cutflow=result.cutflow)
    windows = Table("window", "GeV", "opposite sign", "same sign", title="Yields")
    for name, yields in result.windows.items():
        lo, hi = job.WINDOWS[name]
        windows.add_row(name, f"{lo}-{hi}", f"{yields['opposite']:,}", f"{yields['same']:,}")
    show(windows, yields={name: dict(zip(("low", "high"), job.WINDOWS[name], strict=True)) | yields
                          for name, yields in result.windows.items()})  # fmt: skip
    if result.fits:
        # Of all columns as many as 80 characters hold; the report has the background, too.
        shown = [i for i, name in enumerate(spectrum_fits.HEAD) if name != "background"]
        peaks = Table(*(spectrum_fits.HEAD[i] for i in shown), title="Peaks")
        for row in spectrum_fits.rows(result.fits):
            peaks.add_row(*(row[i] for i in shown))
        show(peaks, fits=spectrum_fits.summary(result.fits, not no_pictures))
        for name, text in spectrum_fits.remarks(result.fits):
            remark(name, text)
    show_skipped(result.skipped)
    finish(f"{result.seconds:.2f} s; results in {out}", seconds=result.seconds, out=out)
