"""``fastjag dimuon``: the dimuon anomaly search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastjag.commands import (
    App,
    ConfiguredExecutorOption,
    DeviceOption,
    ExecutorOption,
    KeepOption,
    OutOption,
    ThreadsOption,
    add_config,
    finish,
    show,
    tell,
    warn,
)
from fastjag.commands.importance import show_importances

if TYPE_CHECKING:
    from fastjag.analyses.dimuon.results import DimuonResults

app = App(help="The dimuon anomaly search: flow, classifiers and bump hunt.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command(reads=True, draws=True, epilog="Example: fastjag dimuon run search.toml --out search")
def run(
    config: Annotated[Path, typer.Argument(help="The configuration, TOML or YAML.")],
    out: OutOption = Path("dimuon"),
    until: Annotated[
        str,
        typer.Option(
            help="Last stage: prepare, variations, scan, flow, samples, check, classify, significance, report."
        ),
    ] = "report",
    executor: ConfiguredExecutorOption = None,
    keep: KeepOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.dimuon.config import DimuonConfig
    from fastjag.analyses.dimuon.run import STAGES
    from fastjag.analyses.dimuon.run import run as run_stages
    from fastjag.commands.executors import workers_of
    from fastjag.core.checks import one_of

    stages = STAGES[: STAGES.index(one_of("until", until, STAGES)) + 1]
    settings = DimuonConfig.read(config)
    # Of several GPUs, reading takes the first.
    reading = "cuda" if device == "cuda" else None
    workers = workers_of(executor, keep, reading, settings.workers, config.parent)
    results = run_stages(
        settings, out, stages, threads=threads, device=device, workers=workers, told=tell
    )
    _show(results, until)


@app.command(draws=True, epilog="Example: fastjag dimuon demo --out dimuon-demo")
def demo(
    out: OutOption = Path("dimuon-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the toys.")] = 1,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
) -> None:
    """Toys with a hidden Upsilon, and the whole search of them."""
    from fastjag.analyses.dimuon import toys
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep)
    _show(toys.demo(out, seed=seed, workers=workers, told=tell), "report")


def _show(results: DimuonResults, until: str) -> None:
    """What a search says of itself, and where its results are."""
    from fastjag.analyses.dimuon.run import STAGES
    from fastjag.analyses.dimuon.verdicts import summary
    from fastjag.commands.significances import significances

    said: list[str] = []
    if until in ("significance", "report"):
        record = results.significance
        show(significances(record["table"]), significances=record["table"])
        said = [results.verdict, *summary(record["checks"], record["table"])]
    elif STAGES.index(until) >= STAGES.index("check"):
        said = summary(results.checks(), [])
    for sentence in said:
        if sentence.startswith("!"):
            warn(sentence, "bold red")
        else:
            tell(sentence)
    finish(f"results in {results.folder(until)}", summary=said, out=results.folder(until))


@app.command(draws=True, epilog="Example: fastjag dimuon importance search.toml --out search")
def importance(
    config: Annotated[Path, typer.Argument(help="The configuration, TOML or YAML.")],
    out: OutOption = Path("dimuon"),
    threads: ThreadsOption = None,
) -> None:
    """Which features tell the data of the signal region from the flows' samples there."""
    from fastjag.analyses.dimuon.config import DimuonConfig
    from fastjag.analyses.dimuon.importance import importances
    from fastjag.analyses.dimuon.run import run as run_stages
    from fastjag.analyses.dimuon.verdicts import picture_title
    from fastjag.analyses.importance.report import report
    from fastjag.commands.executors import workers_of
    from fastjag.reporting.labels import labelled

    settings = DimuonConfig.read(config)
    workers = workers_of(None, None, None, settings.workers, config.parent)
    results = run_stages(settings, out, ["check"], threads=threads, workers=workers, told=tell)
    result = importances(results)
    title = picture_title("importance", results.checks())
    with labelled(results.config.label):
        report(result, out / "importance", title=title, files=results.files)
    show_importances(result, out / "importance")


@app.command(
    epilog="Example: fastjag dimuon toys toys/toys.root --events 80000 --signal 270 --seed 1"
)
def toys(
    path: Annotated[Path, typer.Argument(help="The ROOT file; search.toml is written beside it.")],
    events: Annotated[
        int, typer.Option(min=1, help="Number of events, one pair or more in each.")
    ] = 80_000,
    signal: Annotated[
        int, typer.Option(min=0, help="Hidden Upsilons among them, of which 36 % pass the cuts.")
    ] = 270,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
) -> None:
    """Simulated pairs with a hidden, anti-isolated Upsilon, and the configuration to find it."""
    from fastjag.analyses.dimuon.toys import write_search

    config = write_search(path, events, signal=signal, seed=seed)
    finish(f"{events:,} events in {path}; fastjag dimuon run {config}", events=events, out=path,
           configuration=config)  # fmt: skip


add_config(app, "dimuon", "DimuonFile")
