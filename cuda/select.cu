// select: which particles stay (mask compaction), which events (gather), and in which order.
// (Of `order` all is right, whatever the limit: ranks are not found faster for a few.)
#include "fastjag/select.hpp"

#include "events.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

// ---- select ------------------------------------------------------------------------------------

__global__ void count_kept(SelectArgs a) {
    if (global_thread() == 0) a.out_offsets[0] = 0;
    each_event(
        a.n_events, [&](int64_t event) { return long_event(a.offsets, event); },
        [&](int64_t event) {
            int64_t const end = a.offsets[event + 1];
            int64_t kept = 0;
            for (int64_t i = a.offsets[event]; i < end; ++i) kept += keeps(a.mask, i);
            a.out_offsets[event + 1] = kept;
        },
        [&](int64_t event) {
            int64_t const end = a.offsets[event + 1];
            int64_t kept = 0;
            for (int64_t i = a.offsets[event] + lane_index(); i < end; i += warp_lanes)
                kept += keeps(a.mask, i);
            for (int half = 16; half > 0; half /= 2) kept += __shfl_xor_sync(all_lanes, kept, half);
            if (lane_index() == 0) a.out_offsets[event + 1] = kept;
        });
}

// ---- compact -----------------------------------------------------------------------------------

// A block takes a group of events. What is kept of them lies together, as they do, so that their
// borders do not matter: warps take equal parts of the particles, and count before they write. If
// the mask has changed since it was counted, nothing is written behind the group's output.
template <class U>
__global__ void compact_values(CompactArgs a, int64_t group, int32_t* changed) {
    constexpr int most_rows = 4;  // of 32 particles for each warp, all read at once
    FASTJAG_SHARED(int, counts);  // of the warps, in two turns: one barrier is enough
    auto const* const values = static_cast<U const*>(a.values);
    int const warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
    unsigned const below = (1u << lane_index()) - 1;
    int turn = 0;
    for (int64_t first = blockIdx.x * group; first < a.n_events; first += gridDim.x * group) {
        int64_t const last = first + group < a.n_events ? first + group : a.n_events;
        int64_t const begin = a.offsets[first], end = a.offsets[last];
        U* out = static_cast<U*>(a.out) + a.out_offsets[first];
        U* const limit = static_cast<U*>(a.out) + a.out_offsets[last];
        for (int64_t tile = begin & ~31; tile < end; turn = warps - turn) {
            int64_t const wanted = (end - tile + blockDim.x - 1) / blockDim.x;
            int const rows = static_cast<int>(wanted < most_rows ? wanted : most_rows);
            int64_t const from = tile + warp * rows * warp_lanes + lane_index();
            U x[most_rows];
            unsigned kept[most_rows];
            int count = 0;
#pragma unroll
            for (int k = 0; k < most_rows; ++k) {
                int64_t const i = from + k * warp_lanes;
                bool const keep = k < rows && i >= begin && i < end && keeps(a.mask, i);
                if (keep) x[k] = values[i];
                kept[k] = __ballot_sync(all_lanes, keep);
                count += __popc(kept[k]);
            }
            if (lane_index() == 0) counts[turn + warp] = count;
            __syncthreads();
            U* to = out;
            for (int w = 0; w < warps; ++w) {
                int const there = counts[turn + w];
                out += there;
                to += w < warp ? there : 0;
            }
#pragma unroll
            for (int k = 0; k < most_rows; ++k) {
                U* const at = to + __popc(kept[k] & below);
                if (kept[k] >> lane_index() & 1 && at < limit) *at = x[k];
                to += __popc(kept[k]);
            }
            tile += rows * int64_t{blockDim.x};
        }
        if (threadIdx.x == 0 && out != limit) say_changed(changed);
    }
}

// ---- gather ------------------------------------------------------------------------------------

template <class U>
__global__ void gather_values(GatherArgs a) {
    auto const* const values = static_cast<U const*>(a.values);
    auto* const out = static_cast<U*>(a.out);
    each_particle(a.out_offsets, a.n_events, [&](int64_t i, int64_t event) {
        out[i] = values[a.starts[event] + (i - a.out_offsets[event])];
    });
}

// ---- order -------------------------------------------------------------------------------------

constexpr int64_t most_ranked = 256;  // particles of an event; in longer ones ranks cost too much

// A particle's place is the number of those before it.
template <class T>
__global__ void order_by_rank(OrderArgs<T> a) {
    each_particle(a.offsets, a.n_events, [&](int64_t i, int64_t event) {
        int64_t const start = a.offsets[event], end = a.offsets[event + 1];
        if (end - start > most_ranked) return;
        T const own = a.key[i];
        int rank = 0;
        for (int64_t j = start; j < end; ++j)
            if (j != i) rank += comes_before(a.key[j], j, own, i);  // the key may have changed
        a.order[start - a.offsets[0] + rank] = i;
    });
}

