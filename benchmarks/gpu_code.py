"""Machine code of the CUDA kernels, as cuobjdump prints it: which instructions there are, and how many
a turn of a loop takes."""

from __future__ import annotations

import heapq
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


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


def plain_names(symbols: list[str]) -> dict[str, str]:
    """FILE.KERNEL<TEMPLATE ARGUMENTS> for each of our own kernels, not CUB's."""
    plain = subprocess.check_output(["c++filt"], input="\n".join(symbols), text=True).splitlines()
    names = {}
    for symbol, function in zip(symbols, plain, strict=True):
        file = re.search(r"_GLOBAL__N__[0-9a-f]{8}_\d+_(\w+?)_cu_[0-9a-f]{8}", symbol)
        bare = function.replace("(anonymous namespace)::", "").replace("fastjag::", "")
        name = re.match(r"(?:void )?(\w+(?:<.*>)?)\(", bare)
        if file and name and "fastjag::" in function:
            names[symbol] = f"{file[1]}.{name[1]}"
    return names


def functions(sass: str) -> Iterator[tuple[str, str]]:
    """Symbol and code of each."""
    for part in re.split(r"\n\s+Function : ", sass)[1:]:
        yield part.partition("\n")[0].strip(), part


def widest(code: str, instruction: str) -> int:
    """Bits of the widest access by this instruction, a pattern."""
    widths = [0]
    for modifiers in re.findall(rf"\b{instruction}((?:\.\w+)*) ", code):
        narrow = re.search(r"\.[US](8|16)\b", modifiers)
        wide = re.search(r"\.(64|128)\b", modifiers)
        widths.append(int(narrow[1]) if narrow else int(wide[1]) if wide else 32)
    return max(widths)


def turn(code: str, stores: int) -> int | None:
    """The fewest instructions of a way round a loop that stores so often: what it is there for.

    Loops inside are gone through once. None where there is no such way.
    """
    found = re.findall(r"/\*([0-9a-f]{4,6})\*/\s+(.*?);", code)
    lines = [(int(address, 16), text.strip()) for address, text in found]
    place = {address: i for i, (address, _) in enumerate(lines)}
    ways: list[list[int]] = []
    for i, (_, text) in enumerate(lines):
        always = not text.startswith(("@P", "@!P", "@U", "@!U"))
        jump = re.search(r"\bBRA(?:\.\w+)*\s.*?(0x[0-9a-f]+)", text)
        conditional = not always or (jump is not None and "BRA.DIV" in text)
        ends = re.search(r"\b(?:EXIT|RET)\b", text)
        next_one = [i + 1] if i + 1 < len(lines) else []
        target = [place[int(jump[1], 16)]] if jump and int(jump[1], 16) in place else []
        if jump:
            ways.append(target + (next_one if conditional else []))
        elif ends:
            ways.append(next_one if conditional else [])
        else:
            ways.append(next_one)
    heads = {to for i, after in enumerate(ways) for to in after if to <= i}
    turns = [n for head in heads if (n := _shortest(lines, ways, head, stores)) is not None]
    return min(turns, default=None)


def _shortest(
    lines: list[tuple[int, str]], ways: list[list[int]], head: int, stores: int
) -> int | None:
    seen = set()
    heap = [(0, head, 0)]
    while heap:
        length, at, stored = heapq.heappop(heap)
        if at == head and length and stored == stores:
            return length
        if (at, stored) in seen or stored > stores or (at == head and length):
            continue
        seen.add((at, stored))
        more = stored + bool(re.search(r"\bSTG?\b", lines[at][1]))
        for to in ways[at]:
            heapq.heappush(heap, (length + 1, to, more))
    return None
