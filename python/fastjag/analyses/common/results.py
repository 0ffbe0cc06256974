"""Where the stages of an analysis leave what they made, and how it is read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StageResults:
    """A configuration, and the directory in which every stage has a folder of its own."""

    config: Any
    out: Path

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def json(self, stage: str, name: str) -> dict[str, Any]:
        """``name.json`` of a stage."""
        return dict(json.loads((self.folder(stage) / f"{name}.json").read_text()))
