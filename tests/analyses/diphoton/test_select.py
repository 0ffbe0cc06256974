"""Selecting: every file once, resumable; bad input is named, nothing lost; real files."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from cut_files import cut_files
from diphoton_files import BARE, by_hand, rows, write

import fastjag as fj
from fastjag import batch
from fastjag.analyses.diphoton import samples, skim
from fastjag.analyses.diphoton.select import skim_files
from fastjag.analyses.diphoton.selections import PRESETS, selection_of
from fastjag.batch import kept
from fastjag.io.files import ReadError

SAMPLE = Path(samples.__file__).parent / "sample"
FILES = {
    "gg": SAMPLE / "ggH125_gamgam.root",
    "VBF": SAMPLE / "VBFH125_gamgam.root",
    "tt": SAMPLE / "ttH125_gamgam.root",
}


class Elsewhere(ThreadPoolExecutor):
    """Sends what another process would get."""

    def submit(self, function, *arguments):
        return super().submit(*pickle.loads(pickle.dumps((function, *arguments))))


class TestSkim:
    def test_shipped_sample(self, tmp_path):
        """std::vector branches, several classes, in threads and one after the other."""
        alone = skim_files(FILES, tmp_path / "a", PRESETS["slides"], batch_size=500)
        with Elsewhere(2) as pool:
            pooled = skim_files(
                FILES, tmp_path / "b", PRESETS["slides"], batch_size=500, executor=pool
            )
        assert alone.summary()["classes"] == pooled.summary()["classes"]
        a, b = alone.events(), pooled.events()
        assert len(a) == len(b) == sum(alone.cutflow(c)[-1].events for c in FILES)
        for name in a.flat:
            np.testing.assert_array_equal(a.flat[name], b.flat[name])
        assert a.classes == tuple(FILES)
        for i, path in enumerate(FILES.values()):
            with uproot.open(path) as file:
                found = file["mini"].arrays(["photon_pt", "photon_eta", "photon_phi", "trigP"])
            photons = ak.zip({k: found[f"photon_{k}"] for k in ("pt", "eta", "phi")}).to_list()
            lists = [[{**p, "pt": p["pt"] / 1e3} for p in event] for event in photons]
            passed = by_hand(PRESETS["slides"], lists, found["trigP"].to_list())
            np.testing.assert_allclose(
                a.flat["m_yy"][a.flat["label"] == i], [m for _, m in passed], rtol=2e-6
            )
        assert {"photon", "lep", "jet", "tau", "largeRjet"} == set(a.particles)
        assert {"met_et", "met_phi", "weight", "label", "m_yy"} <= set(a.flat)

    def test_finished_files_are_not_read_again(self, tmp_path, monkeypatch):
        paths = [write(tmp_path / f"{i}.root", rows(np.random.default_rng(i), 200)) for i in (1, 2)]
        read = []
        original = skim.survivors
        monkeypatch.setattr(
            skim, "survivors",
            lambda *a, ranges, **k: read.append(ranges[0].file) or original(*a, ranges=ranges, **k),
        )  # fmt: skip
        first = skim_files({"gg": paths}, tmp_path / "out", BARE)
        assert read == paths
        again = skim_files({"gg": paths}, tmp_path / "out", BARE)
        assert read == paths
        assert again == first
        # A damaged result, another file's content, other cuts: what they touch is done again.
        damaged = Path(first.files[0].parts[0].path)
        damaged.write_bytes(damaged.read_bytes()[:-9])
        skim_files({"gg": paths}, tmp_path / "out", BARE)
        assert read == [*paths, paths[0]]
        write(paths[1], rows(np.random.default_rng(9), 200))
        skim_files({"gg": paths}, tmp_path / "out", BARE)
        assert read == [*paths, paths[0], paths[1]]
        skim_files({"gg": paths}, tmp_path / "out", PRESETS["slides"])
        assert read[4:] == paths

    def test_goes_on_after_an_error(self, tmp_path):
        good = write(tmp_path / "good.root", rows(np.random.default_rng(1), 200))
        bad = Path(write(tmp_path / "bad.root", rows(np.random.default_rng(2), 200)))
        whole = bytearray(bad.read_bytes())
        with uproot.open(bad) as file:
            seek = int(file["mini/photon_pt"].member("fBasketSeek")[0])
        broken = whole.copy()
        broken[seek + 3] ^= 0xFF  # the size in its key
        bad.write_bytes(broken)
        with pytest.raises(ReadError, match=r"bad\.root:mini\[0:200\]: cannot be read"):
            skim_files({"gg": [good, bad]}, tmp_path / "out", BARE)
        assert len(list((tmp_path / "out").rglob("*.result"))) == 1
        bad.write_bytes(whole)
        assert len(skim_files({"gg": [good, bad]}, tmp_path / "out", BARE).files) == 2
        assert len(list((tmp_path / "out" / "parts").iterdir())) == 2

    def test_data_have_weight_one(self, tmp_path):
        content = rows(np.random.default_rng(1), 300)
        path = write(tmp_path / "a.root", content, without=("mcWeight", "SumWeights"))
        found = skim_files({"data": path}, tmp_path / "out", BARE)
        assert set(found.events().flat["weight"]) == {1.0}
        assert found.cutflow()[0].weighted == 300

    def test_a_file_counts_once(self, tmp_path):
        path = write(tmp_path / "a.root", rows(np.random.default_rng(1), 50))
        (tmp_path / "link.root").symlink_to(path)
        once = skim_files({"gg": path}, tmp_path / "once", BARE).cutflow("gg")
        for i, files in enumerate(([path, f"{tmp_path}/./a.root"], f"{tmp_path}/*.root")):
            with pytest.warns(UserWarning, match=r"once: .*root \(as .*root\)"):
                found = skim_files({"gg": files}, tmp_path / f"out{i}", BARE)
            assert found.cutflow("gg") == once
        with pytest.raises(ValueError, match=r"link\.root of class 'VBF' is .*a\.root of class"):
            skim_files({"gg": path, "VBF": tmp_path / "link.root"}, tmp_path / "out", BARE)

    def test_truth_and_variations_are_left_out(self, tmp_path):
        """Data have neither, and no other sample needs them because the first has them."""
        content = rows(np.random.default_rng(1), 300)
        photons = content["photon"]
        more = {"truthMatched": photons.isTightID, "pt_syst": photons.pt}
        for name, values in more.items():
            photons = ak.with_field(photons, values, name)
        rich = write(tmp_path / "rich.root", {**content, "photon": photons})
        plain = write(tmp_path / "plain.root", content)
        found = skim_files({"gg": rich, "data": plain}, tmp_path / "out", BARE)
        assert [c.events for c in found.cutflow("gg")] == [c.events for c in found.cutflow("data")]
        columns = set(found.events().particles["photon"].columns)
        assert {"pt", "isTightID", "ptcone30"} <= columns
        assert not columns & set(more)

    def test_nothing_passes(self, tmp_path):
        some = write(tmp_path / "a.root", rows(np.random.default_rng(1), 300))
        low = rows(np.random.default_rng(2), 300)
        low["photon"] = ak.with_field(low["photon"], low["photon"].pt / 9, "pt")
        none = write(tmp_path / "b.root", low)
        found = skim_files({"gg": some, "VBF": none}, tmp_path / "out", BARE)
        assert found.empty == ("VBF",)
        assert found.summary()["without events"] == ["VBF"]
        assert len(found.events()) == found.cutflow("gg")[-1].events > 0
        assert found.cutflow("VBF")[-1].events == 0
        alone = skim_files({"VBF": none}, tmp_path / "other", BARE)
        assert skim_files({"VBF": none}, tmp_path / "other", BARE) == alone
        with pytest.raises(ValueError, match="no event passes the selection: all 300, two good"):
            alone.events()
        json.dumps(alone.summary())

    def test_a_file_without_events(self, tmp_path):
        empty = write(tmp_path / "empty.root", rows(np.random.default_rng(1), 0))
        some = write(tmp_path / "a.root", rows(np.random.default_rng(1), 300))
        found = skim_files({"gg": [empty, some]}, tmp_path / "out", BARE)
        assert found.files[0].parts == ()
        assert len(found.events()) == found.files[1].cutflow[-1].events

    def test_bad_input(self, tmp_path):
        content = rows(np.random.default_rng(1), 50)
        good = write(tmp_path / "good.root", content)
        less = write(tmp_path / "less.root", content, without=("scaleFactor_PILEUP",))
        other = write(
            tmp_path / "other.root", rows(np.random.default_rng(1), 50, "analysis"), "analysis"
        )
        zero = write(tmp_path / "zero.root", {**content, "SumWeights": np.zeros(50)})
        unknown = {**content, "channelNumber": np.full(50, 7, np.int32)}
        bare = write(tmp_path / "bare.root", unknown, without=("XSection",))
        for files, error, message in (
            ([good, less], ReadError, r"less\.root:mini: no branch 'scaleFactor_PILEUP'"),
            (
                [good, other],
                ValueError,
                r"other\.root is ATLAS analysis, but .*good\.root is ATLAS",
            ),
            ([good, zero], ValueError, r"zero\.root: sum_of_weights is 0, so its events have no"),
            ([good, bare], ValueError, r"bare\.root: cross_section is in neither"),
        ):
            with pytest.raises(error, match=message):
                skim_files({"gg": files}, tmp_path / "out", BARE)
            assert not (tmp_path / "out").exists()
        with pytest.raises(ValueError, match="luminosity must be above 0"):
            skim_files({"gg": good}, tmp_path / "out", BARE, luminosity=-1)


# One of two that skim into the same folders at the same time.
AT_ONCE = """
import sys, time
from pathlib import Path
from fastjag.analyses.diphoton.select import skim_files
from diphoton_files import BARE
folder, me, files = Path(sys.argv[1]), sys.argv[2], {"gg": sys.argv[3], "VBF": sys.argv[4]}
for i in range(6):
    (folder / f"{me}-{i}").touch()
    while not (folder / f"{'ab'.replace(me, '')}-{i}").exists():
        time.sleep(0.001)
    print(len(skim_files(files, folder / str(i), BARE).events()), flush=True)
