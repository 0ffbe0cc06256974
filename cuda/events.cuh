// Events among the lanes of a warp: most have a few particles, a few have thousands.
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

// Particles of an event, short ones a lane's own work.
__device__ inline bool long_event(int64_t const* offsets, int64_t event) {
    return offsets[event + 1] - offsets[event] > short_event;
}

}  // namespace fastjag
