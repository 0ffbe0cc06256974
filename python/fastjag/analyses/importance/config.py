"""Every setting of a comparison of importances."""

from __future__ import annotations

from fastjag.analyses.importance.results import METHODS
from fastjag.core.settings import File, setting, settings


@settings
class ImportanceConfig:
    """Which table and columns, which model, and how long to look."""

    table: File = setting("Parquet, CSV or npz file of columns.")
    label: str = setting("Column of the class, two or more values.")
    weight: str | None = setting("Column of event weights.", default=None, none=False)
    features: tuple[str, ...] | None = setting(
        "Columns to compare; repeat. Default: all other columns of numbers.", default=None
    )
    model: File | None = setting(
        "A torch module of these columns, saved whole or exported; it needs --trust-model. "
        "Default: a small network is trained.", default=None, none=False,
    )  # fmt: skip
    trust_model: bool = setting(
        "The file of --model may run any code: you know where it is from.", default=False
    )
    output: int | None = setting("Output node for Taylor coefficients; default: all.", default=None)
    methods: tuple[str, ...] = setting(
        "Methods by name; repeat. Default: all.", default=tuple(METHODS)
    )
    correlated: float = setting(
        "Spearman correlation from which on features form clusters.", default=0.7
    )
    epochs: int = setting("Epochs of the network's training.", default=20, least=1)
    repeats: int = setting("Shuffles of each feature.", default=5, least=1)
    seed: int = setting("Seed of splits, trainings and shuffles.", default=0, least=0)
