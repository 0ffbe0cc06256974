"""Defects put into the Python of the package, one at a time: do the tests of its module notice?

    python tests/mutants_python.py 1 200                   # 200, chosen by seed 1
    python tests/mutants_python.py 1 50 statistics reader  # in modules whose path holds a word
    python tests/mutants_python.py 1 200 --list            # what would be tried

A mutant lives in a copy of the package, which stands first on the path. The tests of its module,
``TESTS``, run until one fails or takes too long. Those of ``equivalent_python_mutants.py`` behave
as the package does, each with an argument; they are left out, and may be a tenth of the sample.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from equivalent_python_mutants import EQUIVALENT

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "fastjag"
PATIENCE = 5  # times what the tests take without a defect: longer, and it hangs
WANTED = 0.9  # share of the mutants that the tests have to notice
ARGUED = 0.1  # share of the sample that may be left out as equivalent

RATES = ("analyses/rates/borders", "analyses/rates/skims", "analyses/rates/rates")

#: Modules that mutants are made of, and what tests them.
TESTS = {
    "statistics/likelihood.py": ("statistics/likelihood", "statistics/statistics"),
    "statistics/pvalues.py": ("statistics/toy_pvalues", "statistics/statistics"),
    "statistics/windows.py": ("statistics/statistics",),
    "statistics/backgrounds.py": ("statistics/backgrounds", "statistics/peaks"),
    "statistics/peaks.py": ("statistics/peaks",),
    "statistics/crystalball.py": ("statistics/peaks",),
    "statistics/deviations.py": ("statistics/likelihood",),
    "statistics/goodness.py": ("statistics/goodness",),
    "statistics/scan.py": ("statistics/mass_scan", "statistics/scan_parts"),
    "statistics/sidebands.py": ("statistics/scan_parts", "statistics/mass_scan"),
    "statistics/baseline.py": ("statistics/scan_parts", "statistics/mass_scan"),
    "statistics/elsewhere.py": ("statistics/scan_parts", "statistics/mass_scan"),
    "core/settings.py": ("core/settings",),
    "inputs/expressions.py": ("inputs/expressions",),
    "inputs/functions.py": ("inputs/expressions",),
    "inputs/values.py": ("inputs/expressions", "inputs/groups"),
    "inputs/groups.py": ("inputs/groups", "inputs/inputs"),
    "inputs/columns.py": ("inputs/groups",),
    "inputs/sampling.py": ("inputs/inputs",),
    "inputs/weighting.py": ("inputs/weights", "inputs/weaver"),
    "inputs/reweighting.py": ("inputs/weights", "inputs/weaver"),
    "inputs/targets.py": ("inputs/weights",),
    "inputs/weaver.py": ("inputs/weaver",),
    "analyses/gammajet/gaussian_core.py": ("analyses/gammajet/gaussian_core",),
    "analyses/gammajet/profiles.py": ("analyses/gammajet/profiles",),
    "analyses/gammajet/comparison.py": ("analyses/gammajet/comparison",),
    "analyses/rates/rates.py": RATES,
    "analyses/rates/fit.py": RATES,
    "analyses/rates/tables.py": RATES,
    "io/baskets.py": ("io/baskets", "io/basket_keys", "io/odd_types", "io/io", "io/io_errors"),
    "io/tasks.py": ("io/basket_keys", "io/branch_columns", "io/odd_types"),
    "io/branch_columns.py": ("io/branch_columns", "io/baskets", "io/basket_keys", "io/odd_types"),
    "io/branches.py": ("io/odd_types", "io/tree_names", "io/io", "io/identity"),
    "io/groups.py": ("io/groups", "io/odd_types"),
    "io/reader.py": ("io/odd_types", "io/tree_names", "io/io", "io/io_errors", "io/baskets"),
    "histograms/fill.py": (
        "kernels/histogram",
        "histograms/nan_hist",
        "histograms/any_axis",
        "histograms/variations",
    ),
    "histograms/axes.py": (
        "kernels/histogram",
        "kernels/histogram_cuts",
        "histograms/any_axis",
        "histograms/columns",
    ),
    "histograms/boost.py": ("histograms/any_axis",),
    "histograms/columns.py": ("histograms/columns", "histograms/variations", "kernels/histogram"),
    "histograms/variations.py": ("histograms/variations",),
    "histograms/cuts.py": (
        "kernels/histogram",
        "kernels/histogram_cuts",
        "histograms/nan_hist",
    ),
    "histograms/nan_hist.py": ("histograms/nan_hist",),
    "io/root_hist.py": ("io/root_hist",),
}

# What stands between two operands, and what is put there.
OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "*"), ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all",
         "all": "any", "argmax": "argmin", "argmin": "argmax"}  # fmt: skip
NUMBERS = (0, 0.5, 1, 2)  # larger ones are mostly sizes of blocks and limits of iterations


class Mutant(NamedTuple):
    file: str  #: in python/fastjag/
    line: int
    begin: int  #: bytes of the file that are replaced
    end: int
    new: str
    before: str  #: the line, without its indentation
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.before, self.after


def mutants(file: str) -> Iterator[Mutant]:
    source = (PACKAGE / file).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def made(begin: int, end: int, new: str) -> Mutant:
        line = bisect_right(starts, begin)
        before = source[starts[line - 1] : starts[line]].decode()
        text = source[starts[line - 1] : begin] + new.encode() + source[end : starts[line]]
        return Mutant(file, line, begin, end, new, before.strip(), text.decode().strip())

    def between(left: ast.expr, op: ast.AST, right: ast.expr) -> Iterator[Mutant]:
        old, new = OPERATORS[type(op)]
        begin = starts[left.end_lineno - 1] + left.end_col_offset  # type: ignore[operator]
        gap = source[begin : starts[right.lineno - 1] + right.col_offset]
        bare = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), gap)
        at = begin + bare.index(old.encode())
        yield made(at, at + len(old), new)

    def walk(node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, (ast.JoinedStr, ast.Raise)):  # what messages say
            return
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            yield from between(node.left, node.op, node.right)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, node.op, right)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, op, right in zip(sides, node.ops, node.comparators, strict=False):
                yield from between(left, op, right)
        elif isinstance(node, (ast.UnaryOp, ast.Constant, ast.Name, ast.Attribute)):
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[operator]
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
                sign = "not " if isinstance(node.op, ast.Not) else "-"
                yield made(begin, begin + len(sign), "")
            elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
                yield made(begin, end, str(not node.value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
                if node.value in NUMBERS:
                    yield made(begin, end, repr(node.value + 1))
            elif isinstance(node, ast.Name) and node.id in NAMES:
                yield made(begin, end, NAMES[node.id])
            elif isinstance(node, ast.Attribute) and node.attr in NAMES:
                yield made(end - len(node.attr), end, NAMES[node.attr])
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from walk(child)

    yield from walk(ast.parse(source))


class Worker:
    """A copy of the package, first on the path of its tests."""

    def __init__(self, folder: Path) -> None:
        from fastjag import _cpu

        self.package = folder / "fastjag"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(_cpu.__file__, self.package)
        # The finder of an editable installation comes before the path.
        (folder / "sitecustomize.py").write_text(
            "import sys\n"
            "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n"
        )
        # Byte code is known by its time and size, which a mutant shares with the next.
        self.env = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def test(self, file: str, limit: float | None = None) -> bool:
        """Whether the tests of a module pass."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short",
                   "-p", "no:cacheprovider", "--hypothesis-profile=mutants", *tests_of(file)]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.env, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # with all that the tests have started
            process.communicate()
            return False
        if process.returncode == 4 or "no tests ran" in said:  # wrong usage: no verdict
            sys.exit(f"the tests of {file} do not run:\n{said[-3000:]}")
        return process.returncode == 0

    def survives(self, mutant: Mutant, limit: float) -> bool:
        path = self.package / mutant.file
        source = path.read_bytes()  # of the copy: the tree may be worked on meanwhile
        path.write_bytes(source[: mutant.begin] + mutant.new.encode() + source[mutant.end :])
        try:
            return self.test(mutant.file, limit)
        finally:
            path.write_bytes(source)


