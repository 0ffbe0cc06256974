// aggregate: statistics of one column per event. Short events are a lane's own, in stored order, so
// that sums have the same last bit as on the CPU.
#include <type_traits>

#include "events.cuh"
#include "fastjag/aggregate.hpp"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// Particles of an event: all of them are one lane's, or every 32nd is, and lanes put together what
// they found.
struct Alone {
    static constexpr int64_t step = 1;
    __device__ static int64_t begin() { return 0; }
    __device__ static bool writes() { return true; }
    template <class T, class Combine>
    __device__ static T all(T own, Combine) {
        return own;
    }
};
struct Together {
    static constexpr int64_t step = warp_lanes;
    __device__ static int64_t begin() { return lane_index(); }
    __device__ static bool writes() { return lane_index() == 0; }
    template <class T, class Combine>
    __device__ static T all(T own, Combine combine) {
        for (int half = 16; half > 0; half /= 2)
            own = combine(own, __shfl_xor_sync(all_lanes, own, half));
        return own;
    }
};

template <class Lanes, class Sum, class Term>
__device__ Sum total(int64_t n, Term term) {
    Sum sum = 0;
    for (int64_t i = Lanes::begin(); i < n; i += Lanes::step) sum += term(i);
    return Lanes::all(sum, [](Sum a, Sum b) { return a + b; });
}

template <class Lanes, class T>
__device__ void sums(AggregateArgs<T> const& a, int64_t event, T const* x, int64_t n) {
    if constexpr (!std::is_floating_point_v<T>) {
        if (a.sum) {
            auto const sum =
                total<Lanes, uint64_t>(n, [=](int64_t i) { return static_cast<uint64_t>(x[i]); });
            if (Lanes::writes()) static_cast<uint64_t*>(a.sum)[event] = sum;
        }
        if (!a.mean && !a.std) return;
    }
    double const sum =
        total<Lanes, double>(n, [=](int64_t i) { return static_cast<double>(x[i]); });
    if constexpr (std::is_floating_point_v<T>)
        if (a.sum && Lanes::writes()) static_cast<double*>(a.sum)[event] = sum;
    if (!a.mean && !a.std) return;
    double const mean = sum / static_cast<double>(n);  // 0 / 0 = NaN
    if (a.mean && Lanes::writes()) a.mean[event] = mean;
    if (!a.std) return;
    // Mean squared distance from the mean: the one-pass form cancels.
    double const squares = total<Lanes, double>(n, [=](int64_t i) {
        double const d = static_cast<double>(x[i]) - mean;
        return d * d;
    });
    if (Lanes::writes()) a.std[event] = sqrt(squares / static_cast<double>(n));
}

template <class Lanes, bool largest, class T>
__device__ void extreme(int64_t event, T const* x, int64_t n, T* out, int64_t* position) {
    if (!out && !position) return;
    if (n == 0) {
        if (out) out[event] = empty_extreme<T>();
        if (position) position[event] = -1;
        return;
    }
    // With more than one lane there is a particle for each: long events have that many.
    int64_t at = Lanes::begin();
    T best = x[at];
    for (int64_t i = at + Lanes::step; i < n; i += Lanes::step) {
        T const next = x[i];
        if (!replaces<largest>(next, best)) continue;
        best = next;
        at = i;
    }
    at = Lanes::all(at, [=](int64_t i, int64_t j) {
        if (replaces<largest>(x[j], x[i])) return j;
        return replaces<largest>(x[i], x[j]) || i < j ? i : j;
    });
    if (!Lanes::writes()) return;
    if (out) out[event] = x[at];
    if (position) position[event] = at;
}

template <class Lanes, class T>
__device__ void any_all(AggregateArgs<T> const& a, int64_t event, T const* x, int64_t n) {
    if (!a.any && !a.all) return;
    int any = 0, all = 1;
    for (int64_t i = Lanes::begin(); i < n; i += Lanes::step) {
        int const is_true = x[i] != 0;
        any |= is_true;
        all &= is_true;
    }
    any = Lanes::all(any, [](int p, int q) { return p | q; });
    all = Lanes::all(all, [](int p, int q) { return p & q; });
    if (!Lanes::writes()) return;
    if (a.any) a.any[event] = static_cast<uint8_t>(any);
    if (a.all) a.all[event] = static_cast<uint8_t>(all);
}

template <class Lanes, class T>
__device__ void one_event(AggregateArgs<T> const& a, int64_t event) {
    T const* const x = a.values + a.offsets[event];
    int64_t const n = a.offsets[event + 1] - a.offsets[event];
    if (a.count && Lanes::writes()) a.count[event] = n;
    if (a.sum || a.mean || a.std) sums<Lanes>(a, event, x, n);
    extreme<Lanes, false>(event, x, n, a.min, a.argmin);
    extreme<Lanes, true>(event, x, n, a.max, a.argmax);
    any_all<Lanes>(a, event, x, n);
}

template <class T>
__global__ void aggregate_events(AggregateArgs<T> a) {
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) { one_event<Alone>(a, event); },
        [&](int64_t event) { one_event<Together>(a, event); });
}

}  // namespace

template <class T>
void aggregate(AggregateArgs<T> const& a, Stream stream) {
    if (a.n_events == 0) return;
    FASTJAG_LAUNCH((aggregate_events<T>), blocks_for(a.n_events, block_threads), block_threads, 0,
                   stream, a);
}

#define FASTJAG_AGGREGATE(T) template void aggregate(AggregateArgs<T> const&, Stream);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_AGGREGATE)

}  // namespace fastjag
