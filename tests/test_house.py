"""The order of the house: who imports whom, how long files are, and what importing costs."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastjag

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "fastjag"

# A module imports from lower rungs only. One with submodules stands on one rung as a whole.
LADDER = [
    {"__main__"},
    {"commands"},
    {"analyses"},
    {"__init__"},
    {
        "models",
        "batch",
        "plots",
        "report",
        "statistics",
        "selection",
        "io",
        "toys",
        "nystroem",
        "treefile",
    },
    {"pyramid"},
    {"reader", "matrixfile", "remotes"},
    {"rntuple", "groups", "transport"},
    {"branches", "batches"},
    {"baskets", "files", "schemas", "progress", "exclusive", "hdf5"},
    {"output"},
    {"locks"},
    {"histograms", "dimuons", "neighbours", "grids", "numba_support"},
    {"jagged"},
    {"interchange", "nan_hist", "root_hist"},
    {"kernels"},
    {"arrays", "compression"},
    {"devices", "_cpu"},
    {"extras"},
]
RUNG = {name: i for i, rung in enumerate(LADDER) for name in rung}

# Where a library may be imported, at any depth; everything else asks these modules.
HOMES = {
    "awkward": {"io", "toys", "interchange"},
    "uproot": {
        "io",
        "reader",
        "branches",
        "remotes",
        "toys",
        "treefile",
        "compression",
        "rntuple",
        "transport",
    },
    "ROOT": {"treefile"},
    "torch": {"models", "interchange", "analyses"},
    "zuko": {"models"},
    "xgboost": {"models"},
    "pyarrow": {"interchange", "analyses"},
    "matplotlib": {"plots"},
    "mplhep": {"plots"},
    "dask": {"batch"},
    "numba": {"numba_support"},
    "cupy": {"devices"},
    "sklearn": {"pyramid", "nystroem", "models", "analyses"},
    "imblearn": {"models"},
    "iminuit": {"statistics", "analyses"},
    "pythia8mc": {"analyses"},
    "fastjet": {"analyses"},
    "scipy": {"pyramid", "models", "statistics", "analyses"},
}
HEAVY = ["awkward", "uproot", "hist", "boost_histogram", "matplotlib", "mplhep", "torch", "rich",
         "typer", "pyarrow", "h5py", "scipy", "sklearn", "xgboost", "zuko", "pandas", "vector", "numba",
         "imblearn", "iminuit", "pythia8mc", "fastjet", "ROOT"]  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [
    path
    for folder in ("python", "cpp", "cuda", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".pyi", ".hpp", ".cpp", ".cu", ".cuh", ".h")
]


def module_of(path):
    """The name on the ladder: fastjag/toys/files.py is part of ``toys``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """(module, name or None) of every import statement, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            yield from ((node.module, alias.name) for alias in node.names)


def rungs_below(path):
    """Names on the ladder that a file imports from."""
    for module, name in imports_of(path):
        parts = module.split(".")
        if parts[0] == "fastjag":
            parts += [name] if name else []
            inner = parts[1] if len(parts) > 1 else "__init__"
            # ``from fastjag import Jagged`` is a name of the package itself.
            is_module = (PACKAGE / inner).is_dir() or (PACKAGE / f"{inner}.py").is_file()
            yield inner if is_module or inner == "_cpu" else "__init__"


class TestImports:
    @pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def test_only_downwards(self, path):
        own = module_of(path)
        if own == "reference":  # what tests compare with: stands beside the ladder
            assert set(rungs_below(path)) <= {"arrays"}
            return
        assert own in RUNG, f"{own} has no rung on the ladder yet: give it one, here and in docs"
        for other in rungs_below(path):
            assert other != "reference", f"{own}: only tests compare with the reference"
            if other != own:
                assert other in RUNG, f"{own} imports {other}, which has no rung"
                assert RUNG[other] > RUNG[own], f"{own} must not import {other}"

    @pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def test_libraries_at_home(self, path):
        for module, _ in imports_of(path):
            homes = HOMES.get(module.split(".")[0])
            assert homes is None or module_of(path) in homes, f"{module} belongs into {homes}"

    def test_compiled_modules_are_seen_by_kernels_only(self):
        users = {module_of(path) for path in MODULES if "_cpu" in set(rungs_below(path))}
        assert users == {"kernels"}
        assert {module_of(p) for p in MODULES if "fastjag._cuda" in p.read_text()} == {"kernels"}

    def test_import_loads_numpy_only(self):
        code = """
