// |d_xy| of the tracks within delta_r < 0.5 of a jet: TTreeReader, a loop over tracks and jets,
// TH1D.
#include "TTreeReader.h"
#include "TTreeReaderArray.h"
#include "TTreeReaderValue.h"
#include "jets.hpp"

int main(int, char** argv) {
    auto file = open(argv[1]);
    TTreeReader reader("Events", file.get());
    TTreeReaderArray<float> jet_eta(reader, "Jet_eta"), jet_phi(reader, "Jet_phi");
    TTreeReaderArray<float> eta(reader, "PFCands_eta"), phi(reader, "PFCands_phi");
    TTreeReaderArray<float> d0(reader, "PFCands_d0");
    TTreeReaderArray<int> charge(reader, "PFCands_charge");
    TTreeReaderValue<float> weight(reader, "genWeight");
    TH1D h("h", "", dxy_bins, dxy_edges().data());
    while (reader.Next()) {
        float const w = *weight;
        int const n_jets = jet_eta.GetSize();
        for (int i = 0, n = eta.GetSize(); i < n; ++i) {
            if (charge[i] == 0 || d0[i] == -1) continue;
            for (int j = 0; j < n_jets; ++j) {
                double const deta = double(eta[i]) - jet_eta[j];
                double const dphi = std::remainder(double(phi[i]) - jet_phi[j], 2 * M_PI);
                if (deta * deta + dphi * dphi < radius * radius) {
                    h.Fill(std::abs(d0[i]), w);
                    break;
                }
            }
        }
    }
    print(h, dxy_bins);
}
