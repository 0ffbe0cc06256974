"""``fastjag importance``: which features matter to a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.commands import (
    App,
    OutOption,
    ThreadsOption,
    add_config,
    finish,
    option,
    remark,
    show,
    tell,
)

if TYPE_CHECKING:
    from fastjag.analyses.importance import Importances

app = App(
    help="Feature importance: Taylor coefficients, permutations, filters, trees, wrappers.",
    no_args_is_help=True,
)
SeedOption = Annotated[int, option(ImportanceConfig, "seed")]

_SHOWN = ("mutual information", "tree SHAP", "permutation", "Taylor")


@app.command(
    draws=True,
    epilog="Example: fastjag importance run pairs.parquet --label signal --weight weight "
    "--out importance",
)
def run(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or npz file of columns.")],
    label: Annotated[str, option(ImportanceConfig, "label")],
    weight: Annotated[str | None, option(ImportanceConfig, "weight")] = None,
    features: Annotated[list[str] | None, option(ImportanceConfig, "features")] = None,
    model: Annotated[Path | None, option(ImportanceConfig, "model")] = None,
    trust_model: Annotated[
        bool, option(ImportanceConfig, "trust_model", "--trust-model")
    ] = ImportanceConfig.trust_model,
    output: Annotated[int | None, option(ImportanceConfig, "output")] = None,
    methods: Annotated[list[str] | None, option(ImportanceConfig, "methods")] = None,
    correlated: Annotated[
        float, option(ImportanceConfig, "correlated")
    ] = ImportanceConfig.correlated,
    epochs: Annotated[int, option(ImportanceConfig, "epochs")] = ImportanceConfig.epochs,
    repeats: Annotated[int, option(ImportanceConfig, "repeats")] = ImportanceConfig.repeats,
    seed: SeedOption = ImportanceConfig.seed,
    out: OutOption = Path("importance"),
    threads: ThreadsOption = None,
) -> None:
    """Importances of a table's columns by many methods: report, pictures and JSON."""
    from fastjag.analyses.importance import run as stages

    config = ImportanceConfig(
        table=str(table), label=label, weight=weight, features=tuple(features or ()) or None,
        model=None if model is None else str(model),
        trust_model=trust_model, output=output, methods=tuple(methods or ImportanceConfig.methods),
        correlated=correlated, epochs=epochs, repeats=repeats, seed=seed,
    )  # fmt: skip
    show_importances(stages.run(config, out, threads=threads), out)


@app.command(draws=True, epilog="Example: fastjag importance demo --out demo")
def demo(
    out: OutOption = Path("importance-demo"),
    events: Annotated[int, typer.Option(min=1, help="Number of toy events.")] = 20_000,
    seed: SeedOption = 1,
) -> None:
    """Toys of two classes that differ in a mean, a width and a product: which method sees what?"""
    from fastjag.analyses.importance import toys

    show_importances(toys.demo(out, events=events, seed=seed), out)


def show_importances(result: Importances, out: Path) -> None:
    """A table of the main methods, and where all of them are."""
    normalised, mean = result.normalised(), result.mean()
    shown = [name for name in _SHOWN if name in normalised]
    table = Table("feature", "mean of all", *shown, title="Importance, the largest being 1")
    for i in result.order():
        cells = (mean[i], *(normalised[name][i] for name in shown))
        table.add_row(result.names[i], *(f"{x:.2f}" for x in cells))
    features = [
        {
            "feature": result.names[i],
            "mean": mean[i],
            **{name: normalised[name][i] for name in shown},
        }
        for i in result.order()
    ]
    show(table, importances=features, performance=result.performance)
    pairs = {key: t for key, t in result.taylor.items() if len(key) == 2}
    for key in sorted(pairs, key=lambda k: -pairs[k])[:3]:
        tell(f"second order: {result.term(key)} {pairs[key]:.4g}")
    for model, area in result.performance.items():
        tell(f"area under the ROC curve, {model}: {area:.4f}")
    for warning in result.warnings:
        remark("warning", warning)
    finish(f"results in {out}", out=out)


add_config(app, "importance", "ImportanceConfig")
