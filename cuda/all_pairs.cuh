// All pairs of an event: they are spread over the lanes, which find their pair by counting charges.
// In longer events a particle and those behind it, a row of pairs, is a warp's work; the rows of
// long ones are shared by the warps of all blocks.
#pragma once

#include "events.cuh"
#include "observe.cuh"
#include "spread.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

constexpr int64_t most_rows = 128;  // particles of an event that one warp takes
constexpr int64_t strip_rows = 8;   // that a warp takes of a longer one
__host__ __device__ constexpr int64_t strips_of(int64_t n_particles) {
    return (n_particles + strip_rows - 1) / strip_rows;
}

template <class T>
__device__ int charge_sign(DimuonArgs<T> const& a, int64_t i) {
    if (a.charge_class == Charge::any) return 0;
    return (a.charge[i] > 0) - (a.charge[i] < 0);
}

// How many particles pass, and of which charge.
struct Tally {
    int64_t all = 0, plus = 0, minus = 0;

    __device__ void add(int sign, int64_t times = 1) {
        all += times;
        if (sign > 0) plus += times;
        if (sign < 0) minus += times;
    }
    // Of all lanes of the warp.
    __device__ void merge() {
        for (int lanes = warp_lanes / 2; lanes > 0; lanes /= 2) {
            all += __shfl_xor_sync(all_lanes, all, lanes);
            plus += __shfl_xor_sync(all_lanes, plus, lanes);
            minus += __shfl_xor_sync(all_lanes, minus, lanes);
        }
    }
    // Pairs among them.
    __device__ int64_t pairs(Charge charge) const {
        if (charge == Charge::any) return all * (all - 1) / 2;
        if (charge == Charge::opposite) return plus * minus;
        return (plus * (plus - 1) + minus * (minus - 1)) / 2;
    }
    // How many of them match a particle.
    __device__ int64_t partners(Charge charge, int sign) const {
        if (charge == Charge::any) return all;
        if (sign == 0) return 0;
        return (sign > 0) == (charge == Charge::same) ? plus : minus;
    }
};

// Of particles begin, begin + step, ... of an event.
template <class T>
__device__ Tally tally(DimuonArgs<T> const& a, int64_t event, int64_t begin, int64_t step) {
    Tally t;
    for (int64_t i = a.offsets[event] + begin; i < a.offsets[event + 1]; i += step)
        if (passes(a, i)) t.add(charge_sign(a, i));
    return t;
}

template <class T>
__global__ void count_all(DimuonArgs<T> a, Noted noted) {
    if (global_thread() == 0) a.pair_offsets[0] = 0;
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) {
            a.pair_offsets[event + 1] = tally(a, event, 0, 1).pairs(a.charge_class);
        },
        [&](int64_t event) {
            int64_t const n = a.offsets[event + 1] - a.offsets[event];
            if (n > most_rows && lane_index() == 0) noted.rows().add(event, strips_of(n));
            if (noted.huge.takes(a.offsets, event)) return;
            Tally t = tally(a, event, lane_index(), warp_lanes);
            t.merge();
            if (lane_index() == 0) a.pair_offsets[event + 1] = t.pairs(a.charge_class);
        });
}

template <class T>
__global__ void tally_parts(DimuonArgs<T> a, Noted noted) {
    each_part(noted.huge, a.offsets, [&](int64_t part, int64_t event, int64_t begin, int64_t end) {
        Tally t;
        int64_t const start = a.offsets[event];
        for (int64_t i = start + begin + lane_index(); i < start + end; i += warp_lanes)
            if (passes(a, i)) t.add(charge_sign(a, i));
        t.merge();
        if (lane_index() == 0) static_cast<Tally*>(noted.parts)[part] = t;
    });
}

template <class T>
__global__ void join_tallies(DimuonArgs<T> a, Noted noted) {
    each_huge(noted.huge, a.offsets, [&](int64_t event, int64_t first_part, int64_t n_parts) {
        Tally const* const parts = static_cast<Tally const*>(noted.parts) + first_part;
        Tally t;
        for (int64_t i = lane_index(); i < n_parts; i += warp_lanes) {
            t.all += parts[i].all;
            t.plus += parts[i].plus;
            t.minus += parts[i].minus;
        }
        t.merge();
        if (lane_index() == 0) a.pair_offsets[event + 1] = t.pairs(a.charge_class);
    });
}

