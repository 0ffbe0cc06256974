"""rntuple: no damage to an RNTuple gives other values, and formats that cannot be read say so."""

import subprocess
import sys
import time

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash
from plain_uproot import column_bytes
from uproot.writing import _cascadentuple

import fastjag as fj
from fastjag.io import pages, rntuple
from fastjag.io.files import ReadError
from fastjag.selection import Step, survivors


def write(path, compression=None):
    """Two clusters of lists and numbers; every page is followed by its checksum, as ROOT has it."""
    rng = np.random.default_rng(3)
    with uproot.recreate(path, compression=compression) as file:
        for i in range(2):
            counts = rng.integers(0, 4, 60)
            n = int(counts.sum())
            rows = ak.Array(
                {"x": rng.normal(size=60).astype(np.float32), "good": rng.integers(0, 2, 60) > 0,
                 "Muon_pt": ak.unflatten(rng.normal(size=n), counts),
                 "Muon_charge": ak.unflatten(rng.integers(0, 2, n).astype(np.int32), counts)}
            )  # fmt: skip
            tree = file["Events"] if i else file.mkrntuple("Events", rows.layout.form)
            tree.extend(rows)
    return path


@pytest.fixture
def with_sums(monkeypatch):
    """uproot leaves the checksums of pages out."""
    add = _cascadentuple.NTuple.add_rblob

    def with_sum(self, sink, data, size):
        data = bytes(data)
        return add(self, sink, data + xxhash.xxh3_64_intdigest(data).to_bytes(8, "little"), size)

    monkeypatch.setattr(_cascadentuple.NTuple, "add_rblob", with_sum)
    monkeypatch.setattr(
        _cascadentuple.NTuple_PageDescription, "serialize",
        lambda self: (-self.num_entries).to_bytes(4, "little", signed=True)
        + self.locator.serialize(),
    )  # fmt: skip


def contents(path, how="iterate"):
    """All values of a file by name, as bytes that compare."""
    if how == "iterate":
        batches = fj.iterate(path)
    else:
        batches = survivors(path, [Step("all", ["x"], lambda b: np.ones(len(b), bool))], "*")
    found = {}
    for batch in batches:
        for name, values in batch.flat.items():
            found[name] = found.get(name, b"") + column_bytes(values)
        for name, jagged in batch.collections.items():
            for column in jagged.columns:
                key = f"{name}:{column}"
                found[key] = (
                    found.get(key, b"") + column_bytes(jagged[column]) + jagged.counts.tobytes()
                )
    return found


def attempt(path, how):
    """(contents, "") or (None, message of the error): the only two ways to end."""
    try:
        return contents(path, how), ""
    except ReadError as error:
        return None, str(error)


def outcomes(path, bad, places, how="iterate"):
    """(errors, times nothing changed) of one damaged byte at each place; no other values."""
    good, data = contents(path, how), path.read_bytes()
    errors = same = 0
    for at, change in places:
        damaged = bytearray(data)
        damaged[at] ^= change
        bad.write_bytes(damaged)
        found, message = attempt(bad, how)
        assert found == good or str(bad) in message, f"byte {at} changed by {change}"
        assert "\n" not in message
        errors, same = errors + bool(message), same + (not message)
    return errors, same


def drawn(path, n, seed=1, without=()):
    """(place, change) of ``n`` bytes of a file, drawn with a seed."""
    rng = np.random.default_rng(seed)
    places = np.setdiff1d(np.arange(path.stat().st_size), list(without))
    places = rng.choice(places, min(n, len(places)), replace=False)
    return [(int(at), int(rng.integers(1, 256))) for at in places]


def pages_of(path):
    """(place, bytes) of every page."""
    with uproot.open(path) as file:
        links = file["Events"].page_link_list
        pages = [page for columns in links for column in columns for page in column.pages]
        return [(page.locator.offset, page.locator.num_bytes) for page in pages]


