"""``fastjag importance``: which features matter to a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastjag.commands import App, OutOption, ThreadsOption, console, remark

if TYPE_CHECKING:
    from fastjag.analyses.importance import Importances

app = App(
    help="Feature importance: Taylor coefficients, permutations, filters, trees, wrappers.",
    no_args_is_help=True,
)
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of splits, trainings and shuffles.")]

_SHOWN = ("mutual information", "tree SHAP", "permutation", "Taylor")


@app.command(
    epilog="Example: fastjag importance run pairs.parquet --label signal --weight weight "
    "--out importance"
)
def run(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or npz file of columns.")],
    label: Annotated[str, typer.Option(help="Column of the class, two or more values.")],
    weight: Annotated[str | None, typer.Option(help="Column of event weights.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Columns to compare; repeat. Default: all other columns of numbers."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A torch module of these columns, saved whole or exported; it needs --trust-model. "
            "Default: a small network is trained."
        ),
    ] = None,
    trust_model: Annotated[
        bool,
        typer.Option(
            "--trust-model", help="The file of --model may run any code: you know where it is from."
        ),
    ] = False,
    output: Annotated[
        int | None, typer.Option(help="Output node for Taylor coefficients; default: all.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Methods by name; repeat. Default: all.")
    ] = None,
    correlated: Annotated[
        float, typer.Option(help="Spearman correlation from which on features form clusters.")
    ] = 0.7,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the network's training.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="Shuffles of each feature.")] = 5,
    seed: SeedOption = 0,
    out: OutOption = Path("importance"),
    threads: ThreadsOption = None,
) -> None:
    """Importances of a table's columns by many methods: report, pictures and JSON."""
    from fastjag.analyses.importance import METHODS
    from fastjag.analyses.importance import run as stages
    from fastjag.analyses.importance.config import ImportanceConfig

    config = ImportanceConfig(
        str(table), label, weight, tuple(features) if features else None, None if model is None else str(model),
        trust_model, output, tuple(methods or METHODS), correlated, epochs, repeats, seed,
    )  # fmt: skip
    show(stages.run(config, out, threads=threads), out)


@app.command(epilog="Example: fastjag importance demo --out demo")
def demo(
    out: OutOption = Path("importance-demo"),
    events: Annotated[int, typer.Option(min=1, help="Number of toy events.")] = 20_000,
    seed: SeedOption = 1,
) -> None:
    """Toys of two classes that differ in a mean, a width and a product: which method sees what?"""
    from fastjag.analyses.importance import toys

    show(toys.demo(out, events=events, seed=seed), out)


def show(result: Importances, out: Path) -> None:
    normalised, mean = result.normalised(), result.mean()
    shown = [name for name in _SHOWN if name in normalised]
    table = Table("feature", "mean of all", *shown, title="Importance, the largest being 1")
    for i in result.order():
        cells = (mean[i], *(normalised[name][i] for name in shown))
        table.add_row(result.names[i], *(f"{x:.2f}" for x in cells))
    console.print(table)
    pairs = {key: t for key, t in result.taylor.items() if len(key) == 2}
    for key in sorted(pairs, key=lambda k: -pairs[k])[:3]:
        console.print(f"second order: {result.term(key)} {pairs[key]:.4g}", highlight=False)
    for model, area in result.performance.items():
        console.print(f"area under the ROC curve, {model}: {area:.4f}", highlight=False)
    for warning in result.warnings:
        remark("warning", warning)
    console.print(f"results in {out}", soft_wrap=True)
