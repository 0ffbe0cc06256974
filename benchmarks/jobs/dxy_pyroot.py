"""|d_xy| of the tracks within delta_r < 0.5 of a jet as a PyROOT loop over events: FILE EVENTS."""

import math
import sys
import warnings

warnings.simplefilter("ignore")
import ROOT

BINS, LOW, HIGH = 60, 1e-4, 100
edges = ROOT.std.vector("double")([LOW * (HIGH / LOW) ** (i / BINS) for i in range(BINS + 1)])
h = ROOT.TH1D("h", "", BINS, edges.data())
file = ROOT.TFile.Open(sys.argv[1])
tree = file.Get("Events")
tree.SetBranchStatus("*", False)
for name in ("nJet", "Jet_eta", "Jet_phi", "nPFCands", "PFCands_eta", "PFCands_phi", "PFCands_d0",
             "PFCands_charge", "genWeight"):  # fmt: skip
    tree.SetBranchStatus(name, True)
for i, event in enumerate(tree):
    if i == int(sys.argv[2]):
        break
    weight = event.genWeight
    jets = list(zip(event.Jet_eta, event.Jet_phi))  # noqa: B905 (strict costs time)
    for eta, phi, d0, charge in zip(  # noqa: B905
        event.PFCands_eta, event.PFCands_phi, event.PFCands_d0, event.PFCands_charge
    ):
        if charge == 0 or d0 == -1:
            continue
        for jet_eta, jet_phi in jets:
            delta_phi = math.remainder(phi - jet_phi, 2 * math.pi)
            if (eta - jet_eta) ** 2 + delta_phi**2 < 0.25:
                h.Fill(abs(d0), weight)
                break
print(*(repr(h.GetBinContent(k)) for k in range(BINS + 2)))
