"""Run benchmarks: all of them and write the page, or those that are named and print the table.

make bench
python benchmarks/run.py histogram spectrum
"""

from __future__ import annotations

import os

for variable in ("FASTJAG_NUM_THREADS", "OMP_NUM_THREADS"):  # before any library starts
    os.environ[variable] = "1"  # in this process; the programs that it starts have all their cores

import argparse
import importlib
import time
from pathlib import Path

import report
from harness import Race

HERE = Path(__file__).parent
WORDS = sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))
WORDS.remove("gpu")  # has a page of its own
WORDS.remove("jets")  # has a part of the page of its own: make bench BENCH=jets
WORDS.remove("batch")  # docs/batch.md: make bench BENCH=batch
WORDS.remove("search")  # half an hour: make bench BENCH=search
WORDS.remove("elsewhere")  # hours: make bench BENCH=elsewhere


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help=f"out of {', '.join(WORDS)}")
    words = parser.parse_args().words or WORDS
    sections: dict[str, list[Race]] = {}
    started = time.perf_counter()
    limits = report.memory_limits()
    try:
        for word in words:
            print(f"{word} ...", flush=True)
            try:
                sections[word] = importlib.import_module(f"bench_{word}").run()
            except ModuleNotFoundError as error:
                sections[word] = [Race(word, absent={word: f"{error.name} is not installed"})]
    finally:  # what was measured is not lost when something fails
        print(report.table(sections))
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if words == WORDS:
        report.publish(sections, limits)
    elif words == ["jets"]:
        report.publish_jets(sections["jets"], limits)


if __name__ == "__main__":
    main()
