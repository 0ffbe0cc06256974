"""compare: a table of features and a model, from their files, to importances."""

from __future__ import annotations

from fastjag.analyses.importance.comparison import compare_importances
from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.analyses.importance.models import load_module
from fastjag.analyses.importance.results import Importances
from fastjag.analyses.importance.tables import FeatureTable, read_table


def compare(
    config: ImportanceConfig, *, threads: int | None = None, progress: bool | None = None
) -> tuple[FeatureTable, Importances]:
    """The events that have numbers in all columns, and what their columns tell about the class."""
    model = None if config.model is None else load_module(config.model, trust=config.trust_model)
    table = read_table(config.table, config.label, config.weight, config.features)
    result = compare_importances(
        table.features, table.labels, table.weights, table.names, model=model,
        output=config.output, methods=config.methods, correlated=config.correlated,
        epochs=config.epochs, repeats=config.repeats, seed=config.seed, threads=threads,
        progress=progress,
    )  # fmt: skip
    return table, result
