"""The configuration of a tagger: data sets, what the model sees, and how it learns."""

from __future__ import annotations

import os
from typing import Any

from fastjag.analyses.common.config import read
from fastjag.analyses.common.servers import Servers
from fastjag.analyses.train.weaver_inputs import labels_of, tagger_inputs
from fastjag.core.settings import File, Name, keys_of, setting, settings
from fastjag.inputs import Inputs, TrainingTarget, features, particles, weights
from fastjag.reporting.labels import Label

MODELS = ("DeepSets", "ParticleTransformer", "XGBoost")
#: Endings of the group that has the momenta of a group's particles.
MOMENTA = "_p4"


@settings
class TaggerDataset:
    """Files that belong together."""

    name: Name = setting("Name of the data set.")
    files: tuple[File, ...] = setting(
        "ROOT files or patterns, one or a list.", must="be a path or a list of them"
    )
    of_class: Name | None = setting(
        "Class of its events, where `classes` does not say it. Default: the name of the data set.",
        default=None,
    )


@settings
class TaggerParticles:
    """Particles that the model sees."""

    collection: Name = setting("Collection, such as `Jet`.")
    columns: tuple[str, ...] = setting(
        "Columns (`pt` is `Jet_pt`) and expressions of branches.", different=True
    )
    width: int = setting("So many particles of an event at most.", least=1)
    by: str | None = setting(
        "Those of highest value of this column or expression. Default: the first ones.",
        default=None, none=False,
    )  # fmt: skip
    where: str | None = setting("Only particles for which this is true.", default=None, none=False)
    log: tuple[str, ...] = setting(
        "Columns of which the model sees the logarithm.", default=(), empty=True
    )
    pairs: tuple[str, ...] = setting(
        "pt, eta, phi and mass (or no mass), of which the Particle Transformer makes features of pairs; "
        "empty: none.",
        default=("pt", "eta", "phi", "mass"), empty=True,
    )  # fmt: skip

    def check(self) -> None:
        if len(self.pairs) not in (0, 3, 4):
            raise ValueError(
                f"pairs must be pt, eta, phi and perhaps mass, or empty, got {list(self.pairs)}"
            )


@settings
class TaggerInputs:
    """What the model sees of an event, and how much events count."""

    weaver: File | None = setting(
        "Data configuration of weaver-core (YAML) that says what the model sees, classes, selection and weights, in "
        "place of the other keys but `negative` and `sample`.",
        default=None, none=False,
    )  # fmt: skip
    particles: tuple[TaggerParticles, ...] = setting("Groups of particles.", default=(), empty=True)
    features: tuple[str, ...] = setting(
        "Branches and expressions with one number per event.", default=(), empty=True
    )
    log: tuple[str, ...] = setting(
        "Features of which the model sees the logarithm.", default=(), empty=True
    )
    clip: float = setting(
        "Standardised numbers beyond this, to both sides, are cut off.", default=5.0, above=0
    )
    define: dict[str, str] = setting(
        "Names of expressions that others may use.", default_factory=dict
    )
    selection: str | None = setting("Only events for which this is true.", default=None, none=False)
    weight: str | None = setting(
        "Weight of an event, such as `genWeight`. Default: 1.", default=None, none=False
    )
    negative: str = setting(
        "What becomes of negative weights in training.", default="abs",
        one_of=("abs", "clip", "drop", "error"),
    )  # fmt: skip
    sample: int = setting(
        "Means and scales are those of so many events of the training.", default=200_000, least=1
    )

    def check(self) -> None:
        if self.weaver is not None:
            for name in ("particles", "features", "log", "clip", "define", "selection", "weight"):
                if getattr(self, name) != keys_of(TaggerInputs)[name].default():  # type: ignore[misc]
                    raise ValueError(f"{name} is what {self.weaver} says: leave it out, or weaver")
            return
        if not self.particles and not self.features:
            raise ValueError("particles, features or weaver must say what the model sees")
        names = [group.collection for group in self.particles]
        if len(set(names)) < len(names):
            raise ValueError(f"particles must be of different collections, got {', '.join(names)}")


@settings
class NetworkTraining:
    """How networks learn, and their size."""

    epochs: int = setting("Epochs at most.", default=20, least=1)
    patience: int = setting(
        "Training ends after so many epochs without a smaller loss in validation.",
        default=5, least=1,
    )  # fmt: skip
    batch_size: int = setting("Events of a batch.", default=1024, least=1)
    learning_rate: float = setting(
        "Of AdamW in the first epoch; it falls to zero along a cosine.", default=1e-3, above=0
    )
    weight_decay: float = setting("Of AdamW.", default=1e-2, least=0)
    phi: tuple[int, ...] = setting(
        "DeepSets: widths of the layers for each particle.", default=(64, 64, 64), least=1
    )
    rho: tuple[int, ...] = setting(
        "DeepSets: widths of the layers for their sums.", default=(128, 64), least=1
    )
    width: int = setting("Particle Transformer: numbers per particle.", default=64, least=1)
    heads: int = setting(
        "Particle Transformer: heads of attention, which divide the width.", default=4, least=1
    )
    blocks: int = setting("Particle Transformer: blocks of attention.", default=3, least=1)
    dropout: float = setting("Particle Transformer: dropout.", default=0.0, least=0, below=1)

    def check(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"heads must divide width, got {self.heads} heads and width {self.width}"
            )


