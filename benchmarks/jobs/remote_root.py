"""Sums of four columns of the files that stdin names, by C++'s TTreeReader over TFile::Open with ROOT's TTreeCache."""

import sys

import ROOT

ROOT.gEnv.SetValue("Path.ForceRemote", 1)  # else servers of this machine are left aside
ROOT.gInterpreter.Declare("""
std::vector<double> far_sums(const char* url) {
  std::unique_ptr<TFile> file(TFile::Open(url));
  auto* tree = file->Get<TTree>("Events");
  tree->SetCacheSize(64 << 20);
  for (auto name : {"nMuon", "Muon_pt", "Muon_eta", "Muon_phi", "MET_pt"})
    tree->AddBranchToCache(name, true);
  tree->StopCacheLearningPhase();
  TTreeReader reader(tree);
  TTreeReaderArray<float> pt(reader, "Muon_pt"), eta(reader, "Muon_eta"), phi(reader, "Muon_phi");
  TTreeReaderValue<float> met(reader, "MET_pt");
  std::vector<double> sums(4);
  while (reader.Next()) {
    for (auto x : pt) sums[0] += x;
    for (auto x : eta) sums[1] += x;
    for (auto x : phi) sums[2] += x;
    sums[3] += *met;
  }
  return sums;
}""")
for line in sys.stdin:
    print(*ROOT.far_sums(line.strip()), flush=True)
