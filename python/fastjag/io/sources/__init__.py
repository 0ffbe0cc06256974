"""Where the bytes of a file come from, behind one small protocol. Which file does what:

- ``protocol``: what readers ask; ``local``: disks; ``remote``: all servers, fetched ahead
- ``pieces``: put together into requests; ``client``: what a kind of server does; ``replicas``: patience
- ``http``, ``s3``, ``xrootd``, ``others``: kinds of servers; ``listing``: patterns on them
- ``access``: options and tokens; ``cached``, ``store``, ``download``: the folder of copies
- ``for_uproot``: the same bytes for uproot
"""

from __future__ import annotations

import errno
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastjag.io.sources.access import Access
from fastjag.io.sources.local import LocalBytes
from fastjag.io.sources.protocol import Bytes
from fastjag.io.transport import XROOTD

if TYPE_CHECKING:  # who reads from disks does not wait for them
    from fastjag.io.sources.cached import CachedBytes
    from fastjag.io.sources.client import Client
    from fastjag.io.sources.remote import RemoteBytes

__all__ = ["Access", "Bytes", "open_remote", "open_source"]


def open_source(path: str, access: Access | None = None) -> Bytes:
    """The bytes of a file, which whoever opens it closes. OSError where there is none."""
    return open_remote(path, access or Access.of()) if "://" in path else LocalBytes(path)


def open_remote(path: str, access: Access) -> RemoteBytes | CachedBytes:
    """A file at a URL, or at the first of several, joined by ``|``, that answers."""
    from fastjag.io.sources.cached import CachedBytes
    from fastjag.io.sources.remote import RemoteBytes
    from fastjag.io.sources.replicas import Replicas

    clients = [_client(url, access) for url in path.split("|")]
    replicas = Replicas(path, clients)
    remote = RemoteBytes(replicas)
    if access.cache is None or getattr(replicas.client, "whole", False):
        return remote
    try:
        return CachedBytes(remote, access.cache)
    except BaseException as error:
        if getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            warnings.warn(f"{error}: copies are not kept", stacklevel=2)
            return remote
        remote.close()
        raise


def _client(url: str, access: Access) -> Client:
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        from fastjag.io.sources.download import WebClient
        from fastjag.io.sources.http import HttpClient

        return WebClient(HttpClient(url, access), access.cache)
    if scheme in XROOTD:
        from fastjag.io.sources.xrootd import XrootdClient

        return XrootdClient(url, access)
    if scheme == "s3":
        from fastjag.io.sources.s3 import open_s3

        return open_s3(url, access)
    from fastjag.io.sources.others import FsspecClient

    return FsspecClient(url, access)
