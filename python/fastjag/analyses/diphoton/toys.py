"""The simulated sample that comes with fastjag, whose production modes are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.results import DiphotonResults
from fastjag.analyses.diphoton.run import run

#: Its configuration, beside its files.
SAMPLE = Path(__file__).parent / "sample" / "sample.toml"


def demo(out: str | os.PathLike[str], **options: Any) -> DiphotonResults:
    """The analysis of the sample; ``options`` go to :func:`fastjag.analyses.diphoton.run.run`."""
    return run(DiphotonConfig.read(SAMPLE), out, **options)