def tests_of(file: str) -> list[str]:
    paths = [
        ROOT / "tests" / folder / f"test_{name}.py"
        for folder, _, name in (word.rpartition("/") for word in TESTS[file])
    ]
    return [str(path) for path in paths if path.is_file()]


def run(wanted: list[Mutant], jobs: int) -> list[Mutant]:
    """Those that survive."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        free: SimpleQueue[Worker] = SimpleQueue()
        for number in range(jobs):
            free.put(Worker(Path(folder) / str(number)))
        limits = {}
        worker = free.get()
        for file in sorted({mutant.file for mutant in wanted}):
            started = time.perf_counter()
            if not worker.test(file):
                sys.exit(f"the tests of {file} fail without any defect")
            seconds = time.perf_counter() - started
            limits[file] = 20 + PATIENCE * seconds
            print(f"{file}: {seconds:.0f} s without any defect", flush=True)
        free.put(worker)

        def one(mutant: Mutant) -> bool:
            worker = free.get()
            try:
                lives = worker.survives(mutant, limits[mutant.file])
            finally:
                free.put(worker)
            said = "SURVIVES" if lives else "dies"
            print(f"{said} {mutant.file} {mutant.line} | {mutant.before} => {mutant.after}",
                  flush=True)  # fmt: skip
            return lives

        return [m for m, lives in zip(wanted, pool.map(one, wanted), strict=True) if lives]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("number", type=int, help="of mutants")
    parser.add_argument("words", nargs="*", help="of modules: those whose path holds one of them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    every = [mutant for file in TESTS for mutant in mutants(file)]
    if stale := EQUIVALENT.keys() - {mutant.key for mutant in every}:
        sys.exit(f"equivalent mutants that are no mutants any more: {sorted(stale)}")
    words = options.words or [""]
    chosen = [m for m in every if any(word in m.file for word in words)]
    sample = random.Random(options.seed).sample(chosen, min(options.number, len(chosen)))
    wanted = sorted(mutant for mutant in sample if mutant.key not in EQUIVALENT)
    if options.list:
        print(*(f"{m.file} {m.line} | {m.before} => {m.after}" for m in wanted), sep="\n")
    argued = len(sample) - len(wanted)
    print(f"{len(sample)} of {len(chosen)} mutants, {argued} of them argued to be equivalent")
    if argued > ARGUED * len(sample):
        sys.exit(f"more than {ARGUED:.0%} are called equivalent")
    if options.list or not wanted:
        return
    started = time.perf_counter()
    survivors = run(wanted, options.jobs)
    killed = 1 - len(survivors) / len(wanted)
    print(f"seed {options.seed}: {len(wanted) - len(survivors)} of {len(wanted)} killed, "
          f"{killed:.1%}, in {(time.perf_counter() - started) / 60:.0f} minutes")  # fmt: skip
    print(*(f"{m.file} {m.line} | {m.before} => {m.after}" for m in survivors), sep="\n")
    if killed < WANTED:
        sys.exit(f"fewer than {WANTED:.0%}")


if __name__ == "__main__":
    main()
