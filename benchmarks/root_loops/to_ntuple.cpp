// The same events as an RNTuple that ROOT writes: to_ntuple OUT IN, with the compression of IN.
#include "ROOT/RNTupleModel.hxx"
#include "ROOT/RNTupleWriteOptions.hxx"
#include "ROOT/RNTupleWriter.hxx"
#include "TFile.h"
#include "TTreeReader.h"
#include "TTreeReaderArray.h"

int main(int, char** argv) {
    TFile in(argv[2]);
    TTreeReader reader("Events", &in);
    TTreeReaderArray<float> pt(reader, "Muon_pt"), eta(reader, "Muon_eta"), phi(reader, "Muon_phi");
    TTreeReaderArray<int> charge(reader, "Muon_charge");
    auto model = ROOT::RNTupleModel::Create();
    auto muon_pt = model->MakeField<std::vector<float>>("Muon_pt");
    auto muon_eta = model->MakeField<std::vector<float>>("Muon_eta");
    auto muon_phi = model->MakeField<std::vector<float>>("Muon_phi");
    auto muon_charge = model->MakeField<std::vector<int>>("Muon_charge");
    ROOT::RNTupleWriteOptions options;
    options.SetCompression(in.GetCompressionSettings());
    auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "Events", argv[1], options);
    while (reader.Next()) {
        muon_pt->assign(pt.begin(), pt.end());
        muon_eta->assign(eta.begin(), eta.end());
        muon_phi->assign(phi.begin(), phi.end());
        muon_charge->assign(charge.begin(), charge.end());
        writer->Fill();
    }
}
