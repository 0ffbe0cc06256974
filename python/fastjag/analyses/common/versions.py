"""Versions of what made a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version


def versions(*packages: str) -> dict[str, str]:
    """Of Python, fastjag, NumPy and these packages; those that are not installed are left out."""
    numbers = {"python": platform.python_version()}
    for package in ("fastjag", "numpy", *packages):
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:  # or a module of another name's, as xgboost is of xgboost-cpu
            for other in packages_distributions().get(package, [])[:1]:
                numbers[package] = version(other)
    return numbers
