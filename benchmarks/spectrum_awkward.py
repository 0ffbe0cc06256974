"""The spectrum job as one writes it with uproot, awkward, vector and hist: the peer to beat.

    python benchmarks/spectrum_awkward.py FILE...

Leading pair of muons by pt, mass on a logarithmic axis, opposite and same sign. Prints the sums.
"""

import sys

import awkward as ak
import hist
import numpy as np
import uproot
import vector

vector.register_awkward()

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
MUON_MASS = 0.1056583755


def leading_pairs(events, exact=False):
    """First and second muon by pt of the events that have two."""
    if exact:  # float64 throughout: float32 masses cancel by megaelectronvolts
        wide = {name: ak.values_astype(events[name], np.float64) for name in COLUMNS[:3]}
        events = {**wide, "Muon_charge": events["Muon_charge"]}
    muons = ak.zip(
        {
            "pt": events["Muon_pt"],
            "eta": events["Muon_eta"],
            "phi": events["Muon_phi"],
            "mass": ak.full_like(events["Muon_pt"], MUON_MASS),
            "charge": events["Muon_charge"],
        },
        with_name="Momentum4D",
    )
    muons = muons[ak.num(muons) >= 2]
    muons = muons[ak.argsort(muons.pt, axis=1, ascending=False, stable=True)]
    return muons[:, 0], muons[:, 1]


def spectrum(files, bins=400, low=0.3, high=150.0, step="100 MB", exact=False):
    axis = hist.axis.Regular(bins, low, high, transform=hist.axis.transform.log, name="mass")
    opposite, same = hist.Hist(axis), hist.Hist(axis)
    for events in uproot.iterate([f"{f}:Events" for f in files], COLUMNS, step_size=step):
        first, second = leading_pairs(events, exact)
        mass = (first + second).mass
        charge = first.charge + second.charge
        opposite.fill(np.asarray(mass[charge == 0]))
        same.fill(np.asarray(mass[charge != 0]))
    return opposite, same


if __name__ == "__main__":
    os_, ss = spectrum(sys.argv[1:])
    print(os_.sum(flow=True), ss.sum(flow=True))
