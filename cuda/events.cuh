// Events and particles among the lanes of a warp: most events have a few particles, a few have
// thousands.
#pragma once

#include "launch.cuh"

namespace fastjag {

constexpr int64_t short_event = 32;  // particles: as many as lanes, one for each

// A warp takes 32 consecutive events: alone(event) for a lane each, but those that is_long(event)
// says are long by together(event), one after another, called by all lanes of the warp at once (so
// that it may shuffle). Loops over any number of events, whatever the grid.
template <class IsLong, class Alone, class Together>
__device__ void each_event(int64_t n_events, IsLong is_long, Alone alone, Together together) {
    for (int64_t first = global_thread() - lane_index(); first < n_events; first += all_threads()) {
        int64_t const event = first + lane_index();
        bool const inside = event < n_events;
        bool const later = inside && is_long(event);
        if (inside && !later) alone(event);
        for (unsigned rest = __ballot_sync(all_lanes, later); rest; rest &= rest - 1)
            together(first + __ffs(static_cast<int>(rest)) - 1);
    }
}

// Whether an event is more than a lane's own work.
__device__ inline bool long_event(int64_t const* offsets, int64_t event) {
    return offsets[event + 1] - offsets[event] > short_event;
}

// The event that holds a particle, found by all lanes of a warp: a 33rd is left by each look.
__device__ inline int64_t event_of(int64_t const* offsets, int64_t n_events, int64_t particle) {
    int64_t first = 0, last = n_events;  // offsets[first] <= particle < offsets[last]
    while (last - first > 1) {
        int64_t const step = (last - first + 31) / 32;
        int64_t const probe = first + (lane_index() + 1) * step;
        bool const passed = probe < last && offsets[probe] <= particle;
        first += __popc(__ballot_sync(all_lanes, passed)) * step;
        last = first + step < last ? first + step : last;
    }
    return first;
}

// body(particle, event) for every particle, a lane each: consecutive lanes take consecutive ones,
// every warp as many as the others, however they are spread over events. Particles are counted as
// `offsets` does. For grids that fill the GPU: every thread works once.
template <class Body>
__device__ void each_particle(int64_t const* offsets, int64_t n_events, Body body) {
    constexpr int64_t least = 8 * warp_lanes;  // worth finding their event
    int64_t const begin = offsets[0], all = offsets[n_events] - begin, warps = all_threads() / 32;
    int64_t const even = (all + warps - 1) / warps,
                  share = (even > least ? even + 31 : least) & ~31;
    int64_t const own = begin + global_thread() / 32 * share;
    int64_t const end = own + share < begin + all ? own + share : begin + all;
    int64_t event = own < end ? event_of(offsets, n_events, own) : 0;
    for (int64_t next = own; next < end;) {
        // The ends of 32 events, among which every lane looks for its particle's.
        int64_t const mine = event + 1 + lane_index();
        int64_t const border = offsets[mine < n_events ? mine : n_events];
        int64_t const known = __shfl_sync(all_lanes, border, 31);
        int64_t const until = known < end ? known : end;
        for (int64_t row = next & ~31; row < until; row += 32) {
            int64_t const particle = row + lane_index();
            int passed = 0;
            for (int half = 16; half > 0; half /= 2)
                if (__shfl_sync(all_lanes, border, passed + half - 1) <= particle) passed += half;
            if (particle >= next && particle < until) body(particle, event + passed);
        }
        event = known > next ? event + 32 : event_of(offsets, n_events, next);  // all empty: ahead
        next = until;
    }
}

}  // namespace fastjag
