"""The spectrum job as a PyROOT loop over events: FILE EVENTS."""

import sys
import warnings

warnings.simplefilter("ignore")
import ROOT

BINS, LOW, HIGH, MUON_MASS = 400, 0.3, 150.0, 0.1056583755
edges = ROOT.std.vector("double")([LOW * (HIGH / LOW) ** (i / BINS) for i in range(BINS + 1)])
opposite = ROOT.TH1D("opposite", "", BINS, edges.data())
same = ROOT.TH1D("same", "", BINS, edges.data())
file = ROOT.TFile.Open(sys.argv[1])
tree = file.Get("Events")
tree.SetBranchStatus("*", False)
for name in ("nMuon", "Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"):
    tree.SetBranchStatus(name, True)
Vector = ROOT.Math.PtEtaPhiMVector
for i, event in enumerate(tree):
    if i == int(sys.argv[2]):
        break
    pt = list(event.Muon_pt)
    if len(pt) < 2:
        continue
    eta, phi, charge = event.Muon_eta, event.Muon_phi, event.Muon_charge
    a, b = sorted(range(len(pt)), key=lambda k: -pt[k])[:2]
    pair = Vector(pt[a], eta[a], phi[a], MUON_MASS) + Vector(pt[b], eta[b], phi[b], MUON_MASS)
    (opposite if charge[a] + charge[b] == 0 else same).Fill(pair.M())
for h in (opposite, same):
    print(*(h.GetBinContent(k) for k in range(BINS + 2)))
