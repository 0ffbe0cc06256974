"""What configurations say of servers: it changes no result, and none keeps it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from fastjag.core.settings import File, setting, settings
from fastjag.io.sources.access import said


@settings
class Servers:
    """How files on servers are read."""

    storage_options: dict[str, Any] = setting(
        "What servers are told, such as `anon` or `profile`; tokens are better kept in the "
        "environment. `--storage-option` comes first.",
        default_factory=dict,
    )
    cache: File | None = setting(
        "Folder that keeps what was read of them, for the next time. `--cache` comes first.",
        default=None,
    )

    def asked(self) -> AbstractContextManager[None]:
        """What is read in the block is read so."""
        return said(self.storage_options, self.cache)


def recorded(config: Any) -> dict[str, Any]:
    """All settings that results may keep: there may be a password among what servers are told."""
    content = asdict(config)
    del content["servers"]
    return content
