"""``fastjag gammajet``: the response of jets in photon+jet events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastjag.commands import (
    App,
    ConfiguredExecutorOption,
    ExecutorOption,
    KeepOption,
    OutOption,
    ReadDeviceOption,
    add_config,
    finish,
    show,
    tell,
    warn,
)

if TYPE_CHECKING:
    from fastjag.analyses.gammajet.results import GammaJetResults

app = App(help="Jet response by balance and MPF in photon+jet events.", no_args_is_help=True)


@app.command(
    reads=True, draws=True, epilog="Example: fastjag gammajet run gammajet.toml --out response"
)
def run(
    config: Annotated[Path, typer.Argument(help="The configuration (TOML).")],
    out: OutOption = Path("gammajet"),
    until: Annotated[str, typer.Option(help="Last stage: select, response or report.")] = "report",
    executor: ConfiguredExecutorOption = None,
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.gammajet.config import GammaJetConfig
    from fastjag.analyses.gammajet.run import STAGES
    from fastjag.analyses.gammajet.run import run as run_stages
    from fastjag.commands.executors import workers_of
    from fastjag.core.checks import one_of

    one_of("until", until, STAGES)
    settings = GammaJetConfig.read(config)
    workers = workers_of(executor, keep, device, settings.workers, config.parent)
    results = run_stages(settings, out, [until], workers=workers, told=tell)
    if until == "report":
        _print_responses(results)
    finish(f"results in {results.folder(until)}", out=results.folder(until))


@app.command(draws=True, epilog="Example: fastjag gammajet demo --out demo/gammajet")
def demo(
    out: OutOption = Path("gammajet-demo"),
    events: Annotated[int, typer.Option(min=1, help="Simulated events of each kind.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 1,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
) -> None:
    """Simulate data (response 0.97) and two overlapping samples (1.02), and measure both."""
    from fastjag.analyses.gammajet import toys
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep)
    results = toys.demo(out, events=events, seed=seed, workers=workers, told=tell)
    _print_responses(results)
    finish(f"results in {results.folder('report')}", out=results.folder("report"))


add_config(app, "gammajet", "GammaJetConfig")


def _print_responses(results: GammaJetResults) -> None:
    from fastjag.reporting.report import with_error
    from fastjag.statistics import fit_warning

    summary = results.summary()
    table = Table(
        "sample", "|eta|", "estimator", "photon pt [GeV]", "at alpha = 0", title="Response"
    )
    rows = []
    for name in ("data", "simulation"):
        for part in summary.get(name, []):
            bins = [b for b in part["bins"] if b["line"]["intercept"] is not None]
            if bins:
                best = min(bins, key=lambda b: b["line"]["error"])
                line = best["line"]
                rows.append({"sample": name, "abs_eta": part["eta"],
                             "estimator": part["estimator"], "photon_pt": [best["low"], best["high"]],
                             "response": line["intercept"], "error": line["error"],
                             "chi2": line["chi2"], "dof": line["dof"]})  # fmt: skip
                table.add_row(
                    name, "{:g}-{:g}".format(*part["eta"]), part["estimator"],
                    f"{best['low']:g}-{best['high']:g}",
                    f"{with_error(line['intercept'], line['error'])} "
                    f"{fit_warning(line['chi2'], line['dof'])}".strip(),
                )  # fmt: skip
    show(table, responses=rows)
    for warning in summary.get("warnings", []):
        warn(warning)
