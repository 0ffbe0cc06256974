"""Every real and every odd file, and what is in it by uproot alone."""

import awkward as ak

TREES = ("TTree", "ROOT::RNTuple", "TNtuple")
FILES = [
    "cases/faults/ax", "cases/faults/dims_lz4", "cases/faults/leaflist", "cases/faults/names_jag",
    "cases/faults/rn", "cases/faults/skim5_16", "cases/faults/skim_lumis",
    "cases/faults/split_objects_s1_nodot", "cases/faults/split_objects_s99_dot",
    "cases/faults/two", "cases/faults/uneven2", "cases/faults/uproot-double32-float16",
    "cases/faults/uproot-issue475", "cases/faults/xa",
    "data/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple", "data/agc_open-data-example",
    "data/atlas_PHYSLITE_mc700322_100ev", "data/atlas_PHYSLITE_mc_40ev",
    "data/coffea_nano_dimuon", "data/coffea_nano_dy", "data/coffea_pfnano",
    "data/lmassach_dimuon_test_data", "data/nanoAOD_2015_CMS_Open_Data_ttbar", "data/uproot-HZZ",
    "data/uproot-Zmumu",
]  # fmt: skip


def plainly(branches, reader):
    """(counts or None, values) of branches by name, by uproot alone."""
    whole = {}
    if len(branches) > 300:  # one by one takes minutes; no names of these files occur twice
        own = {id(branch.stored) for branch in branches.values()}
        whole = reader.tree.arrays(filter_branch=lambda b: id(b) in own, library="ak", how=dict)
    found = {}
    for name, branch in branches.items():
        top = branch.path.removesuffix("".join(f".{part}" for part in branch.pick))
        field = reader.tree[top] if reader.rntuple else branch.stored
        array = whole[branch.own] if whole else field.array(library="ak")
        for part in branch.pick:
            array = array[part]
        if array.layout.is_option:  # lists of one or none
            array = ak.singletons(array)
        if branch.is_list:
            found[name] = ak.to_numpy(ak.num(array)), ak.to_numpy(ak.flatten(array))
        else:
            found[name] = None, ak.to_numpy(array)
    return found


def bits(values, factor):
    return (values if factor == 1 else values * values.dtype.type(factor)).tobytes()
