"""decoders: every library that may be chosen gives the same bytes, or an error, and nothing beyond."""

import lzma
import re
import subprocess
import sys
import threading
import zlib

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from root_blocks import squeezed

from fastjag.commands import info
from fastjag.io import decoders, libraries

MEMORY = 256 << 20
DEFLATES, LZMAS = list(libraries.libdeflates()), list(libraries.liblzmas(MEMORY))
#: By the name of the test: (codec, decompress).
INTOS = {
    **{f"zlib, libdeflate {library.owner}": ("zlib", library.zlib) for library in DEFLATES},
    **{f"old, libdeflate {library.owner}": ("old", library.deflate) for library in DEFLATES},
    **{f"lzma {library.version} {library.owner}": ("lzma", library.xz) for library in LZMAS},
    "zlib, cramjam": ("zlib", decoders._cramjam_zlib),
    "old, cramjam": ("old", decoders._cramjam_deflate),
    "lzma, Python's module": ("lzma", decoders._python_lzma),
    "zstd": ("zstd", decoders._cramjam_zstd),
    "lz4": ("lz4", decoders._cramjam_lz4),
}
CHECKED = ("zlib", "lzma", "lz4")  # with a checksum of the content


@pytest.fixture(params=INTOS)
def some(request):
    return INTOS[request.param]


def decompress(into, packed, size):
    """(number of bytes, content); what lies around the buffer must stay as it was."""
    room = np.full(size + 64, 0xEE, np.uint8)
    try:
        n = into(memoryview(packed), room.data[32 : 32 + size])
    finally:
        assert (room[:32] == 0xEE).all()
        assert (room[32 + size :] == 0xEE).all()
    return n, room[32 : 32 + n].tobytes()


def test_the_extra_is_here():
    """What the extra ``codecs`` brings can be called, and is taken where nothing is better."""
    assert any("of deflate" in library.owner for library in DEFLATES)
    assert any("of lzma-mt" in library.owner for library in LZMAS)
    assert "libdeflate of deflate" in decoders.zlib().library
    assert decoders._numbers(decoders.lzma().library.split()[1]) >= (5, 6)
    assert not any(decoder.lacks for decoder in decoders.all_decoders())


@settings(max_examples=20)
@given(content=st.binary(min_size=1, max_size=3000) | st.integers(1, 99).map(lambda n: b"ab" * n))
@pytest.mark.parametrize("name", INTOS)
def test_what_was_compressed(name, content):
    codec, into = INTOS[name]
    packed = squeezed(codec, content)
    for data in (packed, bytearray(packed)):  # read-only, and not
        assert decompress(into, data, len(content)) == (len(content), content)


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", INTOS)
def test_damage(name, data):
    """Bits that flip, bytes that are gone or added, another size: the right bytes or an error."""
    codec, into = INTOS[name]
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    content = (
        rng.integers(0, data.draw(st.sampled_from([2, 9, 256])), 900).astype(np.uint8).tobytes()
    )
    packed = bytearray(squeezed(codec, content))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packed) - 1))
        packed[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.sampled_from([0, 0, 1, 9]) | st.integers(0, len(packed) - 1))
    packed = packed[: len(packed) - cut] + data.draw(st.sampled_from([b"", b"", b"more"]))
    size = data.draw(st.sampled_from([900, 900, 899, 901, 1, 5000]))
    try:
        n, found = decompress(into, packed, size)
    except (ValueError, lzma.LZMAError, cramjam.DecompressionError):
        return
    assert n <= size
    if codec in CHECKED:
        assert found == content


