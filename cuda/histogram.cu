// histogram: entries are read 16 bytes at a time and go to the sums of sums.cuh.
#include "fastjag/binning.hpp"
#include "sums.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// N values of a column by one load, where its address allows.
template <int N, class T>
struct Pack {
    T values[N];

    static __device__ bool aligned(T const* from) {
        return reinterpret_cast<uintptr_t>(from) % sizeof(Pack) == 0;
    }
    static __device__ Pack load(T const* from, bool aligned) {
        using Raw = std::conditional_t<sizeof(Pack) == 16, uint4, uint2>;
        if (aligned) return __builtin_bit_cast(Pack, *reinterpret_cast<Raw const*>(from));
        Pack pack;
        for (int i = 0; i < N; ++i) pack.values[i] = from[i];
        return pack;
    }
};

template <class T, class W, bool weighted>
struct Entries {
    int64_t n;
    T const *x, *y;
    W const* weights;
    HistogramAxis axis_x, axis_y;
    int64_t n_slots;
    int64_t* total;
    void* scratch;

    __device__ Word64* counts() const { return reinterpret_cast<Word64*>(total); }
    __device__ FixedPoint fixed_point() const { return {scratch, n_slots}; }

    __device__ int64_t slot(T at_x, T at_y) const {
        int64_t const slot = slot_of(static_cast<double>(at_x), axis_x);
        if (!y) return slot;
        return join_slots(slot, int64_t{slot_of(static_cast<double>(at_y), axis_y)}, axis_y);
    }

    template <class Body>
    __device__ void each_part(Body const& body) const {
        body(*this);  // there is but one
    }

    // Packs, from the first that is aligned in x; before and behind them one by one.
    template <class Use>
    __device__ void each(Use const& use) const {
        constexpr int N = 16 / (sizeof(W) > sizeof(T) ? sizeof(W) : sizeof(T));
        using Values = Pack<N, T>;
        using Weights = Pack<N, W>;
        auto const address = reinterpret_cast<uintptr_t>(x);
        int64_t const head =
            smaller(n, static_cast<int64_t>(-address % sizeof(Values) / sizeof(T)));
        int64_t const packs = (n - head) / N;
        bool const y_aligned = Values::aligned(y + head);
        bool const weights_aligned = Weights::aligned(weights + head);
        for (int64_t p = global_thread(); p < packs; p += all_threads()) {
            int64_t const i = head + p * N;
            Values const at_x = Values::load(x + i, true);
            Values at_y{};
            Weights w{};
            if (y) at_y = Values::load(y + i, y_aligned);
            if (weighted) w = Weights::load(weights + i, weights_aligned);
#pragma unroll
            for (int k = 0; k < N; ++k)  // or packs would go to memory, to be indexed
                use(slot(at_x.values[k], at_y.values[k]), static_cast<double>(w.values[k]));
        }
        for (int64_t r = global_thread(); r < n - packs * N; r += all_threads()) {
            int64_t const i = r < head ? r : r + packs * N;
            use(slot(x[i], y ? y[i] : T{}), weighted ? static_cast<double>(weights[i]) : 0.0);
        }
    }
};

template <class T, class W>
__global__ void finish(HistogramArgs<T, W> a) {
    FixedPoint const all(a.scratch, a.n_slots);
    for (int64_t slot = global_thread(); slot < a.n_slots; slot += all_threads()) {
        if (all.entries[slot] == 0) continue;
        a.sumw[slot] += all.weights(slot);
        a.sumw2[slot] += all.squares(slot);
    }
}

}  // namespace

template <class T, class W>
void histogram(HistogramArgs<T, W> const& a, Stream stream) {
    if (a.n == 0) return;
    // A block's own sums must be worth clearing and merging.
    int64_t const blocks = blocks_for(a.n, larger(16 * block_threads, 4 * a.n_slots));
    if (!a.weights) {
        Entries<T, T, false> const entries{a.n,      a.x,       a.y,      nullptr, a.axis_x,
                                           a.axis_y, a.n_slots, a.counts, nullptr};
        return launch_count(entries, blocks, stream);
    }
    Entries<T, W, true> const entries{a.n,      a.x,       a.y,     a.weights, a.axis_x,
                                      a.axis_y, a.n_slots, nullptr, a.scratch};
    launch_sums(entries, blocks, stream);
    FASTJAG_LAUNCH((finish<T, W>), blocks_for(a.n_slots, block_threads), block_threads, 0, stream,
                   a);
}

#define FASTJAG_HISTOGRAM(T)                                         \
    template void histogram(HistogramArgs<T, float> const&, Stream); \
    template void histogram(HistogramArgs<T, double> const&, Stream);
FASTJAG_FOR_FLOAT_TYPES(FASTJAG_HISTOGRAM)

}  // namespace fastjag
