// What the ROOT programs share: the histogram axis, and the output that run.py compares.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "TFile.h"
#include "TH1D.h"
#include "TTree.h"

constexpr int n_bins = 400;
constexpr double low = 0.3, high = 150.0;  // GeV
constexpr double muon_mass = 0.1056583755;

inline std::vector<double> edges() {
    std::vector<double> result(n_bins + 1);
    for (int i = 0; i <= n_bins; ++i) result[i] = low * std::pow(high / low, double(i) / n_bins);
    return result;
}

// One histogram a line: underflow, bins, overflow.
template <class Histogram>
void print(Histogram const& h) {
    for (int i = 0; i <= n_bins + 1; ++i) std::printf("%.0f ", h.GetBinContent(i));
    std::printf("\n");
}

inline std::unique_ptr<TFile> open(char const* path) {
    std::unique_ptr<TFile> file{TFile::Open(path)};
    if (!file || file->IsZombie()) std::exit(1);
    return file;
}
