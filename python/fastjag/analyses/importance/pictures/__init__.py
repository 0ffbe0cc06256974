"""Figures of importances: ``comparison`` of all methods, the ``network``."""
