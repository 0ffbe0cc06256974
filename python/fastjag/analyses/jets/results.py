"""What stages left: histograms of shapes and tracks, taggers, and tensors on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastjag.analyses.common.tables import parquet_columns, read_parquet
from fastjag.analyses.common.varied import Varied
from fastjag.analyses.jets.config import TrackSelection
from fastjag.analyses.jets.features import FEATURES, IMPACT_FEATURES
from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.io import Skipped

#: Stem of the files that hold tensors.
TENSORS = "jets"
#: Shapes of jets that taggers see.
SHAPES = ("girth", "pt_d", "axis2", "multiplicity", "charged_multiplicity", "neutral_multiplicity")


@dataclass
class ShapeHistograms:
    """Sums of weights by observable and flavour; average images; comparison with the file."""

    histograms: dict[str, dict[str, Any]]  #: observable -> flavour -> hist.Hist
    images: dict[str, Array]  #: weighted mean image of each flavour, (33, 33)
    compared: dict[str, dict[str, float]]  #: stored column -> mean of both and of |difference|
    counts: dict[str, int]
    gen: dict[str, float]  #: of jets with a gen jet: number, response, gen multiplicity
    files: list[str] = field(default_factory=list)
    format: str = ""
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    varied: Varied | None = None  #: "girth b" and the like, with an axis of variations


@dataclass
class TrackSpectrum:
    """Histograms of |d_xy| by what the track is near to, and what was counted on the way."""

    histograms: dict[str, Any]  #: "in jets", "elsewhere", and by flavour of the jet, if stored
    counts: dict[str, int]
    selection: TrackSelection
    files: list[str]
    weight: str  #: the branch that was used, or "none"
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Tagging:
    """Scores of the test jets and what they separate."""

    target: str
    classes: tuple[str, str]  #: signal, background
    labels: Array  #: (n_test,) 1 for signal
    weights: Array  #: (n_test,)
    models: dict[str, dict[str, Any]]
    counts: dict[str, int]
    settings: dict[str, Any]
    source: str


# ---- tensors


@dataclass(frozen=True)
class JetTable:
    """Columns by name: (n_jets,) or (n_jets, slots)."""

    columns: dict[str, Array]
    source: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(
                f"{self.source}: no column {name!r}: {near_misses(name, self.columns)}"
            ) from None

    def tensor(self, collection: str, slots: int | None = None) -> tuple[Array, Array, list[str]]:
        """(n_jets, slots, F) values, mask and names of the features of ``pfcand``, ``track``, ``sv``."""
        names, count = self.feature_names(collection)
        values = np.stack([self.columns[n][:, :slots] for n in names], axis=-1)
        mask = np.arange(values.shape[1]) < self[count][:, None]
        return values, mask, [n.removeprefix(f"{collection}_") for n in names]

    def feature_names(self, collection: str) -> tuple[list[str], str]:
        """Columns of ``pfcand``, ``track`` or ``sv`` that models see, and the one that counts them."""
        prefix = f"{collection}_"
        names = [n for n in self.columns if n.startswith(prefix) and n != f"{prefix}pt"]
        # HDF5 lists names by the alphabet: the order must not depend on the format.
        order = [f"{prefix}{n}" for n in (*FEATURES, *IMPACT_FEATURES)]
        names.sort(key=lambda n: (order.index(n) if n in order else len(order), n))
        if not names:
            raise ValueError(f"{self.source}: no columns {prefix}*, such as tensors have")
        return names, "n_sv" if collection == "sv" else f"n_{collection}s"


def tensor_files(folder: Path) -> list[Path]:
    """What "tensors" left in a folder, in any format."""
    one = [folder / f"{TENSORS}{ending}" for ending in (".h5", ".parquet")]
    return sorted(p for p in (*one, *folder.glob(f"{TENSORS}-*.npz")) if p.exists())


def read_tensors(path: str | os.PathLike[str], max_jets: int | None = None) -> JetTable:
    """The columns that :func:`tensors` left in a folder or file, the first ``max_jets`` rows."""
    source = Path(path)
    files = tensor_files(source) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"{source}: no tensors there; make them with: fastjag jets tensors")
    readers = {".h5": _read_hdf5, ".parquet": _read_parquet, ".npz": _read_npz}
    if files[0].suffix not in readers:
        raise ValueError(f"{files[0]}: tensors end in {', '.join(readers)}")
    columns = readers[files[0].suffix](files, max_jets)
    if not columns or not len(next(iter(columns.values()))):
        raise ValueError(f"{source}: holds no jets")
    return JetTable(columns, str(source))


def _read_hdf5(files: list[Path], most: int | None) -> dict[str, Array]:
    needs("h5py", "cli")
    import h5py

    with h5py.File(files[0]) as file:
        return {name: file[name][:most] for name in file if name != "image"}


def _read_parquet(files: list[Path], most: int | None) -> dict[str, Array]:
    names = [name for name in parquet_columns(files[0]) if name != "image"]
    return read_parquet(files[0], names, most)


def _read_npz(files: list[Path], most: int | None) -> dict[str, Array]:
    shards, n = [], 0
    for path in files:
        with np.load(path) as shard:
            shards.append({name: shard[name] for name in shard.files if name != "image"})
        n += len(next(iter(shards[-1].values())))
        if most is not None and n >= most:
            break
    return {name: np.concatenate([s[name] for s in shards])[:most] for name in shards[0]}
