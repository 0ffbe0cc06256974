"""The CUDA kernels on paper: what their machine code needs, and what memory has to carry.

    python benchmarks/static_gpu.py --check   # against gpu_ceilings.json (make cuda)
    python benchmarks/static_gpu.py --accept  # what is, as ceilings
    python benchmarks/static_gpu.py --write   # both tables of docs/gpu.md; needs the emulation

The first part reads the compiled module by cuobjdump (pip install --group cuda). Without a CUDA
compiler there is no module, and nothing to check.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

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


@dataclass
class Code:
    """A kernel: the most that any of its instances needs, and the widest accesses of any."""

    instances: int = 0
    registers: int = 0
    stack: int = 0
    local: int = 0  #: loads and stores of local memory: spills, arrays indexed at run time
    load: int = 0  #: bits
    store: int = 0


def cuobjdump(*arguments: str) -> str:
    own = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin"
    path = os.pathsep.join([str(own), os.environ["PATH"], "/usr/local/cuda/bin"])
    tool = shutil.which("cuobjdump", path=path)
    if tool is None:
        sys.exit("cuobjdump is missing: pip install --group cuda")
    done = subprocess.run(
        [tool, *arguments], capture_output=True, text=True, check=True, env={"PATH": path}
    )
    return done.stdout


def kernel_names(symbols: list[str]) -> dict[str, str]:
    """FILE.KERNEL for each of our own (not CUB's), without its template arguments."""
    plain = subprocess.check_output(["c++filt"], input="\n".join(symbols), text=True).splitlines()
    names = {}
    for symbol, function in zip(symbols, plain, strict=True):
        file = re.search(r"_GLOBAL__N__[0-9a-f]{8}_\d+_(\w+?)_cu_[0-9a-f]{8}", symbol)
        name = re.match(r"(?:void )?fastjag::(?:\(anonymous namespace\)::)?(\w+)", function)
        if file and name:
            names[symbol] = f"{file[1]}.{name[1]}"
    return names


def read(module: str, arch: str) -> dict[str, Code]:
    """Every kernel of a compiled module."""
    kernels: dict[str, Code] = defaultdict(Code)
    usage = re.findall(
        r"Function (\S+):\n\s+REG:(\d+) STACK:(\d+)",
        cuobjdump("-arch", arch, "-res-usage", module),
    )
    names = kernel_names([symbol for symbol, _, _ in usage])
    for symbol, registers, stack in usage:
        if symbol in names:
            code = kernels[names[symbol]]
            code.instances += 1
            code.registers = max(code.registers, int(registers))
            code.stack = max(code.stack, int(stack))
    for part in re.split(r"\n\s+Function : ", cuobjdump("-arch", arch, "-sass", module))[1:]:
        symbol = part.partition("\n")[0].strip()
        if symbol in names:
            code = kernels[names[symbol]]
            code.local = max(code.local, len(re.findall(r"\b(?:LDL|STL)\b", part)))
            code.load = max(code.load, _widest(part, "LDG?"))
            code.store = max(code.store, _widest(part, "STG?"))
    return dict(kernels)


def _widest(sass: str, instruction: str) -> int:
    widths = [0]
    for modifiers in re.findall(rf"\b{instruction}((?:\.\w+)*) ", sass):
        narrow = re.search(r"\.[US](8|16)\b", modifiers)
        wide = re.search(r"\.(64|128)\b", modifiers)
        widths.append(int(narrow[1]) if narrow else int(wide[1]) if wide else 32)
    return max(widths)


def occupancy(arch: str, registers: int, threads: int, shared: int) -> float:
    """The part of a processor's warps that can be there at once."""
    has, warps = PROCESSORS[arch], threads // 32
    of_warp = -(-registers * 32 // 256) * 256
    by_registers = has["registers"] // of_warp // 4 * 4 // warps
    by_shared = has["shared"] // (shared + 1024)
    blocks = min(has["blocks"], has["warps"] // warps, by_registers, by_shared)
    return blocks * warps / has["warps"]


def failures(arch: str, codes: dict[str, Code], ceilings: dict[str, dict]) -> list[str]:
    """What a kernel needs beyond its ceilings, in words."""
    found = [f"{arch} {name}: has no ceilings (--accept)" for name in codes.keys() - ceilings]
    found += [f"{arch} {name}: is gone (--accept)" for name in ceilings.keys() - codes]
    for name in sorted(codes.keys() & ceilings):
        code, most = codes[name], ceilings[name]
        for what in ("registers", "stack", "local"):
            if getattr(code, what) > most[what]:
                found.append(f"{arch} {name}: {what} {getattr(code, what)} > {most[what]}")
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


def traffic_table() -> str:
    """Bytes of every job: what any program needs, and what the emulation sees ours ask for."""
    for folder in ("tests", "tests/cuda_emulation", "build/emulation"):
        sys.path.insert(0, str(ROOT / folder))
    import gpu_jobs
    from on_device import emulated

    lines = [
        "| kernel | work | at least [B] | asked for [B] | ratio | coalesced | bank conflict "
        f"| {EVENTS:.0e} in [ms] |".replace("e+0", "e"),
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for job in gpu_jobs.JOBS:
        n = (
            4096 if job.name not in ("histogram", "histogram_cuts", "pyramid_gram") else 65536
        )  # of values: more than what is fixed
        arrays = job.arrays(n)
        with emulated() as emulation:
            on_gpu = gpu_jobs.to_device(arrays)
            emulation.reset()
            emulation.count_accesses(True)
            results = gpu_jobs.to_host(job.run(on_gpu))
            rows = emulation.statistics()
            emulation.reset()
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
    if found:
        sys.exit("\n".join(found))
    print(code_table(codes, ceilings))
    if wanted.write:
        write("machine code", code_table(codes, ceilings))
        write("bytes", traffic_table())


if __name__ == "__main__":
    main()
