"""compression: what blocks hold, and that none inflates beyond the size it declares."""

import lzma
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import uproot
from root_blocks import CODES, block, squeezed

import fastjag as fj
from fastjag.io import compression
from fastjag.io.files import ReadError


def by_us(data, size):
    out = np.full(size, 0xEE, np.uint8)
    compression.unpack(memoryview(data), out.data)
    return out.tobytes()


def by_uproot(data, size):
    compression.bound_uproot()
    source = type("Source", (), {"file_path": "a.root"})()
    chunk = uproot.source.chunk.Chunk.wrap(source, data)
    cursor = uproot.source.cursor.Cursor(0)
    return uproot.compression.decompress(chunk, cursor, {}, len(data), size).raw_data.tobytes()


@pytest.fixture(params=["fastjag", "uproot"])
def decompress(request):
    return by_us if request.param == "fastjag" else by_uproot


@pytest.mark.parametrize("codec", CODES)
class TestBlocks:
    def test_what_was_compressed(self, codec, decompress):
        rng = np.random.default_rng(1)
        for n in (1, 2, 100, 70_000):
            content = rng.integers(0, 5, n).astype(np.uint8).tobytes()
            assert decompress(block(codec, content), n) == content
            more = rng.bytes(300)
            assert decompress(block(codec, content) + block(codec, more), n + 300) == content + more

    @pytest.mark.parametrize("declared", [1, 999, 1001, 5000])
    def test_another_size(self, codec, decompress, declared):
        content = bytes(range(250)) * 4
        for tail in (b"", block(codec, bytes(10_000 - declared))):
            with pytest.raises(ValueError, match=r"decompress(es)? to|cut off"):
                decompress(block(codec, content, declared) + tail, declared if not tail else 10_000)

    def test_blocks_that_do_not_fill(self, codec, decompress):
        """The rest would be whatever the memory held before."""
        data = block(codec, bytes(300)) + block(codec, bytes(400))
        for size in (701, 5000):
            with pytest.raises(ValueError, match="cut off"):
                decompress(data, size)
        with pytest.raises(ValueError, match="cut off"):
            decompress(data, 699)
        with pytest.raises(ValueError, match="cut off"):
            decompress(block(codec, bytes(300)), 301)

    def test_no_block_is_read_beyond_its_end(self, codec, decompress):
        content = bytes(range(250)) * 4
        data = block(codec, content)
        for cut in (3, 9, 12, 20, len(data) // 2, len(data) - 1):
            with pytest.raises((ValueError, uproot.DeserializationError)):
                decompress(data[:cut], 1000)

    def test_bombs(self, codec, tmp_path):
        """128 MiB in a block that declares 1000 bytes: no memory is spent on them."""
        packed = squeezed(codec, bytes(128 << 20))
        (tmp_path / "bomb").write_bytes(block(codec, b"", 1000, packed))
        code = f"""
import sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]}
from test_compression import by_us, by_uproot
data = open({str(tmp_path / "bomb")!r}, "rb").read()
def mark():
    return next(int(r.split()[1]) for r in open("/proc/self/status") if r.startswith("VmHWM"))
by_us(data, 0)  # what has to be loaded is
before = mark()
for decompress in (by_us, by_uproot):
    for size in (1000, 2000):
        try:
            decompress(data, size)
        except ValueError as error:
            print("error:", error)
print(mark() - before)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        *errors, grown = done.stdout.strip().splitlines()
        assert len(errors) == 4
        assert int(grown) < 64 << 10  # kB: the packed bytes of LZ4 and the decoder's own


@pytest.mark.parametrize("code", [b"C\x08", b"??", b"\0\0"])
def test_unknown_algorithms(code, decompress):
    data = block("zlib", bytes(100), code=code)
    message = f"by {code!r}, which is none of LZ4, zlib, zstd, LZMA, old"
    with pytest.raises(ValueError, match=re.escape(message)):
        decompress(data, 100)


def test_the_checksum_of_lz4(decompress):
    data = bytearray(block("lz4", bytes(100)))
    for at in range(9, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            decompress(bytes(damaged), 100)


def test_a_checksum_of_all_is_enough():
    """A page of an RNTuple has one, so that its blocks are not looked through again."""
    content = b"12345678" * 100
    data = bytearray(block("lz4", content))
    out = np.zeros(len(content), np.uint8)
    data[9] ^= 1  # of the checksum of the block
    compression.unpack(memoryview(data), out.data, checked=True)
    assert out.tobytes() == content
    with pytest.raises(ValueError, match="checksum"):
        compression.unpack(memoryview(data), out.data)


def test_a_dictionary_of_gigabytes():
    """What an XZ block asks for, before it has decompressed a byte."""
    packed = bytearray(lzma.compress(bytes(100)))
    at = packed.index(b"\x21\x01") + 2  # LZMA2, one byte: the size of the dictionary
    packed[at] = 40  # 4 GiB
    start = packed.index(b"\x02\x00\x21\x01")
    packed[start + 8 : start + 12] = zlib.crc32(packed[start : start + 8]).to_bytes(4, "little")
    with pytest.raises(ValueError, match="Memory usage limit"):
        by_us(block("lzma", bytes(100), packed=bytes(packed)), 100)


class TestFiles:
    """Bombs in files, wherever they lie."""

    @pytest.fixture(params=["lz4", "zlib", "zstd", "lzma"])
    def path(self, tmp_path, request):
        level = {"lz4": uproot.LZ4, "zlib": uproot.ZLIB, "zstd": uproot.ZSTD, "lzma": uproot.LZMA}
        path = tmp_path / "a.root"
        with uproot.recreate(path, compression=level[request.param](1)) as file:
            file.mktree("Events", {"x": "i8"}).extend({"x": np.zeros(100_000, np.int64)})
        return path

    def test_a_basket(self, path):
        with uproot.open(path) as file:
            branch = file["Events"]["x"]
            seek, key = int(branch.member("fBasketSeek")[0]), branch.basket(0).member("fKeylen")
        data = bytearray(path.read_bytes())
        assert int.from_bytes(data[seek + key + 6 : seek + key + 9], "little") == 800_000
        data[seek + key + 6 : seek + key + 9] = (8000).to_bytes(3, "little")
        path.write_bytes(data)
        with pytest.raises(ReadError, match=r"a\.root:Events: entries from 0 .*x"):
            list(fj.iterate(path))
        data[seek + 6 : seek + 10] = (8000).to_bytes(4, "big")  # the size in the key, too
        path.write_bytes(data)
        with pytest.raises(ReadError, match=r"a\.root:Events: entries from 0 .*x"):
            list(fj.iterate(path))
