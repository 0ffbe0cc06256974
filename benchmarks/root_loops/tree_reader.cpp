// The spectrum as ROOT's documentation writes it: TTreeReader, Lorentz vectors, TH1D.
#include "Math/Vector4D.h"
#include "TTreeReader.h"
#include "TTreeReaderArray.h"
#include "spectrum.hpp"

int main(int, char** argv) {
    auto file = open(argv[1]);
    TTreeReader reader("Events", file.get());
    TTreeReaderArray<float> pt(reader, "Muon_pt"), eta(reader, "Muon_eta"), phi(reader, "Muon_phi");
    TTreeReaderArray<int> charge(reader, "Muon_charge");
    TH1D opposite("opposite", "", n_bins, edges().data()), same("same", "", n_bins, edges().data());
    while (reader.Next()) {
        int const n = pt.GetSize();
        if (n < 2) continue;
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
