"""Which lists are one collection: rules on names, counters and lengths alone."""

from itertools import permutations

import pytest

from fastjag.io.branches import Branch, Kind
from fastjag.io.groups import Groups
from fastjag.schemas import NANOAOD


class Tree:
    """Lists with these names, counters (None: none) and lengths; counts how often those are read."""

    def __init__(self, lists, trusted=(), flat=()):
        self.asked = []
        branches = {}
        for name, (counter, length) in lists.items():
            kind = Kind(name if counter is None else counter, (), counter is not None)
            branches[name] = Branch(name, name, length, (), kind)
        for name in flat:
            branches[name] = Branch(name, name, None, (), Kind())
        self.names = list(lists)
        self.groups = Groups(branches, NANOAOD.split, trusted, self.lengths)

    def lengths(self, branch):
        self.asked.append(branch.name)
        return branch.stored

    def places(self):
        return {name: self.groups.place(name) for name in self.names}


def test_one_counter_is_one_collection_and_nothing_is_read():
    tree = Tree({"Muon_pt": ("nMuon", 1), "Muon_eta": ("nMuon", 1), "Jet_pt": ("nJet", 2)})
    assert tree.places() == {
        "Muon_pt": ("Muon", "pt"), "Muon_eta": ("Muon", "eta"), "Jet_pt": ("Jet", "pt"),
    }  # fmt: skip
    assert tree.asked == []


@pytest.mark.parametrize("counters", [(None, None, None), ("a", "b", "c"), (None, "b", None)])
def test_equal_lengths_are_one_collection(counters):
    tree = Tree(
        dict(zip(("A_x", "A_y", "A_z"), zip(counters, (1, 1, 2), strict=True), strict=True))
    )
    assert tree.places() == {"A_x": ("A", "x"), "A_y": ("A", "y"), "A_z": ("A_z", "A_z")}
    assert sorted(tree.asked) == ["A_x", "A_y", "A_z"]  # each once


def test_what_is_asked_for_makes_no_difference():
    lists = {"A_x": (None, 1), "A": (None, 2), "A_y": (None, 1), "A_z": (None, 2), "A.z": (None, 2)}
    expected = Tree(lists).places()
    assert expected == {
        "A": ("A", "A"), "A_z": ("A", "z"), "A.z": ("A", "A.z"),
        "A_x": ("A_x", "A_x"), "A_y": ("A_y", "A_y"),
    }  # fmt: skip
    for order in permutations(lists):
        tree = Tree(lists)
        assert {name: tree.groups.place(name) for name in order} == expected
    for name in lists:
        assert Tree(lists).groups.place(name) == expected[name]


def test_the_prefix_goes_to_the_shorter_names():
    lists = {
        "hits_LAr_edep": ("nLAr", 2), "hits_LAr_x": ("nLAr", 2),
        "hits_edep": ("nhits", 1), "hits_x": ("nhits", 1),
    }  # fmt: skip
    assert Tree(lists).places() == {
        "hits_LAr_edep": ("hits_LAr", "edep"), "hits_LAr_x": ("hits_LAr", "x"),
        "hits_edep": ("hits", "edep"), "hits_x": ("hits", "x"),
    }  # fmt: skip
    single = Tree({"hits_LAr_edep": ("a", 2), "hits_edep": ("b", 1)}).places()
    assert single == {"hits_LAr_edep": ("hits_LAr_edep",) * 2, "hits_edep": ("hits", "edep")}
    whole = {"hits_LAr": ("a", 2), "hits_LAr_x": ("a", 2), "hits_edep": ("b", 1)}
    assert Tree(whole).places() == {
        "hits_LAr": ("hits_LAr", "hits_LAr"), "hits_LAr_x": ("hits_LAr", "hits_LAr_x"),
        "hits_edep": ("hits", "edep"),
    }  # fmt: skip
    same = {name: (counter, 1) for name, (counter, _) in lists.items()}
    assert Tree(same).groups.place("hits_LAr_x") == ("hits", "LAr_x")


def test_lists_of_one_counter_stay_together():
    """Also where their names have no more in common than those of other lists."""
    lists = {"A_x": ("n1", 1), "A_y": ("n1", 1), "A_z": ("n2", 2), "A_w": ("n2", 2)}
    assert Tree(lists).places() == {
        "A_x": ("A", "x"), "A_y": ("A", "y"), "A_z": ("A_z", "A_z"), "A_w": ("A_z", "A_w"),
    }  # fmt: skip
    # e1.hits is a branch's or another counter's name already.
    split = {"e1.v": (None, 1), "e1.hits.id": ("h", 2), "e1.hits.x": ("h", 2)}
    assert Tree(split).groups.place("e1.hits.x") == ("e1.hits", "x")
    deep = {"e1.v": (None, 1), "e1.hits.id": ("h", 2), "e1.hits.pos.x": ("h", 2)}
    assert Tree(deep).places() == {
        "e1.v": ("e1", "v"), "e1.hits.id": ("e1.hits", "id"), "e1.hits.pos.x": ("e1.hits", "pos.x"),
    }  # fmt: skip
    taken = Tree({**split, "e1.hits": (None, 3)}).places()
    assert taken["e1.hits.x"] == ("e1.hits.id", "e1.hits.x")
    assert taken["e1.hits"] == ("e1.hits", "e1.hits")


def test_no_two_branches_have_one_place():
    names = ["A", "A_x", "A.x", "A_A", "A_b", "A_b.x", "A_b_", "A_", "A_A_x", "A_b_x", "A_b_y"]
    for lengths in ([1] * len(names), range(len(names)), [i % 2 for i in range(len(names))]):
        for counted in (None, 7):
            lists = {
                name: (None if counted is None else (n % 2, n), n)
                for name, n in zip(names, lengths, strict=True)
            }
            for order in (names, names[::-1]):
                places = Tree({name: lists[name] for name in order}).places()
                assert len(set(places.values())) == len(names), places
                length = {(places[name][0], lists[name][1]) for name in names}
                assert len(length) == len({collection for collection, _ in places.values()})


def test_names_without_a_prefix():
    lists = {"weights": (None, 1), "_x": (None, 2), "_Mu_pt": (None, 3), "e1/v_x": (None, 4)}
    assert Tree(lists).places() == {
        "weights": ("weights", "weights"), "_x": ("_x", "_x"), "_Mu_pt": ("_Mu", "pt"),
        "e1/v_x": ("e1/v", "x"),
    }  # fmt: skip


def test_a_promise_of_the_format():
    lists = {"A_x": (None, 1), "A_y": (None, 2), "A_z": ("n", 1), "A_w": ("m", 3)}
    tree = Tree(lists, trusted=("A",), flat=("A_n",))
    assert tree.groups.place("A_y") == ("A", "y")
    assert tree.asked == []  # whoever reads the lists compares them
    assert tree.places() == {
        "A_x": ("A", "x"), "A_y": ("A", "y"), "A_z": ("A", "z"), "A_w": ("A_w", "A_w"),
    }  # fmt: skip
    counted = Tree({"A_w": ("m", 3), "A_z": ("n", 1)}, trusted=("A",))
    assert counted.places() == {"A_w": ("A", "w"), "A_z": ("A_z", "A_z")}
