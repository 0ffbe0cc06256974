"""The browser of the tests sees each fault that a page can have."""

import base64
import os
from pathlib import Path

import pytest
from browser import PIXEL

DOT = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
SITE = Path(__file__).parents[1] / "build" / "docs"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (f'<p>good</p><img src="{DOT}">', None),
        (f'<p>lazy</p><p style="height: 9000px"></p><img loading="lazy" src="{DOT}">', None),
        ('<p>wide, and scrolls</p><div style="overflow-x: auto"><p style="width: 3000px">a</p></div>', None),
        ("", "no text at 1400 px"),
        ('<p>a</p><img alt="gone" src="none.png">', "a picture is not shown at 800 px: gone"),
        ('<p style="width: 900px">long</p>', '800 px: <p class=""> long'),
        ("<p>a</p><script>throw new Error('oh')</script>", "exception: Error: oh"),
        ("<p>a</p><script>console.error('oh', 1)</script>", "console: oh 1"),
        ("<p>a</p><script>console.warn('oh')</script>", None),
        ('<p>a</p><script src="none.js"></script>', "log: Failed to load resource: net::ERR_FILE_NOT_FOUND"),
        ('<p>a</p><img src="http://127.0.0.1:9/a.png">', "asks the network for http://127.0.0.1:9/a.png"),
    ],
)  # fmt: skip
def test_faults_are_seen(browser, tmp_path, body, fault):
    page = tmp_path / "page.html"
    page.write_text(f'<!doctype html><html><meta charset="utf-8"><body style="margin: 0">{body}')
    found = browser.faults(page)
    if fault is None:
        assert found == []
    else:
        assert any(fault in line for line in found), found


def test_a_page_that_is_not_there(browser, tmp_path):
    assert browser.faults(tmp_path / "none.html") == ["net::ERR_FILE_NOT_FOUND"]


def test_every_page_of_the_documentation(browser):
    """Needs ``make docs``, which continuous integration runs before the tests."""
    pages = sorted(SITE.rglob("*.html"))
    if not pages and os.environ.get("FASTJAG_EXPECT_SERVERS") != "1":
        pytest.skip("there is no build/docs: make docs makes it")
    faults = {str(page.relative_to(SITE)): browser.faults(page) for page in pages}
    assert len(faults) > 40
    assert {page: found for page, found in faults.items() if found} == {}
