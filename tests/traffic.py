"""How the warps of a kernel use memory, as the CUDA emulation counts it."""

from contextlib import contextmanager


@contextmanager
def counted(emulation):
    """A list that holds, at the end, one row per kernel, kind of access and line."""
    rows = []
    emulation.reset()
    emulation.count_accesses(True)
    yield rows
    rows += emulation.statistics()
    emulation.count_accesses(False)


def sectors(rows, kernel, kind):
    """(Sectors of 32 bytes, how few could do, accesses) of warps that begin so."""
    chosen = [r for r in rows if kernel in r["kernel"] and r["kind"] == kind]
    assert chosen, f"{kernel} has no {kind}"
    return tuple(sum(r[n] for r in chosen) for n in ("sectors", "ideal_sectors", "accesses"))


def worst_conflict(rows):
    """The most words that one bank of shared memory had to deliver at once."""
    return max((r["worst_conflict"] for r in rows), default=0)