import json, sys
import numpy
before = set(sys.modules)
import fastjag
print(json.dumps([sorted(sys.modules), sorted(set(sys.modules) - before)]))
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        loaded, added = json.loads(done.stdout)
        assert not set(HEAVY).intersection(loaded)
        foreign = {name.split(".")[0] for name in added} - sys.stdlib_module_names
        assert foreign <= {"fastjag", "numpy"}

    def test_import_is_fast(self, tmp_path):
        code = """
import time
import numpy
start = time.process_time()  # a busy machine does not make it slower
import fastjag
print(time.process_time() - start)
"""
        # With compiled bytecode, whatever the surroundings: the first run writes it.
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = str(tmp_path)
        seconds = [
            float(subprocess.check_output([sys.executable, "-c", code], env=env)) for _ in range(8)
        ]
        assert min(seconds[1:]) < 0.050


class TestFiles:
    @pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
    def test_at_most_400_lines(self, path):
        assert len(path.read_text().splitlines()) <= 400

    def test_build_file_is_short(self):
        assert len((ROOT / "CMakeLists.txt").read_text().splitlines()) < 150

    def test_the_tests_above_see_the_sources(self):
        assert {"python", "cpp", "tests"} <= {p.relative_to(ROOT).parts[0] for p in SOURCES}
        assert {"arrays", "kernels", "jagged"} <= {module_of(p) for p in MODULES}
        jagged = set(rungs_below(PACKAGE / "jagged.py"))
        assert jagged == {"interchange", "kernels", "arrays", "devices"}


class TestDocumentation:
    @pytest.mark.parametrize("name", fastjag.__all__)
    def test_public_names_have_docstrings(self, name):
        value = getattr(fastjag, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            assert (value.__doc__ or "").strip()
            return
        # A constant: its comment for documentation stands above it.
        sources = "\n".join(path.read_text() for path in MODULES)
        assert re.search(rf"^#: .+\n{name} = ", sources, re.MULTILINE)

    @pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def test_modules_say_what_they_are(self, path):
        assert ast.get_docstring(ast.parse(path.read_text())) or not path.read_text().strip()

    def test_lazy_names_and_unknown_names(self):
        assert fastjag.iterate.__module__.startswith("fastjag.")
        assert re.match(r"\d+\.\d+", fastjag.__version__)
        with pytest.raises(AttributeError, match="module 'fastjag' has no attribute 'iterat'"):
            _ = fastjag.iterat


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("fj.histogram([1.0], (2, 0, 1))", "this needs hist, .*pip install .*\\[hist\\]'"),
        ("fj.iterate('a.root')", "this needs uproot, .*pip install .*\\[io\\]'"),
        ("fj.Jagged([0, 1], {'x': [1.0]}).to_awkward()", "this needs awkward, .*\\[io\\]"),
        ("fj.Jagged([0, 1], {'x': [1.0]}).to_arrow()", "this needs pyarrow, .*\\[arrow\\]"),
        ("fj.Jagged([0, 1], {'x': [1.0]}).to_torch('x')", "this needs torch, .*\\[torch\\]"),
    ],
)
def test_missing_libraries_are_named(monkeypatch, code, message):
    from importlib import util

    import fastjag as fj
    from fastjag import arrays

    found = util.find_spec
    missing = {"hist", "uproot", "awkward", "pyarrow", "torch"}
    monkeypatch.setattr(arrays, "find_spec", lambda m: None if m in missing else found(m))
    with pytest.raises(ModuleNotFoundError, match=message):
        eval(code, {"fj": fj})
