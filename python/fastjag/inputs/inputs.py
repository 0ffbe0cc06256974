"""The class ``Inputs``: what a model sees of events, what it is to say, and how much each counts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np

from fastjag.core.arrays import Array
from fastjag.core.settings import make, setting, settings
from fastjag.inputs import weaver
from fastjag.inputs.expressions import Expression, expression
from fastjag.inputs.groups import InputGroup
from fastjag.inputs.sampling import EVENTS, Fitted, fitted_groups, sample
from fastjag.inputs.targets import TrainingTarget
from fastjag.inputs.values import EventNames, of_events
from fastjag.inputs.weighting import CELL, Weighting
from fastjag.io import Batch
from fastjag.reporting.output import write_json

FORMAT = 1


@settings
class Inputs:
    """What a model sees of events, said once: for training, and for all events that it is asked about.

    Made by :meth:`Inputs.of`, of groups (:func:`fastjag.particles`, :func:`fastjag.features`,
    :func:`fastjag.ragged`), or read by :meth:`Inputs.load`. It does not change: :meth:`fit` gives another one.

    Examples
    --------
    >>> import fastjag as fj
    >>> from fastjag.inputs import Inputs
    >>> jets = fj.particles("Jet", ["pt", "eta"], width=4, by="pt", log=["pt"], standardise="fit")
    >>> inputs = Inputs.of([jets, fj.features("MET_pt")], target=["QCD", "TT"])
    >>> inputs.columns
    ('Jet_pt', 'Jet_eta', 'MET_pt')
    >>> inputs.fitted, inputs.dense_bytes
    (False, 48)
    """

    groups: tuple[InputGroup, ...] = setting("What is seen")
    target: TrainingTarget | None = setting("What is to be said", default=None)
    weight: Weighting | None = setting("How much events count", default=None)
    define: dict[str, str] = setting(
        "EventNames of expressions that others use", default_factory=dict
    )
    selection: str | None = setting("Only events for which this is true", default=None, none=False)
    prediction_selection: str | None = setting(
        "The selection of :meth:`for_prediction`", default=None, none=False
    )
    observers: tuple[str, ...] = setting(
        "Numbers of the event that go along", default=(), empty=True
    )
    fit_record: Fitted | None = setting(
        "The sample that centres and scales come from", default=None
    )

    def check(self) -> None:
        for text in self.define.values():
            expression(text)
        for one in (self.selection, self.prediction_selection, *self.observers):
            if one is not None:
                expression(one)
        self._check_names()
        _ = self._made  # an error for a circle
        if self.weight is not None and self.weight.needs_classes and not self._has_classes:
            raise ValueError("weight balances classes, but the target has none")

    def _check_names(self) -> None:
        names: list[str] = []
        for group in self.groups:
            names.append(group.name)
            names += [f"{group.name}_mask"] * (group.kind == "particles" and group.mask)
            names += [f"{group.name}_offsets"] * (group.kind == "ragged")
        names += [*self.observers, "target", "weight", CELL]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"groups must have different names, got {twice[0]!r} twice: give one another name="
            )

    @property
    def _has_classes(self) -> bool:
        return self.target is not None and (
            self.target.kind != "expressions" or len(self.target.names) == 1
        )

    # ---- made of -----------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        given: Any,
        target: Any = None,
        weight: Any = None,
        *,
        define: Mapping[str, str] | None = None,
        selection: str | None = None,
        observers: str | Iterable[str] = (),
    ) -> Inputs:
        """From one group, several in a list, or in a mapping by their names; Inputs stay as they are.

        Parameters
        ----------
        given
            Groups; the path of a YAML file of weaver-core (docs/inputs.md says what of it is known); or Inputs.
            Target, weight and all else of the last two are replaced where these are given.
        target
            See :meth:`fastjag.inputs.TrainingTarget.of`: an expression, data sets, or classes.
        weight
            An expression, or :func:`fastjag.weights`.
        define
            EventNames of expressions, which other expressions may use.
        selection
            Only events for which this is true.
        observers
            Branches and expressions that go along with each event, in their own dtype, under their names.

        Raises ValueError or TypeError naming what is wrong, before any file is opened.
        """
        seen = (observers,) if isinstance(observers, str) else tuple(observers)
        if isinstance(given, Inputs):
            changes: dict[str, Any] = {
                "target": TrainingTarget.of(target), "weight": Weighting.of(weight), "selection": selection,
                "define": None if define is None else dict(define), "observers": seen or None,
            }  # fmt: skip
            given_now = {name: value for name, value in changes.items() if value is not None}
            return replace(given, **given_now) if given_now else given
        if isinstance(given, (str, os.PathLike)):
            return cls.of(cls(**weaver.read(given)), target, weight, define=define, selection=selection,
                          observers=observers)  # fmt: skip
        if isinstance(given, Mapping):
            groups = [replace(_group(g), name=str(name)) for name, g in given.items()]
        elif isinstance(given, InputGroup):
            groups = [given]
        else:
            groups = [_group(g) for g in given]
        return cls(
            groups=tuple(groups), target=TrainingTarget.of(target), weight=Weighting.of(weight),
            define=dict(define or {}), selection=selection, observers=seen,
        )  # fmt: skip

    # ---- known before any event ----------------------------------------------------------------

    @property
    def _expressions(self) -> list[Expression]:
        found = [e for group in self.groups for e in group.expressions]
        for part in (self.target, self.weight):
            found += [] if part is None else part.expressions
        texts = [*self.observers] + [self.selection] * (self.selection is not None)
        return found + [expression(text) for text in texts if text is not None]

    @cached_property
    def _made(self) -> dict[str, Expression]:
        """Those that are used. A ValueError for one that is made of itself."""
        made = {name: expression(text) for name, text in self.define.items()}
        made = {name: e for name, e in made.items() if not (e.is_name and e.names == (name,))}
        done: set[str] = set()

        def visit(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                raise ValueError(
                    f"define: {name!r} is made of itself: {' > '.join((*above, name))}"
                )
            if name in made and name not in done:
                for inner in made[name].names:
                    visit(inner, (*above, name))
                done.add(name)

        for name in made:
            visit(name, ())
        return made

    @property
    def columns(self) -> tuple[str, ...]:
        """Branches that have to be read, each once."""
        made, found = self._made, dict[str, None]()

        def visit(name: str) -> None:
            if name in made:
                for inner in made[name].names:
                    visit(inner)
            else:
                found[name] = None

        for one in self._expressions:
            for name in one.names:
                visit(name)
        return tuple(found)

    @property
    def fitted(self) -> bool:
        """Whether all means, scales and factors are known."""
        return all(g.fitted for g in self.groups) and (self.weight is None or self.weight.fitted)

    @property
    def dense_bytes(self) -> int:
        """Bytes per event of what :meth:`tensors` gives; of ragged groups, nothing."""
        more = 8 * (self.target is not None) + 4 * (self.weight is not None)
        return sum(group.dense_bytes for group in self.groups) + more + 8 * len(self.observers)

    @property
    def is_dense(self) -> bool:
        """Whether all tensors have one row per event: no group is ragged."""
        return all(group.kind != "ragged" for group in self.groups)

    def check_datasets(self, datasets: Iterable[str]) -> None:
        """A ValueError where the target has no class for a data set, or a class has no data set."""
        if self.target is not None:
            self.target.check_datasets(datasets)

    # ---- of events -----------------------------------------------------------------------------

    def rows(self, events: Batch) -> dict[str, Any]:
        """What is seen of a batch, evaluated but neither standardised nor padded, by name.

        Of each group a Jagged of particles, or floats (n_events, F); "target", "weight" and observers are arrays
        of the first axis n_events. The events are those of the batch that ``selection`` keeps, and that are not
        dropped for a negative weight: there may be fewer. Arrays live where the batch does. Several rows are joined
        by :func:`fastjag.inputs.join`, and picked from by :func:`fastjag.inputs.pick`.
        """
        return self.rows_of(self.survivors(events))

    def survivors(self, events: Batch) -> Batch:
        """The events of a batch that :meth:`rows` has: selected, and not dropped for a negative weight."""
        if self.selection is not None:
            kept = _of_events(EventNames(events, self._made), self.selection)
            events = events[kept != 0]
        if self.weight is not None and self.weight.negative == "drop":
            events = events[self.weight.signed(EventNames(events, self._made)) >= 0]
        return events

    def rows_of(self, survivors: Batch) -> dict[str, Any]:
        """What :meth:`rows` gives, of events that :meth:`survivors` gave or some of them."""
        names = EventNames(survivors, self._made)
        found = {group.name: group.rows(names) for group in self.groups}
        if self.target is not None:
            found["target"] = self.target.rows(names)
        if self.weight is not None:
            found |= self.weight.rows(names, found.get("target"))
        return found | {text: _of_events(names, text) for text in self.observers}

    def tensors(
        self, rows: Mapping[str, Any], out: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Tensors of rows: padded, standardised and clipped; "target" and float32 "weight".

        ``out`` are tensors of an earlier call for as many events or more, whose memory is written again where it
        can be. Raises TypeError where their dtypes differ: files may have branches of one name as integers and as
        floats.
        """
        found: dict[str, Array] = {}
        for group in self.groups:
            found |= group.tensors(rows[group.name], out)
        if self.target is not None:
            target = rows["target"]
            found["target"] = target.astype(np.float32) if target.dtype.kind == "f" else target
        if self.weight is not None:
            found["weight"] = self.weight.weights(rows)
        found |= {text: rows[text] for text in self.observers}
        for name, values in found.items():
            if out is not None and name in out and out[name].dtype != values.dtype:
                raise TypeError(
                    f"{name!r} is {values.dtype} in these events and {out[name].dtype} in others: branches of one "
                    "name have different types, which an expression such as 1.0 * x makes alike"
                )
        return found

    # ---- fitted --------------------------------------------------------------------------------

    def fit(
        self, batches: Any, *, events: int | None = EVENTS, seed: int = 0,
        storage_options: Mapping[str, Any] | None = None, on_error: str = "raise",
    ) -> Inputs:  # fmt: skip
        """Inputs with means, scales and factors of a sample of these events; others stay as they are.

        Mean and standard deviation (of the population) in float64 are of the particles that the model sees, each
        counted once, and of finite numbers only: how many were not is recorded. The sample does not depend on how
        events are cut into batches, nor on their order.

        Parameters
        ----------
        batches
            Batches, or :class:`fastjag.Ranges`, of which pieces are read in equal distances. Of small data sets more
            is read than their share, and each event counts for as many as it stands for.
        events
            How many events the sample has at most; None: all.
        seed
            Which events these are; recorded.
        storage_options, on_error
            For ranges, as in :func:`fastjag.iterate`.
        """
        if self.fitted:
            return self
        reading = {"storage_options": storage_options, "on_error": on_error}
        chosen = sample(self, batches, events, seed, reading)
        groups, counts = fitted_groups(self.groups, chosen)
        weight = self.weight
        if weight is not None:
            n_classes = None if self.target is None else self.target.n_classes
            weight = weight.fit(chosen.rows, chosen.importance, n_classes)
        record = replace(chosen.record, not_finite=counts)
        return replace(self, groups=groups, weight=weight, fit_record=record)

    def for_prediction(self) -> Inputs:
        """The same without target and weight, whose branches data may not have.

        With ``prediction_selection``, if there is one, in place of ``selection``.
        """
        selection = (
            self.selection if self.prediction_selection is None else self.prediction_selection
        )
        return replace(
            self, target=None, weight=None, selection=selection, prediction_selection=None
        )

    # ---- saved ---------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """All of it as numbers, texts, lists and tables, as JSON has them."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"format": FORMAT, **content}

    @classmethod
    def from_description(cls, content: Mapping[str, Any], where: str = "") -> Self:
        """From what :meth:`describe` gave; a ValueError names the key that is wrong."""
        table = dict(content)
        if table.pop("format", None) != FORMAT:
            raise ValueError(
                f"{where or 'these'}: no inputs of format {FORMAT}, got {content.get('format')!r}"
            )
        return make(cls, table, None, where)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, beside the model."""
        write_json(path, self.describe())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote; numbers are the same to the last bit."""
        try:
            content = json.loads(Path(path).read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{os.fspath(path)}: is no JSON file: {error}") from None
        return cls.from_description(content, os.fspath(path))

    @property
    def digest(self) -> str:
        """A hash of all that it says: equal for equal inputs."""
        return sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()


def _group(given: Any) -> InputGroup:
    if not isinstance(given, InputGroup):
        raise TypeError(
            "inputs are groups made by fj.particles, fj.features and fj.ragged, in a list or a mapping, "
            f"got {given!r}"
        )
    return given


def _of_events(names: EventNames, text: str) -> Array:
    return of_events(expression(text)(names), text)
