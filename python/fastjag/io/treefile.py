"""Events to TTrees: lists as std::vector where ROOT is installed, as counted arrays by uproot."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fastjag.core.arrays import Array, as_column, check_length
from fastjag.core.checks import needs
from fastjag.jagged import Jagged
from fastjag.reporting.output import WriteError, new_file

_CPP = {"bool": "bool", "int32": "int", "uint32": "unsigned int", "float32": "float",
        "float64": "double", "int64": "Long64_t", "uint64": "ULong64_t"}  # fmt: skip

# One column of the tree; the loop over events is compiled, too.
_FILLER = """
namespace fastjag {
struct Column { virtual ~Column() {} virtual void set(Long64_t event) = 0; };
template <class T, class Stored> struct List : Column {
  std::vector<T> value; Stored const* content; Long64_t const* offsets;
  void set(Long64_t event) override {
    value.assign(content + offsets[event], content + offsets[event + 1]);
  }
};
template <class T, class Stored> struct Number : Column {
  T value; Stored const* content;
  void set(Long64_t event) override { value = content[event]; }
};
struct Filler {
  TTree* tree; std::vector<Column*> columns;
  explicit Filler(TTree* t) : tree(t) {}
  template <class T, class Stored> void list(char const* name, ULong64_t content, ULong64_t offsets) {
    auto* c = new List<T, Stored>; c->content = (Stored const*)content;
    c->offsets = (Long64_t const*)offsets; columns.push_back(c); tree->Branch(name, &c->value);
  }
  template <class T, class Stored> void number(char const* name, ULong64_t content) {
    auto* c = new Number<T, Stored>; c->content = (Stored const*)content;
    columns.push_back(c); tree->Branch(name, &c->value);
  }
  void fill(Long64_t n) {
    for (Long64_t event = 0; event < n; ++event) {
      for (auto* c : columns) c->set(event);
      tree->Fill();
    }
  }
  ~Filler() { tree->ResetBranchAddresses(); for (auto* c : columns) delete c; }
};
}
"""


def has_root() -> bool:
    """Whether PyROOT is installed, which std::vector branches need."""
    return find_spec("ROOT") is not None


def write_tree(
    path: str | os.PathLike[str],
    tree: str,
    collections: Mapping[str, Jagged],
    flat: Mapping[str, ArrayLike],
    *,
    vectors: bool | None = None,
) -> bool:
    """Write events as a TTree, zstd-compressed; an existing file is replaced when all is written.

    Parameters
    ----------
    collections
        Name to particles: column ``pt`` of "photon" becomes branch ``photon_pt``; how many there
        are becomes ``photon_n`` (uint32; int32 by uproot). Columns of 1-byte booleans, 4- or 8-byte numbers.
    flat
        Branch name to array of shape (n_events,).
    vectors
        True: branches of std::vector, by PyROOT, which must be installed. False: arrays counted
        by ``photon_n``, by uproot, which cannot write std::vector. Default: True where there is
        PyROOT.

    Returns
    -------
    Whether branches are of std::vector.

    Raises ValueError where lengths differ, TypeError naming a column of another dtype.
    """
    parts = {name: as_column(values, f"branch {name!r}") for name, values in flat.items()}
    sizes = [len(j) for j in collections.values()] + [len(v) for v in parts.values()]
    if not sizes:
        raise ValueError("a tree needs at least one branch")
    for name, values in parts.items():
        check_length(values, f"branch {name!r}", sizes[0], "events")
    columns = {f"{n}_{c}": j[c] for n, j in collections.items() for c in j.columns} | parts
    for name, values in columns.items():
        if values.dtype.name not in _CPP:
            raise TypeError(f"branch {name!r}: dtype {values.dtype} is none of {', '.join(_CPP)}")
    for name, particles in collections.items():
        if len(particles) != sizes[0]:
            raise ValueError(f"{name!r} has {len(particles)} events, but there are {sizes[0]}")
    if vectors is None:
        vectors = has_root()
    elif vectors:
        needs("ROOT", "sim")
    with new_file(path) as partial:
        (_write_vectors if vectors else _write_counted)(partial, tree, collections, parts)
    return vectors


def _write_vectors(
    path: Path, tree: str, collections: Mapping[str, Jagged], flat: Mapping[str, Array]
) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its wheel says at import that it is an alpha version
        import ROOT
    if not hasattr(ROOT, "fastjag") or not hasattr(ROOT.fastjag, "Filler"):
        ROOT.gInterpreter.Declare(_FILLER)
    file = ROOT.TFile(str(path), "RECREATE", "", 509)  # zstd, level 9
    if file.IsZombie():
        raise OSError(f"{path}: cannot be written")
    events = ROOT.TTree(tree, tree)
    filler = ROOT.fastjag.Filler(events)
    n = 0
    alive = []  # what the filler points to

    def address(values: Array) -> tuple[str, int]:
        stored = values.view(np.uint8) if values.dtype == np.bool_ else values
        alive.append(stored)
        return f"{_CPP[values.dtype.name]}, {_CPP.get(stored.dtype.name, 'unsigned char')}", int(
            stored.ctypes.data
        )

    for name, values in flat.items():
        kind, content = address(values)
        filler.number[kind](name, content)
        n = len(values)
    for name, particles in collections.items():
        kind, content = address(particles.counts.astype(np.uint32))
        filler.number[kind](f"{name}_n", content)
        n = len(particles)
        offsets = address(particles.offsets)[1]
        for column in particles.columns:
            kind, content = address(particles[column])
            filler.list[kind](f"{name}_{column}", content, offsets)
    filler.fill(n)
    file.Write("", ROOT.TObject.kOverwrite)
    del filler  # it lets go of the branches while the tree is still there
    refused = file.TestBit(ROOT.TFile.kWriteError)  # ROOT prints it, and goes on
    file.Close()
    if refused or file.TestBit(ROOT.TFile.kWriteError):
        raise WriteError(errno.EIO, "ROOT could not write all of it", str(path))


def _write_counted(
    path: Path, tree: str, collections: Mapping[str, Jagged], flat: Mapping[str, Array]
) -> None:
    needs("uproot", "io")
    needs("awkward", "io")
    import uproot

    rows = {name: j.to_awkward() for name, j in collections.items()} | dict(flat)
    with uproot.recreate(path, compression=uproot.ZSTD(9)) as file:
        events = file.mktree(
            tree,
            {name: getattr(values, "type", values).content if name in collections else values.dtype
             for name, values in rows.items()},
            counter_name=lambda counted: f"{counted}_n",
            field_name=lambda outer, inner: f"{outer}_{inner}" if inner else outer,
        )  # fmt: skip
        events.extend(rows)
