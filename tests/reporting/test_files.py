"""Every report of every analysis lists its files and its settings."""

import re
from pathlib import Path

import pytest

import fastjag

ANALYSES = Path(fastjag.__file__).parent / "analyses"
WITH_PAGES = sorted(p for p in ANALYSES.rglob("*.py") if "Report(" in p.read_text())


@pytest.mark.parametrize("path", WITH_PAGES, ids=lambda p: str(p.relative_to(ANALYSES)))
def test_a_page_lists_files_and_settings(path):
    code = path.read_text()
    pages = len(re.findall(r"\bReport\(", code))
    for method in ("files", "settings"):
        assert len(re.findall(rf"\b(?:page|report)\.{method}\(", code)) >= pages, method
