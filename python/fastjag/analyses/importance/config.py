"""Every setting of a comparison of importances."""

from __future__ import annotations

from dataclasses import dataclass

from fastjag.analyses.importance.results import METHODS


@dataclass(frozen=True)
class ImportanceConfig:
    """Which table and columns, which model, and how long to look."""

    table: str  #: Parquet, CSV or npz file of columns
    label: str  #: column of the class, two or more values
    weight: str | None = None  #: column of event weights
    features: tuple[str, ...] | None = None  #: None: all other columns of numbers
    model: str | None = None  #: file of a torch module of these columns; None: one is trained
    trust_model: bool = False  #: whether the file of ``model`` may run any code
    output: int | None = None  #: node for Taylor coefficients; None: all
    methods: tuple[str, ...] = tuple(METHODS)
    correlated: float = 0.7  #: Spearman correlation from which on features form clusters
    epochs: int = 20  #: of the network's training
    repeats: int = 5  #: shuffles of each feature
    seed: int = 0  #: of splits, trainings and shuffles
