"""The CUDA kernels on paper: what their machine code needs, and what memory has to carry.

    python benchmarks/static_gpu.py --check   # against gpu_ceilings.json; rounds, with the emulation (make cuda)
    python benchmarks/static_gpu.py --accept  # what is, as ceilings
    python benchmarks/static_gpu.py --write   # the tables of docs/gpu.md; needs the emulation

The first part reads the compiled module by cuobjdump (pip install --group cuda). Without a CUDA
compiler there is no module, and nothing to check.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gpu_code import cuobjdump, functions, plain_names, turn, widest

HERE = Path(__file__).parent
ROOT = HERE.parent
CEILINGS = HERE / "gpu_ceilings.json"
PAGE = ROOT / "docs" / "gpu.md"

# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; registers are given
# to warps by 256, and the system keeps 1 KB of shared memory per block.
PROCESSORS = {
    "sm_80": {"warps": 64, "blocks": 32, "registers": 65536, "shared": 164 * 1024},
    "sm_90": {"warps": 64, "blocks": 32, "registers": 65536, "shared": 228 * 1024},
}
BANDWIDTH = 3.0e12  # bytes per second: an H100 SXM has 3.35e12 on paper
EVENTS = 10_000_000
H100 = 132  # processors
BUSY = 0.95  # at least, of the rounds of a kernel's loop
# Cells of a result that a block takes at a time.
OF_BLOCK = {"pad_cells": ("values", 1024), "pad_mask": ("mask", 2048)}
# Loops whose instructions are counted, a turn of which pads so many cells: those of tensors below 2^31
# cells, all columns of one dtype.
TURNS, CELLS = re.compile(r"padding\.pad_cells<.*, true, unsigned int>"), 4


@dataclass
class Code:
    """A kernel: the most that any of its instances needs, and the widest accesses of any."""

    instances: int = 0
    registers: int = 0
    stack: int = 0
    local: int = 0  #: loads and stores of local memory: spills, arrays indexed at run time
    load: int = 0  #: bits
    store: int = 0
    generic: int = 0  #: loads that ask first what memory an address is of: columns are read by LDG
    turns: dict[str, int] = field(default_factory=dict)  #: of loops of TURNS, by instance


def read(module: str, arch: str) -> dict[str, Code]:
    """Every kernel of a compiled module."""
    kernels: dict[str, Code] = defaultdict(Code)
    usage = re.findall(
        r"Function (\S+):\n\s+REG:(\d+) STACK:(\d+)",
        cuobjdump("-arch", arch, "-res-usage", module),
    )
    names = plain_names([symbol for symbol, _, _ in usage])
    for symbol, registers, stack in usage:
        if symbol in names:
            code = kernels[names[symbol].partition("<")[0]]
            code.instances += 1
            code.registers = max(code.registers, int(registers))
            code.stack = max(code.stack, int(stack))
    for symbol, part in functions(cuobjdump("-arch", arch, "-sass", module)):
        if symbol in names:
            code = kernels[names[symbol].partition("<")[0]]
            code.local = max(code.local, len(re.findall(r"\b(?:LDL|STL)\b", part)))
            code.load = max(code.load, widest(part, "LDG?"))
            code.store = max(code.store, widest(part, "STG?"))
            code.generic = max(code.generic, len(re.findall(r"\bLD(?:\.\w+)* ", part)))
            if TURNS.fullmatch(names[symbol]):
                code.turns[names[symbol]] = turn(part, CELLS) or 0
    return dict(kernels)


def resident(arch: str, registers: int, threads: int, shared: int) -> int:
    """Blocks that a processor holds at once: those of all processors are the grid of a launch."""
    has, warps = PROCESSORS[arch], threads // 32
    of_warp = -(-registers * 32 // 256) * 256
    by_registers = has["registers"] // of_warp // 4 * 4 // warps
    by_shared = has["shared"] // (shared + 1024)
    return min(has["blocks"], has["warps"] // warps, by_registers, by_shared)


def occupancy(arch: str, registers: int, threads: int, shared: int) -> float:
    """The part of a processor's warps that can be there at once."""
    return resident(arch, registers, threads, shared) * threads / 32 / PROCESSORS[arch]["warps"]


def failures(arch: str, codes: dict[str, Code], ceilings: dict[str, dict]) -> list[str]:
    """What a kernel needs beyond its ceilings, in words."""
    found = [f"{arch} {name}: has no ceilings (--accept)" for name in codes.keys() - ceilings]
    found += [f"{arch} {name}: is gone (--accept)" for name in ceilings.keys() - codes]
    for name in sorted(codes.keys() & ceilings):
        code, most = codes[name], ceilings[name]
        for what in ("registers", "stack", "local", "generic"):
            if getattr(code, what) > most[what]:
                found.append(f"{arch} {name}: {what} {getattr(code, what)} > {most[what]}")
        for instance, n in code.turns.items():
            if n > most["turns"].get(instance, 0) or n == 0:
                limit = most["turns"].get(instance, "none given")
                found.append(f"{arch} {instance}: {n} instructions for {CELLS} cells > {limit}")
        for what in ("load", "store"):
            if getattr(code, what) < most[what]:
                found.append(
                    f"{arch} {name}: widest {what} {getattr(code, what)} < {most[what]} bits"
                )
    return found


