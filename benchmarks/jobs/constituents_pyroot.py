"""The weighted pt of the constituents of jets as a PyROOT loop over jets: FILE JETS."""

import sys
import warnings

warnings.simplefilter("ignore")
import ROOT

BINS, LOW, HIGH = 60, 0.1, 1000
edges = ROOT.std.vector("double")([LOW * (HIGH / LOW) ** (i / BINS) for i in range(BINS + 1)])
h = ROOT.TH1D("h", "", BINS, edges.data())
file = ROOT.TFile.Open(sys.argv[1])
tree = file.Get("AK4jets/jetTree")
tree.SetBranchStatus("*", False)
for name in ("nPF", "PF_pT", "PF_fromAK4Jet", "eventWeight"):
    tree.SetBranchStatus(name, True)
for i, jet in enumerate(tree):
    if i == int(sys.argv[2]):
        break
    weight = jet.eventWeight
    for pt, member in zip(jet.PF_pT, jet.PF_fromAK4Jet):  # noqa: B905 (strict costs time)
        if member == 1:
            h.Fill(pt, weight)
print(*(repr(h.GetBinContent(k)) for k in range(BINS + 2)))
