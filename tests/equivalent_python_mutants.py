"""Mutants of the package's Python that behave as it does, and why: tests/mutants_python.py leaves them out."""

#: (file, line, mutated line): reason
EQUIVALENT: dict[tuple[str, str, str], str] = {}
