"""Are results what they were? Every command on small toys with fixed seeds, and what it leaves, compared.

For changes that move code and must not change what comes out: the same jobs run with the package as
it was and as it is, through the command line alone, and all files are compared.

    python benchmarks/same_results.py make before --python OLD/.venv/bin/python
    python benchmarks/same_results.py make after                     # --only rates,jets for some jobs
    python benchmarks/same_results.py compare before after           # exit status 1 if they differ

Tables, arrays, histograms and trees must be equal by name, type and every bit; JSON, text, what
commands print, and reports after the removals listed below, which are times, versions, paths
and names of modules; pictures by their size (other pixels are noted); pickles by the arrays in them.
"""

from __future__ import annotations

import argparse
import difflib
import html
import json
import os
import pickletools
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from same_results_jobs import JOBS

#: Files or folders that have another name now: before -> after, relative to the folder of results.
RENAMED: dict[str, str] = {}
#: Places in JSON that may differ: times, memory, versions, and hashes of files, which hold dates.
REMOVED = re.compile(
    r"/key|/output|/fastjag|/versions|/seconds"
    r"|(/comparison)?/models/[^/]*/(training_|prediction_)?(seconds|memory_MB)"
)
#: And columns of tables in reports.
COLUMNS = {"seconds", "training [s]", "prediction [s]", "memory [MB]"}
#: Of text: what is replaced before it is compared.
REPLACED = (
    (r".*Numba extension module.*\n?", ""),  # of an environment whose metadata is of another tree
    (r"(?<![\w.)/])/(?:[\w.+-]+/)+", ""),  # absolute paths: the name stays
    (r"\bfastjag(?:\.\w+)+", "MODULE"),
    (r"\b\d+\.\d+(?:\.\d+)+(?:\.?(?:dev|rc|post)\d+)?(?:\+\w+)?\b", "VERSION"),
    (r"(?m)\b\d+\.\d\d s(?=;|$)", "TIME"),
)
#: What ``python -m fastjag`` does, for each list of words; all that it prints goes to stderr.
_RUN = """
import json, os, sys
from fastjag.__main__ import main
status = os.dup(1)
os.dup2(2, 1)
for words in json.loads(sys.argv[1]):
    print("$ fastjag", *words, flush=True)
    code, sys.argv = 0, ["fastjag", *words]
    try:
        main()
    except SystemExit as error:
        code = error.code or 0
    sys.stdout.flush()
    os.write(status, f"{code} ".encode())
"""
_SHOWN = 8  # differences of one file


