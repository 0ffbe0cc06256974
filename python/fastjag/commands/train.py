"""``fastjag train``: a tagger from files to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastjag.commands import (
    App,
    ExecutorOption,
    KeepOption,
    OutOption,
    add_config,
    finish,
    show,
    tell,
    warn,
)

if TYPE_CHECKING:
    from fastjag.analyses.train.results import TaggerResults

app = App(
    help="Taggers (DeepSets, Particle Transformer, XGBoost) from files to an exported model and a report.",
    no_args_is_help=True,
)


@app.command(reads=True, draws=True, epilog="Example: fastjag train run tagger.toml --out tagger")
def run(
    config: Annotated[Path, typer.Argument(help="The configuration (TOML).")],
    out: OutOption = Path("tagger"),
    until: Annotated[
        str, typer.Option(help="Last stage: split, train, score or report.")
    ] = "report",
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.train.config import TaggerConfig
    from fastjag.analyses.train.run import STAGES
    from fastjag.analyses.train.run import run as run_stages
    from fastjag.commands.executors import workers_of
    from fastjag.core.checks import one_of

    one_of("until", until, STAGES)
    workers = workers_of(executor, keep)
    results = run_stages(TaggerConfig.read(config), out, [until], workers=workers, told=tell)
    if until == "report":
        _print(results)
    finish(f"results in {results.folder(until)}", out=results.folder(until))


@app.command(draws=True, epilog="Example: fastjag train demo --out demo/train")
def demo(
    out: OutOption = Path("train-demo"),
    events: Annotated[int, typer.Option(min=400, help="Simulated events of each class.")] = 40_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 1,
    model: Annotated[
        str, typer.Option(help="DeepSets, ParticleTransformer or XGBoost.")
    ] = "DeepSets",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of a network at most.")] = 12,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
) -> None:
    """Simulate two classes of which the best possible tagger is known, and train one."""
    from fastjag.analyses.train import toys
    from fastjag.analyses.train.config import MODELS
    from fastjag.commands.executors import workers_of
    from fastjag.core.checks import one_of
    from fastjag.reporting.report import with_error

    one_of("model", model, MODELS)
    workers = workers_of(executor, keep)
    results = toys.demo(
        out, events=events, seed=seed, model=model, epochs=epochs, workers=workers, told=tell
    )
    _print(results)
    best = toys.best_of(results, seed)
    tell(f"the best possible area on the same events is {best.possible:.4f}: the tagger is "
         f"{with_error(best.possible - best.tagger, best.error)} below")  # fmt: skip
    finish(f"results in {results.folder('report')}", out=results.folder("report"),
           best=best._asdict())  # fmt: skip


add_config(app, "train", "TaggerConfig")


def _print(results: TaggerResults) -> None:
    from fastjag.analyses.train.report import curve_table

    summary = results.summary()
    columns, rows = curve_table(summary["curves"])
    table = Table(*columns[:4], title="Test events")  # as many as a terminal has room for
    for row in rows:
        table.add_row(*map(str, row[:4]))
    areas = {name: {"auc": c["auc"], "auc_error": c["auc_error"]} for name, c in summary["curves"].items()}  # fmt: skip
    show(table, curves=areas)
    tell(summary["sentence"])
    for warning in summary["warnings"]:
        warn(warning)
