// The spectrum as fast as we can write it with SetBranchAddress: branches read one by one and only
// where there is a pair, one formula instead of vectors, bins from a logarithm, counts in an array.
#include "TBranch.h"
#include "spectrum.hpp"

struct Counts {
    double slots[n_bins + 2] = {};
    double GetBinContent(int i) const { return slots[i]; }
    void fill(double mass_squared) {
        static double const scale = n_bins / std::log(high / low) / 2, start = 2 * std::log(low);
        double const x = (std::log(mass_squared) - start) * scale;
        ++slots[x < 0 ? 0 : x >= n_bins ? n_bins + 1 : int(x) + 1];
    }
};

int main(int, char** argv) {
    auto file = open(argv[1]);
    auto* tree = file->Get<TTree>("Events");
    constexpr int most = 1024;  // muons in an event
    int n, charge[most];
    float pt[most], eta[most], phi[most];
    tree->SetBranchStatus("*", false);
    TBranch* branches[5];
    void* const addresses[] = {&n, charge, pt, eta, phi};
    char const* const names[] = {"nMuon", "Muon_charge", "Muon_pt", "Muon_eta", "Muon_phi"};
    for (int i = 0; i < 5; ++i) {
        tree->SetBranchStatus(names[i], true);
        tree->SetBranchAddress(names[i], addresses[i], &branches[i]);
        tree->AddBranchToCache(names[i]);
    }
    tree->StopCacheLearningPhase();
    Counts opposite, same;
    for (long long entry = 0, end = tree->GetEntries(); entry < end; ++entry) {
        tree->LoadTree(entry);
        branches[0]->GetEntry(entry);
        if (n < 2) continue;
        for (int i = 1; i < 5; ++i) branches[i]->GetEntry(entry);
        int a = 0, b = 1;
        if (pt[1] > pt[0]) std::swap(a, b);
        for (int i = 2; i < n; ++i) {
            if (pt[i] > pt[a]) {
                b = a;
                a = i;
            } else if (pt[i] > pt[b]) {
                b = i;
            }
        }
        constexpr double m2 = muon_mass * muon_mass;
        double const pt_a = pt[a], pt_b = pt[b];
        double const z_a = pt_a * std::sinh(double(eta[a])), z_b = pt_b * std::sinh(double(eta[b]));
        double const e_a = std::sqrt(pt_a * pt_a + z_a * z_a + m2);
        double const e_b = std::sqrt(pt_b * pt_b + z_b * z_b + m2);
        double const product =
            e_a * e_b - z_a * z_b - pt_a * pt_b * std::cos(double(phi[a]) - double(phi[b]));
        (charge[a] + charge[b] == 0 ? opposite : same).fill(2 * (m2 + product));
    }
    print(opposite);
    print(same);
}
