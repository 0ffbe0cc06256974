"""``fastjag info``: version, how the kernels were built, and what is missing."""

from __future__ import annotations

import sys

import numpy as np
from rich.table import Table

from fastjag import __version__, kernels
from fastjag.commands import App, console
from fastjag.core import extras

app = App()


@app.command(epilog="Example: fastjag info")
def info() -> None:
    """Version, how the kernels were built, and what they will use here."""
    table = Table(show_header=False)
    table.add_row("fastjag", __version__)
    table.add_row("Python, NumPy", f"{sys.version.split()[0]}, {np.__version__}")
    for name, value in kernels.build_info().items():
        table.add_row(name, str(value))
    table.add_row("threads", str(kernels.get_num_threads()))
    table.add_row("CUDA", _cuda())
    absent = extras.incomplete_extras()
    for extra, modules in absent.items():
        table.add_row(f"extra {extra}", f"lacks {', '.join(modules)}")
    console.print(table)
    for extra in absent:
        console.print(extras.how_to_install(extra), soft_wrap=True, highlight=False, markup=False)


def _cuda() -> str:
    """Which CUDA the kernels were built with, or why there is none to be used."""
    try:
        runtime = kernels.cuda_module().runtime
    except RuntimeError as error:
        return str(error).removeprefix("device 'cuda' is ")
    return f"{runtime // 1000}.{runtime % 1000 // 10}"
