"""Jets out of files: constituents, the traps of both formats, grouping into events."""

from itertools import pairwise

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st
from jet_samples import N_JETS, events_file, jet_folder, rows_file, write_tiny  # noqa: F401

import fastjag as fj
from fastjag.analyses.jets.config import JetSelection
from fastjag.analyses.jets.features import tensor
from fastjag.analyses.jets.observables import substructure
from fastjag.analyses.jets.reading import (
    JetReader,
    charge_of,
    cut_ends,
    join_ends,
    regroup,
    whole_event,
)
from fastjag.batch.merging import merged
from fastjag.io import ReadError
from fastjag.jagged import Jagged
from fastjag.toys.jetfiles import write_rows


def only(reader):
    (batch,) = reader
    return batch


@pytest.fixture(scope="module")
def rows(rows_file):  # noqa: F811
    with uproot.open(rows_file) as file:
        return file["AK4jets/jetTree"].arrays()


class TestJetNtuple:
    def test_constituents_only(self, rows_file, rows):  # noqa: F811
        """Trap (d): the list is of the neighbourhood, candidates repeat, and it is not sorted."""
        batch = only(JetReader(rows_file))
        assert len(batch) == N_JETS
        inside = rows.PF_fromAK4Jet == 1
        np.testing.assert_array_equal(batch.constituents.counts, ak.sum(inside, axis=1))
        np.testing.assert_array_equal(batch.constituents.counts, rows.jetMult)
        assert ak.sum(rows.nPF) > 1.2 * ak.sum(inside)
        assert not ak.all(rows.PF_pT[:, 1:] <= rows.PF_pT[:, :-1])
        values, mask = tensor(batch, 20, ["pt"])
        expected = ak.sort(rows.PF_pT[inside], axis=1, ascending=False)
        expected = ak.fill_none(ak.pad_none(expected, 20, clip=True), 0)
        np.testing.assert_array_equal(values[..., 0], ak.to_numpy(expected))
        np.testing.assert_array_equal(mask.sum(1), np.minimum(20, batch.constituents.counts))

    def test_angles_are_relative(self, rows_file, rows):  # noqa: F811
        """Trap (c): PF_dEta and PF_dPhi are candidate minus jet, and PF_dTheta is their angle."""
        c = only(JetReader(rows_file)).constituents
        assert np.abs(c["delta_eta"]).max() < 0.6
        assert np.abs(c["delta_phi"]).max() < 0.6  # also of jets at phi = pi
        theta = np.arctan2(rows.PF_dPhi, rows.PF_dEta)
        np.testing.assert_allclose(ak.flatten(theta), ak.flatten(rows.PF_dTheta), atol=1e-6)

    def test_signed_integers(self, rows_file, tmp_path):  # noqa: F811
        """Trap (a): what the producer calls unsigned is signed; event is not, and is beyond 2^63."""
        batch = only(JetReader(rows_file))
        assert batch.jets["parton_flavour"].min() >= 0
        with uproot.open(rows_file) as file:
            tree = file["AK4jets/jetTree"]
            assert tree["physFlav"].array(library="np").min() < 0
            assert tree["jetMult"].typename == "int32_t"
            assert tree["event"].typename == "uint64_t"
            # The row of the tree, with event numbers as of a late run.
            some = {
                n: tree[n].array(library="np")[:3] for n in ("jetPt", "jetEta", "jetPhi", "jetMass")
            }
            pf = {n.removeprefix("PF_"): ak.to_numpy(ak.flatten(tree[n].array()[:3]))
                  for n in tree.keys() if n.startswith("PF_")}  # noqa: SIM118 # fmt: skip
            counts = tree["nPF"].array(library="np")[:3]
        events = np.array([2**63 + 1, 2**63 + 2, 2**63 + 2], np.uint64)
        late = {**some, "PF": Jagged.from_counts(counts, pf), "event": events,
                "run": np.ones(3, np.int32), "lumi": np.ones(3, np.int32)}  # fmt: skip
        path = write_rows(tmp_path / "late.root", [late], "jetntuple")
        batch = only(JetReader(path))
        np.testing.assert_array_equal(batch.jets["event"], events)
        np.testing.assert_array_equal(regroup(batch.jets), [0, 1, 3])
        np.testing.assert_array_equal(batch.jets["weight"], np.ones(3))  # the file has none

    def test_documented_names_that_do_not_exist(self, rows_file):  # noqa: F811
        """Trap (b): genPF_* is genJetPF_*."""
        with pytest.raises(ReadError, match=r"no branch 'genPF_pT'.*'genJetPF_pT'"):
            next(fj.iterate(rows_file, ["genPF_pT"]))

    def test_stale_gen_lists(self, rows_file, rows):  # noqa: F811
        """Trap (e): a jet without gen jet carries the list of the jet before."""
        lost = np.flatnonzero(ak.to_numpy(rows.jetGenMatch) == 0)
        assert 10 < len(lost) < 100
        assert ak.all(rows.genJetPF_pT[lost] == rows.genJetPF_pT[lost - 1])
        batch = only(JetReader(rows_file, JetSelection(gen=True)))
        counts = np.where(rows.jetGenMatch == 1, ak.num(rows.genJetPF_pT), 0)
        np.testing.assert_array_equal(batch.gen.counts, counts)
        kept = ak.flatten(rows.genJetPF_pT[rows.jetGenMatch == 1])
        np.testing.assert_array_equal(batch.gen["pt"], kept)

    def test_alpha_is_of_all_jets(self, rows_file, events_file):  # noqa: F811
        """Trap (f): pT3 / mean of the leading two, 0 for dijets, jets outside the selection too."""
        with uproot.open(rows_file) as file:
            found = file["AK4jets/jetTree"].arrays(["event", "alpha", "eventJetMult"], library="np")
        with uproot.open(events_file) as file:
            events = file["Events"].arrays(["event", "Jet_pt"], library="ak")
        alpha = {}
        for event, pt in zip(events.event.tolist(), events.Jet_pt.tolist(), strict=True):
            pt = sorted(pt, reverse=True)
            alpha[event] = (pt[2] / ((pt[0] + pt[1]) / 2) if len(pt) > 2 else 0, len(pt))
        common = np.isin(found["event"], list(alpha))
        assert common.sum() > 0.9 * N_JETS
        wanted = np.array([alpha[int(e)] for e in found["event"][common]])
        np.testing.assert_allclose(found["alpha"][common], wanted[:, 0], rtol=1e-6)
        np.testing.assert_array_equal(found["eventJetMult"][common], wanted[:, 1])
        assert (wanted[:, 0] == 0).any()

    def test_girth_takes_rapidities(self, rows_file, rows):  # noqa: F811
        """Trap (g), by a loop over a few jets; with pseudorapidities it would be another number."""
        batch = only(JetReader(rows_file))
        ours = substructure(batch)
        for i in range(5):
            jet, inside = rows[i], rows.PF_fromAK4Jet[i] == 1
            girth = by_eta = sum_pt = sum_pt2 = 0.0
            jet_y = rapidity(jet.jetPt, jet.jetEta, jet.jetMass)
            for pt, deta, dphi, mass in zip(
                *(jet[n][inside].tolist() for n in ("PF_pT", "PF_dEta", "PF_dPhi", "PF_mass")),
                strict=True,
            ):
                dy = rapidity(pt, jet.jetEta + deta, mass) - jet_y
                girth += np.hypot(dy, dphi) * pt / jet.jetPt
                by_eta += np.hypot(deta, dphi) * pt / jet.jetPt
                sum_pt, sum_pt2 = sum_pt + pt, sum_pt2 + pt * pt
            assert ours["girth"][i] == pytest.approx(girth, rel=1e-5)
            assert ours["girth"][i] != pytest.approx(by_eta, rel=1e-4)
            assert ours["pt_d"][i] == pytest.approx(np.sqrt(sum_pt2) / sum_pt, rel=1e-6)
        for stored, name in (("jetGirth", "girth"), ("QG_ptD", "pt_d"), ("QG_axis2", "axis2")):
            np.testing.assert_allclose(ours[name], batch.jets[stored], rtol=1e-4, atol=1e-6)

    def test_undefined_flavour_is_no_class(self, rows_file, rows):  # noqa: F811
        """Trap (h): partons of flavour 0 are among isPhysOther, not among quarks or gluons."""
        from fastjag.analyses.jets.shapes import flavours

        undefined = ak.to_numpy(rows.physFlav) == 0
        assert undefined.any()
        assert ak.all(rows.isPhysOther[undefined] == 1)
        masks = flavours(only(JetReader(rows_file)))
        assert not (masks["quark"] | masks["gluon"])[undefined].any()
        np.testing.assert_array_equal(
            masks["gluon"], (rows.physFlav == 21) & ~np.isin(rows.hadronFlav, (4, 5))
        )

    def test_wrong_requests(self, rows_file, events_file):  # noqa: F811
        with pytest.raises(ValueError, match="a JetNtuple has AK4 jets only"):
            JetReader(rows_file, JetSelection(jets="AK8"))
        with pytest.raises(ValueError, match="jets must be 'AK4' or 'AK8', got 'AK5'"):
            JetReader(rows_file, JetSelection(jets="AK5"))
        with pytest.raises(ValueError, match="gen particles are read from JetNtuples only"):
            JetReader(events_file, JetSelection(gen=True))
        with pytest.raises(ReadError, match=r"neither a JetNtuple .* FatJetPFCands_pFCandsIdx"):
            JetReader(events_file, JetSelection(jets="AK8"))
        reader = JetReader(rows_file, JetSelection(min_pt=1e5))
        assert list(reader) == []
        with pytest.raises(ValueError, match="none of 700 jets passes pt > 100000 GeV"):
            reader.check_not_empty(0, 700, "")


