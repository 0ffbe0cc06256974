// Which slot of a histogram axis a value falls in, written once for host and device.
#pragma once

#include <cstdint>

#include "config.hpp"
#include "kernels.hpp"

namespace fastjag::FASTJAG_ISA {

// Slot 0 underflow, 1..n bins, n+1 overflow, n+2 NaN. Bin i holds edges[i] <= x < edges[i + 1],
// compared with the edges themselves: what the axis shows is what the bin holds, to the last bit.
FASTJAG_HD int64_t slot_of(double x, HistogramAxis const& axis) {
    if (x != x) return axis.n_bins + 2;
    if (x < axis.low) return 0;
    if (x >= axis.high) return axis.n_bins + 1;
    double const* edges = axis.edges;
    if (axis.margin < 1.0) {
        // The guess is off by at most one bin (rounding of the product), so one look either way.
        int64_t i = static_cast<int64_t>((x - axis.low) * axis.inverse_width);
        i = i < axis.n_bins ? i : axis.n_bins - 1;
        i -= x < edges[i];
        i += x >= edges[i + 1];
        return i + 1;
    }
    int64_t first = 0;  // branch-free search: edges[first] <= x always holds
    for (int64_t length = axis.n_bins; length > 1;) {
        int64_t const half = length / 2;
        first += x >= edges[first + half] ? half : 0;
        length -= half;
    }
    return first + 1;
}

}  // namespace fastjag::FASTJAG_ISA
