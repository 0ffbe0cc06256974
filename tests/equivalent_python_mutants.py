"""Mutants of the package's Python that behave as it does, and why: tests/mutants_python.py leaves them out."""

#: (file, line, mutated line): reason
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "statistics/likelihood.py",
        "n = n.reshape(-1, n.shape[-1])",
        "n = n.reshape(-2, n.shape[-1])",
    ): "NumPy takes any negative number as the dimension that is to be found",
    (
        "statistics/likelihood.py",
        "barrier = np.where(filled, 0.0, _FIRST)  # filled bins need none",
        "barrier = np.where(filled, 1.0, _FIRST)  # filled bins need none",
    ): "a barrier that vanishes leaves the same optimum, after more steps",
    (
        "statistics/likelihood.py",
        "near = filled & (start @ design.T > 0).all(axis=1)",
        "near = filled & (start @ design.T > 1).all(axis=1)",
    ): "where Newton's method starts is no matter of a convex optimum, only of its steps",
    (
        "statistics/likelihood.py",
        "near = filled & (start @ design.T > 0).all(axis=1)",
        "near = filled & (start @ design.T >= 0).all(axis=1)",
    ): "an expectation of exactly 0 does not occur beside filled bins",
    (
        "statistics/likelihood.py",
        "curvature += 1e-14 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(terms)",
        "curvature += 1e-14 / np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(terms)",
    ): "the last bits that keep the matrix from being singular do not move the optimum",
    (
        "statistics/crystalball.py",
        "height = np.where(t < -self.alpha_left, tails[0],",
        "height = np.where(t <= -self.alpha_left, tails[0],",
    ): "where a tail begins it is as high as the core",
    (
        "statistics/crystalball.py",
        "np.where(t > self.alpha_right, tails[1], core))  # fmt: skip",
        "np.where(t >= self.alpha_right, tails[1], core))  # fmt: skip",
    ): "where a tail begins it is as high as the core",
    (
        "statistics/crystalball.py",
        "area = np.where(t < -self.alpha_left, left, np.where(t > self.alpha_right, right, core))",
        "area = np.where(t <= -self.alpha_left, left, np.where(t > self.alpha_right, right, core))",
    ): "where a tail begins it is as high as the core",
    (
        "statistics/crystalball.py",
        "area = np.where(t < -self.alpha_left, left, np.where(t > self.alpha_right, right, core))",
        "area = np.where(t < -self.alpha_left, left, np.where(t >= self.alpha_right, right, core))",
    ): "where a tail begins it is as high as the core",
    (
        "statistics/backgrounds.py",
        "below = self._below(middle) < wanted",
        "below = self._below(middle) <= wanted",
    ): "one of two neighbouring numbers, of which a random one is asked for",
    (
        "statistics/backgrounds.py",
        "extremes = np.r_[first, last, turning[(turning > first) & (turning < last)]]",
        "extremes = np.r_[first, last, turning[(turning >= first) & (turning < last)]]",
    ): "the ends of the range are among the extremes anyhow",
    (
        "statistics/backgrounds.py",
        "extremes = np.r_[first, last, turning[(turning > first) & (turning < last)]]",
        "extremes = np.r_[first, last, turning[(turning > first) & (turning <= last)]]",
    ): "the ends of the range are among the extremes anyhow",
    (
        "analyses/gammajet/profiles.py",
        "*, edges: ArrayLike = ALPHA_EDGES, cumulative: bool = False,",
        "*, edges: ArrayLike = ALPHA_EDGES, cumulative: bool = True,",
    ): "both ways give the same line, to rounding, as the fit has the whole covariance matrix",
    (
        "io/branch_columns.py",
        "counts, *lists, values = (np.concatenate(p) if len(p) > 1 else p[0] for p in parts)",
        "counts, *lists, values = (np.concatenate(p) if len(p) >= 1 else p[0] for p in parts)",
    ): "one array concatenated is a copy of it, which only costs time",
    (
        "io/tasks.py",
        "return buffer if len(buffer) >= size else np.empty(size + size // 4, np.uint8).data",
        "return buffer if len(buffer) > size else np.empty(size + size // 4, np.uint8).data",
    ): "a buffer of just the size is made anew, which only costs time",
    (
        "analyses/gammajet/gaussian_core.py",
        "if len(x) < 10 or w.sum() <= 0:",
        "if len(x) < 10 or w.sum() < 0:",
    ): "weights that cancel exactly have no middle, which is NaN as well",
    (
        "statistics/peaks.py",
        "for shape, n in zip(best.reshape(-1, _SHAPE), theta[polynomial.shape[1] :], strict=True)",
        "for shape, n in zip(best.reshape(-2, _SHAPE), theta[polynomial.shape[1] :], strict=True)",
    ): "NumPy takes any negative number as the dimension that is to be found",
    (
        "statistics/scan.py",
        "crossings += int(((Z[:, 1:] > REFERENCE) & (Z[:, :-1] <= REFERENCE)).sum())",
        "crossings += int(((Z[:, 1:] > REFERENCE) & (Z[:, :-1] < REFERENCE)).sum())",
    ): "a significance that is the reference to the last bit does not occur",
    (
        "statistics/sidebands.py",
        "largest = np.abs(step @ self.rows.T).max(axis=1)",
        "largest = np.abs(step @ self.rows.T).min(axis=1)",
    ): "how long steps may be is no matter of a convex optimum, only of their number",
    (
        "analyses/gammajet/comparison.py",
        "last = np.append(np.diff(both[order]) > 0, True)",
        "last = np.append(np.diff(both[order]) > 0, False)",
    ): "in the end both distributions are 1, so that their distance there is 0",
}
