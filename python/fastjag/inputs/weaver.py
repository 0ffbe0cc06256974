"""weaver-core's data configuration, a YAML file, as one more way to write inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fastjag.core.checks import near_misses, needs
from fastjag.inputs.columns import InputColumn
from fastjag.inputs.expressions import expression
from fastjag.inputs.groups import InputGroup
from fastjag.inputs.reweighting import Reweighting
from fastjag.inputs.targets import TrainingTarget
from fastjag.inputs.weighting import Weighting

T = TypeVar("T")

#: Keys that mean something here.
KEYS = (
    "selection", "test_time_selection", "new_variables", "preprocess", "inputs", "labels", "observers",
    "weights",
)  # fmt: skip
#: Keys of weaver that do not, and what does the same.
REFUSED = {
    "treename": "the data sets say it, as in file.root:tree",
    "branch_magic": "new_variables can give a branch another name",
    "file_magic": "labels by data set are target={...}",
    "monitor_variables": "observers go along with each event, as they were before standardisation",
    "bucketing": "batches are of all lengths",
}


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The keys of :class:`fastjag.Inputs` of a file; a ValueError names the file and the key that is wrong."""
    needs("yaml", "weaver")
    import yaml

    name = os.fspath(path)
    try:
        content = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: is no YAML file: {str(error).splitlines()[0]}") from None
    try:
        return from_content(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def from_content(content: Any) -> dict[str, Any]:
    """Of what the YAML file holds."""
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004
            f"must be a table with the keys inputs and labels, got {content!s:.80}"
        )
    for key, value in content.items():
        if key in REFUSED and value:
            raise ValueError(f"{key} is not supported: {REFUSED[key]}")
        if key not in KEYS and key not in REFUSED:
            raise ValueError(f"unknown key {key!r}: {near_misses(str(key), KEYS)}")
    define = _new_variables(content.get("new_variables"))
    selection = _text(content.get("selection"), "selection")
    return {
        "groups": _groups(content.get("inputs"), _preprocess(content.get("preprocess")), define),
        "define": define,
        "target": _target(content.get("labels")),
        "weight": _weighting(content.get("weights")),
        "selection": selection,
        "prediction_selection": _text(content.get("test_time_selection"), "test_time_selection")
        or selection,
        "observers": tuple(
            _text(name, "observers") or "" for name in content.get("observers") or ()
        ),
    }


# ---- variables -------------------------------------------------------------------------------------


def _text(value: Any, key: str) -> str | None:
    """An expression, or none; numbers are expressions, as in ``label: 1``."""
    if value is None or value == "":
        return None
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{key} must be an expression, got {value!r}")  # noqa: TRY004
    text = str(value).strip()
    _told(key, lambda: expression(text))
    return text


