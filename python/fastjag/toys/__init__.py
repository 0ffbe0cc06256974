"""Toys: seeded NanoAOD-format dimuon events of any number.

    from fastjag import toys

    toys.write("toys.root", 1_000_000, seed=1)
    for chunk in toys.generate(1_000_000, seed=1, columns=["Muon_pt", "Muon_charge"]):
        print(chunk["Muon"])

The smooth continuum, the resonances from rho to Z and the same-sign background are described in
:class:`ToyParameters`; :func:`upsilon_search` gives those of a search with a hidden signal. Events
come in chunks of `CHUNK`, each from a random stream of its own, so that memory is bounded, and the
first n events are the same whatever the number of events, and each column whatever the other columns.

``parameters``, ``kinematics``, ``events``, ``chunks``, ``files``: those; ``jets``, ``jetntuple``, ``jetfiles``:
dijet events, and what is written of them; ``triggers``: files of trigger bits.
"""

from fastjag.toys.events import CHUNK
from fastjag.toys.files import generate, write
from fastjag.toys.parameters import (
    BRANCHES,
    Lobe,
    Resonance,
    ToyParameters,
    Trigger,
    upsilon_search,
)

__all__ = [
    "BRANCHES",
    "CHUNK",
    "Lobe",
    "Resonance",
    "ToyParameters",
    "Trigger",
    "generate",
    "upsilon_search",
    "write",
]
