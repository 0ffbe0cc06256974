"""Taggers as ONNX files, which onnxruntime runs without torch, and scores of such files."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastjag.core.checks import first_line, near_misses, needs
from fastjag.reporting.output import new_file

#: Scores of a file that is written may differ from torch's by so much.
TOLERANCE = 1e-5

_OUTPUT = "scores"
_CLASSES = "fastjag.classes"
_EVENTS = "events"


def export_onnx(
    network: Any,
    batch: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
) -> float:
    """Write a network as an ONNX file, after its scores were compared with torch's.

    Parameters
    ----------
    network
        A :class:`fastjag.models.padded_networks.TaggerNetwork`, on the CPU.
    batch
        A dict of tensors or arrays with the tensors that the network takes, of two events or more, on which
        both are compared. The file takes batches of any number of events, but of these widths.
    path
        Of the file. Its inputs have the names of the tensors, its output is "scores", float32 (n, n_classes): probabilities.
    classes
        Their names, which the file keeps.

    Returns
    -------
    float
        The largest difference of a score from torch's.

    Raises
    ------
    ValueError
        Where the batch has fewer than two events, or a score differs by more than ``TOLERANCE``. No file is
        written then.
    ModuleNotFoundError
        Naming what is missing: the extra ``onnx`` has it.
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        needs(library, "onnx")
    import torch

    network.check_batch(batch)
    names = network.tensor_names
    given = {name: torch.as_tensor(batch[name]) for name in names}
    n = len(given[names[0]])
    if n < 2:
        raise ValueError(f"export needs a batch of two events or more, got {n}")
    if classes is not None and len(classes) != network.n_classes:
        raise ValueError(f"the network has {network.n_classes} classes, got {len(classes)} names")
    was_training = network.training
    network.eval()
    try:
        with _quiet(), torch.no_grad():
            expected = network.scores(given).numpy()
            program = torch.onnx.export(
                _one_by_one(network), tuple(given.values()), input_names=names,
                output_names=[_OUTPUT], dynamo=True, verbose=False,
                dynamic_shapes=(tuple({0: _EVENTS} for _ in names),),
            )  # fmt: skip
    finally:
        network.train(was_training)
    model = program.model_proto
    if classes is not None:
        known = model.metadata_props.add()
        known.key, known.value = _CLASSES, json.dumps([str(name) for name in classes])
    content = model.SerializeToString()
    scores = OnnxModel(content).scores({k: v.numpy() for k, v in given.items()})
    difference = float(np.abs(scores - expected).max())
    if not difference <= TOLERANCE:  # NaN, too
        raise ValueError(
            f"{path}: scores of the ONNX model differ from torch's by {difference:.2g}, more than "
            f"{TOLERANCE:g}; it was not written"
        )
    with new_file(path) as partial, open(partial, "wb") as file:
        file.write(content)
    return difference


class OnnxModel:
    """A network of an ONNX file, run by onnxruntime in one thread, so that scores are the same anywhere.

    It can be pickled. ``inputs`` are the names of the tensors that it takes, ``classes`` those of the
    classes, or None. Its first output has the scores, (n, n_classes).
    """

    def __init__(self, content: bytes, source: str = "the ONNX model") -> None:
        needs("onnxruntime", "onnx")
        import onnxruntime

        self._content, self.source = content, source
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  what it raises has no class of its own
            raise ValueError(f"{source}: is no ONNX model: {first_line(error)}") from None
        #: Tensor to its type, and shape with the names of what is free.
        self.inputs = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        known = self._session.get_modelmeta().custom_metadata_map.get(_CLASSES)
        self.classes: list[str] | None = None if known is None else json.loads(known)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> OnnxModel:
        """From a file; ValueError naming one that holds no model."""
        return cls(Path(path).read_bytes(), os.fspath(path))

    def scores(self, batch: Mapping[str, Any]) -> NDArray[np.float32]:
        """What the first output has of a batch of n events: (n, n_classes).

        ``batch`` has an array for every input. Raises KeyError naming one that is missing.
        """
        for name in self.inputs:
            if name not in batch:
                raise KeyError(
                    f"{self.source}: the batch has no tensor {name!r}: {near_misses(name, batch)}"
                )
        given = {
            name: np.ascontiguousarray(batch[name], _TYPES.get(kind))
            for name, (kind, _) in self.inputs.items()
        }
        first = self._session.get_outputs()[0].name
        return np.asarray(self._session.run([first], given)[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._content, self.source)


_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32}  # fmt: skip


def _one_by_one(network: Any) -> Any:
    """A network that takes its tensors one by one, as ONNX has them, and gives probabilities."""
    import torch

    class OneByOne(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: Any) -> Any:
            return self.network.scores(dict(zip(network.tensor_names, tensors, strict=True)))

    return OneByOne().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says of libraries that nobody needs, and of its own names."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