// Bitonic sort by all threads of a block. What is missing up to a power of two would be last in
// any order and stay there, as the first of a pair always goes to the lower place.
template <class T>
__device__ void sort_event(T const* key, int64_t start, int64_t n, int64_t* out) {
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) out[i] = start + i;
    __syncthreads();
    for (int64_t size = 2; size < 2 * n; size *= 2)
        for (int64_t step = size / 2; step > 0; step /= 2) {
            int64_t const pairs = ((n + size - 1) & -size) / 2;
            for (int64_t pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
                int64_t const low = 2 * (pair & -step) + (pair & (step - 1));
                int64_t const high = step == size / 2 ? low ^ (size - 1) : low + step;
                if (high >= n) continue;
                int64_t const i = out[low], j = out[high];
                if (comes_before(key[j], j, key[i], i)) {
                    out[low] = j;
                    out[high] = i;
                }
            }
            __syncthreads();
        }
}

// A block looks through a group of events, at most one for each thread, for long ones.
template <class T>
__global__ void order_long(OrderArgs<T> a, int64_t group) {
    FASTJAG_SHARED(unsigned, long_ones);  // a bit for each event
    int const warps = static_cast<int>(blockDim.x) / 32;
    for (int64_t first = blockIdx.x * group; first < a.n_events; first += gridDim.x * group) {
        int64_t const event = first + threadIdx.x;
        bool const here = threadIdx.x < group && event < a.n_events &&
                          a.offsets[event + 1] - a.offsets[event] > most_ranked;
        unsigned const events = __ballot_sync(all_lanes, here);
        if (lane_index() == 0) long_ones[threadIdx.x / 32] = events;
        __syncthreads();
        for (int w = 0; w < warps; ++w)
            for (unsigned rest = long_ones[w]; rest; rest &= rest - 1) {
                int64_t const e = first + w * warp_lanes + __ffs(static_cast<int>(rest)) - 1;
                int64_t const start = a.offsets[e];
                sort_event(a.key, start, a.offsets[e + 1] - start,
                           a.order + (start - a.offsets[0]));
            }
        __syncthreads();
    }
}

constexpr int64_t warps_of_block = block_threads / warp_lanes;

// The number of blocks that fill the GPU, whatever n_events is: particles may be many.
int64_t all_blocks() { return blocks_for(INT64_MAX / 2, 1); }

// Events that a block takes at a time, few where there are few.
int64_t group_of(int64_t n_events) {
    int64_t const even = (n_events + all_blocks() - 1) / all_blocks();
    return even < block_threads ? even : block_threads;
}

}  // namespace

void select(SelectArgs const& a, Stream stream) {
    // Without events, too, there is a first offset.
    FASTJAG_LAUNCH(count_kept, blocks_for(a.n_events, block_threads), block_threads, 0, stream, a);
}

void compact(CompactArgs const& a, Stream stream) {
    if (a.n_events == 0) return;
    int64_t const group = group_of(a.n_events), blocks = blocks_for(a.n_events, group);
    size_t const shared = 2 * warps_of_block * sizeof(int);
    switch (a.itemsize) {
        case 1:
            FASTJAG_LAUNCH((compact_values<uint8_t>), blocks, block_threads, shared, stream, a,
                           group, stream.changed);
            return;
        case 2:
            FASTJAG_LAUNCH((compact_values<uint16_t>), blocks, block_threads, shared, stream, a,
                           group, stream.changed);
            return;
        case 4:
            FASTJAG_LAUNCH((compact_values<uint32_t>), blocks, block_threads, shared, stream, a,
                           group, stream.changed);
            return;
        default:
            FASTJAG_LAUNCH((compact_values<uint64_t>), blocks, block_threads, shared, stream, a,
                           group, stream.changed);
    }
}

void gather(GatherArgs const& a, Stream stream) {
    if (a.n_events == 0) return;
    int64_t const blocks = all_blocks();
    switch (a.itemsize) {
        case 1:
            FASTJAG_LAUNCH((gather_values<uint8_t>), blocks, block_threads, 0, stream, a);
            return;
        case 2:
            FASTJAG_LAUNCH((gather_values<uint16_t>), blocks, block_threads, 0, stream, a);
            return;
        case 4:
            FASTJAG_LAUNCH((gather_values<uint32_t>), blocks, block_threads, 0, stream, a);
            return;
        default: FASTJAG_LAUNCH((gather_values<uint64_t>), blocks, block_threads, 0, stream, a);
    }
}

template <class T>
void order(OrderArgs<T> const& a, Stream stream) {
    if (a.n_events == 0) return;
    FASTJAG_LAUNCH((order_by_rank<T>), all_blocks(), block_threads, 0, stream, a);
    int64_t const group = group_of(a.n_events);
    FASTJAG_LAUNCH((order_long<T>), blocks_for(a.n_events, group), block_threads,
                   warps_of_block * sizeof(unsigned), stream, a, group);
}

#define FASTJAG_ORDER(T) template void order(OrderArgs<T> const&, Stream);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_ORDER)

}  // namespace fastjag
