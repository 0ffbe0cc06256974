// Which slot of a histogram axis a value falls in, written once for host and device.
#pragma once

#include <cstdint>

#include "config.hpp"
#include "kernels.hpp"

namespace fastjag::FASTJAG_ISA {

// The slot of a number is how many edges are not above it: 0 underflow, 1..n bins, n + 1 overflow;
// NaN has slot n + 2. Bin i holds edges[i] <= x < edges[i + 1], compared with the edges themselves:
// what the axis shows is what the bin holds, to the last bit.

FASTJAG_HD int32_t nan_slot(HistogramAxis const& axis) {
    return static_cast<int32_t>(axis.n_bins + 2);
}

// In two dimensions slots of y follow one another.
template <class I>
FASTJAG_HD I join_slots(I x, I y, HistogramAxis const& axis_y) {
    return x * static_cast<I>(axis_y.n_bins + 3) + y;
}

// histogram_cuts: whether a score reaches any cut; its class is then the slot before its own. NaN
// has the slot after that of the highest cut.
FASTJAG_HD bool reaches_cut(int32_t slot, HistogramAxis const& cuts) {
    return slot > 0 && slot < nan_slot(cuts);
}

FASTJAG_HD double clamp(double x, double low, double high) {
    x = x > low ? x : low;  // also NaN
    return x < high ? x : high;
}

// The cell of x, a monotonic function that also placed the edges in theirs: all edges in cells
// below are below x, all in cells above are above, whatever the rounding.
template <bool logarithmic>
FASTJAG_HD int32_t cell_of(double x, HistogramAxis const& axis) {
    double key = x;
    if (logarithmic)  // the bits of a positive number, as an integer, follow its logarithm
        key = static_cast<double>(__builtin_bit_cast(int64_t, x));
    double const last = static_cast<double>(axis.n_cells - 1);
    return static_cast<int32_t>(clamp(key * axis.scale + axis.shift, 0.0, last));
}

FASTJAG_HD int32_t look_up(double x, HistogramAxis const& axis) {
    int32_t slot = axis.logarithmic ? cell_of<true>(x, axis) : cell_of<false>(x, axis);
    if (axis.first) slot = axis.first[slot];
    FASTJAG_ROLLED
    for (int64_t step = 0; step < axis.steps; ++step) slot += x >= axis.edges[slot];
    return slot;
}

FASTJAG_HD int32_t search(double x, HistogramAxis const& axis) {
    int64_t below = 0;  // branch-free search: the slot is in below .. below + length
    FASTJAG_ROLLED
    for (int64_t length = axis.n_bins + 1; length > 0;) {
        int64_t const half = (length + 1) / 2;
        below += x >= axis.edges[below + half - 1] ? half : 0;
        length -= half;
    }
    return static_cast<int32_t>(below);
}

FASTJAG_HD int32_t slot_of(double x, HistogramAxis const& axis) {
    if (x != x) return nan_slot(axis);
    return axis.n_cells ? look_up(x, axis) : search(x, axis);
}

}  // namespace fastjag::FASTJAG_ISA