@pytest.mark.parametrize("how", ["iterate", "survivors"])
@pytest.mark.parametrize("compression", [None, uproot.ZSTD(1)])
class TestDamage:
    def test_any_byte(self, tmp_path, with_sums, compression, how):
        path = write(tmp_path / "a.root", compression)
        errors, same = outcomes(path, tmp_path / "bad.root", drawn(path, 250), how)
        # What stays the same: dates, titles, keys that nobody looks at, and free space.
        assert errors > 60
        assert errors + same == 250

    def test_pages_and_their_checksums(self, tmp_path, with_sums, compression, how):
        """Every one: in a page that is not compressed nothing else would notice."""
        path = write(tmp_path / "a.root", compression)
        rng = np.random.default_rng(2)
        places = [
            (int(at), int(rng.integers(1, 256)))
            for start, n in pages_of(path)
            for at in (
                start,
                start + n - 1,
                start + n,
                start + n + 7,
                rng.integers(start, start + n),
            )
        ]
        errors, same = outcomes(path, tmp_path / "bad.root", places, how)
        assert (errors, same) == (len(places), 0)

    def test_without_checksums_of_pages(self, tmp_path, compression, how):
        """As uproot writes them: all but the pages is checked."""
        path = write(tmp_path / "a.root", compression)
        pages = {i for start, n in pages_of(path) for i in range(start, start + n)}
        errors, same = outcomes(path, tmp_path / "b.root", drawn(path, 250, 3, pages), how)
        assert errors > 60
        assert errors + same == 250