def _told(key: str, make: Callable[[], T]) -> T:
    """What ``make`` gives; its error begins with the key."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _table(value: Any, key: str, accepted: Sequence[str] | None = None) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be a table, got {value!r}")  # noqa: TRY004
    for name in value:
        if accepted is not None and name not in accepted:
            raise ValueError(f"unknown key {name!r} in {key}: {near_misses(str(name), accepted)}")
    return value


def _new_variables(value: Any) -> dict[str, str]:
    found = {}
    for name, text in _table(value, "new_variables").items():
        key = f"new_variables.{name}"
        found[str(name)] = _text(text, key) or ""
        if not found[str(name)]:
            raise ValueError(f"{key} must be an expression, got nothing")
    return found


def _preprocess(value: Any) -> Mapping[str, Any]:
    """Parameters by variable, which files that weaver wrote itself have."""
    table = _table(value, "preprocess", ("method", "data_fraction", "params"))
    method = table.get("method", "manual")
    params = _table(table.get("params"), "preprocess.params")
    if method != "manual" and not params:
        raise ValueError(
            f"preprocess.method {method!r} is not supported, only 'manual': give center and scale for each "
            "variable, or make groups by fj.particles(..., standardise='fit')"
        )
    return params


# ---- inputs ----------------------------------------------------------------------------------------


def _groups(
    value: Any, params: Mapping[str, Any], define: Mapping[str, str]
) -> tuple[InputGroup, ...]:
    table = _table(value, "inputs")
    if not table:
        raise ValueError("inputs must name at least one group")
    return tuple(_group(str(name), group, params) for name, group in table.items())


def _group(name: str, value: Any, params: Mapping[str, Any]) -> InputGroup:
    key = f"inputs.{name}"
    table = _table(value, key, ("length", "pad_mode", "vars"))
    variables = table.get("vars")
    if not isinstance(variables, (list, tuple)) or not variables:
        raise ValueError(f"{key}.vars must be a list of variables, got {variables!r}")
    length, mode = table.get("length"), str(table.get("pad_mode", "constant")).lower()
    if length is not None and (
        not isinstance(length, int) or isinstance(length, bool) or length < 1
    ):
        raise ValueError(f"{key}.length must be an integer >= 1 or null, got {length!r}")
    if mode not in ("constant", "wrap"):
        raise ValueError(
            f"{key}.pad_mode must be 'constant' or 'wrap', got {table.get('pad_mode')!r}"
        )
    if name.endswith("_mask") and mode != "constant":
        raise ValueError(f"{key}.pad_mode must be 'constant' for a mask, got {mode!r}")
    columns = tuple(_column(f"{key}.vars", one, params, mode) for one in variables)
    return _told(
        key,
        lambda: InputGroup(
            name=name, kind="features" if length is None else "particles", columns=columns, width=length,
            layout="NFK", pad_mode=mode, nan=0.0, mask=False,  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def _column(key: str, value: Any, params: Mapping[str, Any], mode: str) -> InputColumn:
    """``name`` or ``[name, center, scale, min, max, pad]``: clipped only where a center is given."""
    numbers: dict[str, Any] = {"center": None, "scale": 1, "min": -5, "max": 5, "pad": 0}
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    if not given or not isinstance(given[0], str) or len(given) > 6:
        raise ValueError(
            f"{key}: a variable is name or [name, center, scale, min, max, pad], got {value!r}"
        )
    name = given[0]
    numbers |= dict(zip(numbers, given[1:], strict=False))
    if name in params:
        known = ("length", "pad_mode", "center", "scale", "min", "max", "pad_value")
        own = dict(_table(params[name], f"preprocess.params.{name}", known))
        own["pad"] = own.pop("pad_value", 0)
        numbers |= {k: v for k, v in own.items() if k in numbers}
    if numbers["center"] == "auto":
        raise ValueError(
            f"{key}: center 'auto' of {name!r} is not supported: give a number or null"
        )
    for what, number in numbers.items():
        if (number is not None or what != "center") and (
            isinstance(number, bool) or not isinstance(number, (int, float))
        ):
            raise ValueError(f"{key}: {what} of {name!r} must be a number, got {number!r}")
    standard: dict[str, Any] = {}
    if numbers["center"] is not None:
        if numbers["scale"] == 0:
            raise ValueError(f"{key}: scale of {name!r} must not be 0")
        standard = {
            "mean": numbers["center"], "scale": 1 / numbers["scale"], "clip": (numbers["min"], numbers["max"])
        }  # fmt: skip
    fill = (
        0.0 if mode == "wrap" else numbers["pad"]
    )  # as weaver has it, for events without particles
    return _told(key, lambda: InputColumn(name=name, expression=name, fill=fill, **standard))


# ---- labels and weights ----------------------------------------------------------------------------


def _target(value: Any) -> TrainingTarget:
    table = _table(value, "labels", ("type", "value"))
    kind, labels = table.get("type"), table.get("value")
    if kind == "simple":
        if not isinstance(labels, (list, tuple)) or not labels:
            raise ValueError(f"labels.value must be a list of labels, got {labels!r}")
        texts = [_text(text, "labels.value") or "" for text in labels]
        return _told(
            "labels.value",
            lambda: TrainingTarget(kind="classes", names=tuple(texts), titles=tuple(texts)),
        )
    if kind != "custom":
        raise ValueError(f"labels.type must be 'simple' or 'custom', got {kind!r}")
    named = {
        str(n): _text(t, f"labels.value.{n}") or ""
        for n, t in _table(labels, "labels.value").items()
    }
    return _told(
        "labels.value",
        lambda: TrainingTarget(
            kind="expressions", names=tuple(named.values()), titles=tuple(named)
        ),
    )


def _weighting(value: Any) -> Weighting | None:
    known = (
        "use_precomputed_weights", "weight_branches", "reweight_method", "reweight_vars", "reweight_classes",
        "class_weights", "reweight_threshold", "reweight_discard_under_overflow", "reweight_basewgt",
        "reweight_hists",
    )  # fmt: skip
    table = _table(value, "weights", known)
    if not table:
        return None
    if table.get("use_precomputed_weights"):
        branches = table.get("weight_branches")
        if not isinstance(branches, (list, tuple)) or not branches:
            raise ValueError(
                f"weights.weight_branches must be a list of branches, got {branches!r}"
            )
        texts = [_text(text, "weights.weight_branches") for text in branches]
        return Weighting(expression=" * ".join(f"({text})" for text in texts))
    variables = _table(table.get("reweight_vars"), "weights.reweight_vars")
    classes = table.get("reweight_classes")
    if not isinstance(classes, (list, tuple)) or not classes:
        raise ValueError(f"weights.reweight_classes must be a list of labels, got {classes!r}")
    hists = table.get("reweight_hists")
    options = {
        "variables": {str(name): edges for name, edges in variables.items()}, "classes": tuple(classes),
        "method": table.get("reweight_method", "flat"), "threshold": table.get("reweight_threshold", 10),
        "class_weights": table.get("class_weights"),
        "outside": "drop" if table.get("reweight_discard_under_overflow", True) else "clip",
        "factors": None if hists is None else _histograms(hists, classes),
    }  # fmt: skip
    histograms = _told("weights", lambda: Reweighting(**options))
    basic = _text(table.get("reweight_basewgt"), "weights.reweight_basewgt")
    return Weighting(expression=basic, reweight=histograms)


def _histograms(value: Any, classes: Sequence[str]) -> list[list[float]]:
    table = _table(value, "weights.reweight_hists", classes)
    if missing := [name for name in classes if name not in table]:
        raise ValueError(f"weights.reweight_hists lacks {missing[0]!r}")
    return [[float(x) for row in table[name] for x in row] for name in classes]
