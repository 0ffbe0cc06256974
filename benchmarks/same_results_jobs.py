"""The jobs of same_results.py: command lines of fastjag, and functions that write what they read.

Each job runs in a folder of its own, after its functions. A command that begins with "! " must end
with an error, whose text is compared. Commands in a tuple run in one process.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

Step = str | tuple[str, ...] | Callable[[Path], None]


def write(name: str, text: str) -> Step:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def replace(name: str, *changes: tuple[str, str], to: str | None = None) -> Step:
    """Other words in a file; each must be there."""

    def step(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            if old not in text:
                raise ValueError(f"{name} has no {old!r}")
            text = text.replace(old, new)
        (folder / (to or name)).write_text(text, encoding="utf-8")

    return step


def first_rows(source: str, name: str, rows: int) -> Step:
    """The first rows of a Parquet file as CSV."""

    def step(folder: Path) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(folder / source).slice(0, rows).to_pydict()
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([[*table], *zip(*table.values(), strict=True)])

    return step


def link_data(folder: Path) -> None:
    """The small real files, under a hidden name."""
    (folder / ".data").symlink_to(os.environ["FASTJAG_REAL_DATA"])


def write_skims(folder: Path) -> None:
    """The events of toys.root as pairs of pickles, as published skims are."""
    import uproot

    tree = uproot.open(folder / "toys.root")["Events"]
    for kind, names in (("mu", ["Muon_*", "HLT_*"]), ("jet", ["Jet_*", "MET_*", "PV_*"])):
        arrays = tree.arrays(filter_name=names, how=dict)
        for guid, events in (("A", slice(0, 1800)), ("B", slice(1800, None))):
            content = pickle.dumps({name: x[events] for name, x in arrays.items()})
            (folder / f"all_{kind}_{guid}").write_bytes(content)


def wrong(command: str, name: str, *changes: tuple[str, str]) -> list[Step]:
    """Configurations with one thing wrong in each, which the command must refuse."""
    files = [f"wrong-{i}-{name}" for i in range(len(changes))]
    steps: list[Step] = [
        replace(name, change, to=file) for file, change in zip(files, changes, strict=True)
    ]
    return [*steps, tuple(f"! {command} {file} --out out" for file in files)]


SEARCH = """
seed: 3
train_on: SS
input: {files: [toys.root], muon_id: any, require_jet: true, golden_json: golden.json}
analysis_keywords:
  name: every option
  particle: upsilon
  features: two
  analysis_cuts: {lower: {mu0_iso04: 0.1}, upper: {mu1_pt: 200}}
window_definitions:
  upsilon: {SB_left: 5, SR_left: 9, SR_right: 10.6, SB_right: 16}
feature_sets: {two: [dimu_pt, mu0_ip3d]}
scan: {toys: 5}
flow: {preset: fast, seeds: [1, 2], settings: {epochs: 2, hidden: [8]}}
classifier:
  preset: fast
  settings: {members: 1, rounds: 5}
  latent: true
  pseudo_experiments: 2
  null_experiments: 1
