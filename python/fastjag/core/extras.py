"""Which libraries a command needs, and how to install them for this copy of fastjag."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import metadata, util
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: The extra of each command. A subcommand that is not named has that of its group.
COMMANDS = {
    "spectrum": "cli",
    "convert": "cli",
    "toys": "cli",
    "info": "",  # says what is missing
    "dimuon": "dimuon",
    "diphoton": "diphoton",
    "jets": "cli",
    "jets train": "jets",
    "jets demo": "jets",
    "gammajet": "gammajet",
    "rates": "rates",
    "importance": "importance",
    "train": "train",
    "simulate": "simulate",
    "batch": "cli",
}

# Distributions whose module has another name.
_MODULES = {
    "scikit-learn": "sklearn", "imbalanced-learn": "imblearn", "pyyaml": "yaml",
    "cupy-cuda13x": "cupy", "xrootd": "XRootD",
}  # fmt: skip
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:\[(?P<extras>[^\]]*)\])?.*;.*\bextra\s*==\s*['\"](?P<extra>[\w.-]+)['\"]"
)


def extra_of(command: str) -> str:
    """The extra of a command such as ``jets train``; KeyError where the table has none."""
    return COMMANDS[command if command in COMMANDS else command.split(" ")[0]]


def modules_of(extra: str, requirements: Iterable[str] | None = None) -> list[str]:
    """Modules that an extra brings, with those of the extras in it, sorted.

    ``requirements`` are lines as in the metadata of a package (default: fastjag's own). Empty where
    fastjag was never installed, or its metadata does not know the extra.
    """
    if requirements is None:
        try:
            requirements = metadata.requires("fastjag") or []
        except metadata.PackageNotFoundError:
            return []
    matches = [m for line in requirements if (m := _REQUIREMENT.fullmatch(line.strip()))]
    extras, modules = [extra], set()
    for current in extras:  # grows while it runs
        for match in matches:
            if match["extra"] != current:
                continue
            if match["name"] == "fastjag":
                inner = [e.strip() for e in (match["extras"] or "").split(",")]
                extras += [e for e in inner if e not in extras]
            else:
                name = match["name"].lower()
                modules.add(_MODULES.get(name, name.replace("-", "_")))
    return sorted(modules)


def missing_modules(modules: Iterable[str]) -> list[str]:
    """Those of the modules that cannot be imported here."""
    return [name for name in modules if util.find_spec(name) is None]


def incomplete_extras() -> dict[str, list[str]]:
    """Extras of commands that are not complete here, with the modules that are missing."""
    extras = sorted({extra for extra in COMMANDS.values() if extra})
    return {extra: absent for extra in extras if (absent := missing_modules(modules_of(extra)))}


def check(command: str) -> None:
    """ModuleNotFoundError that names all that a command lacks, before it does anything."""
    extra = extra_of(command)
    if extra and (absent := missing_modules(modules_of(extra))):
        listed = " and ".join(filter(None, [", ".join(absent[:-1]), absent[-1]]))
        raise ModuleNotFoundError(
            f"fastjag {command} needs {listed}, which "
            f"{'is' if len(absent) == 1 else 'are'} not installed: {how_to_install(extra)}"
        )


def how_to_install(extra: str) -> str:
    """The line that adds an extra to this copy of fastjag, from where this copy came."""
    try:
        record = metadata.distribution("fastjag").read_text("direct_url.json")
        origin = json.loads(record) if record else {}
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    url = origin.get("url", "") if isinstance(origin, dict) else ""
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        commit = f"@{vcs['commit_id']}" if vcs.get("commit_id") else ""
        return f"pip install 'fastjag[{extra}] @ {vcs.get('vcs', 'git')}+{url}{commit}'"
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
    if path is not None and path.exists():
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}'{path}[{extra}]'"
    # fastjag is in no package index that anybody could count on.
    return f"pip install '.[{extra}]' in a folder with fastjag's source"
