"""``fastjag info``: version, how the kernels were built, and what is missing."""

from __future__ import annotations

import sys

import numpy as np
from rich.table import Table

from fastjag import __version__, kernels
from fastjag.commands import App, show, tell
from fastjag.core import extras
from fastjag.io import decoders
from fastjag.io.gpu_blocks import has_nvcomp

app = App()


@app.command(epilog="Example: fastjag info")
def info() -> None:
    """Version, how the kernels were built, and what they will use here."""
    table = Table(show_header=False)
    table.add_row("fastjag", __version__)
    table.add_row("Python, NumPy", f"{sys.version.split()[0]}, {np.__version__}")
    built, threads, cuda = kernels.build_info(), kernels.get_num_threads(), _cuda()
    for name, value in built.items():
        table.add_row(name, str(value))
    table.add_row("threads", str(threads))
    table.add_row("CUDA", cuda)
    table.add_row("nvCOMP", "there" if has_nvcomp() else "not installed (for files to a GPU)")
    codecs = _codecs()
    for decoder in codecs:
        faster = f"; {decoder.lacks} is faster" if decoder.lacks else ""
        table.add_row(decoder.codec, decoder.library + faster)
    absent = extras.incomplete_extras()
    for extra, modules in absent.items():
        table.add_row(f"extra {extra}", f"lacks {', '.join(modules)}")
    show(table, fastjag=__version__, python=sys.version.split()[0], numpy=np.__version__, kernels=built,
         threads=threads, cuda=cuda, codecs={d.codec: d.library for d in codecs}, missing=absent)  # fmt: skip
    slow = ["codecs"] if any(decoder.lacks for decoder in codecs) else []
    for extra in [*absent, *slow]:
        tell(extras.how_to_install(extra))


def _codecs() -> list[decoders.Decoder]:
    """What decompresses the blocks of ROOT files."""
    try:
        return decoders.all_decoders()
    except ModuleNotFoundError:  # uproot brings them: of the extra io is told below
        return []


def _cuda() -> str:
    """Which CUDA the kernels were built with, or why there is none to be used."""
    try:
        runtime = kernels.cuda_module().runtime
    except RuntimeError as error:
        return str(error).removeprefix("device 'cuda' is ")
    return f"{runtime // 1000}.{runtime % 1000 // 10}"
