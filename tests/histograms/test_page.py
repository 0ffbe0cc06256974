"""The code of docs/histograms.md runs, and prints what the page says."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "histograms.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def test_blocks_print_what_stands_below_them():
    scope = {}
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 10
    for code, shown in blocks:
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), scope)  # noqa: S102
        assert printed.getvalue() == shown, code
