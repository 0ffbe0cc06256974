"""What commands have in common; a command with stages of its own is a module here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()

FilesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILES...", help="ROOT files, globs, directories, file.root:tree."),
]
OutOption = Annotated[Path, typer.Option(help="Directory for the results.")]
StepOption = Annotated[str, typer.Option(help="Memory per batch, or its number of events.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-errors", help="Leave out unreadable files and list them.")
]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads for the kernels.")]


def step_of(text: str) -> int | str:
    """``--step``: a number of events, or a size in memory."""
    return int(text) if text.isdigit() else text
