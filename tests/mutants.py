"""Defects put into the CUDA kernels, one at a time: does the emulation find them?

    python tests/mutants.py                    # all of them: hours on two cores
    python tests/mutants.py select histogram   # of these files
    python tests/mutants.py --list             # what would be tried
    python tests/mutants.py --sample 12 --write   # so many of each file, and the tables of docs/

`--write` keeps what is known of files that are not named: build/mutants/ended.json.

A mutant lives in a copy of the sources of its own. Its kernel's property tests run on the emulated
device until something fails: a detector speaks, a result is wrong, or it hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from equivalent_mutants import EQUIVALENT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gpu.md"
LIST = ROOT / "docs" / "gpu-mutants.md"
ENDED = ROOT / "build" / "mutants" / "ended.json"
PATIENCE = 12  # times what the tests take without a defect: longer, and it hangs

# How a defect is made: name, what to look for in a line, what to put there.
OPERATORS = [
    ("no __syncthreads", re.compile(r"__syncthreads\(\);"), ";"),
    ("no __syncwarp", re.compile(r"__syncwarp\([^)]*\);"), ";"),
    ("< becomes <=", re.compile(r" < "), " <= "),
    (">= becomes >", re.compile(r" >= "), " > "),
    ("<= becomes <", re.compile(r" <= "), " < "),
    ("> becomes >=", re.compile(r" > "), " >= "),
    ("== and !=", re.compile(r" == (?!cudaSuccess)"), " != "),
    ("&& and ||", re.compile(r" && "), " || "),
    ("|| and &&", re.compile(r" \|\| "), " && "),
    ("no + 1", re.compile(r" \+ 1\b(?![ul0-9.])"), ""),
    ("no - 1", re.compile(r" - 1\b(?![ul0-9.])"), ""),
    ("+= becomes =", re.compile(r" \+= "), " = "),
    ("% and /", re.compile(r" % (?=\w)"), " / "),
    (
        "half the lanes",
        re.compile(r"\b(?:half|lanes|step) = (?:16|warp_lanes / 2|Lanes / 2)"),
        "HALF",
    ),
    ("no guard", re.compile(r"\bif \((?!constexpr).*\) (?:return|continue|break);"), ";"),
    ("plain, not atomic", re.compile(r"\batomic(?=(?:Add|Max|Min|Or|And|Exch|CAS)\()"), "plain"),
]
# x < y ? x : y is the same with <=.
SMALLER = re.compile(r"(.+?) \? [^:?]+ : \1(?=[;,)\]])")
COMPARISONS = {"< becomes <=", ">= becomes >", "<= becomes <", "> becomes >=", "== and !="}
CONDITION = re.compile(r"\b(?:for|if|while) \(|&&|\|\||\?|\breturn\b|\bbool\b")

# Each atomic without its atomicity: a load, a computation, a store.
PLAIN = "\n".join(
    f"template <class T, class U> __device__ T plain{name}(T* p, U v) "
    f"{{ T const old = *p; *p = {new}; return old; }}"
    for name, new in {
        "Add": "static_cast<T>(old + v)",
        "Max": "old < static_cast<T>(v) ? static_cast<T>(v) : old",
        "Min": "static_cast<T>(v) < old ? static_cast<T>(v) : old",
        "Or": "static_cast<T>(old | v)",
        "And": "static_cast<T>(old & v)",
        "Exch": "static_cast<T>(v)",
    }.items()
) + (
    "\ntemplate <class T, class U, class V> __device__ T plainCAS(T* p, U was, V v) "
    "{ T const old = *p; if (old == static_cast<T>(was)) *p = static_cast<T>(v); return old; }\n"
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    file: str  #: in cuda/, or in cpp/fastjag/ the rules that a kernel shares with the CPU
    line: int
    operator: str
    before: str  #: the line, without its indentation
    after: str
    end: str = ""  #: how it ended

    @property
    def words(self) -> list[str]:
        """Kernels to be tested: those that include a header."""
        if self.file.endswith(".cu"):
            stems = [self.file.removesuffix(".cu")]
        else:
            include = re.compile(rf'#include "(fastjag/)?{re.escape(self.file)}"')
            files = sorted((ROOT / "cuda").glob("*.cu"))
            stems = [f.stem for f in files if include.search(f.read_text())]
        return sorted({"pyramid" if stem == "pyramid_gram" else stem for stem in stems})

    @property
    def path(self) -> Path:
        """Its file, from the root of the sources."""
        return Path("cpp/fastjag" if self.file.endswith(".hpp") else "cuda") / self.file


def device_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of functions that run on the GPU, without comments."""
    header = body = None  # indentation of a function: its head, then its body
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"//.*", "", line).rstrip()
        indentation = len(code) - len(code.lstrip())
        if body is not None:
            if code.lstrip().startswith("}") and indentation <= body:
                body = None
            elif not code.lstrip().startswith(("#", "static_assert")):
                yield number, code
            continue
        if header is None and re.search(r"__(global|device)__|FASTJAG_HD", code):
            header = indentation
        if header is not None:
            if code.endswith("{"):
                header, body = None, header
            elif code.endswith((";", "}")):  # all on one line
                header = None
                yield number, code


