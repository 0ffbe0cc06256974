"""``fastjag gammajet``: the response of jets in photon+jet events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastjag.commands import App, OutOption, add_config, console

app = App(help="Jet response by balance and MPF in photon+jet events.", no_args_is_help=True)


@app.command(epilog="Example: fastjag gammajet run gammajet.toml --out response")
def run(
    config: Annotated[Path, typer.Argument(help="The configuration (TOML).")],
    out: OutOption = Path("gammajet"),
    until: Annotated[str, typer.Option(help="Last stage: select, response or report.")] = "report",
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.gammajet.config import GammaJetConfig
    from fastjag.analyses.gammajet.run import STAGES, GammaJet
    from fastjag.core.checks import one_of

    one_of("until", until, STAGES)
    job = GammaJet(GammaJetConfig.read(config), out)
    job.run([until], told=lambda what: console.print(what, highlight=False))
    if until == "report":
        _print_responses(job.folder("report"))
    console.print(f"results in {job.folder(until)}", soft_wrap=True)


@app.command(epilog="Example: fastjag gammajet demo --out demo/gammajet")
def demo(
    out: OutOption = Path("gammajet-demo"),
    events: Annotated[int, typer.Option(min=1, help="Simulated events of each kind.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 1,
) -> None:
    """Simulate data (response 0.97) and two overlapping samples (1.02), and measure both."""
    from fastjag.analyses.gammajet import toys
    from fastjag.reporting.output import write_text

    out.mkdir(parents=True, exist_ok=True)
    toys.write(out / "data.root", events, response=0.97, seed=seed)
    for i, kind in enumerate(("gjets", "qcd")):
        toys.write(out / f"{kind}.root", events, kind=kind, response=1.02, seed=seed + 1000 + i)
    # The sample with a cut at generation has the cross-section of what is left.
    write_text(out / "gammajet.toml", toys.configuration(out))
    run(out / "gammajet.toml", out, "report")


add_config(app, "gammajet", "GammaJetConfig")


def _print_responses(folder: Path) -> None:
    import json

    from fastjag.statistics import fit_warning

    found = json.loads((folder / "results.json").read_text())
    table = Table(
        "sample", "|eta|", "estimator", "photon pt [GeV]", "at alpha = 0", title="Response"
    )
    for name in ("data", "simulation"):
        for part in found.get(name, []):
            bins = [b for b in part["bins"] if b["line"]["intercept"] is not None]
            if bins:
                best = min(bins, key=lambda b: b["line"]["error"])
                line = best["line"]
                table.add_row(
                    name, "{:g}-{:g}".format(*part["eta"]), part["estimator"],
                    f"{best['low']:g}-{best['high']:g}",
                    f"{line['intercept']:.4f} ± {line['error']:.4f} "
                    f"{fit_warning(line['chi2'], line['dof'])}".strip(),
                )  # fmt: skip
    console.print(table)
    for warning in found.get("warnings", []):
        console.print(warning, style="yellow", soft_wrap=True, highlight=False, markup=False)
