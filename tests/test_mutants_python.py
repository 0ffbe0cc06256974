"""The defects that mutants_python.py makes: programs, where they should be, and nowhere else."""

import mutants_python
import pytest
from equivalent_python_mutants import EQUIVALENT

SOURCE = '''\
"""1 < 2."""
def f(a: int | None, b=1, *, c=3) -> int | None:
    if not (a < b and  # a < b
            b is not None):
        raise ValueError(f"{a + b} < 1")
    µ = a * -b
    return µ.min()
'''


def test_each_kind(tmp_path, monkeypatch):
    (tmp_path / "x.py").write_text(SOURCE)
    monkeypatch.setattr(mutants_python, "PACKAGE", tmp_path)
    found = [(m.line, m.before, m.after) for m in mutants_python.mutants("x.py")]
    assert sorted(found) == sorted([
        (2, "def f(a: int | None, b=1, *, c=3) -> int | None:",
         "def f(a: int | None, b=2, *, c=3) -> int | None:"),
        (3, "if not (a < b and  # a < b", "if (a < b and  # a < b"),
        (3, "if not (a < b and  # a < b", "if not (a < b or  # a < b"),
        (3, "if not (a < b and  # a < b", "if not (a <= b and  # a < b"),
        (4, "b is not None):", "b is None):"),
        (6, "µ = a * -b", "µ = a / -b"),
        (6, "µ = a * -b", "µ = a * b"),
        (7, "return µ.min()", "return µ.max()"),
    ])  # fmt: skip


@pytest.mark.parametrize("file", mutants_python.TESTS)
def test_they_are_programs(file):
    source = (mutants_python.PACKAGE / file).read_bytes()
    for m in list(mutants_python.mutants(file))[::7]:
        compile(source[: m.begin] + m.new.encode() + source[m.end :], file, "exec")
    assert mutants_python.tests_of(file)


def test_equivalent_ones_are_mutants_still():
    known = {m.key for file in mutants_python.TESTS for m in mutants_python.mutants(file)}
    assert EQUIVALENT.keys() <= known
