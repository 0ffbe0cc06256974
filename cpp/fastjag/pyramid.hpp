// Rules of the pyramid kernels, once for host and device: cells of nested grids, codes that hold a
// point's cells on all of them, and sums of the features that sets share.
#pragma once

#include <cmath>
#include <cstdint>

#include "dtypes.hpp"

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
        if (!(t >= 0)) t = 0;  // so far out that it has no place on the circle
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

struct SpreadBits {
    int64_t n_axes;
    FASTJAG_HD uint64_t operator()(uint64_t cell) const { return spread_bits(cell, n_axes); }
};

// The code of a point in one of the pyramids. spread(cell) is spread_bits(cell, n_axes).
template <class Spread>
FASTJAG_HD uint64_t pyramid_code(PyramidCodesArgs const& a, PyramidAxis const* axes, int64_t n_axes,
                                 int64_t pyramid, int64_t point, Spread const& spread) {
    int64_t const category = a.category ? a.category[point] : 0;
    int64_t const last = (int64_t{1} << a.bits) - 1;
    uint64_t code = static_cast<uint64_t>(pyramid * a.n_categories + category)
                    << (a.n_axes * a.bits);
    for (int64_t d = 0; d < n_axes; ++d) {
        PyramidAxis const& axis = axes[d];
        double const x = read_float(axis.values, axis.dtype, point);
        code |= spread(pyramid_cell(x, axis.low, axis.scale, axis.circular,
                                    a.shifts[pyramid * n_axes + d], a.cells, last))
                << (d & 63);  // more than 63 axes have one level, whose cells are 0
    }
    return code;
}

// The cell with this code among cells from .. to - 1, which ascend, or -1.
FASTJAG_HD int64_t find_cell(uint64_t const* cells, int64_t from, int64_t to, uint64_t code) {
    for (int64_t left = to - from; left > 1;) {  // the last one not above, without a branch
        int64_t const half = left / 2;
        from += cells[from + half] <= code ? half : 0;
        left -= half;
    }
    return from < to && cells[from] == code ? from : -1;
}

// The binary digit that features of a level count in: the finest has the highest weight, the two
// coarsest the lowest.
FASTJAG_HD int64_t digit_of(int64_t level, int64_t n_levels) {
    return larger(0, n_levels - 2 - level);
}

// A full adder of bits that stand side by side: its sum is a ^ b ^ c. For numbers, or for vectors
// of them.
template <class V>
FASTJAG_HD V carry_of(V a, V b, V c) {
    return (a & b) | ((a ^ b) & c);
}

// An entry of the Gram matrix: the sum, scaled unless the matrix is of integers.
template <class Out, class Sum>
FASTJAG_HD Out scale_sum(Sum sum, double row_scale, double column_scale) {
    return static_cast<Out>(static_cast<double>(sum) * (row_scale * column_scale));
}

}  // namespace fastjag::FASTJAG_ISA
