"""What commands have in common; a command with stages of its own is a module here."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from fastjag import __version__
from fastjag.commands.terminal import (
    console,
    finish,
    plain,
    remark,
    show,
    show_skipped,
    speaking,
    tell,
    text,
    warn,
)
from fastjag.core import extras
from fastjag.core.settings import keys_of, optional
from fastjag.reporting.labels import Label, labelled
from fastjag.reporting.origin import Origin, made_by
from fastjag.reporting.output import recorded_file

__all__ = [
    "App", "ConfiguredExecutorOption", "DeviceOption", "ExecutorOption", "FilesArgument", "KeepOption", "OutOption",
    "ReadDeviceOption", "SkipOption", "StepOption",
    "ThreadsOption", "add_config", "console", "finish", "option", "remark", "show", "show_skipped",
    "step_of", "tell", "text", "warn",
]  # fmt: skip

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PANEL = {"rich_help_panel": "Output"}
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only warnings and errors, on stderr.", **_PANEL)
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Settings, time, and where errors come from.", **_PANEL),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Replace results of other settings or commands.", **_PANEL),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout; text on stderr.", **_PANEL)
]


def _everywhere(
    quiet: QuietOption = False, verbose: VerboseOption = False, as_json: JsonOption = False
) -> None:
    """The options of every command, and of the root."""


def option(kind: type, key: str, *names: str, **more: Any) -> Any:
    """An option that is a key of settings, with its meaning as help and its range.

    As ``min_pt: Annotated[float, option(JetsConfig, "min_pt")] = JetsConfig.min_pt``; ``more`` goes to
    ``typer.Option``.
    """
    said = keys_of(kind)[key]
    limits = said.limits if (optional(said.type) or said.type) in (int, float) else {}
    return typer.Option(*names, help=said.doc, min=limits.get(" >= "), max=limits.get(" up to "),
                        **more)  # fmt: skip


def _drawing(
    experiment: Annotated[
        str | None, option(Label, "experiment", metavar="TEXT", rich_help_panel="Output")
    ] = None,
    energy: Annotated[float | None, option(Label, "energy", rich_help_panel="Output")] = None,
    lumi: Annotated[float | None, option(Label, "lumi", rich_help_panel="Output")] = None,
) -> None:
    """The options of every command that draws."""


def _reading(
    storage_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What servers are told, such as anon=true or profile=cms; may be repeated.",
            rich_help_panel="Files on servers",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps what was read of files on servers, for the next time.",
            rich_help_panel="Files on servers",
        ),
    ] = None,
) -> None:
    """The options of every command that reads ROOT files."""


def _writing(force: ForceOption = False) -> None:
    """The option of every command that writes to ``out`` or ``path``."""


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters of a command by their names."""
    return dict(inspect.signature(function, eval_str=True).parameters)


def _asked(storage_option: Sequence[str] | None, cache: Path | None) -> AbstractContextManager[Any]:
    """The block in which servers are told what these options say."""
    if not storage_option and cache is None:
        return nullcontext()
    from fastjag.io.sources.access import said, storage_options_of

    return said(storage_options_of(storage_option or ()), cache)


def _complete(function: Callable[..., Any], *, draws: bool, reads: bool) -> Callable[..., Any]:
    """A command with the options of every command, that checks what it needs before it begins."""
    own, more = options_of(function), options_of(_everywhere)
    look = options_of(_drawing) if draws else {}
    far = options_of(_reading) if reads else {}
    if writes := bool({"out", "path"} & set(own)):
        more |= options_of(_writing)

    @wraps(function)
    def command(ctx: typer.Context, **given: Any) -> None:
        names, at = [], ctx
        while at.parent is not None:
            names.append(at.info_name or "")
            at = at.parent  # type: ignore[assignment]
        name = " ".join(reversed(names))
        flags = {key: given.pop(key) or at.params.get(key, False) for key in more}
        force = flags.pop("force", False)
        label = Label(**{key: given.pop(key) for key in look})
        servers = [given.pop(key) for key in far] or [None, None]  # nobody's record has them
        origin = Origin(name, partial(_settings, given), __version__, force) if writes else None
        said = " ".join(f"{key}={shlex.quote(str(value))}" for key, value in given.items())
        about = f"{__version__}: {name} {said}"
        with speaking(**flags, about=about), made_by(origin), labelled(label):
            extras.check(name)
            with _asked(*servers), recorded_file(given["path"]) if "path" in own else nullcontext():
                function(**given)

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = {
        key: p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for key, p in {"ctx": context, **own, **far, **look, **more}.items()
    }
    command.__signature__ = inspect.Signature([*parameters.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {key: p.annotation for key, p in parameters.items()}
    return command


#: Options that change no number of the results.
_NOT_RECORDED = ("out", "path", "threads", "workers", "no_pictures", "executor", "keep")


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the results of a command depend on, wherever it is called from."""
    settings: dict[str, Any] = {}
    for key, value in given.items():
        if key == "files":
            settings[key] = [f if "://" in f else os.path.abspath(f) for f in value]
        elif key not in _NOT_RECORDED:
            settings[key] = os.path.abspath(value) if isinstance(value, Path) else plain(value)
    if isinstance(config := given.get("config"), Path):
        from fastjag.analyses.common.config import read_toml

        content = dict(read_toml(config, (".toml", ".yaml", ".yml")))
        content.pop("servers", None)
        settings["configuration"] = plain(content)
    return settings


class App(typer.Typer):
    """A group of commands that check what they need; ``fastjag.core.extras`` has the table."""

    def __init__(self, *, add_completion: bool = False, **options: Any) -> None:
        help_option = {"help_option_names": ["-h", "--help"]}
        super().__init__(add_completion=add_completion, context_settings=help_option, **options)

    def command(
        self, *args: Any, draws: bool = False, reads: bool = False, **options: Any
    ) -> Callable[[_Function], _Function]:
        """``draws``: it has the options of the label above pictures; ``reads``: those of servers."""
        register = super().command(*args, **options)

        def decorate(function: _Function) -> _Function:
            register(_complete(function, draws=draws, reads=reads))
            return function

        return decorate


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
ExecutorOption = Annotated[
    str,
    typer.Option(
        help="Where files are read: none (here), processes:N, dask:ADDRESS or slurm:OPTIONS.toml."
    ),
]
#: Of commands whose configuration may say it.
ConfiguredExecutorOption = Annotated[
    str | None,
    typer.Option(
        help="Where files are read: none (here), processes:N, dask:ADDRESS or slurm:OPTIONS.toml. "
        "Default: workers.executor of the configuration, or none."
    ),
]
KeepOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for results of finished pieces of work: the same command goes on from there."
    ),
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
ReadDeviceOption = Annotated[
    str, typer.Option(help="cpu or cuda, where events are worked on: a GPU of each worker.")
]


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
        toml = shown(getattr(module, kind))
        text(toml, toml=toml)


def step_of(text: str) -> int | str:
    """``--step``: a number of events, or a size in memory."""
    return int(text) if text.isascii() and text.isdigit() else text
