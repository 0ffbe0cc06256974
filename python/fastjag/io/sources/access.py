"""How servers are asked: options of the user, tokens and the folder of copies."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
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

    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # has secrets
    cache: str | None = None  #: the folder of copies

    @staticmethod
    def of(
        storage_options: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Access:
        """From the arguments of a call, else what :func:`said` says; ``FASTJAG_CACHE`` where neither names a folder."""
        given = Access.given(storage_options, cache)
        return given if given.cache else replace(given, cache=os.environ.get("FASTJAG_CACHE"))

    @staticmethod
    def given(
        storage_options: Mapping[str, Any] | None, cache: str | os.PathLike[str] | None
    ) -> Access:
        """As ``of``, but without the environment, which workers on other hosts have of their own."""
        if storage_options is not None and not isinstance(storage_options, Mapping):
            raise TypeError(f"storage_options must be a dict, got {type(storage_options).__name__}")
        if cache is not None and not isinstance(cache, (str, os.PathLike)):
            raise TypeError(f"cache must be a folder, got {cache!r}")
        outer = _said.get()
        options = outer.storage_options if storage_options is None else storage_options
        return Access(dict(options), outer.cache if cache is None else os.path.abspath(cache))

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


def storage_options_of(texts: Iterable[str]) -> dict[str, Any]:
    """Options from ``KEY=VALUE``, as commands have them.

    true and false are truth values, whole numbers are numbers of other file systems than ours, and
    ``headers.NAME=VALUE`` is one of the headers. ValueError for what is no pair, and for a key that comes twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        name, dot, inner = key.partition(".")
        if not equals or not name or (dot and not inner):
            raise ValueError(f"a storage option must read like anon=true, got {key!r}")  # no secret
        kinds = {kind for known in OPTIONS.values() if (kind := known.get(name))}
        if dot:
            held = options.setdefault(name, {})
        else:
            held, inner = options, name
        if inner in held or not isinstance(held, dict):
            raise ValueError(f"the storage option {key!r} is given more than once")
        held[inner] = _value(value, bool if bool in kinds else str if kinds else int)
    return options


def _value(text: str, kind: type) -> Any:
    if kind is not str and text in ("true", "false"):
        return text == "true"
    return int(text) if kind is int and re.fullmatch("-?[0-9]{1,18}", text) else text


_NOTHING = Access()
_said: ContextVar[Access] = ContextVar("servers", default=_NOTHING)


@contextmanager
def reading_with(access: Access) -> Iterator[None]:
    """What reading in the block says of servers, unless a call says it itself."""
    token = _said.set(access)
    try:
        yield
    finally:
        _said.reset(token)


@contextmanager
def said(
    storage_options: Mapping[str, Any] | None, cache: str | os.PathLike[str] | None
) -> Iterator[None]:
    """The same of a command or a configuration: a block around it comes first."""
    inner, outer = Access.given(storage_options or {}, cache), _said.get()
    options = {**inner.storage_options, **outer.storage_options}
    with reading_with(Access(options, outer.cache or inner.cache)):
        yield


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
