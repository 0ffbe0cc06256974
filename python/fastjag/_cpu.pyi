from collections.abc import Sequence

from numpy import ndarray

compiler: str
sanitized: bool

def padding(
    offsets: ndarray,
    columns: Sequence[ndarray],
    order: ndarray | None,
    width: int,
    standardise: bool,
    mean: Sequence[float],
    inverse_scale: Sequence[float],
    low: float,
    high: float,
    fill: ndarray,
    slots_inside: bool,
    values: ndarray,
    mask: ndarray | None,
    threads: int,
    /,
) -> None: ...
