"""The pictures of the benchmarks, from the numbers in docs/."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import pictures
from harness import Race


@pytest.fixture(scope="module")
def record():
    return json.loads((ROOT / "docs" / "benchmarks.json").read_text())


@pytest.fixture(scope="module")
def sections(record):
    return {w: [Race(**r) for r in races] for w, races in record["sections"].items()}


def test_largest_win_and_losses_are_named(sections):
    """With a point for every peer of every work."""
    (ax,) = pictures.draw_ratios(sections).axes
    points = [(r.ratio(p), p) for w, races in sections.items() if w != "scaling" for r in races
              for p in pictures.peers_of(r)]  # fmt: skip
    drawn = [x for line in ax.lines if line.get_marker() != "None" for x in line.get_xdata()]
    assert sorted(drawn) == sorted(x for x, _ in points)
    named = {(text.xy[0], text.get_text().partition(":")[0]) for text in ax.texts}
    assert named == {max(points), *(q for q in points if q[0] < 1.05)}
    assert any(x < 1 for x, _ in named), "a loss is there, and seen"
    low, high = ax.get_xlim()
    assert low < min(drawn)
    assert max(drawn) < high


def test_jobs_say_time_and_ratio(sections, record):
    fig = pictures.draw_jobs(sections["spectrum"], record["memory GB/s"], "events")
    said = [text.get_text() for ax in fig.axes for text in ax.texts]
    for race in sections["spectrum"]:
        for peer in pictures.peers_of(race):
            assert f"{race.time[peer]:,.0f}  ({pictures.times(race.ratio(peer))})" in said


def test_what_was_not_measured_is_left_out(sections, record, monkeypatch):
    saved = []
    monkeypatch.setattr(pictures, "save", lambda fig, path: saved.append(str(path)))
    some = {"dimuon": sections["dimuon"], "spectrum": [Race("spectrum", absent={"ROOT": "no"})]}
    pictures.draw(some, record["memory GB/s"], Path("docs"))
    assert saved == ["docs/benchmarks.png"]


@pytest.mark.parametrize(
    ("ratio", "said"), [(0.916, "0.92x"), (1.05, "1.05x"), (6.54, "6.5x"), (1078, "1,078x")]
)
def test_ratios_in_words(ratio, said):
    assert pictures.times(ratio) == said
