"""flow: normalising flows learn the features of the sidebands, given the mass."""

from __future__ import annotations

from fastjag.analyses.dimuon.pairs import check_bands
from fastjag.analyses.dimuon.preprocess import Preprocessing
from fastjag.analyses.dimuon.results import DimuonResults
from fastjag.models.flow import fit_flows
from fastjag.reporting.output import results_directory, write_json


def flow(results: DimuonResults) -> None:
    """Fit the preprocessing and one flow for each seed; an interrupted training goes on."""
    config, folder = results.config, results.folder("flow")
    settings, seeds = config.flow_settings(), config.flow_seeds
    opposite = results.pairs("OS")
    preprocessing = Preprocessing.fit(
        opposite.features, opposite.mass, opposite.sideband, config.seed
    )
    dropped, left_out = {}, {}
    # All that can be wrong is found before the training. The last class is the one to learn from.
    for c in (results.other_class, config.train_on):
        trained = c == config.train_on
        try:
            pairs = results.pairs(c)
            rows = preprocessing.transform(pairs.features, pairs.mass)
            check_bands(pairs[rows.kept], config.window, f"{c} pairs", trained=trained)
        except ValueError as error:
            if trained:
                raise
            # Nothing is learned from this one: a search without it has no control.
            left_out[c] = str(error).removeprefix(f"{results.path_of_pairs(c)}: ")
        else:
            dropped[c] = rows.dropped
    sideband = pairs.sideband[rows.kept]
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "training.pt"  # outside of the results: an interrupted one goes on
    flows = fit_flows(
        settings, seeds, rows.values[sideband], rows.mass[sideband], device=results.device,
        checkpoint=checkpoint, progress=results.progress,
    )  # fmt: skip
    with results_directory(folder) as directory:
        for seed, fitted in zip(seeds, flows, strict=True):
            fitted.save(directory / f"seed{seed}.pt")
        write_json(directory / "preprocessing.json", preprocessing.to_dict())
        records = [fitted.record for fitted in flows]
        write_json(
            directory / "training.json",
            {"flows": records, "dropped": dropped, "left_out": left_out},
        )
    checkpoint.unlink(missing_ok=True)
