// The pt of the constituents of jets, as ROOT's documentation writes it: TTreeReader and TH1D.
#include "TTreeReader.h"
#include "TTreeReaderArray.h"
#include "TTreeReaderValue.h"
#include "jets.hpp"

int main(int, char** argv) {
    auto file = open(argv[1]);
    TTreeReader reader("AK4jets/jetTree", file.get());
    TTreeReaderArray<float> pt(reader, "PF_pT");
    TTreeReaderArray<int> member(reader, "PF_fromAK4Jet");
    TTreeReaderValue<float> weight(reader, "eventWeight");
    TH1D h("h", "", constituent_bins, constituent_edges().data());
    while (reader.Next()) {
        float const w = *weight;
        for (int i = 0, n = pt.GetSize(); i < n; ++i) {
            if (member[i] == 1) h.Fill(pt[i], w);
        }
    }
    print(h, constituent_bins);
}
