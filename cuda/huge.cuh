// Events of so many particles that one warp would take too long: they are put on a list, and warps
// of all blocks share their parts in a second launch. What parts give is put together in a third
// one, in the order of the parts, so that results do not depend on who had which.
#pragma once

#include "fastjag/config.hpp"
#include "launch.cuh"

namespace fastjag {

constexpr int64_t huge_event = 8192;  // particles
constexpr int64_t part_size = 1024;   // of them in a part

__host__ __device__ constexpr int64_t parts_of(int64_t n_particles) {
    return (n_particles + part_size - 1) / part_size;
}

// The list, in scratch of huge_scratch(n_particles) bytes.
struct Huge {
    struct Event {
        int64_t number, first_part;
    };
    unsigned long long* sizes;  // events on the list, their parts
    Event* events;

    Huge() = default;
    explicit Huge(void* scratch) : sizes(static_cast<unsigned long long*>(scratch)) {
        events = reinterpret_cast<Event*>(sizes + 2);
    }
    static constexpr int64_t bytes(int64_t n_particles) {
        return int64_t{2 * sizeof(unsigned long long)} +
               n_particles / huge_event * int64_t{sizeof(Event)};
    }
    // At most: of each event the last one is not full.
    static constexpr int64_t most_parts(int64_t n_particles) {
        return n_particles / part_size + n_particles / huge_event;
    }
    // Whether an event belongs on the list; if so, it is put there. Called by all lanes of a warp.
    __device__ bool takes(int64_t const* offsets, int64_t event) const {
        int64_t const n = offsets[event + 1] - offsets[event];
        if (n <= huge_event) return false;
        if (lane_index() == 0) {
            auto const place = atomicAdd(sizes, 1ull);
            auto const first = atomicAdd(sizes + 1, static_cast<unsigned long long>(parts_of(n)));
            events[place] = {event, static_cast<int64_t>(first)};
        }
        return true;
    }
};

// Empties the list, if there can be such events at all.
inline void clear(Huge const& huge, int64_t n_particles, Stream stream) {
    if (n_particles <= huge_event) return;
    check(cudaMemsetAsync(huge.sizes, 0, 2 * sizeof(unsigned long long),
                          static_cast<cudaStream_t>(stream.handle)),
          "list of long events", "could not be cleared");
}

// body(part, event, begin, end) for every part of the events on the list, called by all lanes of
// a warp. Begin and end count from the event's first particle.
template <class Body>
__device__ void each_part(Huge const& huge, int64_t const* offsets, Body body) {
    int64_t const warp = global_thread() / warp_lanes, warps = all_threads() / warp_lanes;
    auto const n_events = static_cast<int64_t>(huge.sizes[0]);
    for (int64_t i = 0; i < n_events; ++i) {
        Huge::Event const event = huge.events[i];
        int64_t const n = offsets[event.number + 1] - offsets[event.number];
        // Warps count on from one event to the next: a few parts each are as even as can be.
        int64_t const own = (warp + warps - event.first_part % warps) % warps;
        for (int64_t part = own; part < parts_of(n); part += warps) {
            int64_t const begin = part * part_size, end = begin + part_size;
            body(event.first_part + part, event.number, begin, end < n ? end : n);
        }
    }
}

// body(event, first part, number of parts) for every event on the list, called by all lanes of a
// warp.
template <class Body>
__device__ void each_huge(Huge const& huge, int64_t const* offsets, Body body) {
    auto const n_events = static_cast<int64_t>(huge.sizes[0]);
    for (int64_t i = global_thread() / warp_lanes; i < n_events; i += all_threads() / warp_lanes) {
        Huge::Event const event = huge.events[i];
        int64_t const n = offsets[event.number + 1] - offsets[event.number];
        body(event.number, event.first_part, parts_of(n));
    }
}

}  // namespace fastjag
