"""``fj.histogram``: axes and columns of any kind into one ``hist.Hist``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastjag import kernels
from fastjag.core.checks import needs
from fastjag.core.devices import to_host
from fastjag.histograms import boost
from fastjag.histograms import variations as varied
from fastjag.histograms.axes import as_axis, name_axes
from fastjag.histograms.columns import as_weights, match, numbers, weight_sets
from fastjag.histograms.out import check_out
from fastjag.kernels.threads import get_num_threads


def histogram(
    values: Any,
    axes: Any = None,
    *,
    weights: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    variations: Sequence[str] | None = None,
    out: Any = None,
    threads: int | None = None,
) -> Any:
    """Fill a histogram of any number and kind of axes.

    The compiled kernel fills one or two axes of numbers. boost-histogram fills all others, to the
    last bit as ``hist.Hist.fill`` does it, on one thread of the CPU. docs/histograms.md has examples.

    Parameters
    ----------
    values
        One column; a tuple of columns of equal length, one of each axis, where a number or a text
        stands for every entry; or a table of columns: a dict, :class:`Dimuons`, :class:`Jagged`,
        batch, data frame or awkward records. Columns on a GPU are counted there; the histogram is the
        host's. Axes that boost-histogram fills need columns on the CPU.
    axes
        One axis, or a tuple of one for each column: any axis of hist or boost-histogram, a tuple
        (n_bins, low, high), or an array or list of bin edges in increasing order. A dict of axes
        gives them names, and picks the columns of these names from a table. Without a dict, axes
        whose names are all columns of the table pick those, and others take all columns in their
        order. Default: the axes of ``out``.

        An axis without name and label gets the name of its column, where the column has one: in a
        table, or as a pandas Series.

        A tuple has the edges ``numpy.linspace(low, high, n_bins + 1)``, and so has a Regular axis
        without transform. Such an axis does not keep ``high`` but a rounded distance from ``low``;
        of the numbers that make the same axis, ``high`` is one of at most 13 digits if there is one.
    weights, weight
        One per entry, or a number for all of them; the result then also holds the sum of squared
        weights. Both words mean the same; one of them is given.
    variations
        Names of variations, with ``weights`` of shape (n_variations, n): an array or a list of rows.
        The result has a StrCategory axis "variation" of these names in front. That of ``out`` may
        have another name, and where it grows, other variations.
    out
        A histogram to fill on top, for loops over batches: one that this function returned, or any
        ``hist.Hist`` with the same axes and storage (without weights ``Double`` or ``Int64``, with
        weights ``Weight``). Axes that grow may have grown. Its ``metadata`` is a dict or None, for
        the count of NaN.

    Returns
    -------
    hist.Hist
        With ``Double`` storage (counts are exact up to 2**53), or ``Weight`` if there are weights:
        uproot writes both.

        The kernel fills one or two axes, each Regular or Variable with underflow and overflow and
        neither growing nor circular. Bin i holds
        ``edges[i] <= x < edges[i + 1]``, to the last bit what ``numpy.histogram`` gives in float64
        for the same edges, but for the last one: it is exclusive, so that a value on it is
        overflow. Values below the first edge are underflow. The axis of the histogram is Regular
        where a tuple or Regular was given, and hist computes the edges that it shows: they differ
        from those of ``numpy.linspace``, which count, by rounding errors, a few units in the last
        place of the largest edge. With the edges themselves as ``axes`` the axis is Variable and
        shows what counts to the last bit.

        boost-histogram bins all columns where one axis is of another kind, or where there are more
        than two. Its Regular axis may put a value within rounding of an edge on the other side.

        NaN is in no bin and in no flow bin of any axis but counted (weighted: summed, over all
        variations) in ``result.metadata["nan"]``, which sums of histograms add up, and slices,
        copies and pickles keep (:class:`fastjag.histograms.nan_hist.Hist`).

    Examples
    --------
    >>> import fastjag as fj, hist
    >>> pairs = {"mass": [3.1, 9.5, 3.0], "charge": [0, 0, 2]}
    >>> h = fj.histogram(pairs, {"mass": (4, 2, 4), "charge": hist.axis.IntCategory([-2, 0, 2])})
    >>> h[:, hist.loc(0)].values()
    array([0., 0., 1., 0.])
    >>> both = fj.histogram([3.1, 9.5], (2, 0, 10), weights=[[1, 1], [1.1, 0.9]],
    ...                     variations=["nominal", "trigger up"])
    >>> both["trigger up", :].values()
    array([1.1, 0.9])
    """
    needs("hist", "hist")
    import hist

    from fastjag.histograms import nan_hist

    if weights is not None and weight is not None:
        raise TypeError("weights and weight mean the same: give one of them, not both")
    weights = weight if weights is None else weights
    if out is not None and not isinstance(out, hist.Hist):
        raise TypeError(f"out must be a hist.Hist, got {type(out).__name__}")
    names = None
    if variations is not None:
        if weights is None:
            raise TypeError("variations need weights, of shape (n_variations, n)")
        names = varied.as_names(variations, weights)
    if axes is None:
        if out is None:
            raise TypeError("axes must be given, unless out has them")
        axes = tuple(out.axes)[names is not None :]
    columns = match(values, axes)
    both = [as_axis(hist, axis) for axis in columns.axes]
    edges = [e for _, e in both if e is not None]
    first = () if names is None else (varied.AXIS,)
    binning = name_axes([axis for axis, _ in both], columns.names, first)
    by_kernel = len(edges) == len(both) <= 2

    entries = numbers(columns) if by_kernel else boost.as_entries(columns, binning)
    like = next(entry for entry in entries if not isinstance(entry, str))
    sets = None
    if names is not None:
        _, sets = weight_sets(weights, len(like), "values")
    elif weights is not None:
        sets = [as_weights(weights, len(like), like)]
    if not by_kernel:
        get_num_threads(threads)  # an error for what the kernel refuses, too
        for row in sets or ():
            boost.refuse_gpu(row, "weights", binning)

    storages = [hist.storage.Double, hist.storage.Int64] if sets is None else [hist.storage.Weight]
    every = binning
    if names is not None:
        every = [varied.axis_of(hist, names, out), *binning]
    if out is not None:
        check_out(out, every, storages)
    if not by_kernel:
        boost.check_size(binning if out is None else out.axes[-len(binning) :], entries, columns)
    result = nan_hist.Hist(*every, storage=storages[0]()) if out is None else out
    if not by_kernel:
        nan_hist.count_nan(result, boost.fill(result, entries, sets, names))
        return result

    sums: Any
    if names is None:
        weighted = None if sets is None else sets[0]
        slots = kernels.histogram(entries, edges, weights=weighted, threads=threads)
        sums, variances = to_host(slots[0]), to_host(slots[1])
    else:
        assert sets is not None
        sums, variances = varied.sums(entries, edges, sets, threads)
    inner = (..., *(slice(0, len(e) + 1) for e in edges))  # every slot but the NaN one
    rows: Any = ... if names is None else varied.rows_of(result, names)
    view = result.view(flow=True)
    if variances is None:
        view += sums[inner]
    else:
        view["value"][rows] += sums[inner]
        view["variance"][rows] += variances[inner]
    nan_hist.count_nan(result, _nan(sums, len(edges)))
    return result


def _nan(sums: Any, n_axes: int) -> Any:
    """What is in the NaN slots of one or two axes, the last ones."""
    if n_axes == 1:
        return sums[..., -1].sum().item()
    return (sums[..., -1, :].sum() + sums[..., :-1, -1].sum()).item()
