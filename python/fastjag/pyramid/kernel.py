"""The pyramid-match kernel of sets of points, as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastjag import kernels
from fastjag.core.arrays import Array, out_array
from fastjag.core.checks import at_least
from fastjag.core.devices import as_cupy, on_gpu, to_device_of, to_host
from fastjag.kernels.gpu import device_of
from fastjag.pyramid.grids import Grid, Sets
from fastjag.pyramid.matrixfile import write_matrix
from fastjag.reporting.progress import progress_bar

_DTYPES = ("float32", "float64", "uint16", "uint32")
_BAND_BYTES = 32 << 20
_GPU_BAND_BYTES = 512 << 20  # rows enough for all of its processors


class PyramidMatch(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Pyramid-match kernel: how well the points of two sets pair up, in linear time.

    Space is divided into cells of side 1 (in units of the finest), 2, 4, .. along every column. With
    I_l the number of pairs that can be formed inside the cells of level l, K(X, Y) is the sum over
    levels of 2^-l (I_l - I_(l-1)): pairs count for more, the closer together they stand
    (Grauman and Darrell, ICCV 2005; JMLR 8:725, 2007). K is positive semidefinite.

    Three ways to use it, which agree exactly: :meth:`gram` gives the matrix, in memory or on disk;
    :meth:`transform` gives sparse features whose scalar products are K, for linear models, without
    any matrix; :meth:`neighbors` and :meth:`operator` give nearest sets and products of K with
    vectors.

    Parameters
    ----------
    levels
        Number of levels, 1 to 32. The finest cells have a side of extent / 2^(levels - 1).
    extent
        Column name to (low, high): the columns that are coordinates, and the range that the
        coarsest cell spans. Values beyond it count as if they lay on its border.
    circular
        Names of those columns that wrap around at their extent, such as phi in (-pi, pi).
    shifts
        0, or a number T of pyramids whose grids are shifted at random and whose K are averaged,
        which smooths the borders of cells. Shifting adds a coarsest level of twice the extent.
    seed
        Of the shifts; same seed, same grids.
    categorical
        Name of an integer column (a particle type, say). Points of different value never pair.
    normalize
        K(X, Y) / sqrt(K(X, X) K(Y, Y)), which is 1 for equal sets, instead of K. As K(X, X) is the
        number of points of X, that is K / sqrt(|X| |Y|). An empty set has K = 0 with all.

    Sets are the events of a :class:`Jagged` or of an awkward array of records. Those of a Jagged on
    a GPU stay there: matrices and neighbours are CuPy arrays, the same to the last bit; features
    come to the CPU, where scipy and scikit-learn are. Raises ValueError
    naming event and column where a coordinate is not finite. For cross-validation, which cuts up
    what it is given, :meth:`fit_transform` all sets first: features know of no labels.

    Examples
    --------
    >>> import fastjag as fj
    >>> sets = fj.Jagged([0, 4, 9], {"x": [1, 5, 9, 14, 0, 4, 10, 11, 15]})
    >>> fj.PyramidMatch(5, {"x": (0, 16)}).gram(sets).round(6)
    array([[1.      , 0.391312],
           [0.391312, 1.      ]], dtype=float32)
    """

    def __init__(
        self,
        levels: int,
        extent: Mapping[str, tuple[float, float]],
        circular: Sequence[str] = (),
        shifts: int = 0,
        seed: int = 0,
        categorical: str | None = None,
        normalize: bool = True,
    ) -> None:
        self.levels = levels
        self.extent = extent
        self.circular = circular
        self.shifts = shifts
        self.seed = seed
        self.categorical = categorical
        self.normalize = normalize

    # ---- sparse features --------------------------------------------------------------------

    def fit(self, X: Any, y: object = None) -> PyramidMatch:
        """Learn the cells that the sets of ``X`` occupy. ``y`` is ignored."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: object = None) -> sparse.csr_array:
        """:meth:`fit` and :meth:`transform` of the same sets in one go."""
        return self._matrix(*self._fit(X))

    def transform(self, X: Any) -> sparse.csr_array:
        """Sparse features whose scalar products are K.

        Returns a float64 CSR array (on the CPU, wherever the sets are) of shape (n_sets, n_features_), with levels * points entries a
        row (shifts * (levels + 1) * points with shifts): a feature says that a cell holds more than
        k points of the set, so that scalar products count the smaller of two numbers. Features
        that no set of :meth:`fit` has are left out: products with those sets are exact all the same.
        """
        check_is_fitted(self)
        sets = self._grid().sets(X, self.categories_)
        return self._matrix(sets, kernels.pyramid_features(self.tree_, *sets[1:]))

    def _fit(self, X: Any) -> tuple[Sets, kernels.Features]:
        grid = self._grid()
        self.categories_ = grid.categories(X)
        sets = grid.sets(X, self.categories_)
        self.tree_, features = kernels.pyramid_tree(
            *sets[1:], n_axes=len(grid.axes), levels=grid.levels
        )
        self.tree_ = self.tree_.on_host()  # an estimator may go where there is no GPU
        self.n_features_ = self.tree_.n_features
        return sets, features

    def _matrix(self, sets: Sets, features: kernels.Features) -> sparse.csr_array:
        grid = self._grid()
        features = kernels.Features(*map(to_host, features))
        sizes = to_host(sets.sizes)
        unit = np.array([grid.weight(level) / grid.unit for level in range(grid.levels)])
        values = np.repeat(np.sqrt(unit), np.diff(self.tree_.level_first))[features.numbers]
        scale = _inverse_root(sizes) if self.normalize else np.ones(len(sizes))
        for begin in range(0, len(scale), 1 << 14):  # not all at once: memory
            rows = slice(begin, min(begin + (1 << 14), len(scale)))
            bounds = features.offsets[rows.start : rows.stop + 1]
            values[bounds[0] : bounds[-1]] *= np.repeat(scale[rows], np.diff(bounds))
        small = features.offsets[-1] <= np.iinfo(np.int32).max
        offsets = features.offsets.astype(np.int32) if small else features.offsets
        matrix = sparse.csr_array(
            (values, features.numbers, offsets), shape=(len(scale), self.n_features_)
        )
        matrix.has_canonical_format = True
        return matrix

    # ---- matrices ---------------------------------------------------------------------------

    def gram(
        self,
        X: Any,
        Y: Any = None,
        *,
        dtype: Any = None,
        out: Array | str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        threads: int | None = None,
    ) -> Any:
        """The matrix of K between the sets of ``X`` and those of ``Y`` (or of ``X`` itself).

        Parameters
        ----------
        dtype
            "float32" (the default) or "float64": K, normalised or not. "uint16" or "uint32": the
            integers ``unit * K`` (see :attr:`unit`), never normalised, without any rounding.
        out
            An array of shape (n_X, n_Y), a memory map for example, which also says the dtype (for
            sets on a GPU one that is there, too); or the path of a .npy or .h5 file, written row by row with a few hundred MB of memory
            whatever the size. An interrupted call with the same arguments goes on where it ended.
        overwrite
            Replace the file if it exists, instead of refusing.

        Returns
        -------
        The array, on the device of the sets; of a file the read-only memory map (.npy) or HDF5 dataset "gram" (.h5).

        Raises OverflowError where "uint16" cannot hold the largest entry, and for any dtype where
        uint32 could not, in which sums are formed.
        """
        if on_gpu(out):
            out = as_cupy(out)
        kind = _dtype(dtype, out)
        rows, columns = self._both(X, Y, threads)
        shape = (len(rows.sizes), len(columns.sizes))
        wide = self._wide(rows, columns, kind)
        fill = self._filler(rows, columns, Y is None, wide=wide, threads=threads)
        if isinstance(out, (str, os.PathLike)):
            own = {**self.get_params(), "extent": dict(self.extent)}
            text = "; ".join(f"{name}={own[name]!r}" for name in sorted(own))
            digest = blake2b(f"{text} {kind} {Y is None} {shape}".encode(), digest_size=6)
            for part in (*rows, *columns):
                digest.update(to_host(part).tobytes())

            def fill_on_host(row: int, band: Array) -> None:
                there = out_array(None, band.shape, kind, like=rows.codes)
                fill(row, there)
                band[:] = to_host(there)

            return write_matrix(
                out,
                shape,
                kind,
                fill_on_host if on_gpu(rows.codes) else fill,
                fingerprint=digest.hexdigest(),
                attributes={"kernel": f"PyramidMatch: {text}"},
                overwrite=overwrite,
            )
        result = out_array(out, shape, kind, like=rows.codes)
        fill(None, result)
        return result

    def neighbors(
        self,
        X: Any,
        Y: Any = None,
        k: int = 5,
        *,
        threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ``k`` sets of ``Y`` with the largest K for each set of ``X``: (index, similarity).

        Both have shape (n_X, k), best first, equal ones by index; -1 and 0 where ``Y`` has fewer.
        Without ``Y`` the neighbours are other sets of ``X``: a set is not its own neighbour.
        Needs memory for a band of K, not for all of it.
        """
        k = at_least("k", k, 1)
        rows, columns = self._both(X, Y, threads)
        wide = self._wide(rows, columns, np.dtype(np.float32))
        fill = self._filler(rows, columns, False, wide=wide, threads=threads)
        n = len(rows.sizes)
        index = out_array(None, (n, k), np.int64, like=rows.codes)
        similarity = out_array(None, (n, k), np.float32, like=rows.codes)
        nbytes = _GPU_BAND_BYTES if on_gpu(rows.codes) else _BAND_BYTES
        height = max(1, nbytes // (4 * max(1, len(columns.sizes))))
        with progress_bar("sets", n) as advance:
            for row in range(0, n, height):
                shape = (min(height, n - row), len(columns.sizes))
                band = out_array(None, shape, np.float32, like=rows.codes)
                fill(row, band)
                here = slice(row, row + len(band))
                own = to_device_of(band, np.arange(here.start, here.stop)) if Y is None else None
                index[here], similarity[here] = kernels.largest(
                    band, k, exclude=own, threads=threads
                )
                advance(len(band))
        return index, similarity

    def operator(self, X: Any, Y: Any = None) -> LinearOperator:
        """K as a :class:`scipy.sparse.linalg.LinearOperator`: ``operator(X) @ v`` without K.

        A product costs two passes over the sparse features. For kernel ridge regression by
        conjugate gradients, eigenvalues and the like.
        """
        learned = PyramidMatch(**self.get_params(deep=False))
        if Y is None:
            features = aslinearoperator(learned.fit_transform(X))
            return features @ features.T
        columns = aslinearoperator(learned.fit_transform(Y))
        return aslinearoperator(learned.transform(X)) @ columns.T

    @property
    def unit(self) -> int:
        """``gram(dtype="uint32") / unit`` is K: 2^(levels - 1), or shifts * 2^levels."""
        return self._grid().unit

    # ---- inside -----------------------------------------------------------------------------

    def _wide(self, rows: Sets, columns: Sets, kind: np.dtype[Any]) -> bool:
        """Whether sums need more than 16 bits; an OverflowError where ``kind`` cannot hold them."""
        points = min(int(s.sizes.max()) if len(s.sizes) else 0 for s in (rows, columns))
        largest = points * self.unit
        if largest > 0xFFFFFFFF or (kind == np.uint16 and largest > 0xFFFF):
            raise OverflowError(
                f"sets of up to {points} points give integers up to {largest}, more than "
                f"{'uint32' if largest > 0xFFFFFFFF else 'uint16'} holds: use "
                f"{'fewer levels or shifts' if largest > 0xFFFFFFFF else 'uint32'}"
            )
        return largest > 0xFFFF

    def _filler(
        self, rows: Sets, columns: Sets, symmetric: bool, *, wide: bool, threads: int | None
    ) -> Callable[[int | None, Array], None]:
        """A function that computes rows from a given one on, or all of them (None)."""
        grid = self._grid()
        tree, column_features = kernels.pyramid_tree(
            *columns[1:], n_axes=len(grid.axes), levels=grid.levels, threads=threads
        )
        index = kernels.pyramid_index(column_features, tree.level_first, threads=threads)
        features = (
            column_features
            if rows is columns
            else kernels.pyramid_features(tree, *rows[1:], threads=threads)
        )
        if self.normalize:
            root = grid.unit**-0.5
            scales = (_inverse_root(rows.sizes) * root, _inverse_root(columns.sizes) * root)
        else:
            scales = (
                to_device_of(rows.codes, np.full(len(rows.sizes), 1 / grid.unit)),
                to_device_of(rows.codes, np.ones(len(columns.sizes))),
            )

        def fill(first_row: int | None, out: Array) -> None:
            kernels.pyramid_gram(
                features,
                index,
                out,
                first_row=first_row or 0,
                scales=scales if out.dtype.kind == "f" else None,
                wide=wide or out.dtype == np.uint32,
                symmetric=symmetric and first_row is None,
                threads=threads,
            )

        return fill

    def _grid(self) -> Grid:
        return Grid.of_options(
            self.levels, self.extent, self.circular, self.shifts, self.seed, self.categorical
        )

    def _both(self, X: Any, Y: Any, threads: int | None) -> tuple[Sets, Sets]:
        grid = self._grid()
        categories = grid.categories(X, Y)
        rows = grid.sets(X, categories, threads=threads)
        columns = rows if Y is None else grid.sets(Y, categories, threads=threads)
        device_of(X=rows.codes, Y=columns.codes)  # the same, or an error that names them
        return rows, columns


def _inverse_root(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(sizes > 0, 1 / np.sqrt(np.maximum(sizes, 1)), 0.0)


def _dtype(dtype: Any, out: Any) -> np.dtype[Any]:
    if dtype is None:
        dtype = out.dtype if isinstance(out, np.ndarray) or on_gpu(out) else np.float32
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted.name not in _DTYPES or not wanted.isnative:
        listed = ", ".join(_DTYPES)
        raise TypeError(f"dtype must be {listed} in native byte order, got {wanted}")
    return wanted
