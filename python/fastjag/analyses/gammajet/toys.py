"""Simulated photon+jet events with a known response, as arrays and as NanoAOD files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.common.runs import HERE, Workers
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.gammajet.results import GammaJetResults
from fastjag.analyses.gammajet.run import run
from fastjag.analyses.gammajet.selection import MET_FILTERS, responses
from fastjag.core.checks import at_least, one_of
from fastjag.io import iterate, write_events
from fastjag.jagged import Jagged
from fastjag.reporting.origin import forced, refusal
from fastjag.reporting.output import whole_directory, write_text

Floats = NDArray[np.float64]
_CHUNK = 100_000
_CONFIGURATION = "gammajet.toml"


def draw(
    n: int, *, response: float = 1.0, together: float = 0.7, resolution: float = 0.1,
    met_noise: float = 8.0, low_pt: float = 200.0, seed: int = 0,
) -> dict[str, Floats]:  # fmt: skip
    """Rows as :func:`~fastjag.analyses.gammajet.selection.select_events` gives them.

    Two jets balance the photon along its axis, as in data: the second one has few GeV mostly, a
    share alpha of the photon's pt that falls as exp(-alpha / 0.08) from 0.08 to 0.35, and flies at
    an angle theta to the first, into whose half it is radiated mostly: (1 + cos theta) / 2 has a
    beta distribution of mean ``together``. So the mean balance is exactly
    ``response * (1 - slope * alpha_true)`` with slope = 2 * together - 1, and its distribution has
    one hump. What is across the photon's axis is balanced by particles that are no jets. All
    energies are measured times ``response``, the leading jet with a Gaussian ``resolution``; the
    missing momentum has Gaussian noise of ``met_noise`` GeV per component. Photons have a spectrum
    pt^-5 above ``low_pt``.
    """
    rng = np.random.default_rng(seed)
    photon_pt = low_pt * (1 - rng.random(n)) ** -0.25
    alpha = 0.08 - 0.08 * np.log(1 - rng.random(n) * (1 - np.exp(-(0.35 - 0.08) / 0.08)))
    cosine = 2 * rng.beta(4 * together, 4 * (1 - together), n) - 1
    photon_phi = rng.uniform(-np.pi, np.pi, n)
    second = alpha * photon_pt * response
    smearing = 1 + resolution * rng.normal(size=n)
    leading = photon_pt * (1 - cosine * alpha) * response * smearing
    # Along the photon, whose momentum counts positive; jets that recoil count negative.
    along = -(photon_pt - leading - cosine * second) + met_noise * rng.normal(size=n)
    across = met_noise * rng.normal(size=n)
    met_phi = photon_phi + np.arctan2(across, along)
    met_pt = np.hypot(along, across)
    row = {
        "photon_pt": photon_pt, "photon_eta": rng.uniform(-1.4, 1.4, n), "photon_phi": photon_phi,
        "jet_pt": leading, "jet_eta": rng.triangular(-2.4, 0.0, 2.4, n),
        "jet_phi": (photon_phi + 2 * np.pi) % (2 * np.pi) - np.pi,
        "jet2_pt": second, "met_pt": met_pt, "met_phi": (met_phi + np.pi) % (2 * np.pi) - np.pi,
        "cosine": cosine, "delta_phi": np.full(n, np.pi), "gen_weight": np.ones(n),
    }  # fmt: skip
    row["mpf_lead"] = leading / photon_pt
    row["mpf_others"] = cosine * second / photon_pt
    row["delta_r"] = rng.triangular(0.0, 3.0, 3.5, n)
    return row | responses(
        photon_pt, photon_phi, row["jet_pt"], row["jet2_pt"], met_pt, row["met_phi"]
    )


def write(
    path: str | os.PathLike[str], n_events: int, *, kind: str = "data", seed: int = 0,
    **parameters: Any,
) -> Path:  # fmt: skip
    """A NanoAOD file of such events; simulation ("gjets", "qcd") has generator records.

    "gjets" holds the events whose photon is farther than 0.4 from the parton, as samples made with
    that cut do, "qcd" all of the ``n_events``, so that a pair of them with one seed overlaps.
    """
    at_least("n_events", n_events, 1)
    at_least("seed", seed, 0)
    one_of("kind", kind, ("data", "gjets", "qcd"))

    def batches() -> Iterator[dict[str, Any]]:
        for start in range(0, n_events, _CHUNK):
            n = min(_CHUNK, n_events - start)
            rows = draw(n, seed=seed + start // _CHUNK * 7919, **parameters)
            if kind == "gjets":
                rows = {name: values[rows["delta_r"] > 0.4] for name, values in rows.items()}
            yield _nanoaod(rows, simulated=kind != "data", first=start)

    return write_events(path, batches())


def _nanoaod(rows: dict[str, Floats], *, simulated: bool, first: int) -> dict[str, Any]:
    n = len(rows["photon_pt"])
    one = np.arange(n + 1)

    def f4(values: Any) -> Any:
        return np.asarray(values, np.float32)

    away = (rows["photon_phi"] + 2 * np.pi) % (2 * np.pi) - np.pi
    # To either side of the leading jet: eta, which is random, says to which.
    turn = np.arccos(rows["cosine"]) * np.where(rows["photon_eta"] > 0, 1, -1)
    second_phi = (away + turn + np.pi) % (2 * np.pi) - np.pi
    photon = {c: f4(rows[f"photon_{c}"]) for c in ("pt", "eta", "phi")}
    # The photon is a jet, too, the hardest one of the list in half of the events.
    own = np.stack([rows["photon_pt"] * 1.02, rows["photon_eta"], rows["photon_phi"]], 1)
    jets = np.stack(
        [
            np.stack([rows["jet_pt"], rows["jet_eta"], away], 1),
            own,
            np.stack([rows["jet2_pt"], -rows["jet_eta"], second_phi], 1),
        ],
        1,
    )
    order = np.argsort(-jets[:, :, 0], axis=1)
    jets = np.take_along_axis(jets, order[:, :, None], 1).reshape(-1, 3)
    place = np.argmax(order == 1, axis=1)
    events: dict[str, Any] = {
        "event": np.arange(first, first + n, dtype=np.uint64),
        "MET_pt": f4(rows["met_pt"]),
        "MET_phi": f4(rows["met_phi"]),
        **{name: np.ones(n, bool) for name in MET_FILTERS[:4]},
        "Photon": Jagged(
            one,
            {
                **photon,
                "cutBased": np.full(n, 3, np.int32),
                "jetIdx": place.astype(np.int32),
                "electronVeto": np.ones(n, bool),
            },
        ),
        "Jet": Jagged(
            3 * one,
            {
                **{c: f4(jets[:, i]) for i, c in enumerate(("pt", "eta", "phi"))},
                "jetId": np.full(3 * n, 6, np.int32),
            },
        ),
        "Muon": Jagged(0 * one, {"pt": np.empty(0, np.float32), "looseId": np.empty(0, bool)}),
        "Electron": Jagged(
            0 * one, {"pt": np.empty(0, np.float32), "cutBased": np.empty(0, np.int32)}
        ),
    }
    if simulated:
        integers = {
            "pdgId": np.full(n, 22, np.int32),
            "status": np.ones(n, np.int32),
            "statusFlags": np.ones(n, np.int32),
        }
        events["genWeight"] = f4(rows["gen_weight"])
        # Harder radiation: more of what the second jet takes, as a weight of the event.
        alpha = rows["alpha"]
        shower = np.stack([1 + alpha, 1 + alpha / 2, 1 - alpha, 1 - alpha / 2], 1)
        events["PSWeight"] = Jagged(4 * one, {"w": f4(shower.reshape(-1))}).to_awkward()["w"]
        events["GenPart"] = Jagged(one, {**photon, **integers})
        events["LHEPart"] = Jagged(
            one,
            {
                "eta": f4(rows["photon_eta"] + rows["delta_r"]),
                "phi": f4(rows["photon_phi"]),
                "pdgId": np.full(n, 21, np.int32),
                "status": np.ones(n, np.int32),
            },
        )
    return events


def configuration(folder: Path) -> str:
    """A configuration for ``data.root``, ``gjets.root`` and ``qcd.root`` in a folder."""
    n_gjets, n_qcd = (
        sum(len(batch) for batch in iterate(str(folder / f"{kind}.root"), "event", progress=False))
        for kind in ("gjets", "qcd")
    )
    return f"""\
