// Cells of nested grids, and codes that hold a point's cells on all of them.
#pragma once

#include <cmath>
#include <cstdint>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

// Finest cell of a coordinate along one axis of `cells` cells, a power of two. Circular axes wrap;
// others are clamped to the extent before the shift, which so moves all points alike. `last` is the
// highest cell that the code has room for.
FASTJAG_HD uint64_t pyramid_cell(double x, double low, double scale, bool circular, double shift,
                                 int64_t cells, int64_t last) {
    double const extent = static_cast<double>(cells);
    double t = (x - low) * scale;
    if (circular) {
        t -= extent * std::floor(t / extent);
        if (!(t >= 0 && t <= extent)) t = 0;  // so far out that it has no place on the circle
        return static_cast<uint64_t>(static_cast<int64_t>(std::floor(t + shift)) & (cells - 1));
    }
    t = t < 0 ? 0 : t > extent ? extent : t;
    return static_cast<uint64_t>(smaller(static_cast<int64_t>(std::floor(t + shift)), last));
}

// Bits of `cell` at every n_axes-th place: Morton codes interleave the cells of the axes.
FASTJAG_HD uint64_t spread_bits(uint64_t cell, int64_t n_axes) {
    uint64_t code = 0;
    for (int64_t b = 0; cell >> b != 0 && b * n_axes < 64; ++b)
        code |= (cell >> b & 1) << (b * n_axes);
    return code;
}

}  // namespace fastjag::FASTJAG_ISA
