"""--storage-option, --cache and [servers]: every reading is told, here and in processes, and no result keeps it."""

import json

import numpy as np
import pytest
from diphoton_files import rows
from diphoton_files import write as write_photons
from far_samples import small_requests
from servers import http_server

import fastjag as fj
from fastjag import batch, toys
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.run import run as run_dimuon
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.diphoton.run import run as run_diphoton
from fastjag.analyses.gammajet import toys as gammajet
from fastjag.io.errors import ReadError
from fastjag.io.sources.access import Access, said, storage_options_of
from fastjag.selection import Step, cheapest_first, survivors

SECRET = "s3cret-0f-the-t0ken"


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    small_requests(monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def far(tmp_path):
    """Serves files of a folder to who knows the token: URL, server and folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    toys.write(folder / "a.root", 3000, seed=1)
    toys.write(folder / "b.root", 2000, seed=2)
    with http_server({}) as (url, server):

        def serve():
            server.files = {f"/{p.name}": p.read_bytes() for p in folder.iterdir()}
            server.token = SECRET

        serve()
        server.serve = serve
        yield url, server, folder


def nobody_keeps_it(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".bytes", ".toml")]
    assert files
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]


class TestCommands:
    @pytest.mark.parametrize("executor", ["none", "processes:2"])
    def test_spectrum(self, run, far, tmp_path, executor):
        url, server, folder = far
        local = run("spectrum", folder / "a.root", folder / "b.root", "--out", tmp_path / "here", "--no-pictures")  # fmt: skip
        assert local[0] == 0
        command = ["spectrum", f"{url}/a.root", f"{url}/b.root", "--out", tmp_path / "there",
                   "--no-pictures", "--executor", executor]  # fmt: skip
        code, _, err = run(*command)
        assert code == 1
        assert "no token was sent" in err
        told = ["--storage-option", f"token={SECRET}", "--cache", tmp_path / "copies"]
        code, out, err = run(*command, *told, "--verbose")
        assert code == 0, err
        assert SECRET not in out + err
        here, there = (
            json.loads((tmp_path / n / "spectrum.json").read_text()) for n in ("here", "there")
        )
        assert here["opposite_sign"] == there["opposite_sign"]
        assert sum(here["opposite_sign"]) > 100
        nobody_keeps_it(tmp_path / "there")
        assert len(list((tmp_path / "copies").glob("??/*.index"))) == 2
        # Another token and another folder are no other settings.
        server.requests = 0
        assert run(*command, *told)[0] == 0
        assert server.requests < 12

    def test_convert_and_jobs(self, run, far, tmp_path, monkeypatch):
        url, *_ = far
        told = ["--storage-option", f"token={SECRET}"]
        code, _, err = run("convert", f"{url}/a.root", "--out", tmp_path / "out", "--columns", "Muon_*",
                           "--executor", "processes:2", *told)  # fmt: skip
        assert code == 0, err
        nobody_keeps_it(tmp_path / "out")
        (tmp_path / "count.py").write_text("def count(events):\n    return len(events)\n")
        (tmp_path / "job.toml").write_text(
            f'function = "count.py:count"\nfiles = ["{url}/a.root", "{url}/b.root"]\nsize = 1000\n'
        )
        plan = ["batch", "plan", tmp_path / "job.toml", "--out", tmp_path / "job"]
        assert run(*plan)[0] == 1
        assert run(*plan, *told)[0] == 0
        assert run("batch", "work", tmp_path / "job")[0] == 1
        assert run("batch", "work", tmp_path / "job", *told)[0] == 0
        with open(tmp_path / "job.toml", "a") as file:
            file.write(f'[servers.storage_options]\ntoken = "{SECRET}"\n')
        assert run("batch", "plan", tmp_path / "job.toml", "--out", tmp_path / "again")[0] == 0
        assert run("batch", "work", tmp_path / "again")[0] == 0
        code, _, _ = run("batch", "merge", tmp_path / "again")
        assert json.loads((tmp_path / "again" / "merged" / "result.json").read_text()) == {
            "result": 5000
        }
        nobody_keeps_it(tmp_path / "again")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("anon", "a storage option must read like anon=true, got 'anon'"),
            ("=x", "must read like anon=true"),
            ("headers.=x", "must read like anon=true"),
            ("tokens=x", "no storage option 'tokens' of http: did you mean 'token'"),
        ],
    )  # fmt: skip
    def test_what_is_not_accepted(self, run, far, tmp_path, text, message):
        code, _, err = run("spectrum", f"{far[0]}/a.root", "--out", tmp_path / "o", "--storage-option", text)  # fmt: skip
        assert code == 1
        assert message in err


def test_options_of_text():
    assert storage_options_of(["anon=true", "token=123", "port=22", "x=", "headers.A=b=c", "headers.B=1"]) == {
        "anon": True, "token": "123", "port": 22, "x": "", "headers": {"A": "b=c", "B": "1"},
    }  # fmt: skip
    for twice in (["key=a", "key=b"], ["headers=a", "headers.A=b"], ["headers.A=b", "headers.A=c"]):
        with pytest.raises(ValueError, match="is given more than once"):
            storage_options_of(twice)


def test_who_comes_first(tmp_path, monkeypatch):
    """A call before a command, that before a configuration, that before the environment."""
    monkeypatch.setenv("FASTJAG_CACHE", "environment")
    assert Access.of() == Access({}, "environment")
    with said({"anon": True, "key": "command"}, None):
        with said({"key": "file", "secret": "file"}, "/file"):
            assert Access.of() == Access(
                {"anon": True, "key": "command", "secret": "file"}, "/file"
            )
            assert Access.of({"key": "call"}, "/call") == Access({"key": "call"}, "/call")
            assert Access.of({}) == Access({}, "/file")
        assert Access.of().cache == "environment"
    assert SECRET not in repr(Access({"token": SECRET}))
    with pytest.raises(TypeError, match="must be a dict, got str") as caught:
        Access.of(SECRET)
    assert SECRET not in str(caught.value)


class TestConfigurations:
    SERVERS = f'[servers.storage_options]\ntoken = "{SECRET}"\n[servers]\ncache = "copies"\n'

    def test_gammajet(self, run, far, tmp_path):
        url, server, folder = far
        gammajet.write(folder / "data.root", 500, response=0.97, seed=1)
        for seed, kind in enumerate(("gjets", "qcd"), 2):
            gammajet.write(folder / f"{kind}.root", 500, kind=kind, response=1.02, seed=seed)
        text = gammajet.configuration(folder).replace('files = "', f'files = "{url}/')
        server.serve()
        (tmp_path / "g.toml").write_text(text)
        command = ["gammajet", "run", tmp_path / "g.toml", "--out", tmp_path / "out"]
        code, _, err = run(*command)
        assert code == 1
        assert "no token was sent" in err
        (tmp_path / "g.toml").write_text(text + self.SERVERS)
        code, _, err = run(*command)
        assert code == 0, err
        nobody_keeps_it(tmp_path / "out")
        assert len(list((tmp_path / "copies").glob("??/*.index"))) == 3
        (tmp_path / "g.toml").write_text(text)  # no other settings: all is there
        code, out, err = run(*command, "--storage-option", f"token={SECRET}")
        assert code == 0
        assert "report: is there" in out + err

    def test_dimuon(self, far, tmp_path):
        url, *_ = far
        (tmp_path / "s.toml").write_text(f"""{self.SERVERS}
[input]
files = ["{url}/a.root"]
[analysis_keywords]
particle = "upsilon"
[analysis_keywords.analysis_cuts.lower]
mu0_pt = 3
[window_definitions]
upsilon = {{ SB_left = 5, SR_left = 9, SR_right = 10.6, SB_right = 16 }}
[feature_sets]
mix_2 = ["dimu_pt", "dimu_mass"]
""")
        config = DimuonConfig.read(tmp_path / "s.toml")
        run_dimuon(config, tmp_path / "out", ["prepare"], progress=False)
        nobody_keeps_it(tmp_path / "out")
        assert len(list((tmp_path / "copies").glob("??/*.index"))) == 1

    def test_diphoton(self, far, tmp_path):
        url, server, folder = far
        for i, name in enumerate(("x", "y")):
            write_photons(folder / f"{name}.root", rows(np.random.default_rng(i), 400))
        server.serve()
        (tmp_path / "d.toml").write_text(
            f'classes = {{ a = "{url}/x.root", b = "{url}/y.root" }}\n{self.SERVERS}'
            '[selection]\npreset = "official-2020"\n'
        )
        config = DiphotonConfig.read(tmp_path / "d.toml")
        run_diphoton(config, tmp_path / "out", ["select"], progress=False)
        nobody_keeps_it(tmp_path / "out")
        assert len(list((tmp_path / "copies").glob("??/*.index"))) == 2


class TestFunctions:
    STEPS = (Step("muons", ["Muon_pt"], lambda events: events.Muon.counts > 1),)

    def test_survivors(self, far, tmp_path):
        url, server, folder = far
        with pytest.raises(ReadError, match="no token was sent"):
            list(survivors(f"{url}/a.root", self.STEPS))
        options = {"storage_options": {"token": SECRET}, "cache": tmp_path / "c"}
        expected = list(survivors(folder / "a.root", self.STEPS, batch_size=700))
        for _ in range(2):
            found = list(survivors(f"{url}/a.root", self.STEPS, batch_size=700, **options))
            for own, other in zip(expected, found, strict=True):
                assert fj.equal(own.Muon, other.Muon)
            server.requests = 0
        assert [s.name for s in cheapest_first(f"{url}/a.root", self.STEPS, **options)] == ["muons"]

    @pytest.mark.parametrize("executor", [None, batch.processes(2)], ids=["here", "processes"])
    def test_batch(self, far, tmp_path, executor):
        """The function's own reading as well; kept results do not depend on it."""
        url, *_ = far
        options = {"storage_options": {"token": SECRET}, "cache": tmp_path / "c"}
        pieces = fj.ranges(
            [f"{url}/a.root", f"{url}/b.root"], 1500, storage_options={"token": SECRET}
        )

        def own(piece):
            return sum(len(b) for b in fj.iterate(ranges=piece, columns="event", progress=False))

        keep = {"keep": tmp_path / "keep", "executor": executor}
        with pytest.raises(batch.BatchError, match="no token was sent"):
            batch.run(len, pieces, "event", executor=executor, retries=0)
        assert batch.run(len, pieces, "event", **keep, **options).value == 5000
        assert batch.run(own, pieces, batch.RANGE, executor=executor, **options).value == 5000
        again = batch.run(len, pieces, "event", **keep, storage_options={"token": "another"})
        assert again.kept == len(pieces)
        nobody_keeps_it(tmp_path / "keep")