def mutants(path: Path) -> Iterator[Mutant]:
    for number, code in device_lines(path.read_text()):
        for name, pattern, new in OPERATORS:
            if name in COMPARISONS and not CONDITION.search(code):
                continue
            if name == "+= becomes =" and re.search(r"\bfor \(.*;.*;", code):
                continue  # a loop that never ends
            for found in pattern.finditer(code):
                if name == "< becomes <=" and SMALLER.match(code[found.end() :]):
                    continue
                put = found[0] + " / 2" if new == "HALF" else new
                after = code[: found.start()] + put + code[found.end() :]
                yield Mutant(path.name, number, name, code.strip(), after.strip())


def with_long_events(words: list[str]) -> list[str]:
    """Tests of these kernels, the quick ones first."""
    return [*words, *(["long_events"] if {"aggregate", "dimuon"}.intersection(words) else [])]


def make(root: Path) -> subprocess.CompletedProcess[str]:
    """Build the emulation of the sources in a folder, as far as it is not built yet."""
    command = ["make", "-C", str(root / "tests/cuda_emulation"), f"PYTHON={sys.executable}"]
    return subprocess.run(
        command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


class Worker:
    """A copy of the sources with a build of the emulation."""

    def __init__(self, number: int) -> None:
        self.root = ROOT / "build" / "mutants" / str(number)
        self.build = self.root / "build" / "emulation"
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("cuda", "cpp", "tests/cuda_emulation", "build/emulation"):
            shutil.copytree(ROOT / folder, self.root / folder)
        for depends in self.build.glob("*.d"):  # on the copies
            text = re.sub(
                rf"{ROOT}(?=/(?:cuda|cpp|tests|build)/)", str(self.root), depends.read_text()
            )
            depends.write_text(text)

    def make(self) -> subprocess.CompletedProcess[str]:
        return make(self.root)

    def test(self, words: list[str], limit: float | None = None) -> str:
        """How the tests of these kernels ended; empty if they passed."""
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider",
            "--hypothesis-profile=mutants", "-k", "cuda-emulated", "-o",
            f"pythonpath={ROOT}/tests {ROOT}/tests/cuda_emulation {self.build}",
            *(f"{ROOT}/tests/kernels/test_{word}.py" for word in with_long_events(words)),
        ]  # fmt: skip
        env = os.environ | {"FASTJAG_EXPECT_EMULATION": "1"}
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd=ROOT,
                env=env,
                text=True,
                capture_output=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        if done.returncode == 0:
            return ""
        if done.returncode < 0:
            return "crashes"
        # The line below the kernel's name: "data race by block 0 thread 1 at ..."
        found = re.search(
            r"CUDA emulation: .*\n\s*(?:E\s+)?(.+?)(?: by block| at |:|,|\n)", done.stdout
        )
        if found:
            return f"detector: {found[1].strip()}"
        if "1 failed" in done.stdout:
            never = re.search(r"is used, but was never written", done.stdout)
            return "detector: output not written" if never else "wrong result"
        sys.exit(f"the tests do not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def ends(self, mutant: Mutant, limit: float) -> str:
        path = self.root / mutant.path
        original = (ROOT / mutant.path).read_text()
        lines = original.splitlines(keepends=True)
        lines[mutant.line - 1] = mutant.after + "\n"
        text = "".join(lines)
        if "plain" in mutant.operator:
            text = text.replace("namespace fastjag {", f"namespace fastjag {{\n{PLAIN}", 1)
        path.write_text(text)
        try:
            made = self.make()
            return (
                self.test(mutant.words, limit) or "survives"
                if made.returncode == 0
                else "no program"
            )
        finally:
            path.write_text(original)


def run(wanted: list[Mutant]) -> list[Mutant]:
    """All mutants with their ends, two at a time."""
    if (made := make(ROOT)).returncode:
        sys.exit(f"the emulation does not build:\n{made.stdout[-3000:]}")
    free: SimpleQueue[Worker] = SimpleQueue()
    with ThreadPoolExecutor(2) as pool:
        for number in range(2):
            free.put(Worker(number))
        seconds = {}  # of the tests of each kernel without any defect
        worker = free.get()
        for word in sorted({word for mutant in wanted for word in mutant.words}):
            started = time.perf_counter()
            if end := worker.test([word]):
                sys.exit(f"{word} without any defect: {end}")
            seconds[word] = time.perf_counter() - started
            print(f"{word}: {seconds[word]:.0f} s without any defect", flush=True)
        free.put(worker)

        def one(mutant: Mutant) -> Mutant:
            key = (mutant.file, mutant.before, mutant.after)
            if key in EQUIVALENT:
                return replace(mutant, end="equivalent")
            worker = free.get()
            try:
                limit = 20 + PATIENCE * sum(seconds[word] for word in mutant.words)
                ended = replace(mutant, end=worker.ends(mutant, limit))
            finally:
                free.put(worker)
            print(f"{ended.file}:{ended.line}: {ended.operator}: {ended.end}", flush=True)
            return ended

        return list(pool.map(one, wanted))


def known_so_far(ended: list[Mutant], everywhere: Counter[str]) -> list[Mutant]:
    """With those of other files from earlier runs; ``everywhere``: how many each file has."""
    known = json.loads(ENDED.read_text()) if ENDED.exists() else {}
    for file in {m.file for m in ended}:
        own = [asdict(m) for m in ended if m.file == file]
        known[file] = {"all": everywhere[file], "ended": own}
    ENDED.write_text(json.dumps(known, indent=1))
    return [Mutant(**m) for file in sorted(known) for m in known[file]["ended"]]


def summary(ended: list[Mutant]) -> str:
    """A row for each file and operator."""
    lines = [
        "| file | defect | tried | detector | wrong result | hangs, crashes | equivalent | survive |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    groups: dict[tuple[str, str], Counter[str]] = {}
    for mutant in ended:
        if mutant.end != "no program":
            kind = mutant.end.partition(":")[0]
            kind = "stops" if kind in ("hangs", "crashes") else kind
            groups.setdefault((mutant.file, mutant.operator), Counter())[kind] += 1
    groups["all", ""] = sum(groups.values(), Counter())
    for (file, operator), n in groups.items():
        counts = [n[k] for k in ("detector", "wrong result", "stops", "equivalent", "survives")]
        lines.append(f"| {file} | {operator} | {n.total()} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def listing(ended: list[Mutant]) -> str:
    """Every mutant."""
    lines = ["# Mutants of the CUDA kernels", "", "Made by `make mutants`; see gpu.md.", ""]
    lines += ["| where | defect | line | end |", "|---|---|---|---|"]
    for m in ended:
        code = m.before.replace("|", "\\|")
        reason = EQUIVALENT.get((m.file, m.before, m.after), "")
        end = f"equivalent: {reason}" if reason else m.end
        lines.append(f"| {m.file}:{m.line} | {m.operator} | `{code}` | {end} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="as select or events; all if none are named")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--sample", type=int, help="of each file, drawn with seed 1; default: all")
    options = parser.parse_args()
    paths = [p for p in sorted((ROOT / "cuda").glob("*.cu*")) if p.stem not in ("scan", "launch")]
    rules = [ROOT / "cpp" / "fastjag" / f"{p.stem}.hpp" for p in paths]
    paths += [p for p in rules if p.exists()]
    wanted = [m for p in paths if not options.files or p.stem in options.files for m in mutants(p)]
    known = {(m.file, m.before, m.after) for m in wanted}
    if not options.files and (stale := EQUIVALENT.keys() - known):
        sys.exit(f"equivalent mutants that are no mutants any more: {sorted(stale)}")
    everywhere = Counter(m.file for m in wanted)
    if options.sample:
        drawn = {
            file: random.Random(1).sample(range(n), min(n, options.sample))
            for file, n in everywhere.items()
        }
        of_file: Counter[str] = Counter()
        some = []
        for m in wanted:
            if of_file[m.file] in drawn[m.file]:
                some.append(m)
            of_file[m.file] += 1
        wanted = some
    if options.list:
        print(*(f"{m.file}:{m.line}: {m.operator}: {m.before}" for m in wanted), sep="\n")
        print(f"{len(wanted)} mutants")
        return
    started = time.perf_counter()
    ended = run(wanted)
    print(summary(ended))
    print(f"{(time.perf_counter() - started) / 60:.0f} minutes")
    ended = known_so_far(ended, everywhere)
    if options.write:
        head, rest = PAGE.read_text().split("<!-- mutants -->\n")
        _, tail = rest.split("<!-- end of mutants -->")
        table = summary(ended)
        PAGE.write_text(f"{head}<!-- mutants -->\n{table}\n<!-- end of mutants -->{tail}")
        LIST.write_text(listing(ended))
    if survivors := [m for m in ended if m.end == "survives"]:
        sys.exit("\n".join(f"{m.file}:{m.line}: {m.operator}: {m.before}" for m in survivors))


if __name__ == "__main__":
    main()
