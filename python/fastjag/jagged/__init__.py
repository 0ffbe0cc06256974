"""Jagged: the particles of many events as flat columns and offsets.

``jagged``: the class itself; ``event``: the particles of one event; ``padded``: events as a tensor;
``columns``: what these share; ``shapes``: columns of one number, several, or a list for each particle;
``tensors``: padding and statistics; ``several``, ``joining``: fj.concatenate, fj.equal; ``momenta``: particles in
other coordinates; ``conversions``, ``interchange``, ``arrow``: from and to awkward, torch, Arrow and pandas;
``numba_support``: ``Jagged`` in functions that numba compiles.
"""

from fastjag.jagged.event import Event
from fastjag.jagged.jagged import Jagged, as_jagged
from fastjag.jagged.padded import Padded
from fastjag.jagged.several import concatenate, equal

__all__ = ["Event", "Jagged", "Padded", "as_jagged", "concatenate", "equal"]
