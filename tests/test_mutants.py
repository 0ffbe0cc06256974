"""The defects that mutants.py puts into CUDA kernels: where they should be, and behind switches that change no more."""

import re

import pytest
from equivalent_mutants import EQUIVALENT
from mutant_sources import alone, changes, sources, switched

HEAD, TAIL = "__device__ int f(int a, int b) {\n", "\n}\n"
ON = "cuda_emulation::mutant"


def of_line(line, tmp_path):
    """The mutants of a line, and the line with all of them."""
    path = tmp_path / "k.cu"
    path.write_text(HEAD + line + TAIL)
    found = list(changes(path))
    text = switched(path.read_text(), dict(enumerate(found, 1)))
    return [c.mutant.after for c in found], text.partition("#line 1\n")[2].splitlines()[1]


@pytest.mark.parametrize(
    ("line", "mutants", "together"),
    [
        ("return a < b;", ["return a <= b;"], f"return ({ON}(1) ? (a <= b) : (a < b));"),
        (
            "bool const c = a[b + 1] >= 0 && d;",
            ["bool const c = a[b + 1] > 0 && d;", "bool const c = a[b + 1] >= 0 || d;", "bool const c = a[b] >= 0 && d;"],
            (f"bool const c = ({ON}(1) ? (a[b + 1] > 0 && d) : {ON}(2) ? (a[b + 1] >= 0 || d) : "
             f"(a[({ON}(3) ? (b) : (b + 1))] >= 0 && d));"),
        ),
        ("x += a == b ? 1 : 0;", ["x += a != b ? 1 : 0;", "x = a == b ? 1 : 0;"],
         f"({ON}(2) ? (x = a == b ? 1 : 0) : (x += ({ON}(1) ? (a != b) : (a == b)) ? 1 : 0));"),
        ("if (a > b) continue;  // why", ["if (a >= b) continue;", ";"],
         f"if (!{ON}(2) && (({ON}(1) ? (a >= b) : (a > b)))) continue;  // why"),
        ("if (a) __syncthreads();", ["if (a) ;"], f"if (a) if (!{ON}(1)) __syncthreads();"),
        ("n = atomicAdd(p, 1u);", ["n = plainAdd(p, 1u);"], "n = maybeAdd(1, p, 1u);"),
        ("int half = 16;", ["int half = 16 / 2;"], f"int half = ({ON}(1) ? (16 / 2) : (16));"),
        ("return a < b ? a : b;", [], "return a < b ? a : b;"),
        ("f(a % b, c);", ["f(a / b, c);"], f"f(({ON}(1) ? (a / b) : (a % b)), c);"),
    ],
)  # fmt: skip
def test_a_line(tmp_path, line, mutants, together):
    assert of_line(line, tmp_path) == (mutants, together)


def test_an_expression_of_several_lines_stays_on_them(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text(HEAD + "return a < b &&  // why\n  b > 1;\nreturn 2 - 1;" + TAIL)
    text = switched(path.read_text(), dict(enumerate(changes(path), 1)))
    lines = text.partition("#line 1\n")[2].splitlines()
    assert lines[3] == f"return ({ON}(4) ? (2) : (2 - 1));"
    assert len(lines) == 5


def test_one_alone(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text(HEAD + "return a + 1;" + TAIL)
    (change,) = changes(path)
    assert alone(path.read_text(), change).endswith(HEAD + "return a;" + TAIL)


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_every_mutant_has_its_switch(path):
    numbered = dict(enumerate(changes(path), 1))
    text = switched(path.read_text(), numbered)
    found = [int(a or b) for a, b in re.findall(rf"{ON}\((\d+)\)|maybe[A-Z]\w+\((\d+), ", text)]
    assert sorted(found) == sorted(numbered)
    body = text.partition("#line 1\n")[2]
    assert len(body.splitlines()) == len(path.read_text().splitlines())


def test_equivalent_ones_are_mutants_still():
    known = {c.mutant.key for path in sources() for c in changes(path)}
    assert EQUIVALENT.keys() <= known
