// The same events as ROOT writes them, in clusters that implicit multi-threading can share out:
// rewrite OUT IN. uproot writes one cluster, which RDataFrame reads with one thread.
#include "TFile.h"
#include "TTree.h"

int main(int, char** argv) {
    TFile in(argv[2]);
    auto* old = in.Get<TTree>("Events");
    TFile out(argv[1], "RECREATE", "", in.GetCompressionSettings());
    TTree* events = old->CloneTree(0);
    events->SetAutoFlush(100000);
    for (long long i = 0, n = old->GetEntries(); i < n; ++i) {
        old->GetEntry(i);
        events->Fill();
    }
    out.Write();
}
