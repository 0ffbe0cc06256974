"""How servers are asked: options of the user, tokens and the folder of copies."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastjag.core.checks import near_misses
from fastjag.io.errors import ReadError

#: Options of our own clients, and what they hold; other file systems get theirs from fsspec.
OPTIONS: dict[str, dict[str, type]] = {
    "http": {"token": str, "headers": Mapping},
    "root": {"token": str},
    "s3": {
        "anon": bool, "key": str, "secret": str, "token": str, "endpoint_url": str, "region": str,
        "profile": str,
    },
}  # fmt: skip
#: What RFC 6750 lets a token consist of.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True)
class Access:
    """What a call says of servers; the rest is found in the environment."""

    storage_options: Mapping[str, Any] = field(default_factory=dict)
    cache: str | None = None  #: the folder of copies

    @staticmethod
    def of(
        storage_options: Mapping[str, Any] | None, cache: str | os.PathLike[str] | None
    ) -> Access:
        """From the arguments of a call; ``FASTJAG_CACHE`` where it names no folder."""
        if storage_options is not None and not isinstance(storage_options, Mapping):
            raise TypeError(f"storage_options must be a dict, got {storage_options!r}")
        if cache is not None and not isinstance(cache, (str, os.PathLike)):
            raise TypeError(f"cache must be a folder, got {cache!r}")
        folder = os.fspath(cache) if cache is not None else os.environ.get("FASTJAG_CACHE")
        return Access(dict(storage_options or {}), folder or None)

    def check(self, url: str) -> None:
        """Raises what ``options`` does, before anything is read."""
        scheme = url.partition("://")[0].lower()
        kind = {"https": "http", "roots": "root", "xroot": "root", "xroots": "root"}.get(
            scheme, scheme
        )
        if kind in OPTIONS:
            self.options(kind, url)

    def options(self, kind: str, path: str) -> dict[str, Any]:
        """Those of one of our clients. ValueError for one that it does not know."""
        known = OPTIONS[kind]
        for name, value in self.storage_options.items():
            if name not in known and not any(name in others for others in OPTIONS.values()):
                raise ValueError(
                    f"{path}: no storage option {name!r} of {kind}: {near_misses(name, list(known))}"
                )
            if name in known and not isinstance(value, known[name]):
                raise TypeError(
                    f"{path}: storage option {name!r} must be a {known[name].__name__}, "
                    f"got {type(value).__name__}"
                )
        return {k: v for k, v in self.storage_options.items() if k in known}


def find_token(given: str | None = None) -> tuple[str, str] | None:
    """A bearer token and where it comes from, or None; looked up anew each time, as they expire.

    After what is given: the order of WLCG's Bearer Token Discovery, BEARER_TOKEN,
    BEARER_TOKEN_FILE, bt_uUID in XDG_RUNTIME_DIR, then in /tmp.
    """
    if given is not None:
        return _checked(given, "storage_options"), "storage_options"
    if text := os.environ.get("BEARER_TOKEN", "").strip():
        return _checked(text, "BEARER_TOKEN"), "BEARER_TOKEN"
    if name := os.environ.get("BEARER_TOKEN_FILE", "").strip():
        try:
            return _checked(Path(name).read_text(), name), f"BEARER_TOKEN_FILE ({name})"
        except (OSError, UnicodeDecodeError) as error:
            raise ReadError(f"BEARER_TOKEN_FILE: {name}: no readable token: {error}") from None
    own = f"bt_u{os.geteuid()}"
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        path = Path(folder, own)
        try:
            # What somebody else left there under our name is no token of ours.
            if folder and path.stat().st_uid == os.geteuid():
                return _checked(path.read_text(), str(path)), str(path)
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _checked(token: str, where: str) -> str:
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise ReadError(f"{where}: no bearer token: it has characters that no token has")
    return token


def what_was_sent(token: tuple[str, str] | None) -> str:
    """For the message of a server that refuses: which token, and whether it is over."""
    if token is None:
        return "no token was sent: BEARER_TOKEN, BEARER_TOKEN_FILE and storage_options= have none"
    return f"the token of {token[1]} was sent{_expired(token[0])}"


def _expired(token: str) -> str:
    """What a JSON web token says of its end, if that is over."""
    try:
        middle = token.split(".")[1]
        end = float(json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["exp"])
        if end < time.time():
            return f"; it expired at {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(end))}"
    except (ValueError, IndexError, KeyError, TypeError, OverflowError):
        pass  # an opaque one
    return ""
