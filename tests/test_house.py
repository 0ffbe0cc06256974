"""The order of the house: who imports whom, how long files are, and what importing costs."""

import ast
import importlib
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import fastjag

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "fastjag"

# A package imports from lower rungs only. Inside a package nothing imports in circles.
LADDER = [
    {"__main__"},
    {"commands"},
    {"analyses"},
    {"__init__"},
    {"prediction"},
    {"batch"},
    {"loading"},
    {"inputs"},
    {"corrections", "datasets", "models", "toys", "statistics", "selection"},
    {"pyramid", "io"},
    {"dimuons", "neighbours", "variations"},
    {"histograms", "jagged", "schemas"},
    {"kernels", "reporting"},
    {"core", "_cpu"},
]
RUNG = {name: i for i, rung in enumerate(LADDER) for name in rung}

# Where a library may be imported, at any depth; everything else asks these modules.
HOMES = {
    "awkward": {"io", "jagged.interchange"},
    "uproot": {"io"},
    "ROOT": {"io.pyroot"},
    "torch": {"models", "jagged.interchange", "loading.torch_data", "analyses"},
    "zuko": {"models"},
    "onnx": {"models.onnx"},
    "onnxruntime": {"models.onnx"},
    "xgboost": {"models"},
    "pandas": {"jagged.arrow"},
    "pyarrow": {"jagged.arrow", "io.parquet", "batch.parts", "prediction", "analyses"},
    "matplotlib": {"reporting.plots", "reporting.labels"},
    "mplhep": {"reporting.plots", "reporting.labels"},
    "numba": {"jagged.numba_support"},
    "cloudpickle": {"batch"},
    "correctionlib": {"corrections"},
    "cupy": {"core.devices"},
    "dask_jobqueue": {"commands.executors"},
    "distributed": {"commands.executors"},
    "sklearn": {"pyramid", "models", "analyses"},
    "imblearn": {"models"},
    "iminuit": {"statistics", "analyses"},
    "pythia8mc": {"analyses"},
    "fastjet": {"analyses"},
    "scipy": {"corrections", "pyramid", "models", "statistics", "analyses", "reporting.points"},
}

HEAVY = ["awkward", "correctionlib", "uproot", "hist", "boost_histogram", "matplotlib", "mplhep", "torch", "rich",
         "typer", "pyarrow", "h5py", "scipy", "sklearn", "xgboost", "zuko", "pandas", "vector", "numba",
         "imblearn", "iminuit", "pythia8mc", "fastjet", "ROOT", "onnx", "onnxruntime"]  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))
MAP = (ROOT / "docs" / "architecture.md").read_text()
SOURCES = [
    path
    for folder in ("python", "cpp", "cuda", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".pyi", ".hpp", ".cpp", ".cu", ".cuh", ".h")
]


def dotted(path):
    """fastjag/toys/files.py is ``toys.files``, a package's ``__init__`` the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


BY_NAME = {dotted(path): path for path in MODULES}


def rung_of(name):
    """The name on the ladder: ``toys.files`` is part of ``toys``."""
    return name.split(".")[0]


def imports_of(path):
    """(module, name or None) of every import statement, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            yield from ((node.module, alias.name) for alias in node.names)


def modules_below(path):
    """Modules of the package that a file imports, those for the type checker included."""
    for module, name in imports_of(path):
        if module.split(".")[0] == "fastjag":
            inner = module.removeprefix("fastjag").lstrip(".")
            full = f"{inner}.{name}".lstrip(".")
            # ``from fastjag import Jagged`` is a name of the package itself.
            yield full if full in BY_NAME or full == "_cpu" else inner or "__init__"


def circles():
    """Sets of modules that import one another."""
    graph = {name: set(modules_below(path)) & set(BY_NAME) for name, path in BY_NAME.items()}

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reached = {name: reach(name) for name in graph}
    return {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
        if name in reached[name]
    }


