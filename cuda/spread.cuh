// Work of many small events spread over the lanes of a warp.
#pragma once

#include "launch.cuh"

namespace fastjag {

// Each lane has `count` items; lanes take the items of the whole warp in turn, so that all are busy
// whoever owns them: item(owner, k) for item k of lane `owner`. Called by all lanes; item must not
// synchronise.
template <class Item>
__device__ void spread(int64_t count, Item item) {
    int64_t const lane = lane_index();
    int64_t end = count;  // sum over lanes up to this one
    for (int step = 1; step < warp_lanes; step *= 2) {
        int64_t const before = __shfl_up_sync(all_lanes, end, step);
        if (lane >= step) end += before;
    }
    int64_t const total = __shfl_sync(all_lanes, end, warp_lanes - 1);
    for (int64_t turn = 0; turn < total; turn += warp_lanes) {
        int64_t const k = turn + lane;
        int owner = 0;  // the first lane whose items end behind k
        for (int step = warp_lanes / 2; step > 0; step /= 2)
            if (k >= __shfl_sync(all_lanes, end, owner + step - 1)) owner += step;
        int64_t const first = __shfl_sync(all_lanes, end - count, owner);
        if (k < total) item(owner, k - first);
    }
}

// A warp takes 32 consecutive events. Their items, count(event) each, are spread over its lanes:
// item(event, k); but events that is_long(event) says are long get together(event), called by all
// lanes at once. Loops over any number of events, whatever the grid.
template <class IsLong, class Count, class Item, class Together>
__device__ void each_item(int64_t n_events, IsLong is_long, Count count, Item item,
                          Together together) {
    for (int64_t first = global_thread() - lane_index(); first < n_events; first += all_threads()) {
        int64_t const event = first + lane_index();
        bool const inside = event < n_events;
        bool const later = inside && is_long(event);
        spread(inside && !later ? count(event) : 0,
               [&](int owner, int64_t k) { item(first + owner, k); });
        for (unsigned rest = __ballot_sync(all_lanes, later); rest; rest &= rest - 1)
            together(first + __ffs(static_cast<int>(rest)) - 1);
    }
}

}  // namespace fastjag