"""


def test_two_at_once(tmp_path):
    """Both end well, and what is kept serves a third one."""
    paths = [write(tmp_path / f"{i}.root", rows(np.random.default_rng(i), 300)) for i in (1, 2)]
    both = dict(zip(("gg", "VBF"), paths, strict=True))
    expected = len(skim_files(both, tmp_path / "alone", BARE).events())
    processes = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE, tmp_path, me, *paths], cwd=Path(__file__).parents[2],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for me in "ab"
    ]  # fmt: skip
    said = []
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert error == ""
        said.append(out.splitlines())
    assert said == [[str(expected)] * 6] * 2
    for i in range(6):
        assert len(list((tmp_path / str(i)).rglob("*.result"))) == 2
        assert len(skim_files(both, tmp_path / str(i), BARE).events()) == expected


def test_another_version_reads_the_files_again(tmp_path, monkeypatch):
    def kept_results():
        skim_files(FILES, tmp_path, PRESETS["slides"])
        return len(list(tmp_path.rglob("*.result")))

    assert kept_results() == kept_results() == len(FILES)
    monkeypatch.setattr(kept, "version", lambda: "0.0")
    assert kept_results() == 2 * len(FILES)


def test_a_failing_call_keeps_what_earlier_ones_left(tmp_path, monkeypatch):
    one = {"gg": FILES["gg"]}
    skim_files(one, tmp_path, PRESETS["slides"])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.name != "status.json"}

    def fail(*_, **__):
        raise ReadError("broken")

    monkeypatch.setattr(skim, "write_parts", fail)
    with pytest.raises(ReadError, match="broken"):
        skim_files(one, tmp_path, PRESETS["slides"], luminosity=3.0)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.name != "status.json"}
    assert after == before


def test_processes(tmp_path, monkeypatch):
    """Ranges of files, in processes and here, give the same events and sums, to the last bit."""
    cut_files(monkeypatch, 130)
    paths = [tmp_path / f"{i}.root" for i in range(3)]
    for i, path in enumerate(paths):
        write(path, rows(np.random.default_rng(i), 300))
    files = {"gg": paths[:2], "data": paths[2]}
    here = skim_files(files, tmp_path / "a", BARE, batch_size=100)
    there = skim_files(files, tmp_path / "b", BARE, batch_size=100, executor=batch.processes(2))
    assert here.summary() == there.summary()
    one, other = here.events(), there.events()
    for name, values in one.flat.items():
        assert values.tobytes() == other.flat[name].tobytes(), name
    for kind, particles in one.particles.items():
        assert fj.equal(particles, other.particles[kind])
    # No place of a file is part of what is kept.
    moved = tmp_path / "moved.root"
    paths[2].rename(moved)
    monkeypatch.setattr(skim, "survivors", None)
    again = skim_files({**files, "data": moved}, tmp_path / "b", BARE, batch_size=100)
    assert again.files[2].file == str(moved)
    assert len(again.events()) == len(one)


class Far:
    """Workers who are nearer to the files than the driver."""

    opens_files = True

    def __init__(self):
        self.pool = batch.processes(1)()

    def __call__(self):
        return self.pool


def test_workers_open_files(tmp_path, monkeypatch):
    """Also those that are only checked: the driver opens none."""
    content = rows(np.random.default_rng(1), 100)
    a, b = (write(tmp_path / f"{name}.root", content) for name in "ab")
    less = write(tmp_path / "less.root", content, without=("scaleFactor_PILEUP",))
    here = skim_files({"gg": a, "VBF": b}, tmp_path / "here", BARE)
    monkeypatch.setattr("fastjag.io.trees.open_root", None)
    monkeypatch.setattr("fastjag.io.facts.open_root", None)
    there = skim_files({"gg": a, "VBF": b}, tmp_path / "there", BARE, executor=Far())
    assert there.summary() == here.summary()
    with pytest.raises(ReadError, match=r"less\.root:mini: no branch 'scaleFactor_PILEUP'"):
        skim_files({"gg": [a, less]}, tmp_path / "out", BARE, executor=Far())


REAL = {
    "nanoAOD_2015_CMS_Open_Data_ttbar": ("cutBased", {"exactly_two": False}),
    "coffea_nano_dy": ("cutBased", {}),
    "atlas_PHYSLITE_mc700322_100ev": (
        "DFCommonPhotonsIsEMTight", {"exactly_two": False, "isolation": {"topoetcone20": 0.9}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_photons(real_data, tmp_path, name):
    """The same selection on NanoAOD and PHYSLITE, whose photons are not sorted, nor have E."""
    path = real_data / f"{name}.root"
    column, changes = REAL[name]
    cuts = selection_of("slides", {
        "trigger": None, "good_pt": 3.0, "min_pt": (5.0, 3.0), "min_pt_over_mass": (0.0, 0.0),
        "mass": (0.0, 500.0), **changes,
    })  # fmt: skip
    found = skim_files({"data": path}, tmp_path / "out", cuts, batch_size=33)
    (batch,) = fj.iterate(path, ["Photon_*"], step=10**6)
    plain = [c for c in batch.Photon.columns if isinstance(batch.Photon[c], np.ndarray)]
    photons = [
        [dict(zip(plain, row, strict=True)) for row in zip(*event, strict=True)]
        for event in zip(
            *(np.split(batch.Photon[c], batch.Photon.offsets[1:-1]) for c in plain),
            strict=True,
        )
    ]
    passed = by_hand(cuts, photons, [True] * len(batch), column)
    if not passed:
        assert found.empty == ("data",)
        return
    events = found.events()
    np.testing.assert_allclose(events.flat["m_yy"], [m for _, m in passed], rtol=1e-5)
    pairs = events.particles["photon"]
    np.testing.assert_allclose(pairs["E"], pairs["pt"] * np.cosh(pairs["eta"]), rtol=1e-5)
