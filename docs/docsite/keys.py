"""A page of every configuration key of every analysis, from the classes of settings."""

import importlib

from docsite.docstrings import escape
from fastjag.analyses.common.config import rows

#: Analysis: the class that its configuration file is read into.
KINDS = {
    "dimuon": "DimuonFile",
    "diphoton": "DiphotonConfig",
    "gammajet": "GammaJetConfig",
    "jets": "JetsConfig",
    "rates": "RatesConfig",
    "importance": "ImportanceConfig",
    "train": "TaggerConfig",
}


def keys_of_file(analysis):
    """(key, accepted, default, meaning) of every key, as in the tables of docs/*.md."""
    module = importlib.import_module(f"fastjag.analyses.{analysis}.config")
    for key, *rest in rows(getattr(module, KINDS[analysis]), "", None):
        yield key.strip("`"), *(cell.replace("\\|", "|") for cell in rest)


def default_of(shown):
    return shown if shown == "required" else f"default {escape(shown)}"


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for analysis in KINDS:
        lines = []
        for key, accepted, default, meaning in keys_of_file(analysis):
            lines += [
                f".. confval:: {key} ({analysis})",
                "",
                f"   {escape(meaning)}",
                "",
                f"   {escape(accepted)}; {default_of(default)}.",
                "",
            ]
        (folder / f"{analysis}.md").write_text(
            f"# Configuration keys: {analysis}\n\n"
            f"`fastjag {analysis} config --show` prints them as a TOML file, to be changed. What the\n"
            f"analysis is for is on [its page](../{analysis}.md). The analysis stands in brackets\n"
            "behind each key, and is no part of it.\n\n"
            + "\n".join(["```{eval-rst}", *lines, "```", ""])
        )
    (folder / "index.md").write_text(
        "# Configuration keys\n\nEvery key of every analysis: what it accepts, its default and its meaning.\n\n"
        + "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(KINDS) + "\n```\n"
    )  # fmt: skip
