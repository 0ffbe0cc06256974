"""``fastjag jets``: jets, their constituents and tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastjag.analyses.jets.config import (
    MODELS,
    JetsConfig,
    JetSelection,
    TensorsConfig,
    TrackSelection,
    TrainConfig,
)
from fastjag.commands import (
    App,
    DeviceOption,
    ExecutorOption,
    FilesArgument,
    KeepOption,
    OutOption,
    ReadDeviceOption,
    SkipOption,
    StepOption,
    ThreadsOption,
    add_config,
    finish,
    option,
    remark,
    show,
    show_skipped,
    step_of,
    tell,
)

app = App(
    help="Jets and their tracks: JetNtuple and PFNano files to shapes, tensors, impact parameters "
    "and taggers.",
    no_args_is_help=True,
)

CollectionOption = Annotated[str, option(JetSelection, "jets", "--jets")]
PtOption = Annotated[float, option(JetSelection, "min_pt", "--min-pt")]
EtaOption = Annotated[float, option(JetSelection, "max_abs_eta", "--max-abs-eta")]
SeedOption = Annotated[int, option(TrainConfig, "seed")]


def _show(title: str, counts: dict[str, int]) -> None:
    table = Table("what", "number", title=title)
    table.columns[1].justify = "right"
    for name, n in counts.items():
        table.add_row(name, f"{n:,}")
    show(table, counts=counts)


@app.command(epilog="Example: fastjag jets toys jets.root --jets 20000 --seed 1")
def toys(
    path: Annotated[Path, typer.Argument(help="The ROOT file to write.")],
    jets: Annotated[int, typer.Option(min=1, help="Number of jets.")] = 20_000,
    seed: SeedOption = 0,
    format: Annotated[str, typer.Option(help="jetntuple or pfnano.")] = "jetntuple",
    pileup: Annotated[float, typer.Option(help="Mean candidates outside jets per event.")] = 1100.0,
    compression: Annotated[str, typer.Option(help="zlib, lz4, zstd or none.")] = "zlib",
) -> None:
    """Write toy jets with their constituents, in the format of JetNtuple or PFNano."""
    from fastjag.toys.jetfiles import write_jets
    from fastjag.toys.jets import JetToyParameters

    write_jets(path, jets, seed=seed, format=format, compression=compression,
               parameters=JetToyParameters(pileup=pileup))  # fmt: skip
    finish(f"{jets:,} jets in {path}", jets=jets, out=path)


@app.command(reads=True, epilog="Example: fastjag jets ntuple pfnano.root jets.root --copies 10")
def ntuple(
    files: FilesArgument,
    path: Annotated[Path, typer.Argument(help="The JetNtuple-format file to write.")],
    copies: Annotated[
        int, typer.Option(min=1, help="Times that each event is written, turned.")
    ] = 1,
    seed: SeedOption = 0,
    compression: Annotated[str, typer.Option(help="zlib, lz4, zstd or none.")] = "zlib",
) -> None:
    """PFNano files as one JetNtuple-format file, a row per jet."""
    from fastjag.analyses.jets.ntuple import to_jetntuple

    to_jetntuple(files, path, copies=copies, seed=seed, compression=compression)
    finish(f"{path}", out=path)


@app.command(
    reads=True, draws=True, epilog="Example: fastjag jets shapes jets.root --out shapes --min-pt 50"
)
def shapes(
    files: FilesArgument,
    out: OutOption = Path("jet-shapes"),
    jets: CollectionOption = JetSelection.jets,
    min_pt: PtOption = JetSelection.min_pt,
    max_abs_eta: EtaOption = JetSelection.max_abs_eta,
    gen: Annotated[bool, option(JetSelection, "gen", "--gen")] = False,
    variations: Annotated[
        Path | None, typer.Option(help="TOML of variations: other scales and weights of jets.")
    ] = None,
    step: StepOption = "50 MB",
    skip_errors: SkipOption = False,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """Spectra, multiplicities, girth, pTD, widths and mean images by flavour; dijet mass."""
    from fastjag.analyses.common.variations import read_variations
    from fastjag.analyses.jets.run import run
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep, device)
    selection = JetSelection(jets=jets, min_pt=min_pt, max_abs_eta=max_abs_eta, gen=gen)
    varied = read_variations(variations) if variations else ()
    config = JetsConfig(selection=selection, variations=varied)
    result = run("shapes", files, out, config, step=step_of(step),
                 skip_errors=skip_errors, threads=threads, workers=workers)  # fmt: skip
    _show("Jets", result.counts)
    show_skipped(result.skipped)
    finish(f"{result.seconds:.2f} s; results in {out}", seconds=result.seconds, out=out)


@app.command(
    reads=True, epilog="Example: fastjag jets tensors jets.root --out tensors --format hdf5"
)
def tensors(
    files: FilesArgument,
    out: OutOption = Path("jet-tensors"),
    format: Annotated[str, option(TensorsConfig, "format")] = TensorsConfig.format,
    jets: CollectionOption = JetSelection.jets,
    min_pt: PtOption = JetSelection.min_pt,
    max_abs_eta: EtaOption = JetSelection.max_abs_eta,
    candidates: Annotated[int, option(TensorsConfig, "candidates")] = TensorsConfig.candidates,
    tracks: Annotated[int, option(TensorsConfig, "tracks")] = TensorsConfig.tracks,
    vertices: Annotated[int, option(TensorsConfig, "vertices")] = TensorsConfig.vertices,
    images: Annotated[bool, option(TensorsConfig, "images", "--images")] = False,
    step: StepOption = "50 MB",
    skip_errors: SkipOption = False,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """Zero-padded features of the leading constituents, tracks and vertices, for training."""
    from fastjag.analyses.jets.run import run
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep, device)
    config = JetsConfig(
        selection=JetSelection(jets=jets, min_pt=min_pt, max_abs_eta=max_abs_eta),
        tensors=TensorsConfig(format=format, candidates=candidates, tracks=tracks,
                              vertices=vertices, images=images),
    )  # fmt: skip
    written = run("tensors", files, out, config, step=step_of(step), skip_errors=skip_errors,
                  workers=workers)  # fmt: skip
    for skipped in written["skipped"]:
        remark("skipped", f"{skipped['file']}: {skipped['reason']}")
    finish(f"{written['jets']:,} jets, {len(written['columns'])} columns; results in {out}",
           jets=written["jets"], columns=written["columns"], out=out)  # fmt: skip


@app.command(
    reads=True,
    draws=True,
    epilog="Example: fastjag jets tracks pfnano.root --out tracks --min-track-pt 1",
)
def tracks(
    files: FilesArgument,
    out: OutOption = Path("jet-tracks"),
    jets: Annotated[str, option(TrackSelection, "jets")] = TrackSelection.jets,
    tracks: Annotated[str, option(TrackSelection, "tracks")] = TrackSelection.tracks,
    dxy: Annotated[str, option(TrackSelection, "dxy")] = TrackSelection.dxy,
    weight: Annotated[str | None, option(TrackSelection, "weight")] = None,
    radius: Annotated[float, option(TrackSelection, "radius")] = TrackSelection.radius,
    min_pt: PtOption = TrackSelection.min_jet_pt,
    min_track_pt: Annotated[float, option(TrackSelection, "min_track_pt")] = 0.0,
    step: StepOption = "100 MB",
    skip_errors: SkipOption = False,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "none",
    keep: KeepOption = None,
    device: ReadDeviceOption = "cpu",
) -> None:
    """The d_xy spectrum of tracks in jets and elsewhere, by flavour of the jets."""
    from fastjag.analyses.jets.run import run
    from fastjag.commands.executors import workers_of

    workers = workers_of(executor, keep, device)
    selection = TrackSelection(jets=jets, tracks=tracks, dxy=dxy, weight=weight, radius=radius,
                               min_jet_pt=min_pt, min_track_pt=min_track_pt)  # fmt: skip
    result = run("tracks", files, out, JetsConfig(tracks=selection), step=step_of(step),
                 skip_errors=skip_errors, threads=threads, workers=workers)  # fmt: skip
    _show("Tracks", result.counts)
    show_skipped(result.skipped)
    finish(f"{result.seconds:.2f} s; results in {out}", seconds=result.seconds, out=out)


@app.command(draws=True, epilog="Example: fastjag jets train tensors --target quark --out tagger")
def train(
    source: Annotated[Path, typer.Argument(metavar="TENSORS", help="What `jets tensors` wrote.")],
    out: OutOption = Path("jet-tagger"),
    target: Annotated[str, option(TrainConfig, "target")] = TrainConfig.target,
    models: Annotated[
        list[str] | None, typer.Option(help="XGBoost or DeepSets; repeat. Default: both.")
    ] = None,
    max_jets: Annotated[int | None, option(TrainConfig, "max_jets")] = None,
    epochs: Annotated[int, option(TrainConfig, "epochs")] = TrainConfig.epochs,
    rounds: Annotated[int, option(TrainConfig, "rounds")] = TrainConfig.rounds,
    seed: SeedOption = TrainConfig.seed,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
) -> None:
    """Taggers from padded tensors, tested on events they have not seen."""
    from fastjag.analyses.jets.run import run
    from fastjag.reporting.report import with_error

    config = TrainConfig(target=target, models=tuple(models or MODELS), max_jets=max_jets,
                         epochs=epochs, rounds=rounds, seed=seed)  # fmt: skip
    result = run("train", str(source), out, JetsConfig(train=config), device=device,
                 threads=threads)  # fmt: skip
    for name, tagger in result.models.items():
        tell(f"{name}: AUC {with_error(tagger['auc'], tagger['auc_error'])}, "
             f"mistag {tagger['mistag_at_50']:.3%} at 50 % efficiency")  # fmt: skip
    keys = ("auc", "auc_error", "mistag_at_50")
    taggers = {name: {key: tagger[key] for key in keys} for name, tagger in result.models.items()}
    finish(f"results in {out}", taggers=taggers, out=out)


@app.command(draws=True, epilog="Example: fastjag jets demo --out demo-jets")
def demo(
    out: OutOption = Path("jet-demo"),
    jets: Annotated[
        int, typer.Option(min=1, help="Toy jets in each format, 2,000 or more.")
    ] = 10_000,
    seed: SeedOption = 1,
) -> None:
    """All of the above on toy jets, in about a minute."""
    from fastjag.analyses.jets import toys

    toys.demo(out, jets, seed, told=tell)
    finish(f"results in {out}", out=out)


add_config(app, "jets", "JetsConfig")
