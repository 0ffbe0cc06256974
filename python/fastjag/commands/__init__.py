"""What commands have in common; a command with stages of its own is a module here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from fastjag.core import extras
from fastjag.core.settings import keys_of, optional

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Names and paths are shown as they are: [x] in them is no colour, :x: no picture.
console = Console(markup=False, emoji=False)


def remark(kind: str, text: str) -> None:
    """A line such as "skipped FILE: REASON", its first word in yellow."""
    console.print(Text.assemble((kind, "yellow"), f" {text}"), soft_wrap=True, highlight=False)


def show_skipped(files: Iterable[Any]) -> None:
    """A line for each file that was left out, and why."""
    for file in files:
        remark("skipped", f"{file.file}: {file.reason}")


class _Command(TyperCommand):
    """A command that looks for all libraries it needs before it does anything."""

    def invoke(self, ctx: Any) -> Any:
        names, at = [], ctx
        while at.parent is not None:
            names.append(at.info_name or "")
            at = at.parent
        extras.check(" ".join(reversed(names)))
        return super().invoke(ctx)


class App(typer.Typer):
    """A group of commands that check what they need; ``fastjag.core.extras`` has the table."""

    def __init__(self, **options: Any) -> None:
        super().__init__(add_completion=False, **options)

    def command(self, *args: Any, **options: Any) -> Callable[[_Function], _Function]:
        return super().command(*args, **{"cls": _Command, **options})


FilesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILES...", help="ROOT files, globs, directories, file.root:tree."),
]
OutOption = Annotated[Path, typer.Option(help="Directory for the results.")]
StepOption = Annotated[str, typer.Option(help="Memory per batch, or its number of events.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-errors", help="Leave out unreadable files and list them.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, max=4096, help="Threads for the kernels.")
]


def _device(text: str) -> str:
    from fastjag.models.training_device import training_device

    try:
        training_device(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


DeviceOption = Annotated[
    str, typer.Option(callback=_device, help="cpu, cuda or cuda:N, where models are trained.")
]


def option(kind: type, key: str, *names: str) -> Any:
    """An option that is a key of settings, with its meaning as help and its range.

    As ``min_pt: Annotated[float, option(JetsConfig, "min_pt")] = JetsConfig.min_pt``.
    """
    said = keys_of(kind)[key]
    limits = said.limits if (optional(said.type) or said.type) in (int, float) else {}
    return typer.Option(*names, help=said.doc, min=limits.get(" >= "), max=limits.get(" up to "))


def add_config(app: App, analysis: str, kind: str) -> None:
    """``fastjag ANALYSIS config --show``, of a class of settings in its ``config`` module."""

    @app.command(epilog=f"Example: fastjag {analysis} config --show")
    def config(
        show: Annotated[bool, typer.Option("--show", help="Print it as TOML.")] = False,
    ) -> None:
        """Every key of the settings with its meaning, what it accepts and its default."""
        from fastjag.analyses.common.config import show as shown

        if not show:
            raise typer.BadParameter("give --show: nothing else is done here")
        module = import_module(f"fastjag.analyses.{analysis}.config")
        print(shown(getattr(module, kind)), end="")


def step_of(text: str) -> int | str:
    """``--step``: a number of events, or a size in memory."""
    return int(text) if text.isascii() and text.isdigit() else text
