"""Versions of what made a result."""

import platform
import sys

import numpy as np
import pytest

from fastjag.analyses.common.versions import versions


def test_what_is_installed():
    assert versions("no-such-package") == versions()
    assert versions()["python"] == platform.python_version()
    assert versions()["numpy"] == np.__version__


def test_modules_of_packages_of_other_names(monkeypatch):
    """xgboost may be that of xgboost-cpu; whether it has been imported does not matter."""
    number = pytest.importorskip("xgboost").__version__
    monkeypatch.delitem(sys.modules, "xgboost")
    assert versions("xgboost")["xgboost"] == number
