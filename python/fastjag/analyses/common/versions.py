"""Versions of what made a result."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Of Python, fastjag, NumPy and these packages; those that are not installed are left out."""
    numbers = {"python": platform.python_version()}
    for package in ("fastjag", "numpy", *packages):
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:  # or a module of another name's, as xgboost is of xgboost-cpu
            if number := getattr(sys.modules.get(package), "__version__", None):
                numbers[package] = number
    return numbers
