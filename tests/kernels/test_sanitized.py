"""The sanitizer run really runs the sanitized build: without this it could pass on another."""

import os

import pytest

from fastjag import kernels


@pytest.mark.skipif(
    "FASTJAG_EXPECT_SANITIZED" not in os.environ, reason="only meant for make sanitize"
)
def test_build_is_sanitized():
    assert kernels.build_info()["sanitized"]
