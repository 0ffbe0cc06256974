"""The API reference: a page for each part of the package, of every public name."""

import importlib
import inspect
import re
from pathlib import Path

import fastjag

PACKAGE = Path(fastjag.__file__).parent

#: Page: its title, and the modules whose names it has. A module with ``__all__`` has those names,
#: others what they define.
PAGES = {
    "fastjag": ("fastjag", ["fastjag"]),
    "io": ("fastjag.io: files", ["fastjag.io"]),
    "datasets": ("fastjag.datasets: files as pieces of work", ["fastjag.datasets"]),
    "inputs": ("fastjag.inputs: what a model sees of events", ["fastjag.inputs"]),
    "batch": ("fastjag.batch: one function of many files, anywhere", ["fastjag.batch"]),
    "loading": ("fastjag.loading: batches for training", ["fastjag.loading"]),
    "schemas": ("fastjag.schemas: formats", ["fastjag.schemas"]),
    "selection": ("fastjag.selection: which events count", ["fastjag.selection"]),
    "corrections": ("fastjag.corrections: files of correctionlib", ["fastjag.corrections"]),
    "statistics": ("fastjag.statistics: fits and significances", ["fastjag.statistics"]),
    "models": (
        "fastjag.models: what learns",
        [
            "fastjag.models.boosted_trees",
            "fastjag.models.quantile_matrix",
            "fastjag.models.forests",
            "fastjag.models.fold_scores",
            "fastjag.models.table_classifier",
            "fastjag.models.deepsets",
            "fastjag.models.particle_tensors",
            "fastjag.models.pyramid_classifiers",
            "fastjag.models.padded_networks",
            "fastjag.models.tagger_networks",
            "fastjag.models.particle_transformer",
            "fastjag.models.batch_training",
            "fastjag.models.onnx",
            "fastjag.models.scorers",
            "fastjag.models.flow",
            "fastjag.models.flow_training",
            "fastjag.models.stacked_flows",
            "fastjag.models.weights",
            "fastjag.models.cells",
            "fastjag.models.roc",
            "fastjag.models.training_device",
        ],
    ),
    "toys": (
        "fastjag.toys: simulated events",
        ["fastjag.toys", "fastjag.toys.jets", "fastjag.toys.jetfiles", "fastjag.toys.triggers"],
    ),
    "analyses": (
        "fastjag.analyses: spectrum, convert and settings",
        ["fastjag.analyses.spectrum", "fastjag.analyses.convert", "fastjag.analyses.common.config"],
    ),
    **{
        f"analyses-{name}": (
            f"fastjag.analyses.{name}",
            [f"fastjag.analyses.{name}.{part}" for part in ("run", "config", "results", *more)],
        )
        for name, more in {
            "dimuon": ("elsewhere",),
            "diphoton": (),
            "gammajet": (),
            "train": ("performance",),
            "jets": ("reading", "observables", "features"),
            "rates": ("count", "rates", "fit", "tables"),
            "importance": ("comparison", "methods", "taylor"),
        }.items()
    },
    "hepdata": ("fastjag.reporting.hepdata: tables for HEPData", ["fastjag.reporting.hepdata"]),
    "errors": ("Errors", []),
}


def public_names(module):
    """Names that a module offers: ``__all__``, or the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.lower)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__  # an instance's is its class's
        and (inspect.isroutine(value) or inspect.isclass(value) or name.isupper())
    ]


def errors():
    """Every exception that the package defines, as module.name."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = "fastjag." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        classes = re.findall(
            r"^class (\w+(?:Error|Exception|Warning))\(", path.read_text(), re.MULTILINE
        )
        found += [f"{module.removesuffix('.__init__')}.{name}" for name in classes]
    return found


def hidden_bases(value):
    """Bases of a class that have no entry of their own: what they bring is shown with the class."""
    return [
        base
        for base in value.__mro__[1:]
        if base.__module__.startswith("fastjag.") and base.__name__ not in fastjag.__all__
    ]


def names():
    """Functions and classes that have an entry, and the public methods of those of ``fastjag`` itself."""
    first, full = {}, set()
    for _, modules in PAGES.values():
        for module in map(importlib.import_module, modules):
            for public in public_names(module):
                value = getattr(module, public)
                if callable(value) and first.setdefault(id(value), module) is module:
                    full.add(f"{module.__name__}.{public}")
                if module is fastjag and inspect.isclass(value):
                    full |= {f"fastjag.{public}.{method}" for base in [value, *hidden_bases(value)]
                             for method, inner in vars(base).items()
                             if not method.startswith("_") and inspect.isroutine(inner)}  # fmt: skip
    return full


def write(folder):
    """The pages, and an index of them."""
    folder.mkdir(parents=True, exist_ok=True)
    at = {}
    for page, (title, modules) in PAGES.items():
        parts = [f"# {title}\n"]
        for name in modules:
            module = importlib.import_module(name)
            if len(modules) > 1:
                parts.append(f"## {name}\n")
            parts.append(_rst(f".. automodule:: {name}\n   :no-members:"))
            parts += [_entry(module, public, at) for public in public_names(module)]
        if page == "errors":
            parts.append("Errors of wrong arguments are ValueError, TypeError and KeyError, of missing\n"
                         "libraries ModuleNotFoundError. Others have classes of their own:\n")  # fmt: skip
            for name in errors():
                owner, _, last = name.rpartition(".")
                parts.append(_entry(importlib.import_module(owner), last, at))
        (folder / f"{page}.md").write_text("\n".join(parts))
    (folder / "index.md").write_text(
        "# API reference\n\nEvery public name, from its docstring. `import fastjag as fj` is the first page.\n\n"
        + "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(PAGES) + "\n```\n"
    )  # fmt: skip


def _rst(text):
    return f"```{{eval-rst}}\n{text}\n```\n"


def _entry(module, name, at):
    """A directive of autodoc, or a reference where the same object stands already."""
    value, full = getattr(module, name), f"{module.__name__}.{name}"
    if inspect.isclass(value) or inspect.isroutine(value):
        if id(value) in at:
            return _rst(f"``{full}`` is :py:obj:`{at[id(value)]}`.")
        at[id(value)] = full
        if inspect.isclass(value):
            bases = "" if value.__bases__ == (object,) else "\n   :show-inheritance:"
            if module is fastjag and (hidden := hidden_bases(value)):
                rest = [base.__name__ for base in value.__mro__[1:] if base not in hidden]
                bases += f"\n   :inherited-members: {', '.join(rest)}"
            return _rst(f".. autoclass:: {full}\n   :members:{bases}")
        return _rst(f".. autofunction:: {full}")
    shown = repr(value)
    lines = [f".. py:data:: {name}", f"   :module: {module.__name__}"]
    if len(shown) <= 100:
        lines.append(f"   :value: {shown}")
    return _rst("\n".join([*lines, "", f"   {_comment(name)}"]))


def _comment(name):
    """The lines ``#: ...`` above a constant, wherever it is defined."""
    for path in PACKAGE.rglob("*.py"):
        if found := re.search(rf"((?:^#: .*\n)+){name}\b.* = ", path.read_text(), re.MULTILINE):
            return " ".join(line.removeprefix("#: ") for line in found[1].splitlines())
    return ""
