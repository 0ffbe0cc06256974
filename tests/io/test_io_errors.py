"""Files that cannot be read: errors that name them, and skipping that keeps the others."""

import re
import shutil

import numpy as np
import pytest
import uproot

import fastjag as fj
from fastjag import toys
from fastjag.io import ReadError

COLUMNS = ["Muon_pt", "Muon_charge", "event"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.root"
    return toys.write(path, 3000, seed=1, columns=COLUMNS, compression="zlib")


def contents(path, **options):
    """Everything in a file, as bytes that compare."""
    batches = list(fj.iterate(path, COLUMNS, **options))
    columns = [[b["event"], b.Muon.counts, b.Muon["pt"], b.Muon["charge"]] for b in batches]
    return [np.concatenate(parts).tobytes() for parts in zip(*columns, strict=True)]


def attempt(path):
    """(contents, None), or (None, message of the error): the only two ways to end."""
    try:
        return contents(path), None
    except ReadError as error:
        return None, str(error)


class TestDamage:
    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    def test_truncated(self, tmp_path, format):
        path = toys.write(tmp_path / "a.root", 3000, columns=COLUMNS, format=format)
        data, good = path.read_bytes(), contents(path)
        cut = tmp_path / "cut.root"
        errors = 0
        lengths = [
            0,
            1,
            4,
            100,
            300,
            1000,
            *(len(data) * i // 20 for i in range(1, 20)),
            len(data) - 1,
        ]
        for length in lengths:
            cut.write_bytes(data[:length])
            found, message = attempt(cut)
            # What is missing at the end is often a list of free space that nobody reads.
            assert found == good or str(cut) in message
            assert "\n" not in (message or "")
            errors += message is not None
        assert errors > 10

    def test_truncated_real_file(self, real_data, tmp_path):
        data = (real_data / "lmassach_dimuon_test_data.root").read_bytes()
        cut = tmp_path / "cut.root"
        for percent in (10, 50, 90, 99):
            cut.write_bytes(data[: len(data) * percent // 100])
            with pytest.raises(ReadError, match=re.escape(str(cut))):
                list(fj.iterate(cut))

    def test_corrupted_baskets(self, tmp_path, whole):
        """zlib has a checksum for each basket: no damage in one goes unseen."""
        data = whole.read_bytes()
        bad = tmp_path / "bad.root"
        with uproot.open(whole) as file:
            for name in COLUMNS:
                basket = file["Events"][name].basket(0)
                start = file["Events"][name].member("fBasketSeek")[0]
                middle = int(start) + basket.compressed_bytes // 2
                damaged = bytearray(data)
                damaged[middle : middle + 4] = bytes(b ^ 0xFF for b in data[middle : middle + 4])
                bad.write_bytes(damaged)
                with pytest.raises(ReadError, match=rf"bad\.root:Events: entries from 0 .*{name}"):
                    contents(bad)

    @pytest.mark.parametrize("seed", range(40))
    def test_any_damage_is_an_error_or_harmless(self, tmp_path, whole, seed):
        rng = np.random.default_rng(seed)
        data = bytearray(whole.read_bytes())
        at = int(rng.integers(0, len(data) - 8))
        data[at : at + 8] = rng.bytes(8)
        bad = tmp_path / "bad.root"
        bad.write_bytes(data)
        found, message = attempt(bad)
        assert found or str(bad) in message


class TestMessages:
    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing\.root: no such file"):
            list(fj.iterate(tmp_path / "nothing.root"))

    @pytest.mark.parametrize("content", [b"", b"root", b"just text\n" * 1000, b"\0" * 5000])
    def test_no_root_file(self, tmp_path, content):
        path = tmp_path / "a.root"
        path.write_bytes(content)
        with pytest.raises(ReadError, match=r"a\.root: not a readable ROOT file"):
            list(fj.iterate(path))

    def test_no_tree(self, tmp_path):
        with uproot.recreate(tmp_path / "a.root") as file:
            file["name"] = "a string"
        with pytest.raises(ReadError, match=r"a\.root: holds no TTree or RNTuple"):
            list(fj.iterate(tmp_path / "a.root"))

    def test_missing_tree(self, whole):
        with pytest.raises(ReadError, match=r"whole\.root: no tree 'Event'.*'Events'"):
            list(fj.iterate(f"{whole}:Event"))

    def test_missing_branch(self, whole):
        message = r"whole\.root:Events: no branch 'Muon_pr': did you mean 'Muon_pt'"
        for columns in ("Muon_pr", ["event", "Muon_pr"]):
            with pytest.raises(ReadError, match=message):
                list(fj.iterate(whole, columns))
        with pytest.raises(ReadError, match=r"no branch 'Tau_\*'"):
            list(fj.iterate(whole, "Tau_*"))

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"the directory has no \.root files"):
            fj.iterate(tmp_path)
        with pytest.raises(FileNotFoundError, match=r"\*\.root: no file matches"):
            fj.iterate(f"{tmp_path}/*.root")
        with pytest.raises(FileNotFoundError, match="no files were given"):
            fj.iterate([])

    @pytest.mark.parametrize("format", ["ttree", "rntuple"])
    def test_empty_tree(self, tmp_path, format):
        path = toys.write(tmp_path / "a.root", 0, columns=COLUMNS, format=format)
        assert list(fj.iterate(path, COLUMNS)) == []
        with pytest.raises(ReadError, match="no branch 'nothing'"):
            list(fj.iterate(path, "nothing"))


class TestSkip:
    @pytest.mark.parametrize("prefetch", [True, False])
    def test_the_others_are_intact(self, tmp_path, whole, prefetch):
        text, other, cut = (tmp_path / f"{n}.root" for n in ("text", "other", "cut"))
        text.write_text("no ROOT file")
        toys.write(other, 10, columns=["MET_pt"])
        cut.write_bytes(whole.read_bytes()[:5000])
        again = shutil.copy(whole, tmp_path / "again.root")
        files = [whole, text, other, tmp_path / "missing.root", cut, again]
        batches = fj.iterate(files, COLUMNS, step=1000, on_error="skip", prefetch=prefetch)
        found = list(batches)
        assert [len(b) for b in found] == [1000] * 6
        assert [b.source.file for b in found] == [str(whole)] * 3 + [str(again)] * 3
        half = b"".join(b.Muon["pt"].tobytes() for b in found[:3])
        assert half == contents(whole)[2] == b"".join(b.Muon["pt"].tobytes() for b in found[3:])
        assert [s.file for s in batches.skipped] == [str(f) for f in files[1:5]]
        assert [s.events for s in batches.skipped[:3]] == [None, 10, None]
        reasons = ("not a readable ROOT file", "no branch 'Muon_pt'", "no such file", "cut.root")
        for skipped, reason in zip(batches.skipped, reasons, strict=True):
            assert reason in skipped.reason

    def test_a_file_that_breaks_off(self, tmp_path):
        """Batches that were read stay, the rest of the file is reported."""
        path = tmp_path / "a.root"
        x = np.arange(4000) // 10
        with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
            tree = file.mktree("Events", {"x": "i8"})
            for start in range(0, 4000, 1000):
                tree.extend({"x": x[start : start + 1000]})
        with uproot.open(path) as file:
            branch = file["Events"]["x"]
            at = int(branch.member("fBasketSeek")[2]) + branch.basket(2).compressed_bytes // 2
        data = bytearray(path.read_bytes())
        data[at : at + 4] = bytes(b ^ 0xFF for b in data[at : at + 4])
        path.write_bytes(data)
        batches = fj.iterate(path, step=500, on_error="skip")
        np.testing.assert_array_equal(np.concatenate([b["x"] for b in batches]), x[:2000])
        (skipped,) = batches.skipped
        assert skipped.events == 2000
        assert "a.root:Events: entries from 2000 cannot be read (branches x)" in skipped.reason
