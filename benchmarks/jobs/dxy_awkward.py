"""|d_xy| of the tracks within delta_r < 0.5 of a jet with uproot, awkward and hist: FILE."""

import sys

import awkward as ak
import hist
import numpy as np
import uproot

COLUMNS = [*(f"{c}_{x}" for c in ("Jet", "PFCands") for x in ("eta", "phi")),
           "PFCands_d0", "PFCands_charge", "genWeight"]  # fmt: skip
axis = hist.axis.Regular(60, 1e-4, 100, transform=hist.axis.transform.log)
h = hist.Hist(axis, storage=hist.storage.Weight())
for events in uproot.iterate(f"{sys.argv[1]}:Events", COLUMNS, step_size="100 MB"):
    good = (events.PFCands_charge != 0) & (events.PFCands_d0 != -1)
    d0 = events.PFCands_d0[good]
    eta, jet_eta = ak.unzip(ak.cartesian([events.PFCands_eta[good], events.Jet_eta], nested=True))
    phi, jet_phi = ak.unzip(ak.cartesian([events.PFCands_phi[good], events.Jet_phi], nested=True))
    delta_phi = (phi - jet_phi + np.pi) % (2 * np.pi) - np.pi
    near = ak.any((eta - jet_eta) ** 2 + delta_phi**2 < 0.5**2, axis=2)
    chosen = np.abs(d0[near])
    weights = np.repeat(ak.to_numpy(events.genWeight), ak.to_numpy(ak.num(chosen)))
    h.fill(ak.to_numpy(ak.flatten(chosen)), weight=weights)
print(*(repr(float(x)) for x in h.values(flow=True)))
