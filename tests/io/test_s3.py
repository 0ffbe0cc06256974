"""s3://: requests that are signed, or not, and patterns; against moto's server, which checks signatures."""

import json
from urllib.request import Request, urlopen

import numpy as np
import pytest

import fastjag as fj
from fastjag import toys
from fastjag.io.errors import ReadError
from fastjag.io.files import find_files
from fastjag.io.sources import Access

COLUMNS = ["Muon_pt", "event"]
KEYS = [f"run 1/{name}" for name in ("a.root", "b+ü.root", "sub/c.root", "notes.txt")]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    return [toys.write(folder / f"{i}.root", 40_000 + i, seed=i, columns=COLUMNS) for i in range(3)]


def check_signatures(address, after):
    """Of all requests after so many."""
    text = {"Content-Type": "text/plain"}
    urlopen(Request(f"{address}/moto-api/reset-auth", after.encode(), text)).read()


@pytest.fixture(scope="module")
def store(paths):
    """(storage options of one who may read, the server's address)."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        known = {
            "endpoint_url": address, "region_name": "us-east-1", "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
        }  # fmt: skip
        client, users = boto3.client("s3", **known), boto3.client("iam", **known)
        client.create_bucket(Bucket="data")
        for key, path in zip(KEYS, [*paths, paths[0]], strict=True):
            client.put_object(Bucket="data", Key=key, Body=path.read_bytes())
        users.create_user(UserName="reader")
        allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        users.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=policy)
        key = users.create_access_key(UserName="reader")["AccessKey"]
        check_signatures(address, "0")
        secret = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        yield {"endpoint_url": address, "region": "us-east-1", **secret}, address
        check_signatures(address, "inf")
    finally:
        server.stop()


def read(files, **options):
    return np.concatenate([b["event"] for b in fj.iterate(files, COLUMNS, **options)])


class TestReading:
    def test_what_is_in_the_file(self, store, paths):
        for key, path in zip(KEYS, paths, strict=False):
            found = read(f"s3://data/{key}", step=7000, storage_options=store[0])
            np.testing.assert_array_equal(found, read(path))

    def test_keys_of_the_environment(self, store, paths, monkeypatch):
        options, address = store
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
        np.testing.assert_array_equal(read(f"s3://data/{KEYS[0]}"), read(paths[0]))

    def test_a_wrong_secret(self, store):
        options = store[0] | {"secret": "wrong"}
        with pytest.raises(ReadError, match=r"s3://data/run 1/a.root: .*403.*127\.0\.0\.1:\d+"):
            read(f"s3://data/{KEYS[0]}", storage_options=options)

    def test_without_keys(self, store, monkeypatch, tmp_path):
        options = {k: v for k, v in store[0].items() if k not in ("key", "secret")}
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(ReadError, match=r"no keys for S3 .*'anon': True"):
            read(f"s3://data/{KEYS[0]}", storage_options=options)
        with pytest.raises(ReadError, match=r"40[13].*the server 127\.0\.0\.1"):  # unsigned
            read(f"s3://data/{KEYS[0]}", storage_options=options | {"anon": True})

    @pytest.mark.parametrize("url", ["s3://data/none.root", "s3://nowhere/a.root"])
    def test_not_there(self, store, url):
        with pytest.raises(ReadError, match=rf"^{url}: not a readable .*404.*127\.0\.0\.1"):
            read(url, storage_options=store[0])

    def test_options_that_do_not_exist(self, store):
        with pytest.raises(ValueError, match=r"no storage option 'secrets' of s3.*secret"):
            read("s3://data/a.root", storage_options=store[0] | {"secrets": "x"})
        with pytest.raises(TypeError, match=r"storage option 'region' must be a str"):
            read("s3://data/a.root", storage_options=store[0] | {"region": 1})


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "keys"),
        [("run 1/*.root", KEYS[:2]), ("run*/**/*.root", KEYS[:3]), ("**", KEYS[:3]),
         ("run 1/*/c.root", KEYS[2:3])],
    )  # fmt: skip
    def test_keys(self, store, pattern, keys):
        found = [url for url, _ in find_files(f"s3://data/{pattern}", Access(store[0]))]
        found = [url for url in found if url.endswith(".root")]
        assert found == [f"s3://data/{key}" for key in sorted(keys)]

    def test_several_pages(self, store, monkeypatch):
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "1")
        found = find_files("s3://data/run*/**", Access(store[0]))
        assert [url for url, _ in found] == [f"s3://data/{key}" for key in sorted(KEYS)]

    def test_all_are_read(self, store, paths):
        found = read("s3://data/run 1/*.root", storage_options=store[0])
        np.testing.assert_array_equal(found, np.concatenate([read(p) for p in paths[:2]]))

    def test_none(self, store):
        with pytest.raises(FileNotFoundError, match=r"^s3://data/x\*\.root: no file matches"):
            find_files("s3://data/x*.root", Access(store[0]))
        with pytest.raises(ReadError, match=r"nowhere.*404"):
            find_files("s3://nowhere/*.root", Access(store[0]))


@pytest.mark.parametrize(
    ("url", "options", "address"),
    [
        ("s3://b/a b.root", {}, "https://b.s3.us-east-1.amazonaws.com/a%20b.root"),
        ("s3://b.c/a.root", {"region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com/b.c/a.root"),
        ("s3://b/a", {"endpoint_url": "https://s3.cern.ch/"}, "https://s3.cern.ch/b/a"),
    ],
)  # fmt: skip
def test_addresses(url, options, address, monkeypatch):
    from fastjag.io.sources.s3 import _Store

    for name in ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    store = _Store(url, Access({"anon": True} | options))
    assert store.address(store.key) == address
