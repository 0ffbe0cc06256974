from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

_Array: TypeAlias = NDArray[Any]
_Optional: TypeAlias = _Array | None

compiler: str
simd: str
sanitized: bool
pyramid_rows: int
pyramid_tile: int

def padding(
    offsets: _Array,
    columns: Sequence[_Array],
    order: _Optional,
    width: int,
    standardise: bool,
    mean: Sequence[float],
    inverse_scale: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    nan: float,
    fill: _Array,
    wrap: bool,
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
    values: _Optional,
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
def nearest(
    left_offsets: _Array,
    left_eta: _Array,
    left_phi: _Array,
    right_offsets: _Array,
    right_eta: _Array,
    right_phi: _Array,
    index: _Array,
    delta_r: _Array,
    threads: int,
    /,
) -> None: ...
def in_cone(
    left_offsets: _Array,
    left_eta: _Array,
    left_phi: _Array,
    right_offsets: _Array,
    right_eta: _Array,
    right_phi: _Array,
    radius: _Array | float,
    pair_offsets: _Array,
    index: _Optional,
    delta_r: _Optional,
    threads: int,
    /,
) -> None: ...
def take_rows(
    records: _Array,
    rows: _Array,
    starts: Sequence[int],
    outs: Sequence[_Array],
    threads: int,
    /,
) -> None: ...
def take_lists(
    bounds: _Array,
    starts: _Array,
    offsets: _Array,
    columns: Sequence[Sequence[_Array]],
    outs: Sequence[_Array],
    threads: int,
    /,
) -> None: ...
def deal_rows(
    tensors: Sequence[_Array],
    places: _Array,
    block_rows: int,
    blocks: Sequence[Sequence[_Array]],
    threads: int,
    /,
) -> None: ...
def permutation(words: _Array, inverse: bool, result: _Array, /) -> None: ...
def count_nested(data: _Array, starts: _Array, stops: _Array, counts: _Array, /) -> int: ...
def nested_lists(
    data: _Array,
    starts: _Array,
    stops: _Array,
    counts: _Array,
    lengths: _Array,
    values: _Array,
    /,
) -> int: ...
def pages(
    data: _Array,
    encoding: int,
    bits: int,
    low: float,
    high: float,
    base: int,
    n: int,
    first: int,
    result: _Array,
    threads: int,
    /,
) -> None: ...
def histogram_scratch(n_slots: int, /) -> int: ...
def histogram(
    x: _Array,
    axis_x: tuple[Any, ...],
    y: _Optional,
    axis_y: tuple[Any, ...] | None,
    weights: _Optional,
    scratch: _Optional,
    counts: _Optional,
    sumw: _Optional,
    sumw2: _Optional,
    threads: int,
    /,
) -> None: ...
def pyramid_codes(
    offsets: _Array,
    values: list[_Array],
    low: list[float],
    scale: list[float],
    circular: list[bool],
    cells: int,
    bits: int,
    category: _Optional,
    n_categories: int,
    shifts: _Array,
    codes: _Array,
    threads: int,
    /,
) -> None: ...
def pyramid_cells(
    offsets: _Array,
    codes: _Array,
    n_axes: int,
    first: _Array,
    tree_cells: _Array,
    child: _Array,
    cells: _Array,
    most: _Optional,
    threads: int,
    /,
) -> None: ...
def pyramid_features(
    offsets: _Array,
    cells: _Array,
    base: _Array,
    counts: _Optional,
    out_offsets: _Optional,
    features: _Optional,
    threads: int,
    /,
) -> None: ...
def pyramid_index(
    offsets: _Array,
    features: _Array,
    plane: _Array,
    cursor: _Array,
    planes: _Array,
    postings: _Array,
    threads: int,
    /,
) -> None: ...
def pyramid_gram_scratch(most_features: int, block_features: int, /) -> int: ...
def pyramid_gram(
    offsets: _Array,
    features: _Array,
    first_row: int,
    last_row: int,
    n_columns: int,
    level_first: _Array,
    plane: _Array,
    planes: _Array,
    posting_offsets: _Array,
    postings: _Array,
    row_scale: _Optional,
    column_scale: _Optional,
    wide: bool,
    symmetric: bool,
    most_features: int,
    block_features: int,
    scratch: _Array,
    result: _Array,
    threads: int,
    /,
) -> None: ...
def largest(
    values: _Array, exclude: _Optional, index: _Array, found: _Array, threads: int, /
) -> None: ...
def histogram_cuts(
    scores: _Array,
    cuts: tuple[Any, ...],
    features: Sequence[_Array],
    axes: Sequence[tuple[Any, ...]],
    weights: Sequence[_Array],
    n_slots: int,
    counts: _Optional,
    sums: _Optional,
    scratch: _Optional,
    class_of_cut: _Optional,
    first_weight: int,
    all_weights: int,
    threads: int,
    /,
) -> None: ...