class TestImports:
    @pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def test_only_downwards(self, path):
        own = rung_of(dotted(path))
        assert own in RUNG, f"{own} has no rung on the ladder yet: give it one, here and in docs"
        for other in modules_below(path):
            assert other != "kernels.reference", f"{own}: only tests compare with the reference"
            if rung_of(other) != own:
                assert RUNG[rung_of(other)] > RUNG[own], f"{own} must not import {other}"

    def test_no_circles(self):
        assert not circles()

    @pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
    def test_libraries_at_home(self, path):
        for module, _ in imports_of(path):
            homes = HOMES.get(module.split(".")[0])
            at_home = homes is None or any(f"{dotted(path)}.".startswith(f"{h}.") for h in homes)
            assert at_home, f"{module} belongs into {homes}"

    def test_compiled_modules_are_seen_by_kernels_only(self):
        users = {rung_of(dotted(path)) for path in MODULES if "_cpu" in modules_below(path)}
        assert users == {"kernels"}
        cuda = {rung_of(dotted(path)) for path in MODULES if "fastjag._cuda" in path.read_text()}
        assert cuda == {"kernels"}

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


def test_a_name_is_one_class():
    classes = [
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert {name for name in classes if classes.count(name) > 1} == set()


class TestFiles:
    @pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
    def test_at_most_400_lines(self, path):
        assert len(path.read_text().splitlines()) <= 400

    def test_files_are_short(self):
        assert statistics.median(len(path.read_text().splitlines()) for path in MODULES) < 130

    def test_build_file_is_short(self):
        assert len((ROOT / "CMakeLists.txt").read_text().splitlines()) < 150

    def test_the_tests_above_see_the_sources(self):
        assert {"python", "cpp", "tests"} <= {p.relative_to(ROOT).parts[0] for p in SOURCES}
        assert {"core.arrays", "kernels.padding", "jagged"} <= set(BY_NAME)
        padded = {"core.arrays", "core.display", "jagged.interchange"}
        assert set(modules_below(PACKAGE / "jagged" / "padded.py")) == padded


PLAN = {"__init__", "config", "run", "results", "report", "pictures", "toys"}
ANALYSES = sorted(p.parent for p in (PACKAGE / "analyses").glob("*/run.py"))


class TestAnalyses:
    """All analyses follow one plan; docs/architecture.md says which."""

    def test_there_are_seven(self):
        names = [p.name for p in ANALYSES]
        assert names == ["dimuon", "diphoton", "gammajet", "importance", "jets", "rates", "train"]

    @pytest.mark.parametrize("folder", ANALYSES, ids=lambda p: p.name)
    def test_modules(self, folder):
        own = {
            p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
        }
        assert own >= PLAN
        assert (folder / "pictures" / "__init__.py").is_file()
        listed = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        for module in own - {"__init__"}:
            assert re.search(rf"\b{module}\b", listed), f"{folder.name} does not list {module}"

    @pytest.mark.parametrize("folder", ANALYSES, ids=lambda p: p.name)
    def test_stages_are_functions_of_their_modules(self, folder):
        name = f"fastjag.analyses.{folder.name}"
        stages = importlib.import_module(f"{name}.run").STAGES
        assert len(stages) > 1
        for stage in stages:
            function = getattr(importlib.import_module(f"{name}.{stage}"), stage)
            assert function.__module__ == f"{name}.{stage}"

    @pytest.mark.parametrize("folder", ANALYSES, ids=lambda p: p.name)
    def test_pictures_are_made_from_plain_numbers(self, folder):
        seen = {"run", "report"} | set(importlib.import_module(
            f"fastjag.analyses.{folder.name}.run").STAGES)  # fmt: skip
        for path in (folder / "pictures").rglob("*.py"):
            for module in modules_below(path):
                assert module not in {f"analyses.{folder.name}.{name}" for name in seen}


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

    def test_the_map_has_the_ladder(self):
        block = re.search(r"<!-- ladder -->\n(.*)<!-- end of ladder -->", MAP, re.DOTALL)[1]
        assert [set(line.split()) for line in block.splitlines()] == LADDER

    @pytest.mark.parametrize("name", [n for n in BY_NAME if not n.startswith("analyses.")])
    def test_the_map_names_every_module(self, name):
        assert f"`{name.split('.')[-1]}" in MAP or name in RUNG

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
    from fastjag.core import checks

    found = util.find_spec
    missing = {"hist", "uproot", "awkward", "pyarrow", "torch"}
    monkeypatch.setattr(checks, "find_spec", lambda m: None if m in missing else found(m))
    with pytest.raises(ModuleNotFoundError, match=message):
        eval(code, {"fj": fj})
