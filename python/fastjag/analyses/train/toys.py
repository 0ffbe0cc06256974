"""Events of two classes of which the best possible answer is known, and a tagger of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.common.tables import read_parquet
from fastjag.analyses.train.config import TaggerConfig
from fastjag.analyses.train.results import TaggerResults
from fastjag.analyses.train.run import run
from fastjag.core.checks import at_least, one_of
from fastjag.io import write_events
from fastjag.jagged import Jagged
from fastjag.models.roc import roc_curve
from fastjag.reporting.origin import forced, refusal
from fastjag.reporting.output import whole_directory, write_text

Floats = NDArray[np.float64]

_CHUNK = 50_000
_CONFIGURATION = "tagger.toml"
_LEAST_PT = 20.0


class Densities(NamedTuple):
    """What an event of a class is drawn from."""

    jets: float  #: mean of the Poisson number of jets
    pt: float  #: mean of pt - 20 GeV, exponential [GeV]
    eta: float  #: width of eta, normal
    met: float  #: mean of the missing momentum, exponential [GeV]


CLASSES = {
    "background": Densities(3.0, 40.0, 1.6, 30.0),
    "signal": Densities(3.8, 52.0, 1.3, 36.0),
}  # fmt: skip


class ToyEvents(NamedTuple):
    """Events, and what is known of them."""

    jets: Jagged
    met: NDArray[np.float32]
    ratio: Floats  #: (n,) logarithm of the likelihood of signal over that of background


def draw(n: int, kind: str, seed: int = 0) -> ToyEvents:
    """Events whose jets are drawn one by one, so that their likelihoods are known.

    No tagger has a larger area under the ROC curve than ``ratio`` (J. Neyman, E. Pearson, Phil. Trans. R. Soc.
    A 231 (1933) 289). phi and mass tell nothing.
    """
    at_least("n", n, 0)
    one_of("kind", kind, tuple(CLASSES))
    own = CLASSES[kind]
    rng = np.random.default_rng([seed, *kind.encode()])
    counts = rng.poisson(own.jets, n)
    k = int(counts.sum())
    pt = (_LEAST_PT + rng.exponential(own.pt, k)).astype(np.float32)
    columns = {
        "pt": pt, "eta": rng.normal(0, own.eta, k).astype(np.float32),
        "phi": rng.uniform(-np.pi, np.pi, k).astype(np.float32),
        "mass": (pt * rng.uniform(0.05, 0.2, k)).astype(np.float32),
    }  # fmt: skip
    jets = Jagged.from_counts(counts, columns)
    met = rng.exponential(own.met, n).astype(np.float32)
    signal, background = (_log_likelihood(jets, met, CLASSES[c]) for c in ("signal", "background"))
    return ToyEvents(jets, met, signal - background)


def _log_likelihood(jets: Jagged, met: NDArray[np.float32], of: Densities) -> Floats:
    """Up to what both classes have in common."""
    pt, eta = (jets[name].astype(np.float64) for name in ("pt", "eta"))
    of_jets = -(pt - _LEAST_PT) / of.pt - np.log(of.pt) - (eta / of.eta) ** 2 / 2 - np.log(of.eta)
    owner = np.repeat(np.arange(len(jets)), jets.counts)
    sums = np.bincount(owner, of_jets + np.log(of.jets), len(jets))
    found: Floats = sums - of.jets - met.astype(np.float64) / of.met - np.log(of.met)
    return found


def write(path: str | os.PathLike[str], n: int, kind: str, seed: int = 0) -> Path:
    """A NanoAOD file of such events."""

    def chunks() -> Iterator[dict[str, Any]]:
        for i, start in enumerate(range(0, n, _CHUNK)):
            size = min(_CHUNK, n - start)
            events = draw(size, kind, seed + 7919 * i)
            yield {
                "run": np.ones(size, np.uint32),
                "luminosityBlock": np.arange(start, start + size, dtype=np.uint32) // 1000,
                "event": np.arange(start, start + size, dtype=np.uint64),
                "MET_pt": events.met,
                "Jet": events.jets,
            }

    return write_events(path, chunks())


def configuration(model: str, seed: int, epochs: int) -> str:
    """A configuration for ``signal.root`` and ``background.root`` in its folder."""
    return f"""\
name = "toys"
model = "{model}"
seed = {seed}

[[datasets]]
name = "background"
files = "background.root"

[[datasets]]
name = "signal"
files = "signal.root"

[inputs]
features = ["MET_pt", "nJet"]
log = ["MET_pt"]

[[inputs.particles]]
collection = "Jet"
columns = ["pt", "eta"]
log = ["pt"]
width = 10
by = "pt"

[network]
epochs = {epochs}
batch_size = 256
learning_rate = 3e-3
phi = [32, 32]
rho = [32]
width = 32
blocks = 2

[trees]
learning_rate = 0.2
"""


class Best(NamedTuple):
    """Areas under the ROC curve on the same test events."""

    tagger: float
    possible: float  #: of the ratio of the likelihoods
    error: float  #: of their difference, from the spread over ten parts of the events


def best_of(results: TaggerResults, seed: int) -> Best:
    """What the tagger of :func:`demo` reaches, and the best that is possible."""
    columns = read_parquet(results.folder("score") / "scores.parquet")
    is_signal = columns["dataset"].astype(str) == "signal"
    ratio = np.empty(len(is_signal))
    for kind in CLASSES:
        own = is_signal == (kind == "signal")
        entries = columns["entry"][own]
        ratio[own] = _ratios(kind, seed, _events_of(results, kind))[entries]
    scores = columns["score_signal"]
    areas = np.array([roc_curve(is_signal, s).area for s in (scores, ratio)])
    part = np.arange(len(scores)) % 10
    spread = [
        roc_curve(is_signal[part == i], scores[part == i]).area
        - roc_curve(is_signal[part == i], ratio[part == i]).area
        for i in range(10)
    ]
    return Best(float(areas[0]), float(areas[1]), float(np.std(spread, ddof=1) / np.sqrt(10)))


def _ratios(kind: str, seed: int, n: int) -> Floats:
    """Of a file of :func:`write`."""
    sizes = [min(_CHUNK, n - start) for start in range(0, n, _CHUNK)]
    return np.concatenate([draw(m, kind, seed + 7919 * i).ratio for i, m in enumerate(sizes)])


def _events_of(results: TaggerResults, kind: str) -> int:
    return sum(part[kind] for part in results.events().values())


def demo(
    out: str | os.PathLike[str], *, events: int, seed: int, model: str = "DeepSets",
    epochs: int = 12, workers: Workers = HERE, told: Callable[[str], None] | None = None,
) -> TaggerResults:  # fmt: skip
    """Write events of two classes and a configuration, train a tagger, and test it.

    As a command it does not replace a configuration that somebody changed: FileExistsError.
    """
    folder = Path(out)
    _check_configuration(folder, configuration(model, seed, epochs))
    with whole_directory(out):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in CLASSES:
            write(folder / f"{kind}.root", events, kind, seed)
        write_text(folder / _CONFIGURATION, configuration(model, seed, epochs))
        return run(
            TaggerConfig.read(folder / _CONFIGURATION),
            folder / "tagger",
            workers=workers,
            told=told,
        )


def _check_configuration(folder: Path, content: str) -> None:
    path = folder / _CONFIGURATION
    if not forced() and path.is_file() and path.read_bytes() != content.encode():
        raise refusal(path, "is not the configuration that the demo writes: it was edited, or is of "
                      "another version")  # fmt: skip
