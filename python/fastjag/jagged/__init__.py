"""Jagged: the particles of many events as flat columns and offsets.

``jagged``: the class itself; ``interchange``: from and to awkward, Arrow and torch; ``numba_support``:
``Jagged`` in functions that numba compiles.
"""

from fastjag.jagged.jagged import Jagged, Padded, as_jagged

__all__ = ["Jagged", "Padded", "as_jagged"]
