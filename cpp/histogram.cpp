// histogram: private accumulators per thread, merged in thread order.
#include "fastjag/binning.hpp"
#include "fastjag/kernels.hpp"
#include "parallel.hpp"

namespace fastjag {
namespace {

template <bool two_d, class T, class W>
int64_t slot(HistogramArgs<T, W> const& a, int64_t i) {
    int64_t const x = baseline::slot_of(static_cast<double>(a.x[i]), a.axis_x);
    if constexpr (two_d)
        return x * (a.axis_y.n_bins + 3) + baseline::slot_of(static_cast<double>(a.y[i]), a.axis_y);
    else
        return x;
}

template <bool two_d, class T, class W>
void fill_counts(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, int64_t* counts) {
    for (int64_t i = begin; i < end; ++i) ++counts[slot<two_d>(a, i)];
}

template <bool two_d, class T, class W>
void fill_weights(HistogramArgs<T, W> const& a, int64_t begin, int64_t end, double* sums) {
    for (int64_t i = begin; i < end; ++i) {
        double const w = static_cast<double>(a.weights[i]);
        double* cell = sums + 2 * slot<two_d>(a, i);  // w and w^2 side by side: one cache line
        cell[0] += w;
        cell[1] += w * w;
    }
}

}  // namespace

template <class T, class W>
void histogram(HistogramArgs<T, W> const& a, Threads threads) {
    auto* const counts = static_cast<int64_t*>(a.scratch);
    auto* const sums = static_cast<double*>(a.scratch);
    parallel_elements(a.n, threads, [&](int64_t begin, int64_t end, int part) {
        if (a.weights) {
            double* own = sums + 2 * part * a.n_slots;
            a.y ? fill_weights<true>(a, begin, end, own) : fill_weights<false>(a, begin, end, own);
        } else {
            int64_t* own = counts + part * a.n_slots;
            a.y ? fill_counts<true>(a, begin, end, own) : fill_counts<false>(a, begin, end, own);
        }
    });
    for (int part = 0; part < useful_parts(a.n, threads); ++part)
        for (int64_t s = 0; s < a.n_slots; ++s) {
            int64_t const from = part * a.n_slots + s;
            if (a.weights) {
                a.sumw[s] += sums[2 * from];
                a.sumw2[s] += sums[2 * from + 1];
            } else {
                a.counts[s] += counts[from];
            }
        }
}

template void histogram(HistogramArgs<float, float> const&, Threads);
template void histogram(HistogramArgs<float, double> const&, Threads);
template void histogram(HistogramArgs<double, float> const&, Threads);
template void histogram(HistogramArgs<double, double> const&, Threads);

}  // namespace fastjag
