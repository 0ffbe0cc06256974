"""Files whose events are numbered, and inputs that show which events are in a batch."""

import numpy as np

import fastjag as fj
from fastjag.io.writer import write_trees

#: So that an epoch has several laps: a quarter is the memory of a lap.
LITTLE = 80_000


class Seen:
    """Two numbers of the first particles, and the number and label of the event."""

    columns = ("Jet_pt", "Jet_eta", "id", "label")
    dense_bytes = 3 * 2 * 4 + 3 + 8 + 1
    digest = "seen"

    def rows(self, events):
        return {"Jet": events.Jet, "id": events["id"], "label": events["label"]}

    def tensors(self, rows, out=None):
        jets = rows["Jet"].pad(3, ["pt", "eta"], dtype="float32")
        return {
            "Jet": jets.values, "Jet_mask": jets.mask, "id": rows["id"], "label": rows["label"],
        }  # fmt: skip


class WideSeen(Seen):
    """The same, as if padded events were so large that lists are kept."""

    dense_bytes = 1 << 20


class RaggedSeen(Seen):
    """Values and offsets."""

    is_dense = False

    def tensors(self, rows, out=None):
        jets = rows["Jet"]
        return {"Jet": jets["pt"], "Jet_offsets": jets.offsets, "id": rows["id"]}


def write(path, first, n, label=None, chunk=400):
    """A file of events from number ``first`` on; every jet's pt tells the event. Returns its path."""
    rng = np.random.default_rng(first)

    def chunks():
        for start in range(first, first + n, chunk):
            number = np.arange(start, min(start + chunk, first + n))
            counts = rng.integers(0, 5, len(number))
            jets = {"pt": np.repeat(number, counts).astype(np.float32)}
            jets["eta"] = rng.normal(size=len(jets["pt"])).astype(np.float32)
            own = (number >= first + n // 2) if label is None else np.full(len(number), label)
            yield {
                "Jet": fj.Jagged.from_counts(counts, jets), "id": number, "label": own.astype(np.int8),
            }  # fmt: skip

    write_trees(path, {"Events": chunks()})
    return str(path)
