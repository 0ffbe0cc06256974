"""The CUDA kernels on this machine's GPU, against CuPy, torch and FBGEMM.

    python benchmarks/bench_gpu.py

Every result is compared with the CPU's first. Times are between CUDA events, after a warm-up, with a
second-level cache that holds none of the inputs: around the Python call, and, for ours, around each launch
("kernels"). What a kernel has to read and write at least, over the best time of its kernels, is shown as a fraction
of the bandwidth that a copy reaches in the same run. Writes docs/benchmarks-gpu.json and .md after each job. A peer
that fails leaves a line with the reason; a job of ours that fails does so, too, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gpu_jobs
import gpu_peers
import numpy as np
from gpu_jobs import Arrays, Job

from fastjag.core import devices
from fastjag.kernels import gpu as gpu_module
from fastjag.kernels.gpu import cuda_module
from fastjag.reporting.output import new_file

DOCS = Path(__file__).parents[1] / "docs"
LIBRARIES = ("fastjag", "cupy-cuda13x", "torch", "fbgemm-gpu")


def differences(job: Job, ours: Arrays, theirs: Arrays, tolerance: float) -> list[str]:
    """Results that are not the same: to the last bit, or to ``tolerance`` of the largest."""
    found = []
    for name in theirs:
        a, b = np.asarray(ours[name]), np.asarray(theirs[name])
        if a.shape != b.shape:
            same = False
        elif tolerance:
            largest = float(np.nanmax(np.abs(b), initial=0))
            same = np.allclose(a, b, rtol=tolerance, atol=tolerance * largest, equal_nan=True)
        else:
            same = a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        if not same:
            found.append(f"{job.name} ({job.work}): {name} differs")
    return found


def compare(events: int) -> list[str]:
    """Every job on the GPU against the CPU: what differs."""
    found = []
    for job in gpu_jobs.JOBS:
        arrays = job.arrays(events)
        expected = job.run(arrays)
        results = gpu_jobs.to_host(job.run(gpu_jobs.to_device(arrays)))
        found += differences(job, results, expected, 0 if job.exact else 1e-12)
    return found


class Watched:
    """The compiled module, with CUDA events around every call of it."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.spans: list[tuple[Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._module, name)
        if name in ("problem", "runtime") or name.endswith("_scratch"):  # these launch nothing
            return function

        def launched(*arguments: Any) -> Any:
            before = recorded()
            result = function(*arguments)
            self.spans.append((before, recorded()))
            return result

        return launched


def recorded() -> Any:
    event = devices.cupy().cuda.Event()
    event.record()
    return event


@contextmanager
def watched() -> Iterator[Watched]:
    """Within, calls of the compiled module leave their events."""
    module = gpu_module.cuda_module()
    watch = Watched(module)
    gpu_module._cuda = watch
    try:
        yield watch
    finally:
        gpu_module._cuda = module


def milliseconds(call: Callable[[], Any], rounds: int, *, kernels: bool = False) -> list[float]:
    """Times between CUDA events, sorted; three calls before to warm up.

    Before each, the cache is filled with something else, which also keeps the GPU busy until the call is
    on its way. ``kernels``: the sum of our launches alone.
    """
    cupy = devices.cupy()
    cache = cupy.cuda.runtime.deviceGetAttribute(38, cupy.cuda.Device().id)  # bytes
    other = cupy.empty(max(4 * cache, 1 << 20), np.uint8)
    times = []
    with watched() if kernels else nullcontext() as watch:
        for turn in range(3 + rounds):
            if watch is not None:
                watch.spans.clear()
            other.fill(turn)
            before = recorded()
            call()
            after = recorded()
            after.synchronize()
            spans = [(before, after)] if watch is None else watch.spans
            if turn >= 3:
                times.append(sum(float(cupy.cuda.get_elapsed_time(*span)) for span in spans))
    return sorted(times)


def gpu() -> dict[str, Any]:
    """Name, processors and bandwidth [B/s]: of the data sheet, and of a copy within its memory."""
    cupy = devices.cupy()
    attribute = cupy.cuda.runtime.deviceGetAttribute
    number = cupy.cuda.Device().id
    clock, bus = attribute(36, number) * 1e3, attribute(37, number) / 8  # Hz, bytes
    source, target = (cupy.zeros(1 << 28, np.uint8) for _ in range(2))
    copy = milliseconds(lambda: cupy.copyto(target, source), 20)[0]
    return {
        "name": cupy.cuda.runtime.getDeviceProperties(number)["name"].decode(),
        "processors": attribute(16, number),
        "data sheet": 2 * clock * bus,
        "copy": 2 * source.nbytes / copy * 1e3,
    }


