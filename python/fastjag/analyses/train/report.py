"""Stage: what the tagger can do, how sure that is, and how it learned, in one page."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastjag import __version__
from fastjag.analyses.common.servers import recorded
from fastjag.analyses.train.config import TaggerConfig
from fastjag.analyses.train.performance import calibration_of, curve_of, histogram_of
from fastjag.analyses.train.pictures.calibration import draw_calibration
from fastjag.analyses.train.pictures.curves import draw_losses, draw_scores
from fastjag.analyses.train.results import PARTS, ScoredEvents, TaggerResults
from fastjag.core.arrays import Array
from fastjag.inputs.weighting import CELL
from fastjag.reporting.output import results_directory, write_json
from fastjag.reporting.plots import save
from fastjag.reporting.report import Report, with_error
from fastjag.reporting.roc import draw_roc
from fastjag.reporting.titles import plain
from fastjag.statistics import fit_warning

_EDGES = np.linspace(0, 1, 26)


def report(results: TaggerResults) -> None:
    """Pictures, ``results.json`` and ``report.html``."""
    config, training, test = results.config, results.training(), results.test()
    content = summary_of(config, training, test, results.inputs().weight)
    with results_directory(results.folder("report")) as directory:
        page = Report(f"Tagger: {config.name}", content["sentence"])

        def show(name: str, fig: Any, caption: str) -> None:
            save(fig, directory / f"{name}.png", directory / f"{name}.pdf")
            page.figure(directory / f"{name}.png", caption)

        for warning in content["warnings"]:
            page.warning(warning)
        signal, others = content["signal"], content["background"]
        page.heading("What it can do")
        curves = {plain(name): curve for name, curve in content["curves"].items()}
        of_class = next(iter(curves)) if len(curves) == 1 else "the class"
        show("roc", draw_roc(curves, of_class, plain(others)),
             "Of test events, which neither training nor validation has seen: the share of other events "
             "that pass against that of the class. Bands: statistical errors (Clopper and Pearson, "
             "effective numbers of events).")  # fmt: skip
        page.table(*curve_table(content["curves"]))
        show("scores", draw_scores(content["scores"], _EDGES, signal),
             "Scores of the test events of each class, each normalised to 1, with statistical "
             "errors.")  # fmt: skip
        page.heading("Are its scores probabilities?")
        c = content["calibration"]
        show("calibration", draw_calibration(c, signal),
             "In bins of equally many test events: the share that is of the class against the mean score, with "
             "classes of equal weight as in training. Below: the difference in standard deviations.")  # fmt: skip
        page.text(f"Scores are off by {c['off']:.4f} on average; chi2 / bins = {c['chi2']:.1f} / {c['dof']} "
                  f"{fit_warning(c['chi2'], c['dof'])}".rstrip() + ".")  # fmt: skip
        page.heading("How it learned")
        show("training", draw_losses(training["losses"], training["best"], training["per"]),
             f"The loss by {training['per']}, while it learned and on the validation events. The dotted line "
             f"is the {training['per']} whose model is kept.")  # fmt: skip
        page.table(("data set", *PARTS), _event_rows(results))
        page.heading("Files and settings")
        page.files([f"{d.name}: {file}" for d in config.datasets for file in d.files])
        page.text(f"The model is in {results.model.name}, what it sees in inputs.json, both in the folder "
                  f"“train”. {_exported(training)}")  # fmt: skip
        settings = recorded(config)
        page.settings({k: v for k, v in settings.items() if k != "datasets"})
        write_json(directory / "results.json", {
            "fastjag": __version__, **content, "events": results.events(), "training": training,
            "config": settings,
        })  # fmt: skip
        page.write(directory / "report.html", f"fastjag {__version__}")


def summary_of(
    config: TaggerConfig, training: dict[str, Any], test: ScoredEvents, weighting: Any
) -> dict[str, Any]:
    """All numbers of the report, and what they say in a sentence."""
    names, code = config.class_names, config.signal_code
    signal = names[code]
    background = names[1 - code] if len(names) == 2 else "other classes"
    shown = [code] if len(names) == 2 else [code, *(i for i in range(len(names)) if i != code)]
    for i, name in enumerate(names):
        if not test.weight[test.target == i].sum() > 0:
            raise ValueError(f"the test events of class {name!r} have no weight: their number is "
                             f"{int((test.target == i).sum())}")  # fmt: skip
    curves = {names[i]: curve_of(test.target == i, test.scores[:, i], test.weight) for i in shown}
    own = test.scores[:, code]
    known = {"weight": test.weight, "target": test.target, CELL: test.cells}
    trained = weighting.weights(known).astype(np.float64)
    calibration = calibration_of(test.target == code, own, trained)
    scores = {
        name: {**histogram_of(own[test.target == i], test.weight[test.target == i], _EDGES),
               "events": int((test.target == i).sum())}
        for i, name in enumerate(names)
    }  # fmt: skip
    content: dict[str, Any] = {
        "signal": signal, "background": background, "curves": curves, "calibration": calibration,
        "scores": scores,
    }  # fmt: skip
    content["sentence"] = sentence_of(config.model, content, len(test.target))
    content["warnings"] = warnings_of(training, calibration, test.weight)
    return content


def sentence_of(model: str, content: dict[str, Any], events: int) -> str:
    """What was found, and how sure it is."""
    signal, background = content["signal"], content["background"]
    curve = content["curves"][signal]
    auc, error = curve["auc"], curve["auc_error"]
    sure = abs(auc - 0.5) / error if error > 0 else np.inf
    area = f"an area under the ROC curve of {with_error(auc, error)}"
    if sure < 3:
        return (
            f"{model} cannot tell {signal} from {background}: on {events:,} test events it has {area}, "
            f"{sure:.1f} standard deviations from the 0.5 of guessing."
        )
    half = curve["mistag_at_50"]
    rate = with_error(100 * half["rate"], 50 * (half["below"] + half["above"]))
    return (
        f"{model} tells {signal} from {background} with {area} on {events:,} test events that it has "
        f"not seen; where half of {signal} passes, {rate} % of {background} do."
    )


def warnings_of(training: dict[str, Any], calibration: dict[str, Any], weights: Array) -> list[str]:
    """What a reader has to know before using the tagger; empty where there is nothing."""
    found = []
    losses = training["losses"]["validation"]
    if training["best"] == len(losses) - 1 and len(losses) > 1:
        found.append(
            f"! The loss in validation was still falling in the last {training['per']}: more of them may "
            "make a better tagger"
        )
    if said := fit_warning(calibration["chi2"], calibration["dof"]):
        found.append(f"! Scores are no probabilities: chi2 / bins = {calibration['chi2']:.1f} / "
                     f"{calibration['dof']} {said}")  # fmt: skip
    if (weights < 0).any():
        share = -weights[weights < 0].sum() / np.abs(weights).sum()
        found.append(
            f"! {100 * share:.1f} % of the weight of the test events is negative: curves count it, "
            "training does not"
        )
    return found


def curve_table(curves: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns = ("class", "AUC", "mistag at 50 %", "mistag at 80 %", "events of it", "other events")
    rows = []
    for name, curve in curves.items():
        rates = []
        for percent in (50, 80):
            at = curve[f"mistag_at_{percent}"]
            rates.append(
                f"{100 * at['rate']:.3g} % (-{100 * at['below']:.2g} +{100 * at['above']:.2g})"
            )
        rows.append((name, with_error(curve["auc"], curve["auc_error"]), *rates,
                     f"{curve['signal_events']:,.0f}", f"{curve['background_events']:,.0f}"))  # fmt: skip
    return columns, rows


def _event_rows(results: TaggerResults) -> list[tuple[Any, ...]]:
    events = results.events()
    return [
        (d.name, *(f"{events[part][d.name]:,}" for part in PARTS)) for d in results.config.datasets
    ]


def _exported(training: dict[str, Any]) -> str:
    if "onnx_difference" not in training:
        return "It is XGBoost's own JSON."
    return (
        f"It has {training['parameters']:,} parameters; scores of the ONNX file differ from torch's by "
        f"{training['onnx_difference']:.1g} at most. The curves above are those of the file."
    )
