"""Examples in docstrings run as they stand, and give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import fastjag

PACKAGE = Path(fastjag.__file__).parent
MODULES = sorted(
    "fastjag." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_there_are_examples():
    assert {"fastjag.jagged.jagged", "fastjag.neighbours", "fastjag.selection.lumi"} <= set(MODULES)
