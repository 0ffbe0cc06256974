// Muons padded to 4 with TTreeReader: three float arrays of (events, 4), allocated once.
#include <numeric>

#include "TTreeReader.h"
#include "TTreeReaderArray.h"
#include "spectrum.hpp"

int main(int, char** argv) {
    auto file = open(argv[1]);
    TTreeReader reader("Events", file.get());
    TTreeReaderArray<float> columns[] = {
        {reader, "Muon_pt"}, {reader, "Muon_eta"}, {reader, "Muon_phi"}};
    constexpr int slots = 4;
    std::vector<float> tensor(reader.GetEntries() * 3 * slots);  // (events, 3, 4), zeros
    float* row = tensor.data();
    while (reader.Next()) {
        for (auto& column : columns) {
            int const n = std::min<int>(slots, column.GetSize());
            for (int i = 0; i < n; ++i) row[i] = column[i];
            row += slots;
        }
    }
    std::printf("%.6f\n", std::accumulate(tensor.begin(), tensor.end(), 0.0));
}
