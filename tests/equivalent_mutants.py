"""Mutants of the CUDA kernels that behave as the kernel does, and why.

(file, line, mutated line): reason. tests/mutants.py does not try them.
"""

EQUIVALENT: dict[tuple[str, str, str], str] = {}
