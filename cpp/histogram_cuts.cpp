// histogram_cuts: every event counts once, in the class of the highest cut that its score reaches;
// what passes a cut is the sum over the classes from it upwards.
#include "dispatch.hpp"
#include "slots.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int64_t block = 1024;
constexpr int64_t most = HistogramCutsArgs::most_weights;

// Calls use(values) with entries first + index[i] of a column (index null: first + i), in a row.
template <class T, class Use>
void values_of(StridedColumn const& column, int64_t first, int32_t const* index, int64_t n,
               Use const& use) {
    T const* from = static_cast<T const*>(column.data) + first * column.stride;
    if (!index && column.stride == 1) return use(from);
    alignas(64) T values[block];
    if (index)
        for (int64_t i = 0; i < n; ++i) values[i] = from[index[i] * column.stride];
    else
        for (int64_t i = 0; i < n; ++i) values[i] = from[i * column.stride];
    use(values);
}

template <class Use>
void each_value(StridedColumn const& column, int64_t first, int32_t const* index, int64_t n,
                Use const& use) {
    if (column.dtype == DType::f4)
        values_of<float>(column, first, index, n, use);
    else
        values_of<double>(column, first, index, n, use);
}

void slots_in(StridedColumn const& column, HistogramAxis const& axis, int64_t first,
              int32_t const* index, int64_t n, int32_t* out) {
    each_value(column, first, index, n, [=, &axis](auto* x) { find_slots(x, n, axis, out); });
}

// Counts, and pairs of w and w^2 with them. The next block of the column is asked for meanwhile.
template <bool weighted>
void count(int32_t const* cells, int64_t n, StridedColumn const& column, int64_t next,
           uint32_t* counts, double const* weights, double* sums) {
    int64_t const size = column.dtype == DType::f4 ? 4 : 8;
    char const* ahead = static_cast<char const*>(column.data) + next * column.stride * size;
    auto add = [=](int64_t i) {
        ++counts[cells[i]];
        if constexpr (weighted) add_to(sums + 2 * int64_t{cells[i]}, load<Pair>(weights + 2 * i));
    };
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __builtin_prefetch(ahead + i * size);
        if (size == 8) __builtin_prefetch(ahead + i * size + 64);
#pragma GCC unroll 16
        for (int64_t k = 0; k < 16; ++k) add(i + k);
    }
    for (; i < n; ++i) add(i);
}

void add_replicas(int32_t const* cells, int64_t n, double const* weights, double* sums) {
    for (int64_t i = 0; i < n; ++i) {
        double* cell = sums + 2 * most * int64_t{cells[i]};
        double const* w = weights + most * i;
        for (int64_t k = 0; k < most; ++k) cell[k] += w[k];
        for (int64_t k = 0; k < most; ++k) cell[most + k] += w[k] * w[k];
    }
}

}  // namespace

void histogram_cuts_range(HistogramCutsArgs const& a, int64_t begin, int64_t end, int64_t part) {
    int64_t const cells_of_feature = (a.cuts.n_bins + 1) * a.n_slots;
    auto const stride = static_cast<int32_t>(a.n_slots);
    bool const one = a.counts && a.n_weights == 1;
    alignas(64) int32_t passed[block], index[block], rows[block], cells[block];
    alignas(64) double weights[most * block];
    for (int64_t k = 0; k < most * block; ++k) weights[k] = 0;  // lanes without a replica
    for (int64_t first = begin; first < end; first += block) {
        int64_t const n = smaller(block, end - first);
        slots_in(a.scores, a.cuts, first, nullptr, n, passed);
        int64_t m = 0;
        for (int64_t i = 0; i < n; ++i) {
            index[m] = static_cast<int32_t>(i);
            rows[m] = (passed[i] - 1) * stride;
            m += reaches_cut(passed[i], a.cuts);
        }
        if (m == 0) continue;
        int32_t const* chosen = m == n ? nullptr : index;
        for (int64_t k = 0; k < a.n_weights; ++k)
            each_value(a.weights[k], first, chosen, m, [&, k](auto const* w) {
                for (int64_t i = 0; i < m; ++i) {
                    auto const x = static_cast<double>(w[i]);
                    if (one) {
                        weights[2 * i] = x;
                        weights[2 * i + 1] = x * x;
                    } else {
                        weights[most * i + k] = x;
                    }
                }
            });
        for (int64_t f = 0; f < a.n_features; ++f) {
            slots_in(a.features[f], a.axes[f], first, chosen, m, cells);
            for (int64_t i = 0; i < m; ++i) cells[i] += rows[i];
            int64_t const own = (part * a.n_features + f) * cells_of_feature;
            if (one)
                count<true>(cells, m, a.features[f], first + block, a.counts + own, weights,
                            a.sums + 2 * own);
            else if (a.counts)
                count<false>(cells, m, a.features[f], first + block, a.counts + own, nullptr,
                             nullptr);
            if (a.n_weights && !one) add_replicas(cells, m, weights, a.sums + 2 * most * own);
        }
    }
}

}  // namespace fastjag::FASTJAG_ISA
