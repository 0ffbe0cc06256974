"""``fastjag rates``: trigger rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastjag.analyses.rates.config import RatesConfig, SectionWindow, Target
from fastjag.commands import (
    App,
    ExecutorOption,
    FilesArgument,
    KeepOption,
    OutOption,
    StepOption,
    add_config,
    finish,
    option,
    remark,
    show,
    step_of,
    tell,
)

if TYPE_CHECKING:
    from fastjag.analyses.rates.results import RatesResult

app = App(
    help="Trigger rates from NanoAOD files or by hand, and how they grow with pileup.",
    no_args_is_help=True,
)
PileupOption = Annotated[float | None, option(Target, "pileup", "--at")]
BunchesOption = Annotated[float | None, option(Target, "bunches")]
FactorOption = Annotated[float, option(Target, "factor")]


@app.command(
    reads=True,
    draws=True,
    epilog="Example: fastjag rates count data/*.root --trigger HLT_Photon30EB "
    "--window 355892:16-100 --golden golden.json --out rates",
)
def count(
    files: FilesArgument,
    trigger: Annotated[
        list[str], typer.Option(help="Trigger branch or pattern ('HLT_Mu*'); repeat.")
    ],
    window: Annotated[
        list[str] | None,
        typer.Option(help="RUN:FIRST-LAST or RUN; repeat. Default: every run of the files."),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(help="CSV of windows: run, first, last, pileup, prescale, bunches, trigger."),
    ] = None,
    golden: Annotated[Path | None, option(RatesConfig, "golden")] = None,
    dead_time: Annotated[float, option(RatesConfig, "dead_time")] = RatesConfig.dead_time,
    at: PileupOption = None,
    bunches: BunchesOption = None,
    factor: FactorOption = Target.factor,
    step: StepOption = "100 MB",
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    out: OutOption = Path("rates"),
) -> None:
    """Counts of trigger bits per luminosity section, rates with errors, rate against pileup."""
    from fastjag.analyses.rates.run import run
    from fastjag.analyses.rates.tables import read_windows
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep)
    chosen = [SectionWindow.parse(text) for text in window or []]
    chosen += read_windows(windows) if windows else []
    config = RatesConfig(trigger=tuple(trigger), golden=None if golden is None else str(golden), dead_time=dead_time,
                         target=Target(pileup=at, bunches=bunches, factor=factor))  # fmt: skip
    _show(
        run(files, out, config, windows=chosen, step=step_of(step), workers=workers),
        out,
    )


@app.command(draws=True, epilog="Example: fastjag rates fit rates.csv --at 50 --out rates")
def fit(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV with rate (or counts and sections), pileup, and optionally trigger, run, "
            "first, last, error, prescale, bunches."
        ),
    ],
    at: PileupOption = None,
    bunches: BunchesOption = None,
    factor: FactorOption = Target.factor,
    out: OutOption = Path("rates"),
) -> None:
    """The same from a table of rates, for example entered by hand from a monitoring page."""
    from fastjag.analyses.rates.run import run

    config = RatesConfig(target=Target(pileup=at, bunches=bunches, factor=factor))
    _show(run(table, out, config, start="fit"), out)


@app.command(draws=True, epilog="Example: fastjag rates demo --out demo")
def demo(
    out: OutOption = Path("rates-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the toys.")] = 1,
) -> None:
    """Toy files of six runs: 0.41 and 0.09 Hz per unit of pileup, 20.5 and 4.5 Hz at 50."""
    from fastjag.analyses.rates import toys

    _show(toys.demo(out, seed=seed), out)


def _show(result: RatesResult, out: Path) -> None:
    from fastjag.analyses.rates.report import with_error

    table = Table("trigger", "run", "sections", "counts", "rate [Hz]", "pileup", title="Rates")
    for r in result.rates:
        cells = ("-" if c is None else str(c) for c in (r.run, r.sections, r.counts))
        pileup = "-" if r.pileup is None else f"{r.pileup:.4g}"
        table.add_row(r.trigger, *cells, with_error(r.rate, r.error), pileup)
    show(table, predictions=result.predictions, rates=[
        {"trigger": r.trigger, "run": r.run, "sections": r.sections, "counts": r.counts,
         "rate": r.rate, "error": r.error, "pileup": r.pileup} for r in result.rates
    ])  # fmt: skip
    for trigger, predictions in result.predictions.items():
        for name, rate in predictions.items():
            at = f"{trigger} at pileup {result.target.pileup:g}"
            tell(f"{at} ({name}): {with_error(*rate)} Hz")
    for note in result.notes:
        remark("note", note)
    finish(f"results in {out}", out=out)


add_config(app, "rates", "RatesConfig")
