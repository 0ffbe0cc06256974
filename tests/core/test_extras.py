"""Extras of the package: every command has one, it is enough, and a hint names it."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import typer

from fastjag import __main__ as cli
from fastjag.__main__ import main
from fastjag.core import extras

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "fastjag"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# As the metadata of an installed package has them.
REQUIREMENTS = [
    f'{line}; extra == "{extra}"'
    for extra, lines in PROJECT["optional-dependencies"].items()
    for line in lines
]
ALL = extras.modules_of("all", REQUIREMENTS)
# Nobody who does not ask for it needs it.
ON_DEMAND = {
    "fastjag.commands.executors": {"distributed", "dask_jobqueue"},  # of --executor dask and slurm
    "fastjag.jagged.interchange": {"torch"},
    "fastjag.io.transport": {"XRootD"},  # of files on servers, as the next ones
    "fastjag.io.sources.xrootd": {"XRootD"},
    "fastjag.io.sources.s3": {"botocore"},
    "fastjag.io.sources.others": {"fsspec"},
    "fastjag.analyses.diphoton.simulation.clustering": {
        "fastjet"
    },  # of simulations, not of studies
    "fastjag.analyses.common.config": {"yaml"},  # configurations of searches
    "fastjag.corrections.files": {"correctionlib"},  # of variations that are corrections
    "fastjag.corrections.ranges": {"correctionlib"},
    "fastjag.inputs.weaver": {"yaml"},  # data configurations of weaver-core
    "fastjag.models.training_device": {"torch", "xgboost"},  # of those that train
    "fastjag.models.forests": {"imblearn"},  # one of its kinds of forests
}
# Their modules come with others, or are a choice of the user (io.pyroot: std::vector by ROOT).
COME_ALONG = {"matplotlib": "mplhep", "boost_histogram": "hist", "cramjam": "uproot",
              "xxhash": "uproot"}  # fmt: skip


def leaves():
    """(name as typed, click command) of every command."""
    todo = [("", typer.main.get_command(cli.app))]
    while todo:
        name, command = todo.pop()
        if hasattr(command, "list_commands"):
            found = {n: command.get_command(None, n) for n in command.list_commands(None)}
            todo += [(f"{name} {n}".strip(), c) for n, c in found.items()]
        else:
            yield name, command


LEAVES = dict(leaves())


def file_of(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    for found in (path.with_suffix(".py"), path / "__init__.py"):
        if found.is_file():
            return found
    return None


def reached(start):
    """Libraries that a module imports, at any depth and in functions, and who imports them."""
    # fastjag itself and the GPU's arrays load on demand.
    todo, seen, libraries = [start], {"fastjag", "fastjag.core.devices"}, {}
    while todo:
        module = todo.pop()
        if module in seen or (path := file_of(module)) is None:
            continue
        seen.add(module)
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                if name.startswith("fastjag"):
                    todo.append(name)
                elif (top := name.split(".")[0]) not in ON_DEMAND.get(module, ()):
                    libraries.setdefault(COME_ALONG.get(top, top), set()).add(module)
    return libraries


class TestTable:
    def test_every_command_has_an_extra_and_the_other_way_round(self):
        for name in LEAVES:
            assert extras.extra_of(name) in {"", *PROJECT["optional-dependencies"]}, name
        groups = {name.split(" ")[0] for name in LEAVES}
        assert set(extras.COMMANDS) <= groups | set(LEAVES)

    @pytest.mark.parametrize("group", sorted({name.split(" ")[0] for name in LEAVES} - {"info"}))
    def test_an_extra_brings_all_that_the_code_of_its_command_imports(self, group):
        found = reached(f"fastjag.commands.{group}")
        wanted = {
            m
            for name in LEAVES
            if name.split(" ")[0] == group
            for m in extras.modules_of(extras.extra_of(name), REQUIREMENTS)
        }
        lacking = {m: sorted(found[m]) for m in found if m in ALL and m not in wanted}
        assert not lacking

    def test_all_is_everything_but_cuda(self):
        every = set(PROJECT["optional-dependencies"]) - {"cuda", "nvcomp"}
        assert {m for extra in every for m in extras.modules_of(extra, REQUIREMENTS)} == set(ALL)
        assert extras.modules_of("cuda", REQUIREMENTS) == ["cupy"]

    def test_cuda_brings_what_cupy_compiles_with(self):
        """Without NVRTC arrays move to the GPU, and the first comparison fails."""
        (line,) = PROJECT["optional-dependencies"]["cuda"]
        assert line.startswith("cupy-cuda13x[ctk]")

    def test_the_name_of_an_older_version_still_works(self):
        assert extras.modules_of("sim", REQUIREMENTS) == extras.modules_of("simulate", REQUIREMENTS)

    def test_readme_has_the_table(self):
        text = (ROOT / "README.md").read_text()
        for command, extra in extras.COMMANDS.items():
            if extra:
                rows = [row for row in text.splitlines() if row.startswith(f"| `{extra}` |")]
                assert len(rows) == 1, extra
                group = command if command in LEAVES else command.split(" ")[0]
                assert f"`{group}`" in rows[0] or f"`{group} " in rows[0], (extra, command)

    @pytest.mark.parametrize("extra", ["", "nothing"])
    def test_an_unknown_extra_brings_nothing(self, extra):
        assert extras.modules_of(extra, REQUIREMENTS) == []


def arguments_of(command):
    """What makes a command run: a value for each argument and option that it needs."""
    found = []
    for parameter in command.params:
        if parameter.required:
            options = [] if parameter.param_type_name == "argument" else [parameter.opts[0]]
            found += [*options, "none.toml"]
    return found


class TestChecks:
    @pytest.mark.parametrize("name", sorted(n for n in LEAVES if extras.extra_of(n)))
    def test_before_anything_runs(self, name, monkeypatch, capsys, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            extras, "modules_of", lambda extra: ["uproot", "no_such_one", "nor_this"]
        )
        monkeypatch.setattr(extras, "how_to_install", lambda extra: f"HINT {extra}")
        monkeypatch.setattr(sys, "argv", ["fastjag", *name.split(), *arguments_of(LEAVES[name])])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code == 1
        assert out == ""
        assert err == (
            f"fastjag: error: fastjag {name} needs no_such_one and nor_this, which are not "
            f"installed: HINT {extras.extra_of(name)}\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_one_module(self, monkeypatch):
        monkeypatch.setattr(extras, "modules_of", lambda extra: ["no_such_one"])
        with pytest.raises(ModuleNotFoundError, match="needs no_such_one, which is not installed"):
            extras.check("jets train")

    def test_info_says_what_is_missing(self, monkeypatch, capsys):
        monkeypatch.setattr(extras, "incomplete_extras", lambda: {"dimuon": ["zuko", "yaml"]})
        monkeypatch.setattr(extras, "how_to_install", lambda extra: f"pip install '.[{extra}]'")
        monkeypatch.setattr(sys, "argv", ["fastjag", "info"])
        with pytest.raises(SystemExit):
            main()
        out = capsys.readouterr().out
        assert "lacks zuko, yaml" in out
        assert "pip install '.[dimuon]'" in out

    def test_lacking(self, monkeypatch):
        monkeypatch.setattr(extras, "modules_of", lambda e: ["no_such_one"] if e == "jets" else [])
        assert extras.incomplete_extras() == {"jets": ["no_such_one"]}


class Installed:
    """A distribution that pip noted the origin of."""

    def __init__(self, origin):
        self.origin = origin

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.origin if isinstance(self.origin, str) else json.dumps(self.origin)


class TestHint:
    @pytest.mark.parametrize(
        ("origin", "line"),
        [
            ({"url": "file://{}", "dir_info": {}}, "pip install '{}[jets]'"),
            ({"url": "file://{}", "dir_info": {"editable": True}}, "pip install -e '{}[jets]'"),
            ({"url": "https://a.b/c.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
             "pip install 'fastjag[jets] @ git+https://a.b/c.git@12ab'"),
            ({"url": "file:///no/such/place", "dir_info": {}},
             "pip install '.[jets]' in a folder with fastjag's source"),
            ("", "pip install '.[jets]' in a folder with fastjag's source"),
            ("{", "pip install '.[jets]' in a folder with fastjag's source"),
            ("[]", "pip install '.[jets]' in a folder with fastjag's source"),
        ],
    )  # fmt: skip
    def test_by_origin(self, origin, line, monkeypatch, tmp_path):
        folder = tmp_path / "a b"
        folder.mkdir()
        if isinstance(origin, dict):
            place = str(folder).replace(" ", "%20")
            origin = {**origin, "url": origin["url"].replace("{}", place)}
        monkeypatch.setattr(metadata, "distribution", lambda name: Installed(origin))
        assert extras.how_to_install("jets") == line.replace("{}", str(folder))

    def test_never_installed(self, monkeypatch):
        def none(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "distribution", none)
        monkeypatch.setattr(metadata, "requires", none)
        assert extras.how_to_install("cli").startswith("pip install '.[cli]'")
        assert extras.modules_of("cli") == []


HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"{{name}} is hidden", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv[0] = "fastjag"
from fastjag.__main__ import main
main()
"""


