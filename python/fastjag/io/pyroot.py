"""Events to TTrees with branches of std::vector, by PyROOT, which alone can write them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from fastjag.core.arrays import Array
from fastjag.jagged import Jagged
from fastjag.reporting.output import WriteError

#: Those of branches, by NumPy's names.
CPP_TYPES = {"bool": "bool", "int32": "int", "uint32": "unsigned int", "float32": "float",
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


def write_vectors(
    path: Path, tree: str, collections: Mapping[str, Jagged], flat: Mapping[str, Array]
) -> None:
    """Write events as a TTree with branches of std::vector, zstd-compressed: see ``write_tree``."""
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
        return (
            f"{CPP_TYPES[values.dtype.name]}, {CPP_TYPES.get(stored.dtype.name, 'unsigned char')}",
            int(stored.ctypes.data),
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