def accepted(codes: dict[str, dict[str, Code]], before: dict[str, dict]) -> dict[str, dict]:
    """Ceilings for what is: registers up to the next 8, as they are given out."""
    new = {}
    for name in sorted({name for of_arch in codes.values() for name in of_arch}):
        of_archs = [codes[arch][name] for arch in codes]
        new[name] = {
            "threads": before.get(name, {}).get("threads", 256),
            "shared": before.get(name, {}).get("shared", 0),
            "registers": -(-max(c.registers for c in of_archs) // 8) * 8,
            "stack": max(c.stack for c in of_archs),
            "local": max(c.local for c in of_archs),
            "load": min(c.load for c in of_archs),
            "store": min(c.store for c in of_archs),
            "generic": max(c.generic for c in of_archs),
        }
        if of_archs[0].turns:
            new[name]["turns"] = {
                instance: max(c.turns[instance] for c in of_archs)
                for instance in sorted(of_archs[0].turns)
            }
    return new


def code_table(codes: dict[str, dict[str, Code]], ceilings: dict[str, dict]) -> str:
    head = (
        "| kernel | instances | threads | shared [B] | registers sm_80, sm_90 | stack [B] "
        "| local accesses | widest load, store [bit] | occupancy sm_80, sm_90 |"
    )
    lines = [
        head,
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    first = codes["sm_80"]
    for name in sorted(first):
        both, block = [codes[arch][name] for arch in PROCESSORS], ceilings[name]
        part = [
            f"{occupancy(arch, c.registers, block['threads'], block['shared']):.0%}"
            for arch, c in zip(PROCESSORS, both, strict=True)
        ]
        lines.append(
            f"| `{name}` | {both[0].instances} | {block['threads']} | {block['shared']} "
            f"| {both[0].registers}, {both[1].registers} | {max(c.stack for c in both)} "
            f"| {max(c.local for c in both)} | {both[1].load}, {both[1].store} "
            f"| {', '.join(part)} |"
        )
    return "\n".join(lines)


def emulated_jobs(*, accesses: bool = True) -> Iterator[tuple[Any, int, dict, dict, list, list]]:
    """Every job in the emulation: its size, arrays, results, accesses (if they are wanted) and launches."""
    for folder in ("tests", "tests/cuda_emulation", "build/emulation"):
        sys.path.insert(0, str(ROOT / folder))
    import gpu_jobs
    from on_device import emulated

    many = "histogram", "histogram_cuts", "pyramid_gram"  # values: more than what is fixed
    for job in gpu_jobs.JOBS:
        n = 65536 if job.name in many else 4096
        arrays = job.arrays(n)
        with emulated() as emulation:
            on_gpu = gpu_jobs.to_device(arrays)
            emulation.reset()
            emulation.launched()
            emulation.count_accesses(accesses)
            results = gpu_jobs.to_host(job.run(on_gpu))
            rows, launches = emulation.statistics(), emulation.launched()
            emulation.reset()
        yield job, n, arrays, results, rows, launches


def traffic_table(jobs: list) -> str:
    """Bytes of every job: what any program needs, and what the emulation sees ours ask for."""
    lines = [
        "| kernel | work | at least [B] | asked for [B] | ratio | coalesced | bank conflict "
        f"| {EVENTS:.0e} in [ms] |".replace("e+0", "e"),
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for job, n, arrays, results, rows, _ in jobs:
        least = job.least(arrays, results) / n
        sectors = sum(row["sectors"] for row in rows)
        asked = 32 * sectors / n
        coalesced = sum(row["ideal_sectors"] for row in rows) / sectors
        conflict = max((row["worst_conflict"] for row in rows), default=1)
        lines.append(
            f"| `{job.name}` | {job.work} | {least:.1f} | {asked:.1f} | {asked / least:.2f} | {coalesced:.0%} "
            f"| {max(conflict, 1)} | {EVENTS * least / BANDWIDTH * 1e3:.3f} |"
        )
    return "\n".join(lines)


class Wave(NamedTuple):
    """A launch on an H100: blocks that it gets, and how often each goes round its loop; 0: equal parts."""

    kernel: str
    work: str
    blocks: int
    rounds: float

    @property
    def busy(self) -> float:
        """The part of the last round that there is work for, with the full ones before it."""
        return self.rounds / math.ceil(self.rounds) if self.rounds else 1.0


def waves(jobs: list, ceilings: dict[str, dict]) -> list[Wave]:
    """Of the launches of every job of EVENTS events: a grid is what runs at once, or less if that is enough.

    Without those for long events, which have nothing to do here, and those of small jobs.
    """
    found = {}
    for job, n, _, results, _, launches in jobs:
        wanted: Counter[tuple[str, int, int]] = Counter()
        for (
            launch,
            blocks,
            threads,
            shared,
        ) in launches:  # a large tensor takes several in the emulation
            wanted[launch, threads, shared] += blocks
        for (launch, threads, shared), blocks in wanted.items():
            name = launch.strip("()").partition("<")[0]
            kernel = f"{job.name}.{name}"
            if (
                kernel not in ceilings
                or name.endswith(("_parts", "_strips", "_of_many"))
                or name.startswith(("join", "finish"))
            ):
                continue
            most = H100 * resident("sm_90", ceilings[kernel]["registers"], threads, shared)
            # All the blocks that there are share the work in equal parts, as those of histogram_cuts do.
            even = blocks >= 2**40 or job.name == "histogram_cuts"
            rounds = blocks * EVENTS / n / most
            if name in OF_BLOCK:  # the emulation has several launches for a large tensor
                result, cells = OF_BLOCK[name]
                rounds = results[result].size * EVENTS / n / cells / most
            if name == "gram_rows":  # a warp has 1024 columns of a row: few in the emulation
                side = round(EVENTS**0.5)
                rounds = -(-side // 1024) * side / (threads // 32) / most
            # A block of `histogram` gets 16 values per thread at least, which takes them in fours.
            rounds *= 4 if job.name == "histogram" else 1
            if rounds >= 1:
                found[kernel, job.work] = Wave(kernel, job.work, most, 0 if even else rounds)
    return sorted(found.values())


def idle(found: list[Wave]) -> list[str]:
    """Launches that leave too many blocks without work in their last round, in words."""
    return [
        f"{w.kernel} ({w.work}): {w.rounds:.1f} rounds, {w.busy:.1%} busy < {BUSY:.0%}"
        for w in found
        if w.busy < BUSY
    ]


def wave_table(found: list[Wave]) -> str:
    lines = ["| kernel | work | blocks | rounds | busy |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| `{w.kernel}` | {w.work} | {w.blocks} | {w.rounds or 1:.1f} | {w.busy:.1%} |"
        for w in found
    ]
    return "\n".join(lines)


def cells_table(codes: dict[str, dict[str, Code]]) -> str:
    """Instructions per padded cell, of the dtypes of most columns."""
    lines = ["| columns | tensor | standardised | sm_80 | sm_90 |", "|---|---|---|---:|---:|"]
    of_archs = [codes[arch]["padding.pad_cells"].turns for arch in PROCESSORS]
    for instance in of_archs[0]:
        column, tensor, standardised = instance.partition("<")[2].split(", ")[:3]
        if column in ("float", "double", "int", "unsigned char") or column == tensor:
            numbers = " | ".join(f"{turns[instance] / CELLS:.1f}" for turns in of_archs)
            said = "yes" if standardised == "true" else ""
            lines.append(f"| {column} | {tensor} | {said} | {numbers} |")
    return "\n".join(lines)


def write(mark: str, text: str) -> None:
    """Put a table between its marks in docs/gpu.md."""
    page = PAGE.read_text()
    head, rest = page.split(f"<!-- {mark} -->\n")
    _, tail = rest.split(f"<!-- end of {mark} -->")
    PAGE.write_text(f"{head}<!-- {mark} -->\n{text}\n<!-- end of {mark} -->{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("--check", "--accept", "--write"):
        parser.add_argument(option, action="store_true")
    wanted = parser.parse_args()
    module = find_spec("fastjag._cuda")
    if module is None or module.origin is None:
        compiler = shutil.which(os.environ.get("CUDACXX", "nvcc"))
        if compiler is None:
            print("no CUDA compiler, so no CUDA kernels: nothing to check")
            return
        sys.exit(f"{compiler} is there, but fastjag was built without CUDA kernels")
    import fastjag._cuda  # loads without a driver

    print(f"{module.origin}: {fastjag._cuda.problem() or 'there is a GPU'}")
    with ThreadPoolExecutor() as pool:
        read_one = partial(read, module.origin)
        codes = dict(zip(PROCESSORS, pool.map(read_one, PROCESSORS), strict=True))
    ceilings = json.loads(CEILINGS.read_text()) if CEILINGS.exists() else {}
    if wanted.accept:
        ceilings = accepted(codes, ceilings)
        text = ",\n".join(f' "{name}": {json.dumps(c)}' for name, c in ceilings.items())
        CEILINGS.write_text(f"{{\n{text}\n}}\n")
    found = [text for arch in codes for text in failures(arch, codes[arch], ceilings)]
    jobs = []
    if wanted.write or (ROOT / "build" / "emulation").exists():
        jobs = list(emulated_jobs(accesses=wanted.write))
        found += idle(waves(jobs, ceilings))
    if found:
        sys.exit("\n".join(found))
    print(code_table(codes, ceilings))
    if wanted.write:
        write("machine code", code_table(codes, ceilings))
        write("bytes", traffic_table(jobs))
        write("waves", wave_table(waves(jobs, ceilings)))
        write("cells", cells_table(codes))
        import gpu_calls
        from on_device import emulated

        with emulated():
            write("calls", gpu_calls.table())


if __name__ == "__main__":
    main()