def make(folder: Path, python: str, only: list[str]) -> int:
    """Run the jobs below ``folder``; what each prints stays in ``printed.txt`` beside its results."""
    variables = {"FASTJAG_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    environment = {**os.environ, **variables, "NO_COLOR": "1", "PYTHONHASHSEED": "0"}
    environment.pop("PYTHONPATH", None)
    for job in only:
        shutil.rmtree(folder / job, ignore_errors=True)
        (folder / job).mkdir(parents=True)
        start = time.perf_counter()
        with (folder / job / "printed.txt").open("w") as printed:
            for step in JOBS[job]:
                if callable(step):
                    step(folder / job)
                elif wrong := run(step, python, folder / job, environment, printed):
                    print(f"{job}: {wrong}; see {printed.name}")
                    return 1
        print(f"{job}: {time.perf_counter() - start:.0f} s", flush=True)
    return 0


def run(
    step: str | tuple[str, ...], python: str, folder: Path, environment: dict[str, str], to: TextIO
) -> str:
    """Run one command, or several in one process, which saves its start; "" or what is wrong."""
    commands = [step] if isinstance(step, str) else [*step]
    words = [command.removeprefix("! ").split() for command in commands]
    status = subprocess.run(
        [python, "-c", _RUN, json.dumps(words)], cwd=folder, env=environment, check=False,
        stdout=subprocess.PIPE, stderr=to,
    ).stdout.decode().split()  # fmt: skip
    for command, code in zip_longest(commands, status, fillvalue="none"):
        if (code == "0") == command.startswith("! "):
            return f"fastjag {command}: status {code}"
    return ""


def compare(before: Path, after: Path, only: list[str]) -> int:
    """Print a line for each difference, and how many there are."""
    old = {renamed(name): before / name for name in names_in(before, only)}
    new = {name: after / name for name in names_in(after, only)}
    different = 0
    for name in sorted(old | new):
        if name not in new or name not in old:
            found = ["only before" if name in old else "only after"]
        else:
            try:
                found = [*differences(old[name], new[name])]
            except Exception as error:  # noqa: BLE001  other files still count
                found = [f"cannot be compared: {error!r}"]
        for line in found[:_SHOWN]:
            print(f"{name}: {line}")
        if len(found) > _SHOWN:
            print(f"{name}: {len(found) - _SHOWN} more")
        different += any(not line.startswith("note:") for line in found)
    print(f"{len(old | new)} files, {different} of them differ")
    return int(different > 0 or not old)


def names_in(folder: Path, jobs: list[str]) -> list[str]:
    return [
        str(name)
        for job in jobs
        for name in sorted(p.relative_to(folder) for p in (folder / job).rglob("*"))
        if (folder / name).is_file()
        and not any(part.startswith(".") for part in name.parts)
        and name.name != "command.json"  # says when and where, and other files say the rest
    ]


def renamed(name: str) -> str:
    for old, new in RENAMED.items():
        if name == old or name.startswith(old + "/"):
            return new + name.removeprefix(old)
    return name


def differences(old: Path, new: Path) -> Iterator[str]:
    """What the two files differ in; lines that begin with "note:" are no difference of results."""
    kind = new.suffix
    if old.read_bytes() == new.read_bytes():
        return
    if kind in CONTENT:
        yield from nested(CONTENT[kind](old), CONTENT[kind](new))
    elif kind == ".png":
        yield from pictures(old, new)
    elif kind == ".html":
        yield from texts(page(old), page(new))
    elif kind in (".csv", ".toml", ".txt", ".md", ".yaml"):
        yield from texts(old.read_text(), new.read_text())
    elif kind not in (".pdf", ".svg"):
        yield "other bytes"


def cleaned(text: str) -> str:
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text)
    return text


