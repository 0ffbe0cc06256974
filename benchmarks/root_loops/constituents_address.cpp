// The pt of the constituents of jets as fast as we can write it with SetBranchAddress: bins from a
// logarithm, sums in arrays. The bin of a value within rounding of an edge is looked at again.
#include "TBranch.h"
#include "jets.hpp"

int main(int, char** argv) {
    auto file = open(argv[1]);
    auto* tree = file->Get<TTree>("AK4jets/jetTree");
    constexpr int most = 1 << 16;  // candidates of a jet
    int n;
    float weight;
    std::vector<float> pt(most);
    std::vector<int> member(most);
    tree->SetBranchStatus("*", false);
    char const* const names[] = {"nPF", "PF_pT", "PF_fromAK4Jet", "eventWeight"};
    void* const addresses[] = {&n, pt.data(), member.data(), &weight};
    TBranch* branches[4];
    for (int i = 0; i < 4; ++i) {
        tree->SetBranchStatus(names[i], true);
        tree->SetBranchAddress(names[i], addresses[i], &branches[i]);
        tree->AddBranchToCache(names[i]);
    }
    tree->StopCacheLearningPhase();
    auto const edges = constituent_edges();
    double const scale = constituent_bins / std::log(edges.back() / edges.front());
    double const start = std::log(edges.front());
    struct Sums {
        double w[constituent_bins + 2] = {}, w2[constituent_bins + 2] = {};
        double GetBinContent(int i) const { return w[i]; }
    } sums;
    for (long long entry = 0, end = tree->GetEntries(); entry < end; ++entry) {
        tree->LoadTree(entry);
        for (auto* branch : branches) branch->GetEntry(entry);
        for (int i = 0; i < n; ++i) {
            if (member[i] != 1) continue;
            double const x = (std::log(double(pt[i])) - start) * scale;
            int slot = x < 0 ? 0 : x >= constituent_bins ? constituent_bins + 1 : int(x) + 1;
            if (slot > 0 && pt[i] < edges[slot - 1]) --slot;
            if (slot <= constituent_bins && pt[i] >= edges[slot]) ++slot;
            sums.w[slot] += weight;
            sums.w2[slot] += double(weight) * weight;
        }
    }
    print(sums, constituent_bins);
}