def reason(error: Exception) -> str:
    """One line of an error."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def measure(job: Job, events: int, rounds: int) -> list[dict[str, Any]]:
    """Times of fastjag and of every peer that gives the same results."""
    arrays = job.arrays(events)
    on_gpu = gpu_jobs.to_device(arrays)
    results = gpu_jobs.to_host(job.run(on_gpu))
    least = job.least(arrays, results)
    candidates = {"fastjag": lambda: job.run(on_gpu)}
    rows = []
    for name, peer in gpu_peers.PEERS.get(job.work, {}).items():
        try:
            theirs = gpu_jobs.to_host(peer(devices.cupy(), on_gpu))
        except Exception as error:  # noqa: BLE001  whatever it is: the others are measured
            rows.append({"candidate": name, "absent": reason(error)})
            continue
        if differences(job, results, theirs, 1e-5):
            rows.append({"candidate": name, "absent": "gives other results"})
            continue
        candidates[name] = lambda peer=peer: peer(devices.cupy(), on_gpu)
    for name, call in candidates.items():
        try:
            times = milliseconds(call, rounds)
        except Exception as error:
            if name == "fastjag":
                raise
            rows.append({"candidate": name, "absent": reason(error)})
            continue
        rows.append(
            {"candidate": name, "best": times[0], "median": statistics.median(times)}
            | (ours_alone(call, rounds, least) if name == "fastjag" else {})
        )
    return [{"kernel": job.name, "work": job.work} | row for row in rows]


def ours_alone(call: Callable[[], Any], rounds: int, least: int) -> dict[str, Any]:
    """Of fastjag's kernels: their time, and the bytes that they move at least."""
    return {"least": least, "kernels": milliseconds(call, rounds, kernels=True)[0]}


def table(rows: list[dict[str, Any]], bandwidth: float) -> str:
    """``bandwidth`` is that of a copy [B/s]."""
    lines = [
        "| kernel | work | candidate | best [ms] | median [ms] | kernels [ms] | GB/s | of a copy |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        head = f"| `{row['kernel']}` | {row['work']} | {row['candidate']} |"
        if "absent" in row:
            lines.append(f"{head} {row['absent']} | | | | |")
            continue
        line = f"{head} {row['best']:.3f} | {row['median']:.3f} |"
        if "least" in row:
            speed = row["least"] / row["kernels"] * 1e3
            part = f"{speed / bandwidth:.0%}"
            lines.append(f"{line} {row['kernels']:.3f} | {speed / 1e9:.0f} | {part} |")
        else:
            lines.append(f"{line} | | |")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=float, default=1e7)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    events = int(options.events)
    try:
        cuda_module()
        devices.cupy()
    except (RuntimeError, ModuleNotFoundError) as error:
        sys.exit(f"there is no GPU to measure: {error}")
    device = gpu()
    print(device)
    if found := compare(100_000):
        sys.exit("not what the CPU gives:\n" + "\n".join(found))
    print("every result equals the CPU's")
    if failed := measure_all(device, events, options.rounds, DOCS):
        sys.exit("failed: " + ", ".join(failed))


def measure_all(device: dict[str, Any], events: int, rounds: int, folder: Path) -> list[str]:
    """Every job, written to ``folder`` as soon as it is measured; the names of those that failed."""
    rows: list[dict[str, Any]] = []
    failed = []
    for job in gpu_jobs.JOBS:
        try:
            rows += measure(job, events, rounds)
        except Exception as error:  # noqa: BLE001  the other jobs are measured
            head = {"kernel": job.name, "work": job.work, "candidate": "fastjag"}
            rows.append(head | {"absent": reason(error)})
            failed.append(f"{job.name} ({job.work})")
        write(device, events, rows, folder)
        print(table(rows[-1:], device["copy"]).splitlines()[-1], flush=True)
    return failed


def write(device: dict[str, Any], events: int, rows: list[dict[str, Any]], folder: Path) -> None:
    """benchmarks-gpu.json and .md of the jobs so far."""
    record = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python", *sys.argv]),
        "gpu": device,
        "versions": versions(),
        "events": events,
        "rows": rows,
    }
    listed = ", ".join(f"{name} {value}" for name, value in versions().items())
    with new_file(folder / "benchmarks-gpu.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n")
    with new_file(folder / "benchmarks-gpu.md") as path:
        path.write_text(
            f"# Benchmarks on a GPU\n\n{record['date']}, `{record['command']}`, {device['name']}, "
            f"{device['processors']} processors, {device['data sheet'] / 1e9:.0f} GB/s on paper, "
            f"{device['copy'] / 1e9:.0f} GB/s by a copy. {events:,} events. Versions: {listed}.\n\n"
            f"{table(rows, device['copy'])}\n"
        )


if __name__ == "__main__":
    main()
