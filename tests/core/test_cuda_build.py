"""How the compiled modules are built: for which GPUs, and what warnings of compilers do."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# nvcc --list-gpu-arch of CUDA 13.0
GPUS = (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)


def test_wheels_run_on_every_gpu_of_cuda_13():
    """By code for an earlier GPU of the same major version, or compiled from PTX for any earlier one."""
    text = (ROOT / "cuda" / "CMakeLists.txt").read_text()
    listed = re.search(r"FASTJAG_CUDA_ARCHITECTURES (75-[^)]*)\)", text)[1].split()
    code = [int(a.removesuffix("-real")) for a in listed]
    ptx = [int(a) for a in listed if not a.endswith("-real")]
    own = {gpu for gpu in GPUS if any(c // 10 == gpu // 10 and c <= gpu for c in code)}
    assert set(GPUS) - own == {110}
    assert min(ptx) <= 110
    assert max(ptx) == max(code)


class TestWarnings:
    """-Werror stops the build with another compiler, which has other warnings: only where asked for."""

    @pytest.mark.parametrize("asked", ["OFF", "ON"])
    def test_of_the_cpu_module(self, tmp_path, asked):
        pybind11 = pytest.importorskip("pybind11")
        command = [
            "cmake", "-S", ROOT, "-B", tmp_path, "-DFASTJAG_CUDA=OFF",
            "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DPython_EXECUTABLE={sys.executable}", "-DSKBUILD_STATE=editable",
            *([] if asked == "OFF" else ["-DFASTJAG_WERROR=ON"]),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        commands = json.loads((tmp_path / "compile_commands.json").read_text())
        own = [c["command"] for c in commands if str(ROOT / "cpp") in c["file"]]
        assert len(own) > 5
        assert {"-Werror" in c for c in own} == {asked == "ON"}

    def test_of_the_cuda_module(self):
        """Its folder cannot be configured without a CUDA compiler."""
        text = (ROOT / "cuda" / "CMakeLists.txt").read_text()
        block = re.search(r"if\(FASTJAG_WERROR\)(.*?)endif\(\)", text, re.DOTALL)[1]
        assert block.count("-Werror") == text.count("-Werror") == 2

    def test_continuous_integration_asks_for_it(self):
        assert "export WERROR=ON" in (ROOT / ".ci" / "run").read_text()
        assert "make test WERROR=ON" in (ROOT / ".github/workflows/tests.yml").read_text()
        assert (ROOT / "Makefile").read_text().count("FASTJAG_WERROR=$(WERROR)") == 2
