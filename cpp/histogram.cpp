// histogram: which slot each value falls in (vectorised, a block at a time), then the counting.
#include "dispatch.hpp"
#include "slots.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block = 256;
constexpr int64_t ahead = 2 * block;  // entries between reading a value and asking for it

// Calls add(i, copy) for entries of a block, and fetch(i) once for every 16. Neighbours go to
// different copies: one that waits for the sum that the one before it stores would take several
// times as long. One copy where several would not fit into the cache.
template <int64_t copies, class Fetch, class Add>
FASTJAG_HD void each(int64_t n, Fetch const& fetch, Add const& add) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        fetch(i);
#pragma GCC unroll 16
        for (int64_t k = 0; k < 16; ++k) add(i + k, k % copies);
    }
    for (; i < n; ++i) add(i, 0);
}

template <int64_t copies, class T, class W>
void fill(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, int64_t part) {
    int64_t const n_slots = a.n_slots, own = part * copies * n_slots;
    double* const sums = static_cast<double*>(a.scratch) + 2 * own;
    uint32_t* const counts = static_cast<uint32_t*>(a.scratch) + own;
    alignas(64) int32_t slots[block], slots_y[block];
    for (int64_t first = begin; first < end; first += block) {
        int64_t const n = smaller(block, end - first);
        T const *x = a.x + first, *y = a.y ? a.y + first : nullptr;
        find_slots(x, n, a.axis_x, slots);
        if (y) {
            find_slots(y, n, a.axis_y, slots_y);
            for (int64_t i = 0; i < n; ++i) slots[i] = join_slots(slots[i], slots_y[i], a.axis_y);
        }
        auto fetch = [=](int64_t i) {
            prefetch(x + i + ahead);
            if (y) prefetch(y + i + ahead);
        };
        if (W const* weights = a.weights ? a.weights + first : nullptr) {
            auto fetch_all = [=](int64_t i) {
                fetch(i);
                prefetch(weights + i + ahead);
            };
            each<copies>(n, fetch_all, [=, &slots](int64_t i, int64_t copy) {
                auto const w = static_cast<double>(weights[i]);
                add_to(sums + 2 * (copy * n_slots + slots[i]), Pair{w, w * w});
            });
        } else {
            each<copies>(n, fetch, [=, &slots](int64_t i, int64_t copy) {
                ++counts[copy * n_slots + slots[i]];
            });
        }
    }
}

}  // namespace

template <class T, class W>
void histogram_range(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, int64_t part) {
    if (a.n_copies == 4)
        fill<4>(a, begin, end, part);
    else
        fill<1>(a, begin, end, part);
}

#define FASTJAG_HISTOGRAM(T)                                                                  \
    template void histogram_range(HistogramArgs<T, float> const&, int64_t, int64_t, int64_t); \
    template void histogram_range(HistogramArgs<T, double> const&, int64_t, int64_t, int64_t);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_HISTOGRAM)

}  // namespace fastjag::FASTJAG_ISA
