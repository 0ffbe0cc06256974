"""Reading and writing ROOT files: what users call. Which file does what:

- ``iteration``: many files, batch by batch; ``batches``: a batch, and where it came from
- ``ranges``: entries of files as pieces of work; ``readers``: files that stay open for them
- ``reader``: one file; ``files``: which files; ``exclusive``: one thread at a time
- ``trees``: which tree of a file; ``facts``: what its ranges depend on
- ``branches``: names and kinds of branches; ``groups``: which lists are one collection
- ``branch_columns``, ``baskets``: values of TTrees
- ``rntuple``, ``fields``, ``pages``, ``page_columns``, ``twins``: RNTuples, their branches and values
- ``compression``: blocks; ``decoders``: which library of ``libraries`` decompresses them
- ``sources``: the bytes of files; ``tasks``: pieces of work on threads
- ``transport``: servers, with deadlines; ``remotes``: whether a remote file is still the same
- ``writer``: events; ``pyroot``: events as std::vector; ``root_hist``: histograms
- ``hdf5``: HDF5 files on disks that may run full
"""

from fastjag.io.batches import Batch, Source
from fastjag.io.branches import LeftOut
from fastjag.io.files import ReadError
from fastjag.io.iteration import Batches, iterate
from fastjag.io.ranges import Range, Ranges, Skipped
from fastjag.io.root_hist import write_histograms
from fastjag.io.writer import write_events

__all__ = [
    "Batch", "Batches", "LeftOut", "Range", "Ranges", "ReadError", "Skipped", "Source", "iterate", "write_events",
    "write_histograms",
]  # fmt: skip