significance: {degree: 2, sr_edges: 5, degrees: [2], edges: [5, 6], rates: [1.0, 0.3, 0.1], toys: 20, peaks: true}
"""

STUDY = """
name = "official selection"
seed = 2
[classes]
ggF = "samples/ggH125_gamgam.root"
VBF = "samples/VBFH125_gamgam.root"
[background]
yy = ["samples/yy.root"]
[selection]
preset = "official-2025"
luminosity = 36.1
[selection.cuts]
min_pt = [30, 25]
[features]
names = ["m*", "n_*"]
[models]
names = ["XGBoost"]
folds = 2
fast = true
[fit]
degree = 2
"""

GAMMAJET = """
name = "data only"
max_alpha = 0.3
eta_ranges = [[0.0, 2.5]]
[selection]
photon_pt = 210
photon_veto = "pixelSeed"
[[samples]]
name = "data"
files = "demo/data.root"
"""

SKIMS = """
[input]
files = "{files}"
muon_id = "{muon_id}"
[window_definitions.upsilon]
SB_left = 5
SR_left = 9
SR_right = 10.6
SB_right = 16
[feature_sets]
one = ["dimu_pt"]
[scan]
toys = 20
[significance]
toys = 0
"""

GENERATED = """
[selection]
photon_pt = 5
photon_abs_eta = 3
jet_pt = 16
[[samples]]
name = "ttbar"
kind = "other"
cross_section = 831.8
files = ".data/nanoAOD_2015_CMS_Open_Data_ttbar.root"
"""

RATES_BY_HAND = """run,rate,error,pileup
1,10.1,0.2,25
2,14.4,0.3,35
3,18.5,0.3,45
"""

FORMATS = ("parquet", "hdf5", "npz")
HELP = (
    "", "spectrum", "convert", "toys", "dimuon", "dimuon run", "dimuon importance", "dimuon toys",
    "diphoton", "diphoton run", "diphoton importance", "gammajet", "gammajet run", "gammajet demo",
    "simulate", "simulate diphoton", "importance", "importance run", "importance demo", "rates",
    "rates count", "rates fit", "rates demo", "jets", "jets toys", "jets ntuple", "jets shapes",
    "jets tensors", "jets tracks", "jets train", "jets demo", "train", "train run", "train demo",
)  # fmt: skip
GOLDEN = json.dumps({"1": [[1, 100000]]})

#: Name of a job to its steps.
JOBS: dict[str, list[Step]] = {
    "spectrum": [
        "toys toys.root --events 20000 --seed 1",
        "toys more.root --events 3000 --seed 2 --compression zstd",
        write("broken.root", "root"),
        "spectrum toys.root --out plain",
        ("spectrum toys.root more.root broken.root --out cuts --min-pt 4 --max-abs-eta 2.1 --muon-id "
        "tightId --exactly-two --trigger HLT_Mu17_Mu8 --bins 70 --low 2 --high 110 --step 5000 "
        "--skip-errors"),
    ],
    "convert": [
        "toys toys.root --events 3000 --seed 1",
        "jets toys jets.root --jets 300 --seed 1 --pileup 100",
        write("broken.root", "root"),
        *(
            f"convert {files} --out {out}-{format} --format {format} {options}"
            for format in FORMATS
            for files, out, options in (
                ("toys.root", "all", "--step 1000"),
                ("toys.root broken.root", "padded", ("--skip-errors --columns Muon_* --columns MET_* "
                 "--columns Jet_pt --pad Muon=4:pt --pad Jet=2 --fill -1")),
                ("jets.root", "jets", ""),
            )
        ),
    ],
    "rates": [
        "rates demo --out demo --seed 1",
        write("golden.json", json.dumps({"400000": [[10, 60]], "400010": [[1, 50]]})),
        ("rates count demo/toy-400000.root demo/toy-400010.root --trigger HLT_* --window "
        "400000:16-100 --window 400010 --golden golden.json --dead-time 0.02 --out windows"),
        ("rates count demo --trigger HLT_DoubleMu4 --windows demo/windows.csv --at 60 --bunches 2000 "
        "--factor 1.1 --step 300 --out table"),
        "rates fit demo/rates.csv --at 55 --out fit",
        write("hand.csv", RATES_BY_HAND),
        "rates fit hand.csv --at 55 --factor 0.9 --out hand",
    ],
    "importance": [
        "importance demo --out demo --events 2000 --seed 1",
        first_rows("demo/toys.parquet", "toys.csv", 600),
        ("importance run toys.csv --label label --features shift --features width --epochs 3 "
        "--repeats 2 --correlated 0.5 --seed 3 --out run"),
    ],
    "simulate": [
        "simulate diphoton --out all --events 40 --seed 1 --workers 1",
        "simulate diphoton --out some --events 60 --seed 2 --workers 2 --classes ggH125_gamgam,yy",
    ],
    "train": [
        "train demo --out demo --events 2000 --seed 1 --epochs 2",
        "train run demo/tagger.toml --out again --until split",
        "train demo --out trees --events 2000 --seed 1 --model XGBoost",
    ],
    "gammajet": [
        "gammajet demo --out demo --events 6000 --seed 1",
        "gammajet run demo/gammajet.toml --out again --until response",
        write("data.toml", GAMMAJET),
        "! gammajet run data.toml --out data",  # toys have no pixelSeed
        replace("data.toml", ('"pixelSeed"', '"none"')),
        "gammajet run data.toml --out data",
    ],
    "jets": [
        "jets toys rows.root --jets 800 --seed 2 --pileup 100",
        "jets toys events.root --jets 400 --seed 3 --format pfnano --pileup 100 --compression lz4",
        "jets ntuple events.root turned.root --copies 2 --seed 4",
        "jets shapes rows.root --out shapes --gen --min-pt 40 --max-abs-eta 2 --step 200",
        "jets shapes events.root --out shapes-events",
        "! jets shapes events.root --out shapes-ak8 --jets AK8",
        *(
            f"jets tensors {name}.root --out tensors-{name}-{format} --format {format} --candidates "
            "20 --tracks 10 --vertices 2 --images"
            for name, format in (*(("rows", f) for f in FORMATS), ("turned", "npz"))
        ),
        "jets tracks events.root --out tracks --radius 0.4 --min-pt 20 --min-track-pt 1",
        "jets train tensors-rows-hdf5 --out tagger --target quark --epochs 2 --rounds 20 --seed 5",
        "jets train tensors-rows-npz --out trees --models XGBoost --rounds 10 --max-jets 500",
        "jets demo --out demo --jets 2000 --seed 1",
    ],
    "diphoton": [
        "diphoton run --sample --out sample",
        "diphoton importance --sample --out sample --most 4",
        ("simulate diphoton --out samples --events 400 --seed 3 --workers 1 "
        "--classes ggH125_gamgam,VBFH125_gamgam,yy"),
        write("study.toml", STUDY),
        "! diphoton run study.toml --out study",  # samples have no Photon_ptcone20
        replace("study.toml", ("official-2025", "official-2020")),
        "diphoton run study.toml --out study",
    ],
    "dimuon": [
        "dimuon toys toys.root --events 30000 --signal 200 --seed 1",
        replace("search.toml", ("epochs = 50", "epochs = 4"), to="short.toml"),
        "dimuon run short.toml --out short",
        write("golden.json", GOLDEN),
        write("options.yaml", SEARCH),
        "dimuon run options.yaml --out options",
        "dimuon importance options.yaml --out options",
        "dimuon run options.yaml --out options",  # nothing is done again
    ],
    "help": [tuple(f"{command} --help" for command in HELP)],
    "errors": [
        write("toys.root", "root"),
        write("golden.json", GOLDEN),
        write("search.yaml", SEARCH),
        *wrong(
            "dimuon run", "search.yaml",
            ("train_on: SS", "train_on: ss"), ("train_on", "trainon"), ("seed: 3", "seed: -3"),
            ("muon_id: any", "muon_id: 5"), ("require_jet: true", "require_jet: 1"),
            ("golden_json", "golden"), ("[toys.root]", "[]"), ("toys.root", "absent.root"),
            ("particle: upsilon", "particle: upsilom"), ("mu0_iso04: 0.1", "mu0_iso04: much"),
            ("mu0_iso04", "mu0_iso4"), ("[dimu_pt, mu0_ip3d]", "[dimu_pt, dimu_mass]"),
            ("SR_right: 10.6", "SR_right: 1.6"), ("SB_left: 5, ", ""), ("scan: {toys", "scan: {toy"),
            ("preset: fast, seeds", "preset: fst, seeds"), ("seeds: [1, 2]", "seeds: [1, 1]"),
            ("epochs: 2", "epoch: 2"), ("epochs: 2", "epochs: 0"), ("members: 1", "member: 1"),
            ("latent: true", "latent: 1"), ("pseudo_experiments: 2", "pseudo_experiments: two"),
            ("degree: 2", "degree: 2.5"), ("sr_edges: 5", "sr_edges: 1"), ("peaks: true", "peak: true"),
            ("1.0, 0.3", "1.5, 0.3"), ("toys: 20", "toys: -1"), ("seed: 3", "seed: {"),
        ),
        write("study.toml", STUDY.replace("samples/", "").replace("official-2025", "slides")),
        *wrong(
            "diphoton run", "study.toml",
            ("[features]", "[feature]"), ("folds = 2", "fold = 2"), ("folds = 2", "folds = 1"),
            ("fast = true", 'fast = "yes"'), ("luminosity = 36.1", "luminosity = -1"),
            ('"slides"', '"slide"'), ("min_pt = [30, 25]", "min_pt = 30"), ("min_pt", "minpt"),
            ("XGBoost", "XGBost"), ("degree = 2", 'signal = "gauss"'), ("degree = 2", "degree = -1"),
            ('ggF = "ggH125_gamgam.root"', ""), ("VBF =", "yy ="), ("seed = 2", "seed = true"),
            ("[models]", '[samples]\ntable = "absent.toml"\n[models]'), ("seed = 2", "seed = "),
            ('"m*", "n_*"', '"mm*"'), ('"m*", "n_*"', ""), ("fast = true", "most_events = 1"),
            ("fast = true", 'negative = "none"'),
        ),
        write("measure.toml", GAMMAJET),
        *wrong(
            "gammajet run", "measure.toml",
            ("max_alpha = 0.3", "max_alfa = 0.3"), ("max_alpha = 0.3", "max_alpha = -1"),
            ("[[0.0, 2.5]]", "[[1, 1]]"), ("[[0.0, 2.5]]", "5"), ("photon_pt = 210", "photon_p = 1"),
            ("photon_pt = 210", "photon_pt = nan"), ("photon_pt = 210", 'trigger = ""'),
            ("pixelSeed", "pixel"), ('name = "data"', ""), ('files = "demo/data.root"', "files = 5"),
            ('name = "data"\n', 'name = "data"\nkind = "qdc"\n'), ("[selection]", "[selection"),
            ('name = "data"\n', 'name = "data"\nkind = "qcd"\n'),
            ('name = "data"\n', 'name = "data"\nk_factor = 0\n'),
            ('name = "data"\n', 'name = "a/b"\n'), ("photon_pt = 210", "met = true"),
        ),
        write("rates.csv", "rate,pileup\n1,2\n1,-3\n"),
        (
        "! dimuon run search.yaml --until flows",
        "! dimuon run search.yaml --device gpu",
        "! diphoton run --sample study.toml",
        "! diphoton run study.toml --until learn",
        "! diphoton run study.txt",
        "! gammajet run measure.toml --until selected",
        "! spectrum absent.root",
        "! spectrum toys.root",
        "! spectrum toys.root --low 5 --high 2",
        "! convert toys.root --format csv",
        "! convert toys.root --pad Muon",
        "! importance run toys.csv --label label",
        "! rates count toys.root --trigger HLT_Mu17 --window 1:5-2",
        "! rates fit rates.csv",
        "! jets train toys --target c",
        "! jets toys toys-of-jets.root --format nano",
        "! simulate diphoton --classes ggH",
        ),
    ],
    "fits": [
        ("simulate diphoton --out samples --events 300 --seed 4 --workers 1 "
        "--classes ggH125_gamgam,VBFH125_gamgam,yy"),
        write("samples.toml", "[ggF]\nk_factor = 1.5\n"),
        write("study.toml", STUDY),
        replace(
            "study.toml",
            ("official-2025", "official-2020"),
            ("[models]", '[samples]\ntable = "samples.toml"\ncorrect = false\n[models]'),
            ("fast = true", 'fast = true\nnegative = "clip"\nmost_events = 200'),
            ("degree = 2", 'degree = 2\nsignal = "crystal-ball"'),
        ),
        "diphoton run study.toml --out study",
    ],
    "skims": [
        "toys toys.root --events 3000 --seed 2",
        write_skims,
        write("skims.toml", SKIMS.format(files="all_*", muon_id="tightId")),
        "dimuon run skims.toml --out out --until scan",
    ],
    "data": [  # where FASTJAG_REAL_DATA says where real files are
        link_data,
        "spectrum .data/agc_open-data-example.root --out muons --exactly-two",
        "spectrum .data/coffea_nano_dimuon.root --out nanoaod --muon-id tightId --min-pt 3",
        "spectrum .data/Run2012BC_DoubleMuParked_Muons_1000evts_rntuple.root --out rntuple",
        "convert .data/atlas_PHYSLITE_mc_40ev.root --out physlite --columns AnalysisJets*",
        "convert .data/uproot-HZZ.root .data/uproot-Zmumu.root --out flat --format npz",
        "convert .data/nanoAOD_2015_CMS_Open_Data_ttbar.root --out nano --format hdf5",
        "jets shapes .data/coffea_pfnano.root --out ak4",
        "jets shapes .data/coffea_pfnano.root --out ak8 --jets AK8",
        "jets tensors .data/coffea_pfnano.root --out tensors --format npz",
        "jets tracks .data/coffea_pfnano.root --out tracks",
        "rates count .data/coffea_nano_dimuon.root --trigger HLT_Mu17* --out rates",
        write("generated.toml", GENERATED),
        "gammajet run generated.toml --out generated --until response",
        write("muons.toml", SKIMS.format(files=".data/agc_open-data-example.root", muon_id="any")),
        "dimuon run muons.toml --out search --until scan",
    ],
}  # fmt: skip