name = "toys"
luminosity = 1000.0  # 1/pb
pt_edges = [200, 230, 300, 400, 600, 1000]
alpha_edges = [0, 0.1, 0.15, 0.2, 0.3, 0.4]
photon_scale = 0.005
parton_shower = true

[selection]
min_delta_phi = 2.7

[[samples]]
name = "data"
files = "data.root"

[[samples]]
name = "GJets_DR04"
kind = "gjets"
cross_section = {100.0 * n_gjets / n_qcd!r}  # pb, of what is beyond 0.4
files = "gjets.root"

[[samples]]
name = "QCD"
kind = "qcd"
cross_section = 100.0  # pb
files = "qcd.root"
"""


def demo(
    out: str | os.PathLike[str], *, events: int, seed: int, workers: Workers = HERE,
    told: Callable[[str], None] | None = None,
) -> GammaJetResults:  # fmt: skip
    """Write data (response 0.97), two overlapping samples (1.02) and their configuration; run it.

    As a command it does not replace a configuration that somebody changed: FileExistsError.
    """
    _check_configuration(Path(out))
    with whole_directory(out):
        return _demo(Path(out), events, seed, workers, told)


def _check_configuration(folder: Path) -> None:
    path = folder / _CONFIGURATION
    if forced() or not path.is_file():
        return
    files = [folder / f"{kind}.root" for kind in ("gjets", "qcd")]
    if (
        not all(file.is_file() for file in files)
        or path.read_bytes() != configuration(folder).encode()
    ):
        raise refusal(path, "is not the configuration that the demo writes: it was edited, or is of "
                      "another version")  # fmt: skip


def _demo(
    folder: Path,
    events: int,
    seed: int,
    workers: Workers,
    told: Callable[[str], None] | None,
) -> GammaJetResults:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "data.root", events, response=0.97, seed=seed)
    for i, kind in enumerate(("gjets", "qcd")):
        write(folder / f"{kind}.root", events, kind=kind, response=1.02, seed=seed + 1000 + i)
    # The sample with a cut at generation has the cross-section of what is left.
    write_text(folder / _CONFIGURATION, configuration(folder))
    return run(GammaJetConfig.read(folder / _CONFIGURATION), folder, workers=workers, told=told)
