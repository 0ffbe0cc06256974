"""File to padded tensor: pt, eta and phi of four muons per event as one array."""

import numpy as np
from harness import EVENTS, Race
from programs import race_programs, root, script


def check(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def run() -> list[Race]:
    return [
        race_programs(
            f"file to padded tensor (N, 3, 4), {compression}",
            {
                "fastjag": script("padded_fastjag"),
                "ROOT TTreeReader": root("padded"),
                "uproot + awkward": script("padded_awkward"),
            },
            compression, check, EVENTS,
        )
        for compression in ("none", "lz4", "zstd", "zlib")
    ]  # fmt: skip
