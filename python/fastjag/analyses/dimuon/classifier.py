"""The classifier: ensembles of trees that tell data from what the flows expect (CATHODE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastjag.analyses.dimuon.preprocess import Floats, Preprocessing
from fastjag.models.flow import ConditionalFlow
from fastjag.models.fold_scores import FoldScores, TreeSettings, fold_scores


class ClassifierInput(NamedTuple):
    """Events as classifiers see them."""

    values: Floats  #: (n, F) preprocessed
    mass: Floats  #: (n,) GeV


@dataclass(frozen=True)
class CathodeClassifier:
    """Ensembles that tell data in the signal region from what the flows expect there.

    With ``latent``, events are mapped to the normally distributed variables of a flow, where the
    background is a standard normal whatever the mass (LaCATHODE, arXiv:2210.14924); flows share the
    members, and scores are means over the flows.
    """

    background: ClassifierInput  #: what the flows expect in the signal region
    flows: Sequence[ConditionalFlow]
    preprocessing: Preprocessing
    settings: TreeSettings
    latent: bool = False
    device: str = "cpu"
    threads: int | None = None

    def score(
        self,
        data: ClassifierInput,
        inside: NDArray[np.bool_],
        others: Mapping[str, ClassifierInput],
        *,
        seed: int,
        copies_of: NDArray[np.int64] | None = None,
        progress: bool | None = None,
    ) -> FoldScores:
        """Scores of ``data``, out of fold, of the background and ``others``."""
        train = partial(
            fold_scores, signal_region=inside, copies_of=copies_of, seed=seed, device=self.device,
            threads=self.threads, progress=progress,
        )  # fmt: skip
        if not self.latent:
            values = {name: sample.values for name, sample in others.items()}
            return train(self.background.values, data.values, others=values, settings=self.settings)
        members = max(1, round(self.settings.members / len(self.flows)))
        # Real draws of the flows are scored like any events; nothing is learned from them here.
        everything = {**others, "background": self.background}
        of_flows = [
            train(
                np.random.default_rng([seed, i]).normal(size=self.background.values.shape),
                self._latent(flow, data),
                others={name: self._latent(flow, sample) for name, sample in everything.items()},
                settings=replace(self.settings, members=members),
            )
            for i, flow in enumerate(self.flows)
        ]
        mean = {name: np.mean([f.others[name] for f in of_flows], axis=0) for name in everything}
        return FoldScores(
            np.mean([f.data for f in of_flows], axis=0), mean.pop("background"), mean, of_flows[0].folds,
            [rounds for f in of_flows for rounds in f.best_rounds],
            [losses for f in of_flows for losses in f.losses],
        )  # fmt: skip

    def _latent(self, flow: ConditionalFlow, sample: ClassifierInput) -> Floats:
        return flow.latent(sample.values, self.preprocessing.scale_mass(sample.mass))
