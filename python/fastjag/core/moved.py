"""Where the modules of 0.1.0 are now: imports of the old names say it, pickles of models load."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importlib.abc takes longer to import than fastjag

#: Old to new name, both without "fastjag.".
MOVED = {
    "analyses.dimuon.bumps": "analyses.dimuon.cuts",
    "analyses.dimuon.curve_pictures": "analyses.dimuon.pictures.curves",
    "analyses.dimuon.experiments": "analyses.dimuon.pseudo_experiments",
    "analyses.dimuon.feature_pictures": "analyses.dimuon.pictures.features",
    "analyses.dimuon.findings": "analyses.dimuon.significance",
    "analyses.dimuon.mass_pictures": "analyses.dimuon.pictures.masses",
    "analyses.dimuon.pages": "analyses.dimuon.report",
    "analyses.dimuon.pickles": "analyses.dimuon.skims",
    "analyses.dimuon.search": "analyses.dimuon.run",
    "analyses.dimuon.sections": "analyses.dimuon.config",
    "analyses.dimuon.steps": "analyses.dimuon.run",
    "analyses.diphoton.clustering": "analyses.diphoton.simulation.clustering",
    "analyses.diphoton.columnstats": "analyses.diphoton.column_statistics",
    "analyses.diphoton.comparison": "analyses.diphoton.train",
    "analyses.diphoton.comparison_pages": "analyses.diphoton.pictures",
    "analyses.diphoton.detector": "analyses.diphoton.simulation.detector",
    "analyses.diphoton.mass_pictures": "analyses.diphoton.pictures",
    "analyses.diphoton.massfit": "analyses.diphoton.mass_fit",
    "analyses.diphoton.pages": "analyses.diphoton.report",
    "analyses.diphoton.recipes": "analyses.diphoton.models",
    "analyses.diphoton.shapes": "analyses.diphoton.event_shapes",
    "analyses.diphoton.simulate": "analyses.diphoton.simulation",
    "analyses.diphoton.study": "analyses.diphoton.run",
    "analyses.gammajet.pages": "analyses.gammajet.report",
    "analyses.importance.pages": "analyses.importance.report",
    "analyses.jettrack": "analyses.jets",
    "analyses.settings": "analyses.common.config",
    "analyses.stages": "analyses.common.stages",
    "analyses.triggerrate": "analyses.rates",
    "arrays": "core.arrays",
    "baskets": "io.baskets",
    "devices": "core.devices",
    "files": "io.files",
    "grids": "pyramid.grids",
    "interchange": "jagged.interchange",
    "kernels.device": "kernels.gpu",
    "matrixfile": "pyramid.matrixfile",
    "models.boosted": "models.boosted_trees",
    "models.ensembles": "models.boosted_trees models.forests models.table_classifier",
    "models.pyramids": "models.pyramid_classifiers",
    "models.sets": "models.particle_tensors",
    "models.stacked": "models.stacked_flows",
    "models.training": "models.flow_training",
    "models.trees": "models.fold_scores",
    "numba_support": "jagged.numba_support",
    "nystroem": "pyramid.nystroem",
    "output": "reporting.output",
    "plots": "reporting.plots",
    "progress": "reporting.progress",
    "reader": "io.reader",
    "reference": "kernels.reference",
    "report": "reporting.report",
    "treefile": "io.writer",
}
# Those whose classes are in pickles of Nystroem, of models and of their settings and scores.
_IN_PICKLES = {"nystroem", *(f"models.{name}" for name in (
    "ensembles", "pyramids", "sets", "training", "trees"))}  # fmt: skip


class _MovedModules(Loader):
    """The last of those that ``import`` asks: for the names above."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        old = name.removeprefix("fastjag.")
        if old == name or old not in MOVED:
            return None
        if old not in _IN_PICKLES:
            raise ModuleNotFoundError(_message(old), name=name)
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """One of the usual kind."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it but what unpickling asks for: classes."""
        old = module.__name__.removeprefix("fastjag.")

        def find_class(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            for new in MOVED[old].split():
                value = getattr(import_module(f"fastjag.{new}"), name, None)
                if isinstance(value, type):
                    return value
            raise ImportError(_message(old), name=module.__name__)

        module.__dict__["__getattr__"] = find_class


def _message(old: str) -> str:
    new = " and ".join(f"fastjag.{name}" for name in MOVED[old].split())
    return (
        f"fastjag.{old} of fastjag 0.1.0 is {new} now: import from there. If a pickle asks for it, "
        "load that with fastjag 0.1.0 and save its arrays or numbers in another format, or make "
        "it again"
    )


def announce() -> None:
    """Let ``import`` know."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())
