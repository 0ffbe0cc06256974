"""iterate(device="cuda"): numbers decompressed and decoded on the GPU are those that the CPU reads."""

import sys
from types import ModuleType

import awkward as ak
import numpy as np
import nvcomp_stub
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastjag as fj
from fastjag import batch, toys
from fastjag.core.devices import on_gpu
from fastjag.io.files import ReadError

CODECS = {
    "zstd": uproot.ZSTD(3),
    "lz4": uproot.LZ4(1),
    "zlib": uproot.ZLIB(1),
    "lzma": uproot.LZMA(1),
    "none": None,
}


@pytest.fixture
def nvcomp(emulation, monkeypatch):
    """nvCOMP, as the emulated GPU has it."""
    home = ModuleType("nvidia")
    home.nvcomp = nvcomp_stub
    monkeypatch.setitem(sys.modules, "nvidia", home)
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp_stub)
    monkeypatch.setattr("fastjag.io.iteration.has_nvcomp", lambda: True)
    monkeypatch.setattr(nvcomp_stub.Codec, "used", [])
    return nvcomp_stub.Codec


def rows(n, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, n)
    total = int(counts.sum())

    def lists(values):
        return ak.unflatten(values, counts)

    return {
        "MET_pt": rng.exponential(30, n).astype("f4"), "run": rng.integers(1, 5, n).astype("u4"),
        "event": rng.integers(0, 2**63, n).astype("u8"), "weight": rng.normal(size=n), "ok": rng.random(n) < 0.5,
        "Jet_pt": lists(rng.exponential(30, total).astype("f4")),
        "Jet_id": lists(rng.integers(-5, 5, total).astype("i2")),
        "Jet_mass": lists(rng.exponential(5, total)),
    }  # fmt: skip


def write(path, codec, kind, chunks=(70, 30, 101)):
    """Several clusters of numbers and lists."""
    with uproot.recreate(path, compression=CODECS[codec]) as file:
        for i, n in enumerate(chunks):
            data = rows(n, i)
            if kind == "rntuple":
                data = ak.zip(data, depth_limit=1)
                tree = file["Events"] if i else file.mkrntuple("Events", data.layout.form)
                tree.extend(data)
            elif i:
                file["Events"].extend(jets_together(data))
            else:
                data = jets_together(data)
                file.mktree(
                    "Events",
                    {k: v.dtype if isinstance(v, np.ndarray) else v.type for k, v in data.items()},
                )
                file["Events"].extend(data)
    return path


def jets_together(data):
    jets = {k[4:]: v for k, v in data.items() if k.startswith("Jet_")}
    return {k: v for k, v in data.items() if not k.startswith("Jet_")} | {"Jet": ak.zip(jets)}


def assert_same_batches(gpu, cpu):
    assert len(gpu) == len(cpu)
    for there, here in zip(gpu, cpu, strict=True):
        assert there.fields == here.fields
        assert str(there.source) == str(here.source)
        for name, values in there.flat.items():
            assert on_gpu(values) or values.dtype == object, name
        moved = there.to("cpu")
        for name, values in here.flat.items():
            np.testing.assert_array_equal(moved.flat[name], values, strict=True)
        for name, jagged in here.collections.items():
            assert there.collections[name].device == "cuda"
            assert tuple(moved.collections[name].columns) == tuple(jagged.columns)
            assert fj.equal(moved.collections[name], jagged), name


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("step", [13, 1000])
def test_equals_the_cpu(nvcomp, tmp_path, codec, kind, step):
    path = write(tmp_path / "a.root", codec, kind)
    cpu = list(fj.iterate(path, step=step))
    assert_same_batches(list(fj.iterate(path, step=step, device="cuda")), cpu)
    algorithm = {"zstd": {"Zstd"}, "lz4": {"LZ4"}, "zlib": {"Deflate"}}.get(codec, set())
    assert {name for name, _ in nvcomp.used} == algorithm
    if algorithm and step == 1000:
        assert len(nvcomp.used) == 1  # all blocks of a step in one call


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_ranges(nvcomp, tmp_path_factory, kind, data):
    path = tmp_path_factory.getbasetemp() / f"ranges_{kind}.root"
    if not path.exists():
        write(path, "zstd", kind)
    bounds = st.tuples(st.integers(0, 201), st.integers(0, 201)).map(sorted)
    wanted = [
        fj.Range("d", str(path), "Events", *some)
        for some in data.draw(st.lists(bounds, min_size=1, max_size=4))
    ]
    options = {
        "columns": ["Jet_pt", "Jet_id", "event", "ok"],
        "ranges": wanted,
        "step": data.draw(st.integers(1, 99)),
    }
    assert_same_batches(list(fj.iterate(device="cuda", **options)), list(fj.iterate(**options)))


