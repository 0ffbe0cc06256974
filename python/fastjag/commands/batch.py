"""``fastjag batch``: one function of many files, by tasks that share nothing but a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastjag.batch import slot
from fastjag.batch.folder import JobFolder
from fastjag.batch.outcome import Outcome
from fastjag.commands import App, finish, remark, show
from fastjag.commands.executors import executor_of

_LISTED = 10  # ranges that failed, in the terminal

app = App(
    help="One function of many files, on a laptop or in jobs of a cluster.", no_args_is_help=True
)

JobArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a planned job.")]


@app.command(reads=True, epilog="Example: fastjag batch plan job.toml --out job --tasks 20")
def plan(
    toml: Annotated[Path, typer.Argument(metavar="JOB.toml", help="function, files and columns.")],
    out: Annotated[Path, typer.Option(help="Folder of the job, which all tasks see.")] = Path(
        "job"
    ),
    tasks: Annotated[
        int, typer.Option(min=1, help="Tasks in the files for Slurm and HTCondor.")
    ] = 10,
) -> None:
    """Look at the files, cut them into ranges, and write what batch systems are given."""
    job = JobFolder.plan(toml, out, tasks)
    table = Table("dataset", "files", "ranges", "events")
    for name in job.pieces.datasets:
        pieces = [piece for piece in job.pieces if piece.dataset == name]
        files = {file.path for file in job.pieces.files if file.dataset == name}
        table.add_row(name, f"{len(files):,}", f"{len(pieces):,}", f"{sum(map(len, pieces)):,}")
    show(table, ranges=len(job.pieces), events=job.pieces.n_events)
    finish(
        f"sbatch {out}/slurm.sh, condor_submit {out}/condor.sub, or fastjag batch work {out}",
        out=out,
    )


@app.command(reads=True, epilog="Example: fastjag batch work job --task 3 --of 20")
def work(
    folder: JobArgument,
    task: Annotated[
        int | None,
        typer.Option(help="Which share, from 0. Default: that of a Slurm array, or 0."),
    ] = None,
    of: Annotated[
        int | None, typer.Option(help="How many shares. Default: tasks of a Slurm array, or 1.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="Workers of this task: processes:8, ...; default: none.")
    ] = None,
) -> None:
    """Do a share of the ranges; those that are done already stay."""
    first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))
    share = int(os.environ.get("SLURM_ARRAY_TASK_ID", first)) - first if task is None else task
    shares = int(os.environ.get("SLURM_ARRAY_TASK_COUNT", "1")) if of is None else of
    workers = executor_of(executor)
    if workers is None:
        slot.hold_memory()
    outcome = JobFolder.read(folder).work(share, shares, workers)
    _say(outcome)
    if not outcome.complete:
        remark("missing", f"{outcome.done.count(False)} ranges; the same command tries them again")
        raise typer.Exit(1)


@app.command(epilog="Example: fastjag batch status job")
def status(folder: JobArgument) -> None:
    """What is done, what is missing, and what went wrong."""
    outcome = JobFolder.read(folder).status()
    _say(outcome)


@app.command(reads=True, epilog="Example: fastjag batch merge job")
def merge(
    folder: JobArgument,
    partial: Annotated[bool, typer.Option("--partial", help="Add up what is there.")] = False,
) -> None:
    """Add up the results: merged/result.root, .json and .pickle, and what is missing."""
    outcome = JobFolder.read(folder).merge(partial)
    _say(outcome)


def _say(outcome: Outcome) -> None:
    table = Table("dataset", "events done", "of")
    for name, (some, every) in outcome.coverage().items():
        table.add_row(name, f"{some:,}", f"{every:,}")
    show(table, coverage={n: {"events": a, "of": b} for n, (a, b) in outcome.coverage().items()},
         failed=[str(failed) for failed in outcome.failed])  # fmt: skip
    for failed in outcome.failed[:_LISTED]:
        remark("failed", str(failed))
    if len(outcome.failed) > _LISTED:
        remark("failed", f"{len(outcome.failed) - _LISTED} more")
    finish(str(outcome), ranges=len(outcome.ranges), done=sum(outcome.done))
