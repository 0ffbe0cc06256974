"""What make wheel sees in wheels and sdists that are not as they should be."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import wheels

ROOT = Path(__file__).parents[1]
FILES = {"fastjag/__init__.py", "fastjag/py.typed"}
CPU = "fastjag/_cpu.cpython-312-x86_64-linux-gnu.so"
CUDA = "fastjag/_cuda.cpython-312-x86_64-linux-gnu.so"
INFO = "fastjag-1.0.dist-info"
GOOD = {
    "fastjag/__init__.py": "", "fastjag/py.typed": "", CPU: "",
    f"{INFO}/METADATA": "Name: fastjag\nRequires-Python: >=3.11\nRequires-Dist: numpy>=1.26\n",
    f"{INFO}/licenses/LICENSE": "", f"{INFO}/RECORD": "",
}  # fmt: skip


def wheel(folder, content, tag="cp312"):
    path = folder / f"fastjag-1.0-{tag}-{tag}-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as file:
        for name, text in content.items():
            file.writestr(name, text)
    return path


def without(name):
    return {key: text for key, text in GOOD.items() if not key.endswith(name)}


@pytest.mark.parametrize(
    ("content", "cuda", "fault"),
    [
        (GOOD, False, None),
        (GOOD | {CUDA: ""}, True, None),
        (GOOD | {CUDA: ""}, False, "has the compiled modules"),
        (GOOD, True, "has the compiled modules"),
        (GOOD | {CPU.replace("312", "311"): ""}, False, "has the compiled modules"),
        (without("py.typed"), False, "lacks fastjag/py.typed"),
        (GOOD | {"tests/conftest.py": ""}, False, "holds tests/conftest.py"),
        (GOOD | {"fastjag/kernels/__pycache__/a.pyc": ""}, False, "holds fastjag/kernels/__pycache__/a.pyc"),
        (without(".so") | {CPU.replace("312", "311"): ""}, False, "x86_64-linux-gnu.so is not for cp312"),
        (without("LICENSE"), False, "has no licence"),
        (without("METADATA"), False, "does not say what it needs"),
    ],
)  # fmt: skip
def test_wheels(tmp_path, content, cuda, fault):
    found = wheels.wrong_wheel(wheel(tmp_path, content), FILES, "cp312", cuda)
    if fault is None:
        assert found == []
    else:
        assert any(fault in line for line in found), found


def test_a_wheel_of_another_python(tmp_path):
    assert "is not named for cp311" in wheels.wrong_wheel(
        wheel(tmp_path, GOOD), FILES, "cp311", False
    )


def sdist(folder, names):
    path = folder / "fastjag-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in names:
            file.addfile(tarfile.TarInfo(f"fastjag-1.0/{name}"), io.BytesIO())
    return path


def test_sdists(tmp_path):
    sources = [p for f in ("cpp", "cuda") for p in (ROOT / f).rglob("*") if p.is_file()]
    good = {*wheels.NAMED, "python/fastjag/__init__.py", "python/fastjag/py.typed"}
    good |= {str(p.relative_to(ROOT)) for p in sources}
    assert wheels.wrong_sdist(sdist(tmp_path, good), FILES) == []
    fewer = good - {"CMakeLists.txt", "cpp/bindings.cpp"}
    assert wheels.wrong_sdist(sdist(tmp_path, fewer), FILES) == [
        "lacks CMakeLists.txt",
        "lacks cpp/bindings.cpp",
    ]
    more = good | {CPU, "build/cpu/CMakeCache.txt"}
    assert wheels.wrong_sdist(sdist(tmp_path, more), FILES) == [
        "holds build/cpu/CMakeCache.txt",
        f"holds {CPU}",
    ]


def test_files_of_the_package():
    files = wheels.package_files(ROOT)
    assert {"fastjag/__init__.py", "fastjag/_cpu.pyi", "fastjag/py.typed"} <= files
    assert not [name for name in files if name.endswith(".so")]


class TestPythons:
    def test_this_one_is_among_them(self):
        assert sys.version_info[:2] >= (3, 11)
        assert wheels.usable(sys.executable) is None

    def test_those_that_do_not_start_and_those_without_headers(self, tmp_path):
        shim = tmp_path / "python3.12"
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
        assert wheels.usable(shim) == f"{shim} does not start"
        shim.write_text("#!/bin/sh\necho /none\n")
        assert "Python.h" in wheels.usable(shim)

    def test_of_the_path_before_pyenv(self, tmp_path, monkeypatch, capsys):
        for name in ("path/python3.12", "pyenv/versions/3.12.1/bin/python3.12", "path/python3.13",
                     "pyenv/versions/3.13.0/bin/python3.13"):  # fmt: skip
            program = tmp_path / name
            program.parent.mkdir(parents=True, exist_ok=True)
            works = name != "path/python3.13"  # a shim of pyenv, of a version that is not chosen
            (tmp_path / "Python.h").touch()
            program.write_text(f"#!/bin/sh\n{f'echo {tmp_path}' if works else 'exit 127'}\n")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "path"))
        monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
        found = [Path(program).relative_to(tmp_path).parts[0] for program in wheels.pythons()]
        assert found == ["path", "pyenv"]
        assert "Python 3.14: none is here" in capsys.readouterr().out


def test_what_is_not_installed_is_not_tried():
    """tests/installed.py refuses the sources: they are no installation."""
    ran = subprocess.run([sys.executable, ROOT / "tests" / "installed.py"], capture_output=True, text=True,
                         check=False)  # fmt: skip
    assert ran.returncode == 1
    assert "fastjag is not installed" in ran.stderr
