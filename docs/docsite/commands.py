"""A page for each command, from the help text of typer."""

import re

import typer

from docsite.docstrings import escape
from fastjag.__main__ import COMMANDS, app


def walk():
    """(full name, command) of every command and group, in the order of the help."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="fastjag")
    for name in COMMANDS:
        yield from _below(f"fastjag {name}", root.get_command(context, name), context)


def _below(name, command, parent):
    yield name, command
    context = typer.Context(command, info_name=name.split()[-1], parent=parent)
    if hasattr(command, "list_commands"):
        for inner in command.list_commands(context):
            yield from _below(f"{name} {inner}", command.get_command(context, inner), context)


def label(name):
    return "command-" + name.replace(" ", "-")


def write(folder):
    """The pages and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {}
    for name, command in walk():
        pages.setdefault(name.split()[1], []).append(_section(name, command))
    for page, sections in pages.items():
        (folder / f"{page}.md").write_text("\n".join(sections))
    (folder / "index.md").write_text(
        "# Commands\n\nWhat `fastjag NAME --help` says, on pages.\n\n"
        "```{toctree}\n:maxdepth: 2\n\n" + "\n".join(pages) + "\n```\n"
    )


def _section(name, command):
    level = "#" * (len(name.split()) - 1)
    parts = [f"({label(name)})=", f"{level} {name}\n", _plain(command.help or ""), ""]
    if epilog := getattr(command, "epilog", None):
        example = epilog.removeprefix("Example: ")
        parts += ["```bash", example, "```", ""]
    if hasattr(command, "list_commands"):
        return "\n".join(parts)
    lines = [f".. program:: {name}", ""]
    context = typer.Context(command, info_name=name)
    for parameter in command.params:
        if record := parameter.get_help_record(context):
            lines += [f".. option:: {record[0]}", "", f"   {escape(record[1])}", ""]
    return "\n".join([*parts, "```{eval-rst}", *lines, "```", ""])


def _plain(text):
    """Help as Markdown: nothing in it is markup, but for backticks."""
    return re.sub(r"([*_<>\[\]|])", r"\\\1", " ".join(text.split()))
