"""Scores of any model that fastjag knows, block by block, so that they are the same to the last bit anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastjag.core.arrays import Array
from fastjag.core.checks import near_misses, needs
from fastjag.models.onnx import OnnxModel
from fastjag.models.training_device import training_device

#: Events that a model is given at a time: the last block is filled up, so that matrix products always have
#: one shape, and an event the same score whatever others are read with it.
BLOCK = 1024

Tensors = Mapping[str, Array]
_ENDINGS = {".onnx": "ONNX", ".pt": "a network of fastjag", ".json": "XGBoost", ".ubj": "XGBoost"}


class Scorer(Protocol):
    """A model that gives scores to a block of events; it can be pickled."""

    classes: list[str] | None  #: names of the columns of its scores, if it knows them
    table: (
        list[str] | None
    )  #: names of the columns of its table, where it takes one instead of tensors

    def __call__(self, block: Any) -> NDArray[np.float32]:
        """Scores (n,) or (n, K) of tensors by name, or of a float32 table (n, F)."""


def scorer_of(model: Any, device: str = "cpu") -> Scorer:
    """What gives the scores of a model.

    ``model`` is a :class:`fastjag.models.padded_networks.TaggerNetwork`, or another torch module that takes a dict
    of tensors and gives scores; a Booster of XGBoost or a fitted :class:`fastjag.models.boosted_trees.BoostedTrees`;
    an :class:`fastjag.models.onnx.OnnxModel`; or a path: ``.onnx``, ``.pt`` (TaggerNetwork.save), ``.json`` or
    ``.ubj`` (XGBoost). ``device`` is where a torch module runs. Raises TypeError and ValueError that name what is accepted.
    """
    if isinstance(model, (str, os.PathLike)):
        model = _read(Path(model))
    module = type(model).__module__.split(".")[0]
    if isinstance(model, OnnxModel):
        return _Onnx(model)
    if hasattr(model, "model_") and hasattr(model.model_, "inplace_predict"):
        return _Trees(model.model_, [str(name) for name in model.classes_])
    if module == "xgboost" and hasattr(model, "inplace_predict"):
        return _Trees(model, None)
    if hasattr(model, "state_dict") and callable(model):
        return _Network(model.eval(), training_device(device, "torch"))
    raise TypeError(
        f"model must be a torch network, XGBoost's Booster, BoostedTrees, an OnnxModel or a path ending in "
        f"{', '.join(_ENDINGS)}, got {type(model).__name__}"
    )


def _read(path: Path) -> Any:
    kind = _ENDINGS.get(path.suffix)
    if kind is None:
        raise ValueError(
            f"{path}: the name of a model ends in {', '.join(_ENDINGS)}: "
            f"{near_misses(path.suffix, _ENDINGS)}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model")
    if kind == "ONNX":
        return OnnxModel.read(path)
    if kind == "XGBoost":
        needs("xgboost", "trees")
        from fastjag.models.boosted_trees import read_booster

        return read_booster(path)
    needs("torch", "torch")
    from fastjag.models.tagger_networks import load_network

    return load_network(path)


def scores_in_blocks(scorer: Scorer, values: Any, n: int) -> NDArray[np.float32]:
    """Scores of n events, (n,) or (n, K): of tensors by name, or of a table, a block at a time."""
    found = []
    for start in range(0, max(n, 1), BLOCK):
        part = slice(start, min(start + BLOCK, n))
        rows = part.stop - part.start
        if isinstance(values, Mapping):
            block: Any = {name: _filled(array[part]) for name, array in values.items()}
        else:
            block = _filled(values[part])
        found.append(scorer(block)[:rows])
    return np.concatenate(found)


def _filled(part: Array) -> Array:
    """A block of so many rows: those that are missing are zeros."""
    if len(part) == BLOCK:
        return part
    whole = np.zeros((BLOCK, *part.shape[1:]), part.dtype)
    whole[: len(part)] = part
    return whole


@dataclass
class _Onnx:
    model: OnnxModel

    def __post_init__(self) -> None:
        self.classes: list[str] | None = self.model.classes
        self.table: list[str] | None = None

    def __call__(self, block: Tensors) -> NDArray[np.float32]:
        return self.model.scores(block)


@dataclass
class _Trees:
    booster: Any
    classes: list[str] | None

    def __post_init__(self) -> None:
        self.table: list[str] | None = list(self.booster.feature_names or []) or [
            f"f{i}" for i in range(self.booster.num_features())
        ]

    def __call__(self, block: Array) -> NDArray[np.float32]:
        self.booster.set_param({"nthread": 1})
        try:
            best = (0, self.booster.best_iteration + 1)
        except AttributeError:  # trained without early stopping
            best = (0, 0)
        return np.asarray(
            self.booster.inplace_predict(block, iteration_range=best, validate_features=False),
            np.float32,
        )


@dataclass
class _Network:
    module: Any
    device: str

    def __post_init__(self) -> None:
        self.classes: list[str] | None = None
        self.table: list[str] | None = None

    def __call__(self, block: Tensors) -> NDArray[np.float32]:
        import torch

        run: Callable[..., Any] = getattr(self.module, "scores", self.module)
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # sums may be taken in another order by several
        try:
            self.module.to(self.device)
            with torch.inference_mode():
                given = {k: torch.as_tensor(v, device=self.device) for k, v in block.items()}
                found = run(given).float().cpu().numpy()
        finally:
            torch.set_num_threads(before)
        return np.asarray(found)
