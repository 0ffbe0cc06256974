"""What people who come from awkward, coffea, uproot or ROOT type first, and what does it here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from fastjag.core.checks import near_misses

_AGGREGATE = 'one number per event is .aggregate("pt", ["{0}"])["{0}"]'
_VECTOR = '.to_awkward("Momentum4D").{0} has it, from columns pt, eta, phi and mass'

#: Names that a Jagged, and an event of it, do not have.
OF_JAGGED = {
    **{name: _AGGREGATE.format(name) for name in ("sum", "prod", "mean", "std", "min", "max")},
    **{name: _AGGREGATE.format(name) for name in ("argmin", "argmax", "any", "all")},
    **{name: _VECTOR.format(name) for name in ("px", "py", "pz", "energy", "E", "p4")},
    "argsort": '.sort("pt") sorts the particles of each event',
    "deltaR": "fj.dimuon has delta_r of pairs, fj.nearest of two collections",
    "delta_r": "fj.dimuon has delta_r of pairs, fj.nearest of two collections",
    "delta_phi": "fj.dimuon has delta_phi of pairs, fj.nearest matches collections",
    "dtype": 'columns have one: muons["pt"].dtype',
    "fields": "names are .columns",
    "filter": ".keep(mask) keeps particles, [mask] events",
    "gather": "[indices] picks events",
    "head": "muons[:5] is the first five events",
    "isnull": "columns have no missing values",
    "items": "{name: muons[name] for name in muons.columns} is a dict",
    "keys": "names are .columns",
    "layout": ".to_awkward().layout is awkward's",
    "mask": ".keep(mask) keeps particles, [mask] events",
    "names": "names are .columns",
    "nearest": "fj.nearest(muons, jets) finds the nearest of another collection",
    "metric_table": "fj.in_cone(muons, jets, 0.4) finds all of another collection within a cone",
    "n_events": "len(muons) is the number of events",
    "ndim": "len(muons) is the number of events, .n_particles of particles",
    "num": "particles per event are .counts",
    "numpy": '.pad(4) is a dense array, muons["pt"] a flat one',
    "plot": 'fj.histogram(muons["pt"], (100, 0, 100)).plot() draws a column',
    "query": ".keep(mask) keeps particles, [mask] events",
    "shape": "len(muons) is the number of events, .n_particles of particles",
    "size": "len(muons) is the number of events, .n_particles of particles",
    "to_list": ".to_awkward().to_list() makes lists",
    "to_numpy": '.pad(4) is a dense array, muons["pt"] a flat one',
    "tolist": ".to_awkward().to_list() makes lists",
    "type": ".columns and muons[name].dtype say it",
    "unflatten": "fj.Jagged.from_counts(counts, columns) makes events of flat columns",
    "cuda": '.to("cuda") moves it to a GPU',
    "cpu": '.to("cpu") moves it to the CPU',
    "with_field": ".with_columns(name=values) adds columns",
    "with_name": '.to_awkward("Momentum4D") has the behaviours of vector',
}

#: Names that a Batch does not have.
OF_BATCH = {
    "arrays": "batch.fields names what was read, .to_awkward() has all of it",
    "columns": "batch.fields names what was read",
    "items": "{name: batch[name] for name in batch} is a dict",
    "keys": "batch.fields names what was read",
    "n_events": "len(batch) is the number of events",
    "num_entries": "len(batch) is the number of events",
    "head": "batch[:5] is the first five events",
    "to_numpy": "batch.fields names what was read; batch[name] is an array or a Jagged",
    "metadata": "batch.source says file, tree and entries",
    "shape": "len(batch) is the number of events",
    "Filter": "batch[mask] is some of the events",
    "Define": "batch.Muon.with_columns(name=values) adds a column",
    "filter": "batch[mask] is some of the events",
    "keep": "batch[mask] is some of the events",
}

#: Names that a Dimuons does not have.
OF_DIMUONS = {
    "columns": "names are .fields",
    "counts": "pairs per event are .to_jagged().counts",
    "deltaR": "it is .delta_r",
    "dr": "it is .delta_r",
    "keep": "pairs[mask] is some of the pairs",
    "m": "it is .mass",
    "mll": "it is .mass",
    "n_pairs": "len(pairs) is the number of pairs",
    "shape": "len(pairs) is the number of pairs",
    "sort": '.to_jagged().sort("mass") sorts the pairs of each event',
    "aggregate": ".to_jagged().aggregate(...) has one number per event",
    "pad": ".to_jagged().pad(2) is a dense array",
    "max": 'pairs.mass.max() is one of a column, .to_jagged().aggregate("mass", ["max"]) one per event',
    "mean": 'pairs.mass.mean() is one of a column, .to_jagged().aggregate("mass", ["mean"]) one per event',
    "sum": "pairs.mass.sum() is one of a column, .to_jagged().aggregate(...) one per event",
}

#: Names that the package does not have.
OF_FASTJAG = {
    "Array": "fj.Jagged(offsets, columns), fj.Jagged.from_awkward(array)",
    "Hist": "fj.histogram(values, (bins, low, high)) is a hist.Hist",
    "RDataFrame": "fj.iterate(files, columns) reads, .keep(mask) and batch[mask] filter",
    "argmax": 'muons.aggregate("pt", ["argmax"])',
    "array": "fj.Jagged(offsets, columns)",
    "broadcast_arrays": "muons.broadcast(values) has a value of the event for each particle",
    "cartesian": "fj.nearest and fj.in_cone match two collections",
    "combinations": 'fj.dimuon(muons, "any", pairs="all") makes all pairs',
    "concat": "fj.concatenate([first, second])",
    "count": "muons.counts",
    "concatenate": "fj.concatenate joins them",
    "dataset": "fj.iterate(files, columns)",
    "deltaR": "fj.dimuon has delta_r of pairs, fj.nearest and fj.in_cone of two collections",
    "delta_r": "fj.dimuon has delta_r of pairs, fj.nearest and fj.in_cone of two collections",
    "delta_phi": "fj.dimuon has delta_phi of pairs",
    "firsts": 'muons.aggregate("pt", ["leading-1"]), muons.pad(1)',
    "flatten": 'columns are flat: muons["pt"]',
    "from_awkward": "fj.Jagged.from_awkward(array)",
    "from_arrow": "fj.Jagged.from_arrow(array)",
    "from_counts": "fj.Jagged.from_counts(counts, columns)",
    "from_parquet": "fj.Jagged.from_arrow(pyarrow.parquet.read_table(path)[column])",
    "from_root": "fj.iterate(files, columns)",
    "fill_none": "columns have no missing values",
    "hist": "fj.histogram(values, (bins, low, high)) is a hist.Hist",
    "histogram2d": "fj.histogram((x, y), (x_axis, y_axis))",
    "invariant_mass": "fj.pair_mass(...), or .mass of fj.dimuon(muons)",
    "max": 'muons.aggregate("pt", ["max"])',
    "mean": 'muons.aggregate("pt", ["mean"])',
    "min": 'muons.aggregate("pt", ["min"])',
    "num": "muons.counts",
    "open": "fj.iterate(files, columns) reads batches",
    "pad": "muons.pad(4)",
    "pad_none": "muons.pad(4, fill=float('nan'))",
    "prod": 'muons.aggregate("x", ["prod"])',
    "read": "fj.iterate(files, columns) reads batches",
    "read_root": "fj.iterate(files, columns) reads batches",
    "sort": 'muons.sort("pt")',
    "sum": 'muons.aggregate("pt", ["sum"])',
    "to_awkward": "muons.to_awkward()",
    "to_numpy": "muons.pad(4)",
    "to_torch": 'muons.to_torch("pt"), or muons.pad(4, "pt").to_torch()',
    "unflatten": "fj.Jagged.from_counts(counts, columns)",
    "where": "numpy.where takes columns",
    "with_field": "muons.with_columns(name=values)",
    "zip": "fj.Jagged(offsets, columns)",
}


def no_attribute(
    owner: str, what: str, name: str, known: Iterable[str], ways: dict[str, str]
) -> AttributeError:
    """The error for an attribute that is not there: what does it here, or near misses."""
    if name in ways:
        return AttributeError(f"{owner} has no attribute {name!r}: {ways[name]}")
    return AttributeError(f"no {what} {name!r}: {near_misses(name, known)}")


class NotAnArray:
    """Holds columns: arithmetic and NumPy's functions are for these, and an error says so."""

    __slots__ = ()

    def _how(self) -> str:
        """Where arrays are, for the end of a sentence."""
        return 'a column is one, for example muons["pt"]'

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} is no array, and has no arithmetic: {self._how()}"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __sub__ = __mul__ = __truediv__ = __pow__ = __and__ = __or__ = __invert__ = _refuse
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rand__ = __ror__ = __neg__ = __abs__ = _refuse

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._refuse()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> NoReturn:
        self._refuse()

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        name = function.__name__
        way = OF_FASTJAG.get(name) or OF_JAGGED.get(name) or self._how()
        raise TypeError(f"numpy.{name} takes arrays, and a {type(self).__name__} is none: {way}")
