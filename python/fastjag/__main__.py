"""The command line: ``fastjag spectrum | convert | dimuon | toys | info``, ...; each is a module of ``commands``."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

try:
    import rich  # noqa: F401
    import typer.core
    import typer.main
except ImportError as error:
    from fastjag.core.extras import how_to_install

    sys.exit(f"fastjag: error: {error}; the command line needs: {how_to_install('cli')}")


from fastjag import __version__
from fastjag.commands import App

#: In the order of the help; each is the module of its name in ``fastjag.commands``.
COMMANDS = ("spectrum", "convert", "toys", "info", "dimuon", "jets", "gammajet", "diphoton",
            "simulate", "importance", "rates")  # fmt: skip


class _Commands(typer.core.TyperGroup):
    """Commands whose module is imported when it is asked for: no other analysis costs time."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = names  # for help and near misses

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in self.commands:
            return None
        command = typer.main.get_command(import_module(f"fastjag.commands.{name}").app)
        command.name = name
        return command


app = App(
    cls=_Commands,
    help="Jagged collider events to tensors, observables and histograms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fastjag {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"fastjag: warning: {message}", file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> None:
    print(f"fastjag: ended by {signal.Signals(signum).name}", file=sys.stderr)
    sys.exit(128 + signum)  # an exception, so that half-written results are removed


def main() -> None:
    """Entry point: one line per error on stderr, exit code 1; 130 after Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _terminate)
    warnings.showwarning = _show_warning  # one line each, without the line of Python
    try:
        app()
    except (OSError, ValueError, KeyError, TypeError, ImportError, MemoryError) as error:
        if os.environ.get("FASTJAG_TRACEBACK"):
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"fastjag: error: {text}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