class TestThreads:
    def test_at_once(self, some):
        """Each has a state of its own."""
        codec, into = some
        contents = [
            np.random.default_rng(i).integers(0, 9, 30_000).astype(np.uint8) for i in range(4)
        ]
        packed = [squeezed(codec, content.tobytes()) for content in contents]
        wrong = []

        def work(i):
            for _ in range(20):
                if decompress(into, packed[i], 30_000)[1] != contents[i].tobytes():
                    wrong.append(i)  # noqa: PERF401

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_their_memory_goes_with_them(self):
        """Dictionaries of 64 MiB each, which LZMA asks for at level 9."""
        code = f"""
import lzma, sys, threading
from fastjag.io import libraries
packed = lzma.compress(bytes(1000), preset=9)
def size():
    return next(int(r.split()[1]) for r in open("/proc/self/status") if r.startswith("VmSize")) >> 10
for library in libraries.liblzmas({MEMORY}):
    before = size()
    for _ in range(30):
        out = bytearray(1000)
        thread = threading.Thread(target=library.xz, args=(memoryview(packed), memoryview(out)))
        thread.start()
        thread.join()
    print(size() - before)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        grown = [int(line) for line in done.stdout.split()]
        assert len(grown) == len(LZMAS)
        assert max(grown) < 500


class TestLzma:
    @pytest.fixture(params=[library.owner for library in LZMAS])
    def into(self, request):
        return next(library.xz for library in LZMAS if library.owner == request.param)

    def test_a_dictionary_of_gigabytes(self, into):
        packed = bytearray(lzma.compress(bytes(100)))
        start = packed.index(b"\x02\x00\x21\x01")
        packed[start + 4] = 40
        packed[start + 8 : start + 12] = zlib.crc32(packed[start : start + 8]).to_bytes(4, "little")
        with pytest.raises(ValueError, match="Memory usage limit exceeded"):
            decompress(into, packed, 100)

    def test_errors(self, into):
        packed = lzma.compress(bytes(1000))
        for data, size, message in [
            (packed[:-1], 1000, "it does not end there"), (packed, 999, "it is longer"),
            (b"none" + packed, 1000, "it is no XZ stream"),
            (packed[:30] + b"\xff" + packed[31:], 1000, "it is damaged"),
        ]:  # fmt: skip
            with pytest.raises(ValueError, match=message):
                decompress(into, data, size)
            assert decompress(into, packed, 1000) == (1000, bytes(1000))  # it goes on after errors

    @pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64])
    def test_checks(self, into, check):
        packed = lzma.compress(b"abc" * 99, check=check)
        assert decompress(into, packed, 297) == (297, b"abc" * 99)

    def test_a_check_that_nobody_knows(self, into):
        """Where a checksum cannot be compared, damage would stay unseen."""
        packed = bytearray(lzma.compress(b"abc" * 99, check=lzma.CHECK_CRC32))
        for at in (6, len(packed) - 12 + 8):  # flags at both ends, each with its CRC
            packed[at + 1] = 2
        packed[8:12] = zlib.crc32(packed[6:8]).to_bytes(4, "little")
        packed[-12:-8] = zlib.crc32(packed[-8:-2]).to_bytes(4, "little")
        with pytest.raises(ValueError, match="its checksum is of a kind that is not known"):
            decompress(into, packed, 297)


class TestZstd:
    """Dictionaries never became part of ROOT: such frames are refused."""

    @pytest.mark.parametrize(
        ("frame", "size"),
        [("28b52ffd22fca3b455000000023c28223018780502", 180),  # with the number of a dictionary
         ("28b52ffd20826500001878797a0200ba7042a51308", 130)],  # with a prefix that it does not have
    )  # fmt: skip
    def test_dictionaries(self, frame, size):
        with pytest.raises(
            cramjam.DecompressionError, match=r"Dictionary mismatch|Data corruption"
        ):
            decompress(decoders._cramjam_zstd, bytes.fromhex(frame), size)

    def test_several_frames(self):
        """As writers with several threads may leave them, one of them to be skipped."""
        first, second = (bytes(cramjam.zstd.compress(text * 100)) for text in (b"abc", b"def"))
        skipped = bytes.fromhex("502a4d1804000000") + b"note"
        packed = first + skipped + second
        expected = b"abc" * 100 + b"def" * 100
        assert decompress(decoders._cramjam_zstd, packed, 600) == (600, expected)


class TestChoice:
    @pytest.fixture(autouse=True)
    def fresh(self):
        choices = (decoders.zlib, decoders.old, decoders.lzma)
        for choice in choices:
            choice.cache_clear()
        yield
        for choice in choices:
            choice.cache_clear()

    def test_without_libdeflate(self, monkeypatch):
        monkeypatch.setattr(libraries, "libdeflates", lambda: iter([]))
        for decoder in (decoders.zlib(), decoders.old()):
            assert decoder.library == f"zlib-rs in cramjam {cramjam.__version__}"
            assert decoder.lacks == "libdeflate"

    @pytest.mark.parametrize(
        ("versions", "chosen", "lacks"),
        [(["5.4.1"], 0, True), (["5.4.1", "5.8.1"], 1, False), (["5.8.0", "5.8.1"], 0, False),
         (["5.10.0", "5.8.1"], 0, False), (["5.5.2beta", "5.4.6"], 0, True), (["5.6.2"], 0, False)],
    )  # fmt: skip
    def test_the_newest_liblzma(self, monkeypatch, versions, chosen, lacks):
        class Library:
            def __init__(self, version):
                self.version, self.owner, self.xz = version, "of somebody", len

        made = [Library(version) for version in versions]
        monkeypatch.setattr(libraries, "liblzmas", lambda _: iter(made))
        decoder = decoders.lzma()
        assert decoder.library == f"liblzma {versions[chosen]} of somebody"
        assert decoder.into is made[chosen].xz
        assert decoder.lacks == ("liblzma 5.6 or later" if lacks else "")

    def test_without_liblzma(self, monkeypatch):
        monkeypatch.setattr(libraries, "liblzmas", lambda _: iter([]))
        assert decoders.lzma().into is decoders._python_lzma

    def test_other_libraries(self):
        """Of the same name, without what is needed; or none."""
        assert libraries._load(libraries.Libdeflate, "libc.so.6", "of the system") is None
        assert libraries._load(libraries.Liblzma, "libc.so.6", "of the system", MEMORY) is None
        assert libraries._load(libraries.Liblzma, "libnone.so.0", "of nobody", MEMORY) is None

    def test_no_memory(self):
        with pytest.raises(MemoryError):
            libraries._Owned(None, len)


def test_named_by_info():
    """Which is used, and what is missing."""
    done = subprocess.run(
        [sys.executable, "-m", "fastjag", "info"], capture_output=True, text=True, check=True
    )
    for decoder in decoders.all_decoders():
        row = f"{decoder.codec} {decoder.library}"
        assert row in re.sub(r"[\s│|]+", " ", done.stdout)


def test_info_says_what_is_faster(monkeypatch, capsys):
    slow = decoders.Decoder("LZMA", "liblzma 5.4.1 of Python", len, "liblzma 5.6 or later")
    monkeypatch.setattr(decoders, "all_decoders", lambda: [slow])
    info.info()
    out = re.sub(r"[\s│|]+", " ", capsys.readouterr().out)
    assert "liblzma 5.4.1 of Python; liblzma 5.6 or later is faster" in out
    assert re.search(r"pip install .*\[codecs\]", out)

    def missing():
        raise ModuleNotFoundError("No module named 'cramjam'")

    monkeypatch.setattr(decoders, "all_decoders", missing)
    info.info()
    assert "LZMA" not in capsys.readouterr().out