def texts(old: str, new: str) -> Iterator[str]:
    lines = (cleaned(text).splitlines() for text in (old, new))
    for line in difflib.unified_diff(*lines, n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def page(path: Path) -> str:
    """The words of a report, a line for each element; of pictures what they say they are."""
    text = re.sub(r"<style>.*?</style>", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r'<img alt="([^"]*)"[^>]*>', r"[picture: \1]", text)
    text = re.sub(r"<table>.*?</table>", rows, text, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s*(<[^>]*>\s*)+", "\n", text))


def rows(table: re.Match[str]) -> str:
    """The rows of a table as lines, without the columns that may differ."""
    lines = re.findall(r"<tr>(.*?)</tr>", table[0], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]
    kept = [i for i, title in enumerate(cells[0]) if title.strip() not in COLUMNS] if cells else []
    return "\n".join(" | ".join(row[i] for i in kept if i < len(row)) for row in cells)


def pictures(old: Path, new: Path) -> Iterator[str]:
    from PIL import Image

    with Image.open(old) as a, Image.open(new) as b:
        if a.size != b.size:
            yield f"size {a.size} became {b.size}"
        elif a.convert("RGBA").tobytes() != b.convert("RGBA").tobytes():
            yield "note: other pixels"


def nested(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Differences of dictionaries, lists, arrays and values, each with where it is."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            place = f"{where}/{key}"
            if REMOVED.fullmatch(place):
                continue
            if key not in new or key not in old:
                yield f"{place}: only {'before' if key in old else 'after'}"
            else:
                yield from nested(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} values became {len(new)}"
        for i, pair in enumerate(zip(old, new, strict=False)):
            yield from nested(*pair, f"{where}[{i}]")
    elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            yield f"{where}: {old.dtype}{old.shape} became {new.dtype}{new.shape}"
        elif old.dtype.hasobject:
            yield from nested([*old.ravel()], [*new.ravel()], where)
        elif old.tobytes() != new.tobytes():
            yield f"{where}: {int((old != new).sum())} of {old.size} values"
    elif isinstance(old, str) and isinstance(new, str):
        if cleaned(old) != cleaned(new):
            yield f"{where}: {old[:200]!r} became {new[:200]!r}"
    elif type(old) is not type(new) or repr(old) != repr(new):
        yield f"{where}: {old!r:.200} became {new!r:.200}"


def read_json(path: Path) -> Any:
    """Of the marker of a stage the names of its files: the rest are hashes, also of versions."""
    content = json.loads(path.read_text())
    return sorted(content["files"]) if path.name == "stage.json" else content


def parquet(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    metadata = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    columns = {f.name: {"type": str(f), "values": arrow(table[f.name])} for f in table.schema}
    return {"columns": list(table.schema.names), "metadata": metadata, **columns}


def arrow(column: Any) -> Any:
    """An array of numbers, else Python's values."""
    import pyarrow.types as kinds

    numbers = kinds.is_integer(column.type) or kinds.is_floating(column.type)
    return column.to_numpy() if numbers and not column.null_count else column.to_pylist()


def hdf5(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        found["/"] = dict(file.attrs)
        file.visititems(lambda name, item: found.update({name: dict(item.attrs)}))
        file.visititems(
            lambda name, item: (
                found[name].update(values=item[()]) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def root(path: Path) -> dict[str, Any]:
    import awkward as ak
    import uproot

    found: dict[str, Any] = {}
    with uproot.open(path) as file:
        for key, kind in file.classnames(cycle=False).items():
            item, content = file[key], {"class": kind}
            if kind == "TTree":
                for name, branch in item.items():
                    form, length, buffers = ak.to_buffers(ak.to_packed(branch.array()))
                    arrays = {k: np.asarray(v) for k, v in buffers.items()}
                    content[name] = {"form": form.to_json(), "length": length, **arrays}
            elif kind.startswith(("TH1", "TH2")):
                axes = [axis.edges() for axis in item.axes]
                values, variances = item.values(flow=True), item.variances(flow=True)
                content |= {"title": item.title, "axes": axes, "values": values, "var": variances}
            elif kind == "TObjString":
                content["value"] = str(item)
            found[key] = content
    return found


def pickled(content: bytes) -> list[Any]:
    """Numbers and bytes in their order: names of classes and attributes may change."""
    data = ("FLOAT", "BINFLOAT", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8")
    values = [value for code, value, _ in pickletools.genops(content) if code.name in data]
    # torch names what it stores by addresses.
    return [re.sub(rb"(?s)X.\0\0\0\d+", b"", v) if isinstance(v, bytes) else v for v in values]


def torch_file(path: Path) -> dict[str, Any]:
    """Numbers and bytes in the parts of an archive that torch has written."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return {name: pickled(x) if name.endswith(".pkl") else x for name, x in parts.items()}


CONTENT: dict[str, Callable[[Path], Any]] = {
    ".json": read_json,
    ".parquet": parquet,
    ".npz": lambda path: dict(np.load(path)),
    ".h5": hdf5,
    ".root": root,
    ".pickle": lambda path: pickled(path.read_bytes()),
    ".pt": torch_file,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("make", help="run the jobs")
    one.add_argument("folder", type=Path)
    one.add_argument("--python", default=sys.executable, help="of the package that runs them")
    two = commands.add_parser("compare", help="compare what they left")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    for command in (one, two):
        every = [job for job in JOBS if job != "data" or os.environ.get("FASTJAG_REAL_DATA")]
        command.add_argument("--only", default=",".join(every), help="default: %(default)s")
    given = parser.parse_args()
    only = given.only.split(",")
    if unknown := [job for job in only if job not in JOBS]:
        parser.error(f"no job {', '.join(unknown)}; there are {', '.join(JOBS)}")
    if given.command == "make":
        # Not resolved: the Python of an environment is a link.
        return make(given.folder.resolve(), os.path.abspath(given.python), only)
    return compare(given.before, given.after, only)


if __name__ == "__main__":
    sys.exit(main())
