"""Files and listings of S3: https, with requests signed by botocore where there are keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from fastjag.core.extras import how_to_install
from fastjag.io.errors import ReadError
from fastjag.io.sources.access import Access
from fastjag.io.sources.http import HttpClient, Sign
from fastjag.io.sources.replicas import patiently


class _Store:
    """Where a bucket is, and how requests are signed."""

    def __init__(self, url: str, access: Access) -> None:
        options = access.options("s3", url)
        self.url, parts = url, urlsplit(url)
        self.bucket, self.key = parts.netloc, parts.path.lstrip("/")
        if not self.bucket:
            raise ReadError(f"{url}: names no bucket: write s3://BUCKET/KEY")
        session = None if options.get("anon") else _session(url, options.get("profile"))
        self.region = (
            options.get("region") or os.environ.get("AWS_REGION")
            or (session.get_config_variable("region") if session else None) or "us-east-1"
        )  # fmt: skip
        self.endpoint = (
            options.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL")
            or (session.get_scoped_config().get("endpoint_url") if session else None)
        )  # fmt: skip
        self._keys = self._find_keys(session, options)

    def _find_keys(self, session: Any, options: Mapping[str, Any]) -> Any:
        if session is None:
            return None
        if "key" in options:
            from botocore.credentials import Credentials

            return Credentials(options["key"], options.get("secret"), options.get("token"))
        if (found := session.get_credentials()) is None:
            raise ReadError(
                f"{self.url}: no keys for S3 were found (AWS_ACCESS_KEY_ID, ~/.aws, "
                f"storage_options=): for a public bucket give storage_options={{'anon': True}}"
            )
        return found

    def address(self, key: str, query: str = "") -> str:
        """Of an object, or of the bucket for no key."""
        path = quote(key, safe="/~")
        mark = f"?{query}" if query else ""
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{self.bucket}/{path}{mark}"
        host = f"s3.{self.region}.amazonaws.com"
        if "." in self.bucket:  # whose name a certificate does not cover
            return f"https://{host}/{self.bucket}/{path}{mark}"
        return f"https://{self.bucket}.{host}/{path}{mark}"

    def sign(self, method: str, url: str, headers: dict[str, str]) -> Mapping[str, str]:
        """The headers of a request, with its signature."""
        if self._keys is None:
            return headers
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        # Only what is needed is signed: proxies change other headers.
        request = AWSRequest(method, url, headers={})
        S3SigV4Auth(self._keys.get_frozen_credentials(), "s3", self.region).add_auth(request)
        return headers | dict(request.headers.items())


def open_s3(url: str, access: Access) -> HttpClient:
    """The client of an object."""
    store = _Store(url, access)
    signed: Sign = store.sign
    client = HttpClient(store.address(store.key), access, signed)
    client.name(url)
    return client


def list_keys(url: str, prefix: str, access: Access) -> Iterator[str]:
    """Keys of a bucket that begin with ``prefix``."""
    store, token = _Store(url, access), ""
    while True:
        query = f"list-type=2&prefix={quote(prefix, safe='~')}"
        if token:  # parameters stand in the order of their names, as they are signed
            query = f"continuation-token={quote(token, safe='~')}&{query}"
        client = HttpClient(store.address("", query), access, store.sign)
        client.name(url)
        try:
            root = ElementTree.fromstring(patiently(client, partial(_text, client)))
        except ElementTree.ParseError as error:
            raise ReadError(f"{url}: the bucket cannot be listed: {error}") from None
        names = {node.tag.rpartition("}")[2]: node for node in root.iter()}
        for node in root.iter():
            if node.tag.rpartition("}")[2] == "Key" and node.text:
                yield node.text
        more = names.get("NextContinuationToken")
        if more is None or not more.text:
            return
        token = more.text


def _text(client: HttpClient) -> bytes:
    with client.whole() as (_, read):
        return b"".join(iter(partial(read, 1 << 20), b""))


def _session(url: str, profile: str | None) -> Any:
    try:
        from botocore.session import Session
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{url}: requests to s3:// are signed by botocore, which is not installed: "
            f"{how_to_install('remote')}; a public bucket needs storage_options={{'anon': True}}"
        ) from None
    return Session(profile=profile)