@settings
class TreesTraining:
    """How XGBoost learns."""

    rounds: int = setting("Rounds at most.", default=500, least=1)
    early_stopping_rounds: int = setting(
        "Training ends after so many rounds without a smaller loss in validation.",
        default=20, least=1,
    )  # fmt: skip
    max_depth: int = setting("Depth of trees.", default=4, least=1)
    learning_rate: float = setting("Share of a tree that counts.", default=0.1, above=0, most=1)
    subsample: float = setting(
        "Share of the events that a tree sees.", default=0.8, above=0, most=1
    )
    max_bin: int = setting("Bins per column.", default=256, least=2)


@settings
class TaggerConfig:
    """A tagger, from files to a report."""

    name: Name = setting("Title of the report.", default="tagger")
    label: Label = setting("What stands above pictures.", default=Label())
    model: str = setting("What learns.", default="DeepSets", one_of=MODELS)
    datasets: tuple[TaggerDataset, ...] = setting("Files, by data set.")
    classes: dict[str, str] = setting(
        "Expression of 0 and 1 for each class, of which exactly one is 1. Default: the data sets say it.",
        default_factory=dict,
    )
    signal: Name | None = setting(
        "Class whose curve is drawn and whose area is reported. Default: the last class.",
        default=None,
    )
    inputs: TaggerInputs = setting("What the model sees.")
    network: NetworkTraining = setting("How networks learn.", default=NetworkTraining())
    trees: TreesTraining = setting("How XGBoost learns.", default=TreesTraining())
    validation: float = setting(
        "Share of the events that say when to stop.", default=0.15, above=0, below=1
    )
    test: float = setting(
        "Share of the events that only the report sees.", default=0.25, above=0, below=1
    )
    blocks: int = setting(
        "Each file is cut into so many pieces, which go to training, validation or test as a whole.",
        default=40, least=3,
    )  # fmt: skip
    memory: str = setting("What the loader may take.", default="2 GB")
    device: str = setting("Where networks learn: cpu, or cuda.", default="cpu")
    threads: int = setting(
        "Threads with which models learn on a CPU; last digits depend on their number.",
        default=1, least=1,
    )  # fmt: skip
    seed: int = setting("Of everything random.", default=0, least=0)
    servers: Servers = setting("How files on servers are read.", default=Servers())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TaggerConfig:
        """From a TOML file; paths in it are relative to it. ValueError names file and key."""
        return read(cls, path)

    def check(self) -> None:
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) < len(names):
            raise ValueError(f"datasets must have different names, got {', '.join(names)}")
        if self.validation + self.test >= 1:
            raise ValueError(
                f"test and validation must leave events for training, got {self.test:g} and "
                f"{self.validation:g}"
            )
        if round(self.test * self.blocks) < 1 or round(self.validation * self.blocks) < 1:
            raise ValueError(
                f"blocks must be more than {self.blocks}: a share of {min(self.test, self.validation):g} of them is none"
            )
        if self.inputs.weaver is not None and (
            self.classes or any(d.of_class for d in self.datasets)
        ):
            raise ValueError(
                f"classes are the labels of {self.inputs.weaver}: leave out classes and of_class"
            )
        seen = inputs_of(self)  # expressions are checked
        if len(self.class_names) < 2:
            raise ValueError(f"datasets must have two classes or more, got {self.class_names[0]!r}")
        if self.signal is not None and self.signal not in self.class_names:
            raise ValueError(
                f"signal must be one of the classes {', '.join(self.class_names)}, got {self.signal!r}"
            )
        if self.model != "XGBoost" and not any(g.kind == "particles" for g in seen.groups):
            raise ValueError(f"model {self.model} needs particles among the inputs")

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, whose numbers are their places."""
        return list(target_of(self).titles)

    @property
    def signal_code(self) -> int:
        """Number of the class whose area is reported."""
        return self.class_names.index(self.signal) if self.signal else len(self.class_names) - 1


def inputs_of(config: TaggerConfig) -> Inputs:
    """What the model of a configuration sees, not fitted yet."""
    seen = config.inputs
    if seen.weaver is not None:
        return tagger_inputs(
            seen.weaver, seen.negative, momenta=MOMENTA if config.model == "ParticleTransformer" else None
        )  # fmt: skip
    clip = (-seen.clip, seen.clip)
    groups: dict[str, Any] = {}
    for part in seen.particles:
        where: dict[str, Any] = {"width": part.width, "by": part.by, "where": part.where}
        groups[part.collection] = particles(
            part.collection, part.columns, log=part.log, standardise="fit", clip=clip, nan=0.0, **where
        )  # fmt: skip
        if config.model == "ParticleTransformer" and part.pairs:
            groups[part.collection + MOMENTA] = particles(part.collection, part.pairs, **where)
    if seen.features:
        groups["features"] = features(
            seen.features, log=seen.log, standardise="fit", clip=clip, nan=0.0
        )
    return Inputs.of(
        groups, target_of(config), weights(seen.weight, balance=True, negative=seen.negative),
        define=seen.define, selection=seen.selection,
    )  # fmt: skip


def target_of(config: TaggerConfig) -> TrainingTarget:
    """The class of each event: by expressions, or by its data set."""
    if config.inputs.weaver is not None:
        return labels_of(config.inputs.weaver)
    if config.classes:
        return TrainingTarget(
            kind="classes", names=tuple(config.classes.values()), titles=tuple(config.classes)
        )
    names = list(dict.fromkeys(d.of_class or d.name for d in config.datasets))
    return TrainingTarget(
        kind="datasets", names=tuple(d.name for d in config.datasets),
        codes=tuple(names.index(d.of_class or d.name) for d in config.datasets),
        titles=tuple(names),
    )  # fmt: skip
