// Events of so many particles that one warp would take too long: they are put on a list, and warps
// of all blocks share their parts in a second launch. What parts give is put together in a third
// one, in the order of the parts, so that results do not depend on who had which.
#pragma once

#include "fastjag/config.hpp"
#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;

constexpr int64_t huge_event = 8192;  // particles
constexpr int64_t part_size = 1024;   // of them in a part

__host__ __device__ constexpr int64_t parts_of(int64_t n_particles) {
    return (n_particles + part_size - 1) / part_size;
}

// Events whose work all warps share, part by part.
struct List {
    struct Event {
        int64_t number, first_part;
    };
    static constexpr int64_t head = 2 * sizeof(unsigned long long);
    unsigned long long* sizes;  // events on the list, their parts
    Event* events;

    static constexpr int64_t bytes(int64_t most_events) {
        return head + most_events * int64_t{sizeof(Event)};
    }
    // By one thread.
    __device__ void add(int64_t event, int64_t n_parts) const {
        auto const place = atomicAdd(sizes, 1ull);
        auto const first = atomicAdd(sizes + 1, static_cast<unsigned long long>(n_parts));
        events[place] = {event, static_cast<int64_t>(first)};
    }
};

// In scratch of so many bytes, which begins with the sizes.
inline List list_in(void* scratch) {
    auto* const sizes = static_cast<unsigned long long*>(scratch);
    return {sizes, reinterpret_cast<List::Event*>(sizes + 2)};
}

inline void clear(List const& list, Stream stream) {
    check(cudaMemsetAsync(list.sizes, 0, List::head, static_cast<cudaStream_t>(stream.handle)),
          "list of long events", "could not be cleared");
}

// Who takes the parts: worker `own` of `all`, which are warps, or blocks as a whole.
struct Workers {
    int64_t own, all;
};
__device__ inline Workers each_warp() {
    return {global_thread() / warp_lanes, all_threads() / warp_lanes};
}
__device__ inline Workers each_block() { return {blockIdx.x, gridDim.x}; }

// body(event, k) for parts k < n_parts(event) of the events on the list, called by all lanes of a
// worker. Workers count on from one event to the next: a few parts each are as even as can be.
template <class Count, class Body>
__device__ void each_of(List const& list, Count n_parts, Body body, Workers workers = each_warp()) {
    auto const n_events = static_cast<int64_t>(list.sizes[0]);
    for (int64_t first = 0; first < n_events; first += warp_lanes) {  // a lane looks at an event
        int64_t const mine = first + lane_index();
        List::Event event{};
        int64_t own = 0, n = 0;
        if (mine < n_events) {
            event = list.events[mine];
            own = (workers.own + workers.all - event.first_part % workers.all) % workers.all;
            n = n_parts(event.number);
        }
        for (unsigned rest = __ballot_sync(all_lanes, own < n); rest; rest &= rest - 1) {
            int const lane = __ffs(static_cast<int>(rest)) - 1;
            List::Event const one{__shfl_sync(all_lanes, event.number, lane),
                                  __shfl_sync(all_lanes, event.first_part, lane)};
            int64_t const parts = __shfl_sync(all_lanes, n, lane);
            for (int64_t part = __shfl_sync(all_lanes, own, lane); part < parts;
                 part += workers.all)
                body(one, part);
        }
    }
}

// The list of huge events, in scratch of Huge::bytes(n_particles) bytes.
struct Huge : List {
    Huge() = default;
    explicit Huge(void* scratch) : List(list_in(scratch)) {}
    static constexpr int64_t bytes(int64_t n_particles) {
        return List::bytes(n_particles / huge_event);
    }
    // At most: of each event the last one is not full.
    static constexpr int64_t most_parts(int64_t n_particles) {
        return n_particles / part_size + n_particles / huge_event;
    }
    // Whether an event belongs on the list; if so, it is put there. Called by all lanes of a warp.
    __device__ bool takes(int64_t const* offsets, int64_t event) const {
        int64_t const n = offsets[event + 1] - offsets[event];
        if (n <= huge_event) return false;
        if (lane_index() == 0) add(event, parts_of(n));
        return true;
    }
};

// Empties the list, if there can be such events at all.
inline void clear(Huge const& huge, int64_t n_particles, Stream stream) {
    if (n_particles > huge_event) clear(huge, stream);
}

// body(part, event, begin, end) for every part of the events on the list, called by all lanes of
// a worker. Begin and end count from the event's first particle.
template <class Body>
__device__ void each_part(Huge const& huge, int64_t const* offsets, Body body,
                          Workers workers = each_warp()) {
    auto const length = [&](int64_t event) { return offsets[event + 1] - offsets[event]; };
    each_of(
        huge, [&](int64_t event) { return parts_of(length(event)); },
        [&](List::Event const& event, int64_t part) {
            int64_t const begin = part * part_size, n = length(event.number);
            body(event.first_part + part, event.number, begin, smaller(begin + part_size, n));
        },
        workers);
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