// Pair k of an event: its row is found by counting who is left to form pairs with. False if there
// are more or fewer pairs than were counted.
template <class T>
__device__ bool observe_pair(DimuonArgs<T> const& a, int64_t event, int64_t k) {
    int64_t const at = a.pair_offsets[event] + k, stop = a.offsets[event + 1];
    Tally rest = tally(a, event, 0, 1);
    if (rest.pairs(a.charge_class) != a.pair_offsets[event + 1] - a.pair_offsets[event])
        return false;
    int64_t i = a.offsets[event];
    for (;; ++i) {
        if (i >= stop) return false;
        if (!passes(a, i)) continue;
        int const sign = charge_sign(a, i);
        rest.add(sign, -1);
        int64_t const row = rest.partners(a.charge_class, sign);
        if (k < row) break;
        k -= row;
    }
    int64_t j = i + 1;
    for (;; ++j) {
        if (j >= stop) return false;
        if (passes(a, j) && charges_match(a, i, j) && k-- == 0) break;
    }
    observe(a, at, event, i, j);
    return true;
}

// The pairs of particles i with begin <= i < end and those behind them, called by all lanes of a
// warp: from place `at` on, and none at `limit` or behind it. Where the next one would go.
template <class T>
__device__ int64_t observe_rows(DimuonArgs<T> const& a, int64_t event, int64_t begin, int64_t end,
                                int64_t at) {
    int64_t const stop = a.offsets[event + 1], limit = a.pair_offsets[event + 1];
    for (int64_t i = begin; i < end; ++i) {
        if (!passes(a, i)) continue;
        if (a.charge_class != Charge::any && a.charge[i] == 0) continue;  // has no partner
        for (int64_t row = i + 1; row < stop; row += warp_lanes) {
            int64_t const j = row + lane_index();
            bool const match = j < stop && passes(a, j) && charges_match(a, i, j);
            unsigned const matches = __ballot_sync(all_lanes, match);
            unsigned const before = matches & ((1u << lane_index()) - 1);
            if (match && at + __popc(before) < limit) observe(a, at + __popc(before), event, i, j);
            at += __popc(matches);
        }
    }
    return at;
}

// But for events on the list.
template <class T>
__global__ void observe_all(DimuonArgs<T> a, int32_t* changed) {
    each_item(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) { return a.pair_offsets[event + 1] - a.pair_offsets[event]; },
        [&](int64_t event, int64_t k) {
            if (!observe_pair(a, event, k)) say_changed(changed);
        },
        [&](int64_t event) {
            int64_t const begin = a.offsets[event], end = a.offsets[event + 1];
            if (end - begin > most_rows) return;
            int64_t const at = observe_rows(a, event, begin, end, a.pair_offsets[event]);
            if (lane_index() == 0 && at != a.pair_offsets[event + 1]) say_changed(changed);
        });
}

// Those on the list. Pairs of later rows are counted first, from which follows where a strip's own
// pairs go: for the first one, where those of the event begin.
template <class T>
__global__ void observe_strips(DimuonArgs<T> a, Noted noted, int32_t* changed) {
    each_of(
        noted.rows(),
        [&](int64_t event) { return strips_of(a.offsets[event + 1] - a.offsets[event]); },
        [&](List::Event const& one, int64_t strip) {
            int64_t const event = one.number, first = a.pair_offsets[event];
            int64_t const begin = a.offsets[event] + strip * strip_rows;
            Tally rest = tally(a, event, strip * strip_rows + lane_index(), warp_lanes);
            rest.merge();
            int64_t const at = a.pair_offsets[event + 1] - rest.pairs(a.charge_class);
            if (strip == 0 ? at != first : at < first) {
                if (lane_index() == 0) say_changed(changed);
                return;
            }
            observe_rows(a, event, begin, smaller(begin + strip_rows, a.offsets[event + 1]), at);
        });
}

}  // namespace
}  // namespace fastjag
