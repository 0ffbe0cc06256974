// The spectrum of an RNTuple with ROOT's own reader: views of vectors, Lorentz vectors, TH1D.
#include "Math/Vector4D.h"
#include "ROOT/RNTupleReader.hxx"
#include "spectrum.hpp"

int main(int, char** argv) {
    auto reader = ROOT::RNTupleReader::Open("Events", argv[1]);
    auto all_pt = reader->GetView<std::vector<float>>("Muon_pt");
    auto all_eta = reader->GetView<std::vector<float>>("Muon_eta");
    auto all_phi = reader->GetView<std::vector<float>>("Muon_phi");
    auto all_charge = reader->GetView<std::vector<int>>("Muon_charge");
    TH1D opposite("opposite", "", n_bins, edges().data()), same("same", "", n_bins, edges().data());
    for (auto event : reader->GetEntryRange()) {
        auto const& pt = all_pt(event);
        int const n = int(pt.size());
        if (n < 2) continue;
        auto const &eta = all_eta(event), &phi = all_phi(event);
        auto const& charge = all_charge(event);
        int first = 0, second = 1;
        if (pt[1] > pt[0]) std::swap(first, second);
        for (int i = 2; i < n; ++i) {
            if (pt[i] > pt[first]) {
                second = first;
                first = i;
            } else if (pt[i] > pt[second]) {
                second = i;
            }
        }
        ROOT::Math::PtEtaPhiMVector const a(pt[first], eta[first], phi[first], muon_mass);
        ROOT::Math::PtEtaPhiMVector const b(pt[second], eta[second], phi[second], muon_mass);
        (charge[first] + charge[second] == 0 ? opposite : same).Fill((a + b).M());
    }
    print(opposite);
    print(same);
}
