"""The command line: ``fastjag spectrum | convert | dimuon | toys | info``, ...; each is a module of ``commands``."""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import sys
import warnings
from importlib import import_module
from threading import current_thread, main_thread
from types import FrameType
from typing import Annotated, Any, TextIO

# Libraries make many objects and no garbage: to look through all of them again and again, and once more
# at the end, would take a fifth of the time of a short command.
gc.set_threshold(100_000)
atexit.register(gc.freeze)


def _libraries_are_here(phase: str, info: object) -> None:
    """Garbage of the work itself may hold large arrays, and must go sooner."""
    gc.set_threshold(10_000)
    gc.callbacks.remove(_libraries_are_here)


gc.callbacks.append(_libraries_are_here)

try:
    import rich  # noqa: F401
    import typer.core
    import typer.main
except ImportError as error:
    from fastjag.core.extras import how_to_install

    sys.exit(f"fastjag: error: {error}; the command line needs: {how_to_install('cli')}")


from fastjag import __version__
from fastjag.commands import App, JsonOption, QuietOption, VerboseOption
from fastjag.commands.plain_values import leave_plain_values
from fastjag.commands.terminal import ERRORS
from fastjag.core.later import load_later

#: In the order of the help; each is the module of its name in ``fastjag.commands``.
COMMANDS = ("spectrum", "convert", "toys", "info", "dimuon", "jets", "gammajet", "diphoton",
            "simulate", "importance", "rates", "train", "batch")  # fmt: skip

#: What is imported and hardly used by commands, with the names that uproot takes of them at once.
LATER = {
    "awkward": None,
    "asyncio": (),
    "fsspec": ("AbstractFileSystem",),
    "fsspec.asyn": (),
    "fsspec.core": ("url_to_fs",),
    "fsspec.implementations": (),
    "fsspec.implementations.cached": ("WholeFileCacheFileSystem",),
    "fsspec.implementations.local": ("LocalFileSystem",),
    "hashlib": (),  # OpenSSL
    "histoprint": (),
    "http": (),
    "http.client": (),
}


class _Commands(typer.core.TyperGroup):
    """Commands whose module is imported when it is asked for: no other analysis costs time."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = names  # for help and near misses
        leave_plain_values(self)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in self.commands:
            return None
        command = typer.main.get_command(import_module(f"fastjag.commands.{name}").app)
        command.name = name
        leave_plain_values(command)
        return command

    def invoke(self, ctx: Any) -> Any:
        """BrokenPipe where nobody reads stdout any more: not an error of a connection or a worker."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if _is_read(sys.stdout):
                raise ConnectionError(str(error)) from error
            _discard(sys.stdout)
            sys.exit(128 + signal.SIGPIPE)
        return result


def _is_read(stream: TextIO) -> bool:
    """False for a pipe that nobody will read from, as after ``| head``."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):
        return True
    return not any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(stream: TextIO) -> None:
    """What is still in the buffer would be an error at the end of the process."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


app = App(
    cls=_Commands,
    help="Jagged collider events to tensors, observables and histograms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
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
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    pass


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"fastjag: warning: {message}", file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> None:
    print(f"fastjag: ended by {signal.Signals(signum).name}", file=sys.stderr)
    sys.unraisablehook = _swallowed
    sys.exit(128 + signum)  # an exception, so that half-written results are removed


def _swallowed(unraisable: Any) -> None:
    """An exit that came while a destructor ran is lost there: it comes again, a moment later."""
    lost = unraisable.exc_value
    if not isinstance(lost, SystemExit) or current_thread() is not main_thread():
        sys.__unraisablehook__(unraisable)
        return
    code = lost.code  # not the exception, which would keep the destructor's frames

    def again(signum: int, frame: FrameType | None) -> None:
        sys.exit(code)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def _line(error: BaseException) -> object:
    """What an error says, without marks of Python: no quotes around it, no [Errno 2]."""
    if isinstance(error, KeyError) and error.args:
        return error.args[0]
    if (
        isinstance(error, OSError)
        and isinstance(error.filename, (str, bytes))
        and str(error).startswith("[Errno")
    ):
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return error


def main() -> None:
    """Entry point: one line per error on stderr, exit code 1; 130 after Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _terminate)
    warnings.showwarning = _show_warning  # one line each, without the line of Python
    for library, names in LATER.items():
        load_later(library, names)
    try:
        app(prog_name="fastjag")
    except ERRORS as error:
        if os.environ.get("FASTJAG_TRACEBACK"):
            raise
        print(f"fastjag: error: {_line(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
