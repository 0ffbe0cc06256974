"""Tutorials are run when the site is built: what a block prints and draws stands below it."""

import io
import os
import re
import shutil
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


def blocks(text):
    """The Python blocks of a page, in their order."""
    return [match[1] for match in BLOCK.finditer(text)]


def with_outputs(page):
    """The page's text with outputs and pictures of its blocks; pictures are laid beside it.

    All blocks share their names, in an empty folder of their own. An error ends the build.
    """
    os.environ.setdefault("MPLBACKEND", "agg")
    scope = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as scratch:

        def pictures():
            return set(Path(scratch).rglob("*.png"))

        def run(match):
            before, printed = pictures(), io.StringIO()
            with chdir(scratch), redirect_stdout(printed):
                exec(compile(match[1], str(page), "exec"), scope)  # noqa: S102
            parts = [match[0]]
            if text := printed.getvalue():
                parts.append(f"```text\n{text}```\n")
            for path in sorted(pictures() - before):
                name = f"{page.stem}-{path.name}"
                shutil.copy(path, page.parent / name)
                parts.append(f"![{path.name}]({name})\n")
            return "\n".join(parts)

        return BLOCK.sub(run, page.read_text())
