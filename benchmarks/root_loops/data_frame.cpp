// The spectrum with RDataFrame and compiled lambdas: data_frame FILE THREADS.
#include "Math/Vector4D.h"
#include "ROOT/RDataFrame.hxx"
#include "ROOT/RVec.hxx"
#include "spectrum.hpp"

using Floats = ROOT::RVec<float> const&;
using Ints = ROOT::RVec<int> const&;

int main(int, char** argv) {
    int const threads = std::atoi(argv[2]);
    if (threads > 1) ROOT::EnableImplicitMT(threads);
    ROOT::RDataFrame events("Events", argv[1]);
    auto pairs =
        events.Filter([](Floats pt) { return pt.size() >= 2; }, {"Muon_pt"})
            .Define("leading",
                    [](Floats pt) {
                        int first = 0, second = 1;
                        if (pt[1] > pt[0]) std::swap(first, second);
                        for (int i = 2; i < int(pt.size()); ++i) {
                            if (pt[i] > pt[first]) {
                                second = first;
                                first = i;
                            } else if (pt[i] > pt[second]) {
                                second = i;
                            }
                        }
                        return std::pair{first, second};
                    },
                    {"Muon_pt"})
            .Define("mass",
                    [](std::pair<int, int> const& leading, Floats pt, Floats eta, Floats phi) {
                        auto const [a, b] = leading;
                        ROOT::Math::PtEtaPhiMVector const p(pt[a], eta[a], phi[a], muon_mass);
                        ROOT::Math::PtEtaPhiMVector const q(pt[b], eta[b], phi[b], muon_mass);
                        return (p + q).M();
                    },
                    {"leading", "Muon_pt", "Muon_eta", "Muon_phi"})
            .Define("charge",
                    [](std::pair<int, int> const& leading, Ints charge) {
                        return charge[leading.first] + charge[leading.second];
                    },
                    {"leading", "Muon_charge"});
    auto const axis = edges();
    auto opposite = pairs.Filter([](int charge) { return charge == 0; }, {"charge"})
                        .Histo1D<double>({"opposite", "", n_bins, axis.data()}, "mass");
    auto same = pairs.Filter([](int charge) { return charge != 0; }, {"charge"})
                    .Histo1D<double>({"same", "", n_bins, axis.data()}, "mass");
    print(*opposite);
    print(*same);
}