def with_dependencies(modules):
    """Modules, and those that their distributions require, directly or not."""
    names = metadata.packages_distributions()
    todo, seen = [d for m in modules for d in names.get(m, [])], set()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        todo += [re.match(r"[\w.-]+", line)[0] for line in lines if "extra ==" not in line]
    return {m for m, found in names.items() if {d.lower().replace("_", "-") for d in found} & seen}


@pytest.mark.parametrize(
    "lines",
    [
        ["toys {}/toys.root --events 3000", "spectrum {}/toys.root --out {}/s",
         "convert {}/toys.root --out {}/c --format hdf5"],
        ["jets toys {}/jets.root --jets 300", "jets shapes {}/jets.root --out {}/s",
         "jets tensors {}/jets.root --out {}/t"],
        ["rates demo --out {}/r"],
        ["gammajet demo --events 3000 --out {}/g"],
    ],
    ids=["cli", "jets", "rates", "gammajet"],
)  # fmt: skip
def test_an_extra_is_enough(lines, tmp_path):
    """All libraries that the extra does not bring are made impossible to import."""
    for line in lines:
        words = [word.replace("{}", str(tmp_path)) for word in line.split()]
        name = " ".join(words[:2]) if " ".join(words[:2]) in LEAVES else words[0]
        allowed = extras.modules_of(extras.extra_of(name), REQUIREMENTS)
        # What comes along with them, such as SciPy with mplhep, may be there as well.
        hidden = sorted({*ALL, "cupy"} - with_dependencies(allowed))
        assert {"torch", "xgboost", "sklearn"} <= set(hidden)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", HIDE.format(hidden=hidden), *words],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
