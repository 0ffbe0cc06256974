// aggregate: statistics of one column per event. Short events are a lane's own, in stored order, so
// that sums have the same last bit as on the CPU. Long ones are a warp's, huge ones all blocks'.
#include <type_traits>

#include "events.cuh"
#include "fastjag/aggregate.hpp"
#include "huge.cuh"

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

// Which of two particles is the extreme one; of equals the first.
template <bool largest, class T>
__device__ int64_t further(T const* x, int64_t i, int64_t j) {
    if (replaces<largest>(x[j], x[i])) return j;
    return replaces<largest>(x[i], x[j]) || i < j ? i : j;
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
    at = Lanes::all(at, [=](int64_t i, int64_t j) { return further<largest>(x, i, j); });
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
__global__ void aggregate_events(AggregateArgs<T> a, Huge huge) {
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) { one_event<Alone>(a, event); },
        [&](int64_t event) {
            if (!huge.takes(a.offsets, event)) one_event<Together>(a, event);
        });
}

// ---- huge events -------------------------------------------------------------------------------

// What a part of an event gives: its sum, where its extremes are, and whether any or all are true.
template <class T>
struct Part {
    Accumulator<T> sum;  // as integers are added up
    double number;       // the sum as floating-point numbers, then that of squared distances
    int64_t smallest, largest;
    int any, all;
};

template <class T>
__global__ void aggregate_parts(AggregateArgs<T> a, Huge huge, Part<T>* parts) {
    each_part(huge, a.offsets, [&](int64_t part, int64_t event, int64_t begin, int64_t end) {
        T const* const x = a.values + a.offsets[event];
        // A part has a particle for each lane, but for the last one, whose others take the first.
        int64_t const own = begin + lane_index() < end ? begin + lane_index() : begin;
        Part<T> found{0, 0, own, own, 0, 1};
        for (int64_t i = begin + lane_index(); i < end; i += warp_lanes) {
            found.sum += static_cast<Accumulator<T>>(x[i]);
            found.number += static_cast<double>(x[i]);
            found.smallest = further<false>(x, found.smallest, i);
            found.largest = further<true>(x, found.largest, i);
            found.any |= x[i] != 0;
            found.all &= x[i] != 0;
        }
        auto const add = [](auto p, auto q) { return p + q; };
        found.sum = Together::all(found.sum, add);
        found.number = Together::all(found.number, add);
        found.smallest = Together::all(
            found.smallest, [=](int64_t i, int64_t j) { return further<false>(x, i, j); });
        found.largest = Together::all(found.largest,
                                      [=](int64_t i, int64_t j) { return further<true>(x, i, j); });
        found.any = Together::all(found.any, [](int p, int q) { return p | q; });
        found.all = Together::all(found.all, [](int p, int q) { return p & q; });
        if (lane_index() == 0) parts[part] = found;
    });
}

template <class T>
__device__ double sum_of_numbers(Part<T> const* parts, int64_t n) {
    return total<Together, double>(n, [=](int64_t i) { return parts[i].number; });
}

// The squared distances from the mean, behind the sums, which so stay.
template <class T>
__global__ void square_parts(AggregateArgs<T> a, Huge huge, Part<T> const* parts, double* squares) {
    each_part(huge, a.offsets, [&](int64_t part, int64_t event, int64_t begin, int64_t end) {
        T const* const x = a.values + a.offsets[event];
        int64_t const n = a.offsets[event + 1] - a.offsets[event];
        int64_t const first = part - begin / part_size;
        double const mean = sum_of_numbers(parts + first, parts_of(n)) / static_cast<double>(n);
        double const sum = total<Together, double>(end - begin, [=](int64_t i) {
            double const d = static_cast<double>(x[begin + i]) - mean;
            return d * d;
        });
        if (lane_index() == 0) squares[part] = sum;
    });
}