def rapidity(pt, eta, mass):
    return np.arcsinh(pt * np.sinh(eta) / np.hypot(pt, mass))


class TestPFNano:
    def test_both_formats_of_the_same_events_agree(self, rows_file, events_file):  # noqa: F811
        """Links of the one, windows and flags of the other."""
        by_rows = only(JetReader(rows_file, step=10**6))
        by_links = only(JetReader(events_file, step=10**6))
        key = {}
        for batch in (by_rows, by_links):
            ids = [
                (int(e), float(p))
                for e, p in zip(batch.jets["event"], batch.jets["pt"], strict=True)
            ]
            key[id(batch)] = {k: i for i, k in enumerate(ids)}
        shared = sorted(set(key[id(by_rows)]) & set(key[id(by_links)]))
        assert len(shared) > 0.9 * N_JETS
        picked = []
        for batch in (by_rows, by_links):
            places = np.array([key[id(batch)][k] for k in shared])
            mask = np.zeros(len(batch), bool)
            mask[places] = True
            order = np.argsort(np.argsort(places))
            picked.append((tensor(batch.select(mask), 30), order))
        (a, order_a), (b, order_b) = picked
        np.testing.assert_array_equal(a.mask[order_a], b.mask[order_b])
        np.testing.assert_allclose(
            a.values[order_a], b.values[order_b][..., : a.values.shape[2]], rtol=1e-4, atol=2e-5
        )

    def test_links(self, tmp_path):
        batch = only(JetReader(write_tiny(tmp_path / "a.root")))
        c = batch.constituents
        np.testing.assert_array_equal(c.counts, [2, 1, 1])
        np.testing.assert_array_equal(c["pt"], [10, 30, 5, 40])
        np.testing.assert_allclose(c["delta_phi"][:2], [3.1 - 3.14, 2 * np.pi - 6.24], atol=1e-6)
        np.testing.assert_array_equal(batch.jets["weight"], [2, 2, 0.5])
        # A track at -1 cm has an error, a candidate without one has -1 there, too.
        np.testing.assert_array_equal(c["has_track"], [True, False, True, True])
        np.testing.assert_allclose(c["d0"], [0.02, 0, -1, -0.3])
        np.testing.assert_allclose(c["d0_error"], [0.01, 0, 0.5, 0.1])

    def test_links_in_any_order_and_to_no_jet(self, tmp_path):
        links = Jagged([0, 3, 4], {"jetIdx": np.array([1, -1, 0, 0], np.int32),
                                   "pFCandsIdx": np.array([2, 0, 1, 0], np.int32)})  # fmt: skip
        c = only(JetReader(write_tiny(tmp_path / "a.root", JetPFCands=links))).constituents
        np.testing.assert_array_equal(c.counts, [1, 1, 1])
        np.testing.assert_array_equal(c["pt"], [30, 5, 40])

    @pytest.mark.parametrize(
        ("jet", "candidate", "message"),
        [(2, 0, "JetPFCands_jetIdx is 2 in event 0, which has 2"),
         (0, 4, "JetPFCands_pFCandsIdx is 4 in event 0, which has 4"),
         (0, -1, "JetPFCands_pFCandsIdx is -1 in event 0")],
    )  # fmt: skip
    def test_links_to_nowhere(self, tmp_path, jet, candidate, message):
        links = Jagged([0, 1, 1], {"jetIdx": np.array([jet], np.int32),
                                   "pFCandsIdx": np.array([candidate], np.int32)})  # fmt: skip
        path = write_tiny(tmp_path / "a.root", JetPFCands=links)
        with pytest.raises(ReadError, match=message):
            only(JetReader(path))

    def test_real_file(self, real_data):
        path = real_data / "coffea_pfnano.root"
        batch = only(JetReader(path))
        counts = batch.constituents.counts
        assert (len(batch), counts.min(), counts.max()) == (64, 3, 82)
        assert counts.mean() == pytest.approx(28.140625)
        assert len(only(JetReader(path, JetSelection(jets="AK8")))) == 24
        # Plain awkward, through the same links.
        with uproot.open(path) as file:
            events = file["Events"].arrays(
                ["Jet_eta", "Jet_phi", "JetPFCands_jetIdx", "JetPFCands_pFCandsIdx", "PFCands_pt",
                 "PFCands_eta", "PFCands_d0", "PFCands_charge", "Jet_nConstituents"]
            )  # fmt: skip
        index = events.JetPFCands_pFCandsIdx
        pt, eta, d0, charge = (events[f"PFCands_{n}"][index] for n in ("pt", "eta", "d0", "charge"))
        lists = ak.run_lengths(ak.flatten(events.JetPFCands_jetIdx + 100 * np.arange(10)))
        np.testing.assert_array_equal(counts, ak.to_numpy(lists))
        np.testing.assert_array_equal(counts, ak.flatten(events.Jet_nConstituents))
        fields = {"pt": pt, "delta_eta": eta - events.Jet_eta[events.JetPFCands_jetIdx],
                  "tanh_d0": np.where(d0 == -1, 0, np.tanh(d0)), "charge": charge}  # fmt: skip
        jets = ak.unflatten(ak.zip({k: ak.flatten(v) for k, v in fields.items()}), counts)
        jets = jets[ak.argsort(jets.pt, axis=1, ascending=False, stable=True)]
        values, mask = tensor(batch, 50, list(fields))
        for i, name in enumerate(fields):
            padded = ak.fill_none(ak.pad_none(jets[name], 50, clip=True), 0)
            np.testing.assert_allclose(values[..., i], ak.to_numpy(padded), rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(mask.sum(1), np.minimum(counts, 50))

    def test_real_tracks_in_cones(self, real_data):
        columns = [f"{c}_{x}" for c in ("Jet", "PFCands") for x in ("eta", "phi")]
        (events,) = fj.iterate(real_data / "coffea_pfnano.root", [*columns, "PFCands_charge"])
        charged = events.PFCands.keep(events.PFCands["charge"] != 0)
        assert fj.in_cone(events.Jet, charged, 0.5).counts.mean() == pytest.approx(29.3, abs=0.05)


def test_charges():
    ids = np.array([211, -211, 11, -13, 22, 130, 1, 2], np.int32)
    np.testing.assert_array_equal(charge_of(ids), [1, -1, -1, 1, 0, 0, 0, 0])


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 5)), max_size=40),
       st.integers(1, 7))  # fmt: skip
