from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

_Array: TypeAlias = NDArray[Any]
_Optional: TypeAlias = _Array | None

compiler: str
simd: str
sanitized: bool

def padding(
    offsets: _Array,
    columns: Sequence[_Array],
    order: _Optional,
    width: int,
    standardise: bool,
    mean: Sequence[float],
    inverse_scale: Sequence[float],
    low: float,
    high: float,
    fill: _Array,
    slots_inside: bool,
    blank: bool,
    values: _Array,
    mask: _Optional,
    threads: int,
    /,
) -> None: ...
def aggregate(
    offsets: _Array,
    values: _Array,
    count: _Optional,
    sum: _Optional,
    mean: _Optional,
    std: _Optional,
    min: _Optional,
    max: _Optional,
    argmin: _Optional,
    argmax: _Optional,
    any: _Optional,
    all: _Optional,
    threads: int,
    /,
) -> None: ...
def select(offsets: _Array, mask: _Array, out_offsets: _Array, threads: int, /) -> None: ...
def compact(
    offsets: _Array,
    mask: _Array,
    out_offsets: _Array,
    values: _Array,
    result: _Array,
    threads: int,
    /,
) -> None: ...
def gather(
    starts: _Array, out_offsets: _Array, values: _Array, result: _Array, threads: int, /
) -> None: ...
def order(offsets: _Array, key: _Array, limit: int, result: _Array, threads: int, /) -> None: ...
def dimuon_count(
    offsets: _Array,
    pt: _Array,
    charge: _Optional,
    mask: _Optional,
    charge_class: int,
    pairs: int,
    pair_offsets: _Array,
    choice: _Optional,
    threads: int,
    /,
) -> None: ...
def dimuon(
    offsets: _Array,
    pt: _Array,
    eta: _Array,
    phi: _Array,
    charge: _Optional,
    mask: _Optional,
    particle_mass: float,
    charge_class: int,
    pairs: int,
    pair_offsets: _Array,
    choice: _Optional,
    event: _Optional,
    first: _Optional,
    second: _Optional,
    pair_charge: _Optional,
    mass: _Optional,
    pair_pt: _Optional,
    pair_eta: _Optional,
    pair_phi: _Optional,
    delta_r: _Optional,
    delta_pt: _Optional,
    delta_eta: _Optional,
    delta_phi: _Optional,
    threads: int,
    /,
) -> None: ...
def pair_mass(
    pt1: _Array,
    eta1: _Array,
    phi1: _Array,
    pt2: _Array,
    eta2: _Array,
    phi2: _Array,
    mass1: float,
    mass2: float,
    result: _Array,
    threads: int,
    /,
) -> None: ...
def histogram(
    x: _Array,
    edges_x: _Array,
    margin_x: float,
    y: _Optional,
    edges_y: _Optional,
    margin_y: float,
    weights: _Optional,
    scratch: _Array,
    counts: _Optional,
    sumw: _Optional,
    sumw2: _Optional,
    threads: int,
    /,
) -> None: ...
