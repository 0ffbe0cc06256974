"""Figures of photon+jet events: ``responses``, data and simulation (``comparison``), ``stitching``."""