def test_events_are_never_cut(ids, step):
    """Jets of neighbouring rows with equal (run, lumi, event), however batches fall and are merged."""
    table = np.array(ids, np.int64).reshape(-1, 3)
    expected: list[list[int]] = []
    for row, key in enumerate(ids):
        if row and key == ids[row - 1]:
            expected[-1].append(row)
        else:
            expected.append([row])

    def rows(events):
        return [events["row"][a:b].tolist() for a, b in pairwise(events.offsets.tolist())]

    def cut(start):
        part = table[start : start + step]
        jets = {n: part[:, i] for i, n in enumerate(("run", "lumi", "event"))}
        jets["row"] = np.arange(start, start + len(part))
        ends, between = cut_ends(jets)
        return ends, [] if between is None else rows(between)

    def join(a, b):
        ends, whole = join_ends(a[0], b[0])
        return ends, [*a[1], *b[1], *(row for event in whole for row in rows(event))]

    ends, found = merged([([], []), *map(cut, range(0, len(table), step))], join)
    found = [*found, *(row for end in ends for row in rows(whole_event(end)))]
    assert sorted(found) == expected


def test_grouping_needs_names():
    with pytest.raises(KeyError, match="no column 'lumi'"):
        regroup({"run": np.ones(2), "event": np.ones(2)})