@pytest.mark.parametrize("which", ["atlas", "wide", "lists"])
def test_other_kinds_of_branches(nvcomp, tmp_path, which):
    """Energies in MeV, numbers in rows of three, lists of lists, text: what the GPU does not decode goes as it is."""
    path = tmp_path / "a.root"
    rng = np.random.default_rng(2)
    options = {}
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        if which == "atlas":
            pt = ak.Array([[20e3, 3e4], [], [4e4]])
            file["mini"] = {
                "lep_pt": ak.values_astype(pt, "f4"),
                "met_et": np.array([1e3, 2e3, 3e3], "f4"),
            }
        elif which == "wide":
            file["Events"] = {
                "x": rng.normal(size=(50, 3)),
                "n": np.arange(50),
                "text": np.array(["a", "b"] * 25),
            }
        else:
            file.mkrntuple(
                "Events", {"deep": ak.Array([[[1.5], [2.5, 3]], [], [[]]]), "x": np.arange(3.0)}
            )
    cpu = list(fj.iterate(path, **options))
    assert_same_batches(list(fj.iterate(path, device="cuda", **options)), cpu)


def test_without_nvcomp(emulation, tmp_path, monkeypatch):
    """The CPU decompresses, and batches are copied."""
    monkeypatch.setattr("fastjag.io.iteration.has_nvcomp", lambda: False)
    path = write(tmp_path / "a.root", "zstd", "ttree")
    assert_same_batches(
        list(fj.iterate(path, step=40, device="cuda")), list(fj.iterate(path, step=40))
    )


def test_long_baskets_are_several_blocks(nvcomp, tmp_path):
    path = tmp_path / "a.root"
    values = np.arange(2_200_000) % 1000
    with uproot.recreate(path, compression=uproot.LZ4(1)) as file:
        file["Events"] = {"x": values.astype("i8")}
    (there,) = fj.iterate(path, step=len(values), device="cuda")
    np.testing.assert_array_equal(there.to("cpu")["x"], values)
    assert nvcomp.used == []


@pytest.mark.parametrize("codec", ["zlib", "lz4", "zstd"])
def test_damage_is_an_error_that_names_the_basket(nvcomp, tmp_path, codec):
    path = write(tmp_path / "a.root", codec, "ttree")
    with uproot.open(path) as file:
        branch = file["Events"]["run"]
        seek, size = int(branch.member("fBasketSeek")[1]), int(branch.member("fBasketBytes")[1])
    cpu = list(fj.iterate(path, ["run"], step=70))
    content = bytearray(path.read_bytes())
    content[seek + size - 30] ^= 0x55
    path.write_bytes(content)
    wrong = False
    try:
        found = list(fj.iterate(path, ["run"], step=70, device="cuda"))
        wrong = not np.array_equal(found[1].to("cpu")["run"], cpu[1]["run"])
    except ReadError as error:
        assert "a.root:Events" in str(error)  # noqa: PT017
        assert "run" in str(error)  # noqa: PT017
    # zstd has no checksum in ROOT files: what it decompresses to is what both read.
    assert not wrong or codec == "zstd"


def test_checksums_of_zlib(nvcomp, tmp_path):
    """nvCOMP leaves them out: a kernel of ours looks at them."""
    path = write(tmp_path / "a.root", "zlib", "ttree")
    with uproot.open(path) as file:
        branch = file["Events"]["run"]
        seek, size = int(branch.member("fBasketSeek")[1]), int(branch.member("fBasketBytes")[1])
    content = bytearray(path.read_bytes())
    content[seek + size - 1] ^= 1  # of the checksum itself
    path.write_bytes(content)
    for kind in ("cpu", "cuda"):
        with pytest.raises(ReadError, match=r"Events.*run"):
            list(fj.iterate(path, ["run"], step=70, device=kind))
    batches = fj.iterate(path, ["run"], step=70, device="cuda", on_error="skip")
    assert [b.source.start for b in batches] == [0, 140]
    assert [(s.file, s.events) for s in batches.skipped] == [(str(path), 70)]


def test_in_batch_jobs(nvcomp, tmp_path):
    for i in range(2):
        toys.write(tmp_path / f"{i}.root", 400, seed=i)

    def masses(events):
        return fj.histogram(fj.dimuon(events.Muon).mass, (30, 0, 120))

    ranges = fj.ranges(tmp_path, size=150)
    cpu = batch.run(masses, ranges, ["Muon_*"]).value
    assert batch.run(masses, ranges, ["Muon_*"], device="cuda").value == cpu
    assert nvcomp.used
