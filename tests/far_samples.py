"""Files for tests of servers: many baskets with checksums, so that damage is seen and reading takes a while."""

import fastjag as fj
from fastjag import toys
from fastjag.io.writer import write_trees

EVENTS, CLUSTER = 40_000, 4000
COLUMNS = ["Muon_pt", "Muon_eta", "Jet_pt", "MET_pt", "event"]


def write(path, format="ttree"):
    """Toy events in clusters of CLUSTER; its path."""
    source = toys.write(path.with_suffix(".all"), EVENTS, seed=1, columns=COLUMNS)
    batches = (
        {name: batch[name] for name in ("Muon", "Jet", "MET_pt", "event")}
        for batch in fj.iterate(source, step=CLUSTER, progress=False)
    )
    write_trees(path, {"Events": batches}, rntuple=format == "rntuple")
    source.unlink()
    return path
