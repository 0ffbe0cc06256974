"""Sources of the site: the pages of docs/, and generated ones, in one folder for Sphinx.

    PYTHONPATH=docs python -m docsite.pages build/docs-source

Nothing that is generated is kept in the repository.
"""

import re
import shutil
import sys
from pathlib import Path

from docsite import api, commands, formats, keys, tutorials

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
#: Pages of the root that the site has as well.
FROM_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md")
#: Pages of docs/ whose code is run, besides the tutorials: what it prints stands below it.
RUN = ("corrections", "variations", "statistics")


_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"(?<!`)`(fj|fastjag)\.([A-Za-z][\w.]*)(\(\.\.\.\))?`(?!`)")


def with_links(text, names):
    """Names such as `fj.dimuon` lead to the reference, outside of code blocks and titles."""

    def link(match):
        shown, full = match[0].strip("`"), f"fastjag.{match[2]}"
        return f"{{py:obj}}`{shown} <{full}>`" if full in names else match[0]

    parts = _FENCED.split(text)
    parts[::2] = [
        "".join(
            line if line.startswith("#") else _NAME.sub(link, line)
            for line in part.splitlines(True)
        )
        for part in parts[::2]
    ]
    return "".join(parts)


def write(folder):
    """Everything that Sphinx reads."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(DOCS.rglob("*")):
        if path.suffix in (".md", ".png"):
            target = folder / path.relative_to(DOCS)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    names = api.names()
    for path in folder.rglob("*.md"):
        text = with_links(path.read_text(), names)
        for name in FROM_ROOT:
            text = text.replace(f"](../{name})", f"]({name})")
        path.write_text(text)
    for name in FROM_ROOT:
        (folder / name).write_text((ROOT / name).read_text().replace("](docs/", "]("))
    run = sorted((folder / "tutorials").glob("*.md")) + [folder / f"{name}.md" for name in RUN]
    for path in run:
        path.write_text(tutorials.with_outputs(path))
    api.write(folder / "api")
    commands.write(folder / "commands")
    keys.write(folder / "configuration")
    formats.write(folder / "formats.md")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
