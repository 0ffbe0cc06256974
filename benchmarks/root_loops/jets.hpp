// What the programs on jets share: histograms of weights on logarithmic axes, and their output.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "TFile.h"
#include "TH1D.h"
#include "TTree.h"

inline std::vector<double> log_edges(int n, double low, double high) {
    std::vector<double> result(n + 1);
    for (int i = 0; i <= n; ++i) result[i] = low * std::pow(high / low, double(i) / n);
    return result;
}

// One line: underflow, bins, overflow.
template <class Histogram>
void print(Histogram const& h, int n) {
    for (int i = 0; i <= n + 1; ++i) std::printf("%.17g ", h.GetBinContent(i));
    std::printf("\n");
}

inline std::unique_ptr<TFile> open(char const* path) {
    std::unique_ptr<TFile> file{TFile::Open(path)};
    if (!file || file->IsZombie()) std::exit(1);
    return file;
}

constexpr int constituent_bins = 60;
inline std::vector<double> constituent_edges() {
    return log_edges(constituent_bins, 0.1, 1000);
}  // GeV

constexpr int dxy_bins = 60;
inline std::vector<double> dxy_edges() { return log_edges(dxy_bins, 1e-4, 100); }  // cm
constexpr double radius = 0.5;
