"""What a mass scan finds: local significance of every window, peaks, and global p-values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastjag.statistics.deviations import Z_of_log_p
from fastjag.statistics.elsewhere import calibrated_log_p
from fastjag.statistics.windows import Floats


class Peak(NamedTuple):
    """An excess that the scan found."""

    mass: float  #: where Z is largest [GeV]; between windows by a parabola
    Z: float  #: local significance of the best window
    Z_global: float  #: after the look-elsewhere effect
    S: float
    B: float
    low: float  #: the masses that are left out of the sidebands of others [GeV]
    high: float
    Z_profiled: (
        float  #: local, with the choice of background profiled; 0 where no sidebands allow it
    )


class MassScan(NamedTuple):
    """Local significance at every mass, and what the toys say about its maximum. Nothing is NaN."""

    edges: Floats  #: bin edges [GeV], of equal ratio
    counts: Floats  #: (n_bins,)
    expected: Floats  #: (n_bins,) background, from the fits with all peaks left out
    mass: Floats  #: (n_windows,) centres of the windows [GeV]
    Z: Floats  #: (n_windows,) 0 where a window is not usable
    S: Floats  #: (n_windows,) N - B; 0 where a window is not usable
    B: Floats  #: (n_windows,) background; the sum of ``expected`` where a window is not usable
    error: Floats  #: (n_windows,) of S, of the count and of the background; 0 where not usable
    #: (n_windows,) False where the background does not fit, or its sidebands say too little: such
    #: windows cannot be peaks
    usable: NDArray[np.bool_]
    degree: NDArray[np.int64]  #: (n_windows,) of the background, chosen by F test
    p_fit: Floats  #: (n_windows,) goodness of fit of the sidebands
    peaks: list[Peak]  #: in the order of their masses
    toy_maxima: Floats  #: (toys,) largest Z of each background-only toy
    upcrossings: float  #: mean number per toy of Z rising above 1
    seed: int
    #: (n_windows,) local significance with the choice of background profiled over families and orders;
    #: 0 where no sidebands allow it. Toys and peaks go by ``Z``
    Z_profiled: Floats

    def global_p(self, Z: ArrayLike) -> Floats:
        """Probability that background alone shows at least this Z anywhere.

        (k + 1) / (n + 1) for k of n toys that do; beyond their reach p falls as the expected number
        of excursions does (Gross and Vitells, EPJC 70:525, 2010).
        """
        return np.asarray(np.exp(calibrated_log_p(Z, self.toy_maxima, self.upcrossings)))

    def global_Z(self, Z: ArrayLike) -> Floats:
        """:meth:`global_p` in standard deviations, not below 0, however small p is."""
        return Z_of_log_p(calibrated_log_p(Z, self.toy_maxima, self.upcrossings))
