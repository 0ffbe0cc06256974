"""The class Loader: batches for training, epoch after epoch."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from fastjag.core.ahead import copied_ahead
from fastjag.core.checks import at_least, needs
from fastjag.core.devices import to_gpu
from fastjag.inputs import Inputs
from fastjag.io.ranges import Skipped
from fastjag.loading.files import OpenFiles
from fastjag.loading.minibatch import Minibatch
from fastjag.loading.plan import Plan
from fastjag.loading.pools import ModelInputs, Pool, stays_padded
from fastjag.loading.reading import Picked, Share, pick_epoch, read_epoch
from fastjag.loading.stored import StoredEvents
from fastjag.loading.tables import ROWS, fit_batches, quantile_matrix_of


class Loader:
    """Batches of shuffled events, epoch after epoch; what :func:`fastjag.loader` returns.

    A loop over it is one epoch, or as many as ``epochs`` says; the next loop is the next epoch.
    ``inputs`` are the fitted inputs, ``skipped`` what could not be read.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        plan: Plan,
        options: Mapping[str, Any],
        skipped: Sequence[Skipped] = (),
        store: Pool | StoredEvents | None = None,
    ) -> None:
        self.inputs, self.plan = inputs, plan
        self._store = store
        self.skipped: list[Skipped] = list(skipped)
        self.device: str = options["device"]
        self._options = dict(options)
        self._epoch = self._done = 0
        self._resumed = False

    def __iter__(self) -> Iterator[Minibatch]:
        if not self._resumed and self._done:  # one that was left: the next is of another epoch
            self._epoch, self._done = self._epoch + 1, 0
        self._resumed = False
        return self._loop(self._epoch, self.share(0, 1, self._done))

    def _loop(self, epoch: int, share: Share) -> Generator[Minibatch]:
        with closing(self.batches(epoch, self.last_epoch(epoch), share, None)) as batches:
            for batch, position in batches:
                self._epoch, self._done = position
                yield batch
                del batch
        self._epoch, self._done = self._epoch + 1, 0

    def batches(
        self, epoch: int, end: int | None, share: Share, threads: int | None
    ) -> Generator[tuple[Minibatch, tuple[int, int]]]:
        """Batches of a share until an epoch, and where the loop is after each: epoch, batches of it."""
        done = share.done
        while end is None or epoch < end:
            with closing(self._read(epoch, share._replace(done=done), threads)) as batches:
                for batch in batches:
                    done += 1
                    yield batch, (epoch, done)
                    del batch
            epoch, done = epoch + 1, 0

    def share(self, worker: int, workers: int, done: int) -> Share:
        """Batches of a worker of this rank."""
        ranks = self.plan.options.ranks
        return Share(self._options["rank"] + ranks * worker, ranks * workers, done)

    def last_epoch(self, epoch: int) -> int | None:
        """Before which epoch a loop ends that begins in this one."""
        epochs = self._options["epochs"]
        return None if epochs is None else int((epoch // epochs + 1) * epochs)

    def _read(self, epoch: int, share: Share, threads: int | None = None) -> Generator[Minibatch]:
        with ExitStack() as stack:
            picked = stack.enter_context(closing(self._picked(epoch, share, threads)))
            if self.device == "cuda":
                picked = stack.enter_context(closing(copied_ahead(picked, _to_gpu)))
            for number, n_events, values in picked:
                yield Minibatch(dict(values), epoch, number, n_events)

    def _picked(self, epoch: int, share: Share, threads: int | None) -> Generator[Picked]:
        if self._store is not None:
            yield from pick_epoch(self.plan, self._store, epoch, share)
            return
        how = self._options["access"], self._options["on_error"], not stays_padded(self.inputs)
        files = OpenFiles(self.plan.runs, self.inputs.columns, *how)
        files.skipped = self.skipped
        with closing(files):
            yield from read_epoch(self.plan, self.inputs, files, epoch, share, threads)

    def torch(self) -> Any:
        """A ``torch.utils.data.IterableDataset`` of the same batches, as dicts of torch tensors.

        For ``DataLoader(loader.torch(), batch_size=None, num_workers=4)``, or torchdata's StatefulDataLoader. Ranks
        times workers have to divide the streams. ``state_dict``, ``load_state_dict`` and ``set_epoch`` are its own.
        """
        needs("torch", "torch")
        from fastjag.loading.torch_data import TorchBatches

        return TorchBatches(self)

    def __len__(self) -> int:
        """Batches of a loop on this rank; of an epoch where there is no end of these."""
        return len(self.plan.sizes) // self.plan.options.ranks * (self._options["epochs"] or 1)

    @property
    def n_events(self) -> int:
        """Of an epoch, on all ranks; without those that ``drop_last`` leaves out."""
        return self.plan.sizes.n_events

    @property
    def epoch(self) -> int:
        """Of the last batch that was given, from 0; of the next one after the last of an epoch."""
        return self._epoch

    # ---- models that are no networks ----------------------------------------------------------

    def xgboost(
        self,
        *,
        max_bin: int = 256,
        ref: Any = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Any:
        """All events as XGBoost's QuantileDMatrix, of bins alone: the table is never in memory.

        XGBoost looks for quantiles first, and for bins then: files are read several times, unless the table fits into a quarter of
        the loader's memory. The columns are those of
        :func:`fastjag.inputs.tables.table_names`; empty slots are missing values; "target" is the label.

        Parameters
        ----------
        max_bin
            Bins per column, of which a number takes one byte up to 256. Training has to be told the same number.
        ref
            The matrix of the training, whose bins that of a validation has to have.
        cache
            Beginning of the names of files: bins stay on disk (ExtMemQuantileDMatrix of XGBoost 3.0 and newer).

        Raises ValueError for ragged groups, and what reading raises.

        Examples
        --------
        >>> import fastjag as fj
        >>> import xgboost
        >>> from fastjag import toys
        >>> _ = toys.write("toys.root", 3000, seed=1)
        >>> muons = fj.particles("Muon", ["pt", "eta"], width=2, by="pt")
        >>> matrix = fj.loader("toys.root", muons, target="MET_pt > 30").xgboost(max_bin=64)
        >>> (matrix.num_row(), matrix.num_col())
        (3000, 4)
        """
        return quantile_matrix_of(
            lambda: self._once(0),
            self._known(),
            max_bin,
            ref,
            cache,
            self.plan.options.memory // 4,
        )

    def partial_fit(self, model: Any, *, epochs: int = 1, rows: int = ROWS) -> int:
        """Let a model of scikit-learn's kind learn from all events by ``model.partial_fit``.

        It is called with ``rows`` events at a time: a table, or a dict of Jagged where the inputs have ragged groups, as
        :class:`fastjag.models.pyramid_classifiers.PyramidLinear` takes them, whose cells are those of the first call.
        Returns how many events it has seen. Raises ValueError where the target does not say how many classes there are.
        """
        seen = 0
        for epoch in range(at_least("epochs", epochs, 1)):
            with closing(self._once(epoch)) as batches:
                seen += fit_batches(model, batches, self._known(), first=not epoch, rows=rows)
        return seen

    def _known(self) -> Inputs:
        """The inputs, whose columns have names."""
        given: Any = self.inputs
        if not isinstance(given, Inputs):
            raise TypeError(f"a table needs inputs of fj.Inputs, got {type(given).__name__}")
        return given

    def _once(self, epoch: int) -> Generator[Minibatch]:
        """The batches of an epoch, wherever loops are."""
        return self._read(epoch, self.share(0, 1, 0))

    # ---- state ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loop is, as plain numbers: after ``load_state_dict`` the next batch is the next one."""
        return {"epoch": self._epoch, "batch": self._done, "plan": self.record()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was, which has to be alike.

        Raises ValueError naming what of data, options or ranks is not as it was.
        """
        self.check_state(state)
        self._epoch, self._done = int(state["epoch"]), int(state["batch"])
        self._resumed = True

    def check_state(self, state: Mapping[str, Any]) -> None:
        """ValueError where a state is of other data or options."""
        own, given = self.record(), state["plan"]
        different = [
            f"{k} {given.get(k)!r}, not {v!r}" for k, v in own.items() if given.get(k) != v
        ]
        if different:
            raise ValueError(
                "the state is of a loader of other data or options: " + "; ".join(different)
            )

    def record(self) -> dict[str, Any]:
        """What two loaders of the same batches have in common."""
        return {**self.plan.describe(), "inputs": getattr(self.inputs, "digest", None)}

    def set_epoch(self, epoch: int) -> None:
        """The next loop begins with the first batch of this epoch."""
        self._epoch, self._done = at_least("epoch", epoch, 0), 0
        self._resumed = True

    # ---- shown ------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """All that the batches depend on, for the record of a training."""
        inputs: Any = getattr(self.inputs, "describe", dict)()
        return {**self.plan.describe(), "inputs": inputs}

    def __repr__(self) -> str:
        p = self.plan.describe()
        return (
            f"<Loader: {self.n_events:,} events of {len({r.file for r in self.plan.runs})} files in "
            f"{p['n_batches']:,} batches of {p['batch_size']}, shuffle {p['shuffle']!r}, seed {p['seed']}>"
        )


def _to_gpu(picked: Picked) -> Picked:
    return picked._replace(values={name: to_gpu(values) for name, values in picked.values.items()})
