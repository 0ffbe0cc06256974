"""Data configurations of weaver-core as inputs of a tagger: groups with masks, and momenta for pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastjag.inputs import InputColumn, InputGroup, Inputs, TrainingTarget, weights
from fastjag.models.padded_networks import FEATURES

_MASK, _POINTS, _VECTORS = (
    "_mask",
    "_points",
    "_vectors",
)  # endings of groups, as weaver's examples have them


def labels_of(path: str) -> TrainingTarget:
    """The classes of a file; a ValueError where its labels are none."""
    target = Inputs.of(path).target
    if target is None or target.kind != "classes":
        raise ValueError(f"{path}: labels.type must be 'simple': a tagger learns classes")
    return target


def tagger_inputs(path: str, negative: str, momenta: str | None) -> Inputs:
    """What a tagger sees of a file of weaver's.

    Its groups of particles get masks in place of weaver's ``*_mask``; ``*_points`` are coordinates of ParticleNet, and
    left out. Numbers of the event become one group. Of ``*_vectors`` (px, py, pz, E) come pt, eta, phi and mass for features of
    pairs, under the name of their group and ``momenta``; None: none. Where the file has no weights, classes get
    equal sums.
    """
    target, given = labels_of(path), Inputs.of(path)
    lists = [g for g in given.groups if g.kind == "particles"]
    seen = [g for g in lists if not g.name.endswith((_MASK, _POINTS, _VECTORS))]
    groups = [replace(g, layout="NKF", pad_mode="constant", mask=True) for g in seen]
    if momenta is not None:
        groups += [
            _momenta(path, group, _owner(path, group, seen) + momenta)
            for group in lists if group.name.endswith(_VECTORS)
        ]  # fmt: skip
    flat = [column for g in given.groups if g.kind == "features" for column in g.columns]
    if flat:
        names = [column.name for column in flat]
        unique = tuple(c for i, c in enumerate(flat) if c.name not in names[:i])
        groups.append(InputGroup(name=FEATURES, kind="features", columns=unique, nan=0.0))
    if not groups:
        raise ValueError(f"{path}: inputs has no group that a tagger sees")
    weight = given.weight or weights(balance=True)
    return replace(
        given, groups=tuple(groups), target=target,
        weight=replace(weight, negative=negative),  # type: ignore[arg-type]
    )  # fmt: skip


def _owner(path: str, vectors: InputGroup, seen: list[InputGroup]) -> str:
    """The group whose particles have these momenta."""
    stem = vectors.name.removesuffix(_VECTORS)
    own = [g for g in seen if g.name.rpartition("_")[0] == stem] or seen
    if len(own) != 1 or own[0].width != vectors.width:
        raise ValueError(
            f"{path}: inputs.{vectors.name} must be as long as one group beside it, such as {stem}_features"
        )
    return own[0].name


def _momenta(path: str, vectors: InputGroup, name: str) -> InputGroup:
    if len(vectors.columns) != 4:
        raise ValueError(
            f"{path}: inputs.{vectors.name} must have px, py, pz and energy, got {len(vectors.columns)} vars"
        )
    px, py, pz, energy = (f"({column.expression})" for column in vectors.columns)
    pt, p2 = f"hypot({px}, {py})", f"square({px}) - square({py}) - square({pz})"
    columns: dict[str, dict[str, Any]] = {
        "pt": {"expression": pt},
        "eta": {"expression": f"arcsinh({pz} / {pt})", "clip": (-10.0, 10.0)},
        "phi": {"expression": f"arctan2({py}, {px})"},
        "mass": {"expression": f"sqrt(maximum(square({energy}) - {p2}, 0))"},
    }
    made = tuple(InputColumn(name=key, **what) for key, what in columns.items())
    return InputGroup(name=name, kind="particles", columns=made, width=vectors.width, nan=0.0)
