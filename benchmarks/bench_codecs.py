"""What decompression costs: libraries alone, reading on top of them, and whole programs on LZMA and small baskets."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
from bench_spectrum import check as check_spectra
from harness import COLUMNS, OUT, Race, race
from programs import Program, race_programs, root, script

from fastjag import toys
from fastjag.io import decoders
from fastjag.io.baskets import Baskets, Stored
from fastjag.io.branch_columns import BranchColumns
from fastjag.io.compression import unpack
from fastjag.io.reader import Reader
from fastjag.io.sources import open_source
from fastjag.io.writer import write_trees

EVENTS = 400_000
#: What experiments choose: NanoAOD has LZMA 9, ROOT's default is zlib 1 or zstd 5.
LEVELS = {"none": 1, "lz4": 4, "zstd": 5, "zlib": 1, "lzma": 9}


def stored_file(compression: str, events: int, basket: int = 100_000) -> Path:
    """Toys with so many events in a basket, written once."""
    path = OUT / f"codecs-{events}-{basket}-{compression}{LEVELS[compression]}.root"
    if not path.exists():
        OUT.mkdir(exist_ok=True)
        chunks = (
            {name: column[i : i + basket] for name, column in chunk.items()}
            for chunk in toys.generate(events, 1, columns=COLUMNS)
            for i in range(0, max(map(len, chunk.values())), basket)
        )
        write_trees(path, {"Events": chunks}, compression=compression, level=LEVELS[compression])
    return path


# ---- libraries alone ---------------------------------------------------------------------------


def decompressing(codec: str) -> Race:
    """One block of 1 MB: momenta with 12 bits of mantissa, as NanoAOD keeps them, in big endian."""
    pt = np.random.default_rng(1).exponential(20, 250_000).astype(np.float32)
    content = (pt.view(np.uint32) & 0xFFFFF000).astype(">u4").tobytes()
    if codec == "zlib":
        packed = zlib.compress(content, 1)
        others = {
            "zlib of Python": lambda: zlib.decompress(packed, bufsize=len(content)),
            "zlib-rs in cramjam": lambda: cramjam.zlib.decompress(packed, len(content)),
        }
    else:
        packed = lzma.compress(content, preset=9, check=lzma.CHECK_CRC32)
        others = {
            "lzma of Python": lambda: lzma.decompress(packed),
            "xz in cramjam": lambda: cramjam.xz.decompress(packed, len(content)),
        }
    chosen = {"zlib": decoders.zlib, "lzma": decoders.lzma}[codec]()
    out = np.empty(len(content), np.uint8)

    def ours() -> Any:
        chosen.into(memoryview(packed), out.data)
        return out

    def check(one: Any, other: Any) -> None:
        assert bytes(one) == bytes(other)

    name = f"decompress 1 MB, {codec}"
    return race(name, {f"fastjag: {chosen.library}": ours} | others, check, rounds=20)


# ---- reading on top of them --------------------------------------------------------------------


def branches_of(path: Path) -> list[Stored]:
    reader = Reader(str(path), None, None)
    with reader.file:
        return [reader.stored_branch(reader.branch(name)) for name in COLUMNS]


def read(path: Path, branches: list[Stored], threads: int, events: int) -> list[np.ndarray]:
    with (
        closing(open_source(str(path))) as source,
        closing(BranchColumns(source, branches, threads)) as columns,
    ):
        return [values for _, values in columns.read(0, events)]


def packed_baskets(path: Path, branches: list[Stored]) -> list[tuple[memoryview, int]]:
    """(content as in the file, decompressed size) of every basket that ``read`` needs."""
    found = []
    counters = {branch.counter.seeks[0]: branch.counter for branch in branches if branch.counter}
    with closing(open_source(str(path))) as source:
        baskets = Baskets(source)
        for stored in [*counters.values(), *branches]:
            for i in range(len(stored.sizes)):
                body, size, *_ = baskets.packed_body(stored, i)
                found.append((memoryview(bytes(body)), size))
    return found


def reading(compression: str, events: int = EVENTS, basket: int = 100_000) -> Iterator[Race]:
    """Of four columns, the file in the page cache and its metadata known."""
    path = stored_file(compression, events, basket)
    branches = branches_of(path)
    baskets = packed_baskets(path, branches)
    room = np.empty(max(size for _, size in baskets), np.uint8).data

    def alone() -> None:
        for packed, size in baskets:
            if len(packed) != size:  # those that did not shrink are as they are
                unpack(packed, room[:size])

    def check(ours: Any, other: Any) -> None:
        for one, another in zip(ours, other or ours, strict=True):
            np.testing.assert_array_equal(one, another)

    small = "" if basket >= 100_000 else f", baskets of {basket:,} events"
    name = f"read 4 columns of {events:,} events, {compression}{small}"
    one = partial(read, path, branches, 1, events)
    alike = {} if compression == "none" else {"its decoder alone": alone}
    yield race(name, {"fastjag": one} | alike, check)
    two = partial(read, path, branches, 2, events)
    yield race(f"{name}, 2 threads", {"fastjag": two, "fastjag, 1 thread": one}, check, threads=2)


# ---- whole programs ----------------------------------------------------------------------------


def programs(compression: str, events: int, basket: int) -> Iterator[Race]:
    """From file to spectrum, as in :mod:`bench_spectrum`."""
    files = stored_file(compression, events, basket), stored_file(compression, 1000, basket)
    what = f"{compression} {LEVELS[compression]}" if compression == "lzma" else compression
    small = "" if basket >= 100_000 else f", baskets of {basket:,} events"
    work = f"{events:,} events to dimuon spectrum, {what}{small}"
    for cores in (1, 2):
        chosen: dict[str, Program] = {"fastjag": script("spectrum_fastjag")}
        if cores == 1:
            chosen["ROOT SetBranchAddress, by hand"] = root("branch_address")
            chosen["ROOT TTreeReader"] = root("tree_reader")
            chosen["uproot + numba"] = script("spectrum_numba", "numba")
        else:
            chosen["ROOT RDataFrame, implicit MT"] = root("data_frame", arguments=("2",))
        name = work if cores == 1 else f"{work}, {cores} threads"
        yield race_programs(name, chosen, compression, check_spectra, events, cores, files=files)


def run() -> list[Race]:
    races = [decompressing("zlib"), decompressing("lzma")]
    for compression in LEVELS:
        races += reading(compression)
        races += reading(compression, 100_000, 1000)
    races += programs("lzma", EVENTS, 100_000)
    for compression in ("none", "zlib"):
        races += programs(compression, 1_000_000, 1000)
    return races
