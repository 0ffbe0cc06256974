"""Defects put into the CUDA kernels, one at a time: does the emulation find them?

    python tests/mutants.py --write            # all of them, and the tables of docs/
    python tests/mutants.py select histogram   # of these files
    python tests/mutants.py --list             # what would be tried
    python tests/mutants.py --known            # not again what has ended and whose line is the same

How all ended is kept in build/mutants/ended.json, those that survive too; `--write` takes other files from there.

One build of the emulation holds all mutants behind switches (tests/mutant_sources.py). The property tests of a
mutant's kernel run in a process that is forked for it (tests/mutant_runs.py), until something fails: a detector
speaks, a result is wrong, or it hangs. What cannot stand behind a switch (an array's size) is built alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from equivalent_mutants import EQUIVALENT
from mutant_runs import files_of
from mutant_sources import ROOT, Change, Mutant, alone, changes, sources, switched

PAGE = ROOT / "docs" / "gpu.md"
LIST = ROOT / "docs" / "gpu-mutants.md"
FOLDER = ROOT / "build" / "mutants"
ENDED = FOLDER / "ended.json"
WORKERS = 2


class Build:
    """A copy of the sources with a build of the emulation."""

    def __init__(self) -> None:
        self.root = FOLDER / "sources"
        self.build = self.root / "build" / "emulation"
        for folder in ("cuda", "cpp", "tests/cuda_emulation"):
            for there in (self.root / folder).rglob("*.*"):
                if not (ROOT / there.relative_to(self.root)).exists():
                    there.unlink()
            for path in (ROOT / folder).rglob("*"):
                if path.is_file() and path.parent.name != "__pycache__":
                    self.put(path.relative_to(ROOT), path.read_text())

    def put(self, path: Path, text: str) -> None:
        """The text of a file; only one that stays the same is not built again, whatever its age."""
        there = self.root / path
        there.parent.mkdir(parents=True, exist_ok=True)
        if not there.exists() or there.read_text() != text:
            there.write_text(text)

    def make(self) -> subprocess.CompletedProcess[str]:
        command = ["make", "-k", f"-j{WORKERS}", "-C", str(self.root / "tests/cuda_emulation"),
                   f"PYTHON={sys.executable}", "CXX=g++ -fmax-errors=0"]  # fmt: skip
        return subprocess.run(
            command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def with_switches(self, numbered: dict[int, Change]) -> set[int]:
        """Build all mutants into one; those that cannot be there are returned, for builds of their own."""
        left_out: set[int] = set()
        while True:
            by_path: dict[Path, dict[int, Change]] = defaultdict(dict)
            for number, change in numbered.items():
                if number not in left_out:
                    by_path[change.mutant.path][number] = change
            for path in {c.mutant.path for c in numbered.values()}:
                self.put(path, switched((ROOT / path).read_text(), by_path[path]))
            made = self.make()
            if made.returncode == 0:
                return left_out
            places = re.findall(r"(?:^|/)([\w.]+):(\d+):\d+: error:", made.stdout, re.MULTILINE)
            wrong = {
                n
                for path, own in by_path.items()
                for n, c in own.items()
                if (path.name, str(c.mutant.line)) in places
            }
            if not wrong:
                sys.exit(f"the emulation does not build:\n{made.stdout[-3000:]}")
            left_out |= wrong

    def test(
        self, mutants: list[tuple[int, list[str]]], words: Iterable[str] = ()
    ) -> list[tuple[int, str, str]]:
        """How each of these ended, and by which test.

        With ``words``, their tests run without any defect first, which says how long they take.
        """
        out, job = FOLDER / "lines.json", FOLDER / "job.json"
        out.unlink(missing_ok=True)
        tested = {*words}.union(*(own for _, own in mutants))
        files = sorted({file for word in tested for file in files_of(word)})
        clean = files if words else []
        job.write_text(
            json.dumps({"out": str(out), "workers": WORKERS, "clean": clean, "mutants": mutants})
        )
        command = [
            sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
            "-p", "mutant_runs", "-s", "--hypothesis-profile=mutants", "-o",
            f"pythonpath={ROOT}/tests {ROOT}/tests/cuda_emulation {self.build}",
            *(f"{ROOT}/tests/kernels/{file}" for file in files),
        ]  # fmt: skip
        paths = [str(self.build), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        env = os.environ | {
            "FASTJAG_EXPECT_EMULATION": "1",
            "MUTANTS": str(job),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        done = subprocess.run(command, check=False, cwd=ROOT, env=env)
        lines = out.read_text().splitlines() if out.exists() else []
        ended = [tuple(json.loads(line)) for line in lines]
        if done.returncode not in (0, 5) or len(ended) < len(mutants):
            sys.exit("the tests do not run")
        return ended


def run(wanted: list[Change]) -> list[Mutant]:
    """All mutants with their ends; they are kept as soon as they are known."""
    numbered = dict(enumerate(wanted, 1))
    ended: dict[int, Mutant] = {}
    for n, c in numbered.items():
        if c.mutant.key in EQUIVALENT:
            ended[n] = replace(c.mutant, end="equivalent")
    asked = {n: c for n, c in numbered.items() if n not in ended}
    if asked:
        build = Build()
        single = build.with_switches(asked)
        print(f"{len(asked)} mutants, {len(single)} of them in builds of their own", flush=True)
        jobs = [(n, c.mutant.words) for n, c in asked.items() if n not in single]
        for n, end, _ in build.test(jobs, {w for c in asked.values() for w in c.mutant.words}):
            ended[n] = replace(asked[n].mutant, end=end)
        keep(ended.values())
        for path in {c.mutant.path for c in asked.values()}:
            build.put(path, (ROOT / path).read_text())
        for n in sorted(single):
            path = asked[n].mutant.path
            build.put(path, alone((ROOT / path).read_text(), asked[n]))
            end = "no program"
            if build.make().returncode == 0:
                ((_, end, _),) = build.test([(n, asked[n].mutant.words)])
            ended[n] = replace(asked[n].mutant, end=end)
            build.put(path, (ROOT / path).read_text())
            print(f"{asked[n].mutant}: {end}", flush=True)
    return keep(ended.values())


def keep(ended: Iterable[Mutant]) -> list[Mutant]:
    """All that are known, with these, of the lines that there are."""
    there = {(c.mutant.key, c.mutant.line, c.mutant.column) for p in sources() for c in changes(p)}
    known = [Mutant(**m) for m in json.loads(ENDED.read_text())] if ENDED.exists() else []
    by_place = {(m.key, m.line, m.column): m for m in [*known, *ended]}
    kept = [m for place, m in by_place.items() if place in there]
    order = [path.name for path in sources()]
    kept.sort(key=lambda m: (order.index(m.file), m.line, m.column, m.operator))
    ENDED.parent.mkdir(parents=True, exist_ok=True)
    ENDED.write_text(json.dumps([asdict(m) for m in kept], indent=1))
    return kept


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
        name = operator.replace("|", "\\|")
        lines.append(f"| {file} | {name} | {n.total()} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def listing(ended: list[Mutant]) -> str:
    """Every mutant."""
    lines = ["# Mutants of the CUDA kernels", "", "Made by `make mutants`; see gpu.md.", ""]
    lines += ["| where | defect | line | end |", "|---|---|---|---|"]
    for m in ended:
        code = m.before.replace("|", "\\|")
        reason = EQUIVALENT.get(m.key, "")
        end = f"equivalent: {reason}" if reason else m.end
        name = m.operator.replace("|", "\\|")
        lines.append(f"| {m.file}:{m.line} | {name} | `{code}` | {end} |")
    return "\n".join(lines) + "\n"


def write(ended: list[Mutant], of: int) -> None:
    """The tables of docs/; ``of``: how many mutants there are."""
    head, rest = PAGE.read_text().split("<!-- mutants -->\n")
    _, tail = rest.split("<!-- end of mutants -->")
    table = f"{len(ended)} of {of} mutants have been tried.\n\n{summary(ended)}"
    PAGE.write_text(f"{head}<!-- mutants -->\n{table}\n<!-- end of mutants -->{tail}")
    LIST.write_text(listing(ended))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="as select or events; all if none are named")
    parser.add_argument("--list", action="store_true", help="print what would be tried")
    parser.add_argument("--known", action="store_true", help="only what is not known yet")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/")
    options = parser.parse_args()
    everything = [c for path in sources() for c in changes(path)]
    if stale := EQUIVALENT.keys() - {c.mutant.key for c in everything}:
        sys.exit(f"equivalent mutants that are no mutants any more: {sorted(stale)}")
    named = set(options.files)
    wanted = [c for c in everything if not named or Path(c.mutant.file).stem in named]
    if options.known:
        known = {(m.key, m.line, m.column) for m in keep([]) if m.end != "survives"}
        wanted = [c for c in wanted if (c.mutant.key, c.mutant.line, c.mutant.column) not in known]
    if options.list:
        print(*(f"{m.file}:{m.line}: {m.operator}: {m.before}" for m, *_ in wanted), sep="\n")
        print(f"{len(wanted)} mutants")
        return
    started = time.perf_counter()
    ended = run(wanted)
    print(summary(ended))
    print(f"{(time.perf_counter() - started) / 60:.0f} minutes")
    if options.write:
        write(ended, len(everything))
    if survivors := [m for m in ended if m.end == "survives"]:
        sys.exit("\n".join(f"{m.file}:{m.line}: {m.operator}: {m.after}" for m in survivors))


if __name__ == "__main__":
    main()
