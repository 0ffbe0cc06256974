"""``fastjag diphoton``: production modes of the Higgs boson in diphoton events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastjag.commands import (
    App,
    ConfiguredExecutorOption,
    DeviceOption,
    KeepOption,
    OutOption,
    ThreadsOption,
    add_config,
    finish,
    tell,
    warn,
)
from fastjag.commands.importance import show_importances

#: What [selection] of a configuration knows; a test compares it with the presets.
SELECTIONS = (
    "In the configuration, selection.preset is slides, official-2020 or official-2025, and "
    'selection.cuts changes any of their keys: trigger (a branch, or "none"), exactly_two, tight, '
    "good_pt, max_abs_eta, crack_veto, min_pt, isolation, min_pt_over_mass, mass; the values of each "
    "preset are in docs/diphoton.md."
)

if TYPE_CHECKING:
    from fastjag.analyses.diphoton.config import DiphotonConfig

app = App(
    help="Production modes of the Higgs boson in diphoton events: selection, features, models.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass


@app.command(
    reads=True,
    draws=True,
    epilog="Examples: fastjag diphoton run study.toml --out study, or fastjag diphoton run --sample"
    "\n\n" + SELECTIONS,
)
def run(
    config: Annotated[
        Path | None, typer.Argument(help="The configuration, TOML.", show_default=False)
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Run on the simulated sample that comes with fastjag.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("diphoton"),
    until: Annotated[
        str, typer.Option(help="Last stage: select, features, train or report.")
    ] = "report",
    executor: ConfiguredExecutorOption = None,
    keep: KeepOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """All stages up to one; those whose results are there already are not run again."""
    from fastjag.analyses.diphoton.run import STAGES
    from fastjag.analyses.diphoton.run import run as run_stages
    from fastjag.commands.executors import workers_of
    from fastjag.core.checks import one_of
    from fastjag.kernels import get_num_threads

    one_of("until", until, STAGES)
    # As many as there are threads, but not more than files.
    settings = _config(config, sample)
    usual = (executor or settings.workers.executor or "processes") == "processes"
    workers = workers_of(
        "none" if usual else executor, keep, None, settings.workers, (config or out).parent
    )
    results = run_stages(
        settings, out, [until], device=device, threads=threads,
        processes=get_num_threads(threads) if usual else 1, workers=workers, told=tell,
    )  # fmt: skip
    if until == "report":
        for warning in results.warnings():
            warn(warning)
    finish(f"results in {results.folder(until)}", out=results.folder(until))


@app.command(
    draws=True, epilog="Example: fastjag diphoton importance study.toml --out study --most 20"
)
def importance(
    config: Annotated[
        Path | None, typer.Argument(help="The configuration, TOML.", show_default=False)
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take the simulated sample that comes with fastjag.")
    ] = False,
    out: OutOption = Path("diphoton"),
    most: Annotated[
        int, typer.Option(min=1, help="Compare the features that tell most, so many.")
    ] = 15,
    threads: ThreadsOption = None,
) -> None:
    """Which aggregates tell the production modes apart."""
    from fastjag.analyses.diphoton.importance import importances
    from fastjag.analyses.diphoton.run import run as run_stages
    from fastjag.analyses.importance.report import report
    from fastjag.reporting.labels import labelled

    results = run_stages(_config(config, sample), out, ["features"], threads=threads, told=tell)
    result = importances(results, most=most, threads=threads)
    with labelled(results.config.label):
        files = [f"{name}: {f}" for name, own in results.config.files.items() for f in own]
        report(result, out / "importance", files=files)
    show_importances(result, out / "importance")


def _config(path: Path | None, sample: bool) -> DiphotonConfig:
    from fastjag.analyses.diphoton.config import DiphotonConfig
    from fastjag.analyses.diphoton.toys import SAMPLE

    if (path is None) != sample:
        raise ValueError("name a configuration, or give --sample instead")
    return DiphotonConfig.read(path or SAMPLE)


add_config(app, "diphoton", "DiphotonConfig")