class TestFiles:
    def test_written_by_root(self, real_data, tmp_path):
        path = real_data / "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple.root"
        errors, same = outcomes(path, tmp_path / "bad.root", drawn(path, 400))
        assert errors > 350
        assert errors + same == 400

    def test_records_and_vectors_of_structs(self, cases, tmp_path):
        path = cases / "faults" / "rn.root"
        pages = {i for start, n in pages_of(path) for i in range(start, start + n)}
        errors, same = outcomes(path, tmp_path / "bad.root", drawn(path, 300, 1, pages))
        assert errors > 100
        assert errors + same == 300

    def test_what_the_message_names(self, tmp_path, with_sums):
        path = write(tmp_path / "a.root")
        data = path.read_bytes()
        with uproot.open(path) as file:
            tree = file["Events"]
            header, footer = tree.member("fSeekHeader"), tree.member("fSeekFooter")
            lists = tree.footer.cluster_group_records[1].page_list_link.locator.offset
            pages = tree.page_link_list[1]
            column = [tree.field_records[c.field_id].field_name for c in tree.column_records]
        cases = {
            header + 60: r"a\.root:Events: the checksum of the header is wrong",
            footer + 60: r"a\.root:Events: the checksum of the footer is wrong",
            lists + 60: rf"a\.root.*the checksum of the list of pages at {lists} is wrong",
        }
        for i, name in enumerate(column):
            start = pages[i].pages[0].locator.offset
            named = name if not name.startswith("_") else r"Muon_(pt|charge)\._0"
            cases[start] = rf"a\.root.*checksum of a page of '{named}' at byte {start} is wrong"
        for at, message in cases.items():
            damaged = bytearray(data)
            damaged[at] ^= 4
            path.write_bytes(damaged)
            with pytest.raises(ReadError, match=message):
                contents(path)

    def test_without_assertions(self, tmp_path):
        """uproot asserts some checksums, which python -O takes out."""
        path = write(tmp_path / "a.root")
        with uproot.open(path) as file:
            places = [file["Events"].member(f"fSeek{part}") + 70 for part in ("Header", "Footer")]
        code = (
            "import fastjag as fj, sys; print(sum(b['x'].sum() for b in fj.iterate(sys.argv[1])))"
        )
        data = path.read_bytes()
        for at in places:
            damaged = bytearray(data)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            done = subprocess.run(
                [sys.executable, "-O", "-c", code, path],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1
            assert "er is wrong" in done.stderr
            assert done.stdout == ""


class TestFormats:
    def test_before_1_0(self, tmp_path):
        with uproot.recreate(tmp_path / "a.root") as file:
            file._cascading.add_object(
                file.file.sink, rntuple.OLD, "Events", "", bytes(64), 64, replaces=None, big=None
            )
        with pytest.raises(ReadError, match=r"a\.root:Events: an RNTuple from before format 1\.0"):
            list(fj.iterate(tmp_path / "a.root"))
        batches = fj.iterate(tmp_path / "a.root", on_error="skip")
        assert list(batches) == []
        assert "write it again with ROOT" in batches.skipped[0].reason

    @pytest.mark.parametrize("epoch", [0, 2])
    def test_other_epochs(self, tmp_path, epoch):
        with uproot.open(write(tmp_path / "a.root")) as file:
            tree = file["Events"]
            tree._members["fVersionEpoch"] = epoch
            with pytest.raises(ReadError, match=rf"^here: RNTuple format {epoch}\.0\.0\.\d; 1 can"):
                rntuple.check_envelopes(tree, "here")

    @pytest.mark.parametrize("part", ["header", "footer"])
    def test_unknown_features(self, tmp_path, part):
        with uproot.open(write(tmp_path / "a.root")) as file:
            tree = file["Events"]
            getattr(tree, part).feature_flag = 4
            with pytest.raises(ReadError, match=r"^here: .*not known \(flags 0x4\)"):
                rntuple.check_envelopes(tree, "here")

    def test_a_list_of_another_header(self, tmp_path):
        with uproot.open(write(tmp_path / "a.root")) as file:
            tree = file["Events"]
            assert tree.footer  # which says the same, and is read before
            tree.header.checksum += 1
            with pytest.raises(ValueError, match="belongs to another header"):
                rntuple.check_envelopes(tree, "here")


class TestCopies:
    """uproot gives every field of a collection its own copy of where lists end."""

    def write(self, path, counts, others):
        rng = np.random.default_rng(3)
        with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
            for cut in (slice(0, 70), slice(70, 100)):
                rows = ak.Array(
                    {f"Muon_{name}": ak.unflatten(rng.normal(size=sum(n[cut])), n[cut])
                     for name, n in zip(("pt", "eta", "phi"), (counts, counts, others), strict=True)}
                )  # fmt: skip
                tree = file["Events"] if cut.start else file.mkrntuple("Events", rows.layout.form)
                tree.extend(rows)
        return path

    def ends_read(self, path, monkeypatch):
        """How many pages with ends of lists were read, and the batches."""
        found = []
        read = pages.PageReader.read

        def counted(self, column, piece, out):
            found.append(piece.coding.encoding)
            return read(self, column, piece, out)

        monkeypatch.setattr(pages.PageReader, "read", counted)
        batches = list(fj.iterate(path))
        return sum("index" in encoding for encoding in found), batches

    def test_are_decompressed_once(self, tmp_path, monkeypatch):
        counts = np.random.default_rng(1).integers(0, 4, 100)
        path = self.write(tmp_path / "a.root", counts, counts)
        n, (batch,) = self.ends_read(path, monkeypatch)
        assert n == 2  # one for each cluster
        assert batch.Muon.columns == ("pt", "eta", "phi")
        assert batch.Muon.counts.tolist() == counts.tolist()

    def test_other_lengths_are_another_collection(self, tmp_path, monkeypatch):
        counts = np.random.default_rng(1).integers(0, 4, 100)
        path = self.write(tmp_path / "a.root", counts, counts[::-1])
        _, (batch,) = self.ends_read(path, monkeypatch)
        assert batch.fields == ("Muon", "Muon_phi")
        assert batch.Muon_phi.counts.tolist() == counts[::-1].tolist()


def test_the_default_step_reads_nothing(tmp_path, monkeypatch):
    """Sizes are those of the metadata: numbers, and offsets of lists."""
    from fastjag.io.reader import Reader

    path = write(tmp_path / "a.root", uproot.ZSTD(1))
    (batch,) = fj.iterate(path)
    monkeypatch.setattr(pages.PageReader, "read", None)
    reader = Reader(str(path), None, None)
    with reader.file:
        size = reader.stored_bytes(reader.branches(None))
    n_muons = len(batch.Muon["pt"])
    assert size == 120 * (4 + 1 + 8 + 8) + n_muons * (8 + 4)


def test_many_fields_are_opened_quicker_than_by_uproot(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        rows = ak.Array({f"HLT_path{i}": np.zeros(3, bool) for i in range(500)})
        file.mkrntuple("Events", rows.layout.form).extend(rows)
    seconds = []
    for read in (
        lambda: list(fj.iterate(tmp_path / "a.root", prefetch=False)),
        lambda: uproot.open(tmp_path / "a.root")["Events"].arrays(),
    ):
        started = time.process_time()
        read()
        seconds.append(time.process_time() - started)
    assert seconds[0] < seconds[1]
