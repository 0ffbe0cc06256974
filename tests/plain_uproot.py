"""Every real and every odd file, and what is in it by uproot alone."""

import awkward as ak
import numpy as np

import fastjag as fj

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
    found = {}
    for name, branch in branches.items():
        top = branch.path.removesuffix("".join(f".{part}" for part in branch.pick))
        field = reader.tree[top] if reader.rntuple else branch.stored
        array = field.array(library="ak")
        for part in branch.pick:
            array = array[part]
        if array.layout.is_option:  # lists of one or none
            array = ak.singletons(array)
        if branch.is_list:
            found[name] = ak.to_numpy(ak.num(array)), _plain(ak.flatten(array))
        else:
            found[name] = None, _plain(array)
    return found


def _plain(array):
    """NumPy's array of numbers; awkward's of text and of lists."""
    layout = array.layout
    while layout.is_regular:
        layout = layout.content
    return ak.to_numpy(array) if layout.is_numpy or layout.is_unknown else array


def column_bytes(values):
    """Of a column of any shape: equal if all its values are."""
    if isinstance(values, fj.Jagged):
        return b"".join(part.tobytes() for part in values._arrays().values())
    return repr(values.tolist()).encode() if values.dtype == object else values.tobytes()


def without_options(array):
    """Arrow says of everything, records and their fields, too, that it may be missing; nothing is."""

    def project(layout, **_):
        return without_options(ak.Array(layout.project())).layout if layout.is_option else None

    return ak.transform(project, array)


def assert_plain(got, values, factor, name):
    """Of a column: the same numbers, times a factor, bit by bit; the same text, and lists."""
    assert len(got) == len(values), name
    if not isinstance(values, np.ndarray):
        if ak.parameters(values).get("__array__") == "string":
            found = [x.decode() if isinstance(x, bytes) else x for x in got.tolist()]
            assert found == values.to_list(), name
            return
        if isinstance(got, fj.Jagged):
            got = fj.Jagged([0, len(got)], {"all": got}).to_awkward()["all", 0]
        elif not isinstance(got, ak.Array):
            got = ak.from_arrow(got)
        if factor != 1:
            values = values * ak.to_numpy(ak.flatten(values, axis=None)).dtype.type(factor)
        assert ak.array_equal(
            without_options(got),
            values,
            equal_nan=True,
            check_parameters=False,
            same_content_types=False,
        ), name
        return
    assert got.shape == values.shape, name
    assert got.dtype == values.dtype.newbyteorder("="), name
    values = values if factor == 1 else values * values.dtype.type(factor)
    assert got.tobytes() == values.tobytes(), name
