// histogram: which slot each value falls in (vectorised, a block at a time), then the counting.
#include "fastjag/binning.hpp"
#include "ranges.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block = 512;

template <class T>
void slots_of(T const* x, int64_t n, HistogramAxis const& axis, int64_t* out) {
    if (axis.margin < 1.0) {
        // Divide; if any value of the block is too close to an edge to be sure, look at the edges.
        auto const bins = static_cast<double>(axis.n_bins);
        double const low = axis.low, inverse = axis.inverse_width;
        double const above = axis.margin, below = 1.0 - axis.margin;
        auto const nan_slot = static_cast<int32_t>(axis.n_bins + 2);
        int32_t slots[block];
        int32_t unsure = 0;
        for (int64_t i = 0; i < n; ++i) {
            auto const value = static_cast<double>(x[i]);
            double at = (value - low) * inverse;
            at = at > -0.5 ? at : -0.5;  // also NaN
            at = (at < bins + 0.5 ? at : bins + 0.5) + 1.0;
            auto const slot = static_cast<int32_t>(at);
            double const within = at - static_cast<double>(slot);
            unsure |= static_cast<int32_t>(within < above) | static_cast<int32_t>(within > below);
            slots[i] = value == value ? slot : nan_slot;
        }
        if (!unsure) {
            for (int64_t i = 0; i < n; ++i) out[i] = slots[i];
            return;
        }
    }
    for (int64_t i = 0; i < n; ++i) out[i] = slot_of(static_cast<double>(x[i]), axis);
}

// Calls count(first, n, slots) for every block of entries.
template <class T, class W, class Count>
void each_block(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, Count const& count) {
    int64_t slots[block], slots_y[block];
    for (int64_t first = begin; first < end; first += block) {
        int64_t const n = smaller(block, end - first);
        slots_of(a.x + first, n, a.axis_x, slots);
        if (a.y) {
            slots_of(a.y + first, n, a.axis_y, slots_y);
            int64_t const stride = a.axis_y.n_bins + 3;
            for (int64_t i = 0; i < n; ++i) slots[i] = slots[i] * stride + slots_y[i];
        }
        count(first, n, slots);
    }
}

}  // namespace

template <class T, class W>
void histogram_range(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, int64_t part) {
    if (a.weights) {
        double* sums = static_cast<double*>(a.scratch) + 2 * part * a.n_slots;
        each_block(a, begin, end, [&](int64_t first, int64_t n, int64_t const* slots) {
            for (int64_t i = 0; i < n; ++i) {
                auto const w = static_cast<double>(a.weights[first + i]);
                double* cell = sums + 2 * slots[i];  // w and w^2 side by side: one cache line
                cell[0] += w;
                cell[1] += w * w;
            }
        });
    } else {
        int64_t* counts = static_cast<int64_t*>(a.scratch) + part * a.n_slots;
        each_block(a, begin, end, [&](int64_t, int64_t n, int64_t const* slots) {
            for (int64_t i = 0; i < n; ++i) ++counts[slots[i]];
        });
    }
}

#define FASTJAG_HISTOGRAM(T)                                                                  \
    template void histogram_range(HistogramArgs<T, float> const&, int64_t, int64_t, int64_t); \
    template void histogram_range(HistogramArgs<T, double> const&, int64_t, int64_t, int64_t);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_HISTOGRAM)

}  // namespace fastjag::FASTJAG_ISA
