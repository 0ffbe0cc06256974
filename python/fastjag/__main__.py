"""The command line: ``fastjag spectrum | convert | dimuon | toys | info``, ...; each is a module of ``commands``."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType
from typing import Annotated

try:
    import rich  # noqa: F401
    import typer
except ImportError as error:
    from fastjag.core.extras import how_to_install

    sys.exit(f"fastjag: error: {error}; the command line needs: {how_to_install('cli')}")


from fastjag import __version__
from fastjag.commands import (
    App,
    convert,
    dimuon,
    diphoton,
    gammajet,
    importance,
    info,
    jets,
    rates,
    simulate,
    spectrum,
    toys,
)

app = App(
    help="Jagged collider events to tensors, observables and histograms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(epilog=spectrum.EXAMPLE)(spectrum.spectrum)
app.command(epilog=convert.EXAMPLE)(convert.convert)
app.command(epilog=toys.EXAMPLE)(toys.toys)
app.command(epilog=info.EXAMPLE)(info.info)
app.add_typer(dimuon.app, name="dimuon")
app.add_typer(jets.app, name="jets")
app.add_typer(gammajet.app, name="gammajet")
app.add_typer(diphoton.app, name="diphoton")
app.add_typer(simulate.app, name="simulate")
app.add_typer(importance.app, name="importance")
app.add_typer(rates.app, name="rates")


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
