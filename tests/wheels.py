"""Builds the sdist and, from it, wheels for every Python that is here, with and without CUDA; tries each of them.

    make wheel                     # CUDA=AUTO: with CUDA, too, where there is a CUDA compiler; ON: or fail; OFF
    make wheel WHEEL_ARCHITECTURES=90       # for GPUs of one kind: sooner done
    make wheel PYTHONS='python3.12 /opt/python/bin/python3.13'

The sdist and wheels without CUDA go to dist/, wheels with CUDA, which bear the same names, to dist/cuda/.
A wheel must hold exactly the files of the package and its compiled modules. It is installed in a clean
environment that has NumPy alone, where tests/installed.py runs kernels. Nothing is kept unless all of that passes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from glob import glob
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = range(11, 15)  # Pythons 3.11 to 3.14, as README says
TOOLS = ROOT / "build" / "tools"  # what builds
NAMED = {
    "LICENSE",
    "README.md",
    "CMakeLists.txt",
    "pyproject.toml",
}  # that a build needs, of the sdist


def pythons():
    """Interpreters of this machine: of the PATH, else of pyenv; those that run and have headers to build with."""
    found = []
    for minor in MINORS:
        own = os.path.expanduser(os.environ.get("PYENV_ROOT", "~/.pyenv"))
        installed = sorted(glob(f"{own}/versions/3.{minor}.*/bin/python3.{minor}"), reverse=True)
        for program in (shutil.which(f"python3.{minor}"), *installed):
            if program and (why := usable(program)) is None:
                found.append(program)
                break
        else:
            print(f"Python 3.{minor}: none is here" + (f" ({why})" if program else ""))
    return found


def usable(program):
    """Why wheels cannot be built for an interpreter, or None."""
    code = "import sys, sysconfig; print(sysconfig.get_path('include'))"
    ran = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
    if ran.returncode:
        return f"{program} does not start"
    if not (Path(ran.stdout.strip()) / "Python.h").is_file():
        return f"{program} has no Python.h, which Debian's python3-dev brings"
    return None


def package_files(tree):
    """What a wheel holds of the sources, compiled modules aside: names below python/."""
    listed = subprocess.check_output(["git", "ls-files", "python"], cwd=tree, text=True)
    return {name.removeprefix("python/") for name in listed.splitlines()}


def wrong_wheel(path, files, tag, cuda):
    """What is wrong with the content of a wheel: lines. ``tag`` is of its Python, such as cp311."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = {
            name.split("/")[1]: name for name in names if re.match(r"[^/]*\.dist-info/", name)
        }
        text = wheel.read(metadata["METADATA"]).decode() if "METADATA" in metadata else ""
    compiled = {name for name in names if name.endswith(".so")}
    modules = {name.split("/")[-1].split(".")[0] for name in compiled}
    content = names - compiled - {name for name in names if ".dist-info/" in name}
    faults = [f"lacks {name}" for name in sorted(files - content)]
    faults += [f"holds {name}" for name in sorted(content - files)]
    expected = {"_cpu", "_cuda"} if cuda else {"_cpu"}
    if modules != expected or len(compiled) != len(expected):
        faults.append(f"has the compiled modules {sorted(compiled)}, not {sorted(expected)}")
    faults += [
        f"{name} is not for {tag}" for name in sorted(compiled) if f"cpython-{tag[2:]}-" not in name
    ]
    if f"-{tag}-{tag}-" not in path.name:
        faults.append(f"is not named for {tag}")
    if not any(name.endswith("/LICENSE") for name in names):
        faults.append("has no licence")
    if "Requires-Python: >=3.11" not in text or "Requires-Dist: numpy>=" not in text:
        faults.append("does not say what it needs")
    return faults