template <class T>
__global__ void join_parts(AggregateArgs<T> a, Huge huge, Part<T> const* all_parts,
                           double const* all_squares) {
    each_huge(huge, a.offsets, [&](int64_t event, int64_t first, int64_t n_parts) {
        T const* const x = a.values + a.offsets[event];
        auto const n = static_cast<double>(a.offsets[event + 1] - a.offsets[event]);
        Part<T> const* const parts = all_parts + first;
        double const number = sum_of_numbers(parts, n_parts);
        auto const sum =
            total<Together, Accumulator<T>>(n_parts, [=](int64_t i) { return parts[i].sum; });
        // Lanes without a part take the first one.
        int64_t const own = lane_index() < n_parts ? lane_index() : 0;
        Part<T> found = parts[own];
        for (int64_t i = lane_index(); i < n_parts; i += warp_lanes) {
            found.smallest = further<false>(x, found.smallest, parts[i].smallest);
            found.largest = further<true>(x, found.largest, parts[i].largest);
            found.any |= parts[i].any;
            found.all &= parts[i].all;
        }
        int64_t const smallest = Together::all(
            found.smallest, [=](int64_t i, int64_t j) { return further<false>(x, i, j); });
        int64_t const largest = Together::all(
            found.largest, [=](int64_t i, int64_t j) { return further<true>(x, i, j); });
        int const any = Together::all(found.any, [](int p, int q) { return p | q; });
        int const all = Together::all(found.all, [](int p, int q) { return p & q; });
        double const squares = a.std
                                   ? total<Together, double>(
                                         n_parts, [=](int64_t i) { return all_squares[first + i]; })
                                   : 0;
        if (lane_index() > 0) return;
        if (a.count) a.count[event] = a.offsets[event + 1] - a.offsets[event];
        if (a.sum) static_cast<Accumulator<T>*>(a.sum)[event] = sum;
        if (a.mean) a.mean[event] = number / n;
        if (a.std) a.std[event] = sqrt(squares / n);
        if (a.min) a.min[event] = x[smallest];
        if (a.max) a.max[event] = x[largest];
        if (a.argmin) a.argmin[event] = smallest;
        if (a.argmax) a.argmax[event] = largest;
        if (a.any) a.any[event] = static_cast<uint8_t>(any);
        if (a.all) a.all[event] = static_cast<uint8_t>(all);
    });
}

constexpr int64_t most_part_bytes = sizeof(Part<double>) + sizeof(double);

}  // namespace

int64_t aggregate_scratch(int64_t n_particles) {
    return Huge::bytes(n_particles) + Huge::most_parts(n_particles) * most_part_bytes;
}

template <class T>
void aggregate(AggregateArgs<T> const& a, Stream stream) {
    if (a.n_events == 0) return;
    Huge const huge(stream.scratch);
    clear(huge, a.n_particles, stream);
    FASTJAG_LAUNCH((aggregate_events<T>), blocks_for(a.n_events, block_threads), block_threads, 0,
                   stream, a, huge);
    if (a.n_particles <= huge_event) return;
    static_assert(sizeof(Part<T>) + sizeof(double) == most_part_bytes);
    int64_t const n_parts = Huge::most_parts(a.n_particles);
    auto* const parts =
        reinterpret_cast<Part<T>*>(static_cast<char*>(stream.scratch) + Huge::bytes(a.n_particles));
    auto* const squares = reinterpret_cast<double*>(parts + n_parts);
    int64_t const blocks = blocks_for(n_parts * warp_lanes, block_threads);
    FASTJAG_LAUNCH((aggregate_parts<T>), blocks, block_threads, 0, stream, a, huge, parts);
    if (a.std)
        FASTJAG_LAUNCH((square_parts<T>), blocks, block_threads, 0, stream, a, huge, parts,
                       squares);
    int64_t const most_events = a.n_particles / huge_event;
    FASTJAG_LAUNCH((join_parts<T>), blocks_for(most_events * warp_lanes, block_threads),
                   block_threads, 0, stream, a, huge, parts, squares);
}

#define FASTJAG_AGGREGATE(T) template void aggregate(AggregateArgs<T> const&, Stream);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_AGGREGATE)

}  // namespace fastjag