def wrong_sdist(path, files):
    """What is wrong with the content of an sdist: lines."""
    with tarfile.open(path) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    wanted = NAMED | {f"python/{name}" for name in files}
    wanted |= {
        str(p.relative_to(ROOT))
        for f in ("cpp", "cuda")
        for p in (ROOT / f).rglob("*")
        if p.is_file()
    }
    faults = [f"lacks {name}" for name in sorted(wanted - names)]
    built = re.compile(r"\.so$|^(build|dist|\.venv[^/]*)/|__pycache__")
    return faults + [f"holds {name}" for name in sorted(names) if built.search(name)]


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def install_tools():
    """What pyproject.toml wants for a build, and CMake and Ninja, all of it for any Python, into ``TOOLS``."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    shutil.rmtree(TOOLS, ignore_errors=True)
    run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", TOOLS,
        *wanted, "cmake", "ninja")  # fmt: skip


def unpacked_sdist(folder):
    """Makes the sdist; its path, and the folder of its sources, the same one every time."""
    command = (sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"no sdist could be made:\n{ran.stdout}{ran.stderr}")
    (sdist,) = folder.glob("*.tar.gz")
    sources = ROOT / "build" / "sdist"
    shutil.rmtree(sources, ignore_errors=True)
    with tarfile.open(sdist) as file:
        file.extractall(sources, filter="data")
    return sdist, next(sources.iterdir())


def build(python, sources, folder, cuda, architectures):
    """A wheel for an interpreter.

    scikit-build-core forgets what was compiled when it stands in another place. So it stands in one place
    for all interpreters, and objects that do not depend on Python are compiled once.
    """
    run(python, "-m", "venv", folder / "builder")
    builder = folder / "builder" / "bin" / "python"
    settings = (f"build-dir={ROOT / 'build' / ('wheel-cuda' if cuda else 'wheel')}",
                f"cmake.define.FASTJAG_CUDA={'ON' if cuda else 'OFF'}",
                f"cmake.define.FASTJAG_CUDA_ARCHITECTURES={architectures}")  # fmt: skip
    path = os.pathsep.join([str(TOOLS / "bin"), os.environ["PATH"]])
    run(builder, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir",
        folder, "--no-build-isolation", *(f"-C{s}" for s in settings), sources,
        env={**os.environ, "PYTHONPATH": str(TOOLS), "PATH": path})  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


def tried(python, wheel, folder, cuda):
    """What tests/installed.py says about a wheel in a clean environment."""
    run(python, "-m", "venv", folder / "clean")
    clean = folder / "clean" / "bin" / "python"
    run(clean, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    program = (clean, "-I", ROOT / "tests" / "installed.py", "cuda" if cuda else "cpu")
    return subprocess.check_output(program, cwd=folder, text=True).strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--pythons", nargs="*", help="interpreters (default: all from 3.11 to 3.14 that are here)"
    )
    parser.add_argument("--cuda", choices=("AUTO", "ON", "OFF"), default="AUTO")
    parser.add_argument(
        "--architectures", default="all", help="of GPUs, as of CMake (default: all)"
    )
    asked = parser.parse_args()
    kinds = [False, True]
    if asked.cuda == "OFF":
        kinds = [False]
    elif asked.cuda == "AUTO" and not (shutil.which("nvcc") or os.environ.get("CUDACXX")):
        kinds = [False]
        print("no CUDA compiler is here: no wheels with CUDA")
    programs = asked.pythons or pythons()
    files = package_files(ROOT)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as made:
        made = Path(made)
        install_tools()
        sdist, sources = unpacked_sdist(made)
        faults, kept = (
            [f"{sdist.name} {fault}" for fault in wrong_sdist(sdist, files)],
            [(sdist, asked.out)],
        )
        for cuda in kinds:
            for python in programs:
                code = "import sys; print(f'cp{sys.version_info[0]}{sys.version_info[1]}')"
                tag = subprocess.check_output([python, "-c", code], text=True).strip()
                folder = made / f"{tag}{'-cuda' * cuda}"
                folder.mkdir()
                wheel = build(python, sources, folder, cuda, asked.architectures)
                faults += [
                    f"{wheel.name} {fault}" for fault in wrong_wheel(wheel, files, tag, cuda)
                ]
                print(
                    f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB; {tried(python, wheel, folder, cuda)}"
                )
                kept.append((wheel, asked.out / "cuda" if cuda else asked.out))
        if faults:
            raise SystemExit("\n".join(faults))
        for path, folder in kept:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)


if __name__ == "__main__":
    main()
