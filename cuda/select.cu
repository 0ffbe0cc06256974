// select: which particles stay (mask compaction), which events (gather), and in which order.
// (Of `order` all is right, whatever the limit: ranks are not found faster for a few.)
#include "fastjag/select.hpp"

#include <utility>

#include "events.cuh"
#include "huge.cuh"

namespace fastjag {
namespace {

// ---- select and compact -------------------------------------------------------------------------

// What stays is a bit for each particle, and for each tile of 128 of them how many stay before it:
// in memory of our own, so that compact keeps what was counted, whatever becomes of the mask.
// Events do not matter to either; where an event's particles go to is asked for afterwards.
constexpr int64_t tile_words = 4, tile = 32 * tile_words;
constexpr int64_t tiles_for(int64_t n_particles) { return (n_particles + tile - 1) / tile; }

struct Kept {
    int64_t n_tiles;
    int64_t* before;  // (n_tiles + 1,)
    uint4* words;     // (n_tiles,)
    void* scan;       // scratch of `scan`

    Kept(void* scratch, int64_t n_particles) : n_tiles(tiles_for(n_particles)) {
        words = static_cast<uint4*>(scratch);
        before = reinterpret_cast<int64_t*>(words + n_tiles);
        scan = before + n_tiles + 1;
    }
};

// A warp takes a tile at a time.
__global__ void mark_kept(SelectArgs a, Kept kept) {
    if (global_thread() == 0) kept.before[0] = 0;
    int64_t const begin = a.offsets[0], end = a.offsets[a.n_events];
    for (int64_t t = global_thread() / warp_lanes; t < kept.n_tiles;
         t += all_threads() / warp_lanes) {
        uint8_t byte[tile_words];
#pragma unroll
        for (int k = 0; k < tile_words; ++k) {
            int64_t const i = t * tile + k * warp_lanes + lane_index();
            byte[k] = i >= begin && i < end ? a.mask[i] : uint8_t{0};
        }
        unsigned word[tile_words];
#pragma unroll
        for (int k = 0; k < tile_words; ++k) word[k] = __ballot_sync(all_lanes, byte[k] != 0);
        if (lane_index() > 0) continue;
        kept.words[t] = {word[0], word[1], word[2], word[3]};
        kept.before[t + 1] = __popc(word[0]) + __popc(word[1]) + __popc(word[2]) + __popc(word[3]);
    }
}

// How many stay before each event, and before the end of the last one.
__global__ void offsets_of_kept(SelectArgs a, Kept kept) {
    for (int64_t event = global_thread(); event <= a.n_events; event += all_threads()) {
        int64_t const particle = a.offsets[event], t = particle / tile;
        int64_t n = kept.before[t];
        if (auto const inside = static_cast<int>(particle % tile)) {
            uint4 const word = kept.words[t];
            unsigned const words[tile_words] = {word.x, word.y, word.z, word.w};
#pragma unroll
            for (int k = 0; k < tile_words; ++k) {
                int const bits = inside - 32 * k;  // of this word
                unsigned const first = bits >= 32 ? all_lanes : bits > 0 ? (1u << bits) - 1 : 0;
                n += __popc(words[k] & first);
            }
        }
        a.out_offsets[event] = n;
    }
}

// Without values, the places of what stays.
template <class U>
__global__ void compact_values(CompactArgs a, Kept kept) {
    auto const* const values = static_cast<U const*>(a.values);
    auto* const out = static_cast<U*>(a.out);
    unsigned const below = (1u << lane_index()) - 1;
    for (int64_t t = global_thread() / warp_lanes; t < kept.n_tiles;
         t += all_threads() / warp_lanes) {
        uint4 const word = kept.words[t];
        unsigned const words[tile_words] = {word.x, word.y, word.z, word.w};
        int64_t const first = t * tile + lane_index();
        U x[tile_words];
#pragma unroll
        for (int k = 0; k < tile_words; ++k) {
            int64_t const i = first + k * warp_lanes;
            if (!(words[k] >> lane_index() & 1)) continue;
            if (sizeof(U) == 8 && !values)
                x[k] = static_cast<U>(i);
            else
                x[k] = values[i];
        }
        U* to = out + kept.before[t];
#pragma unroll
        for (int k = 0; k < tile_words; ++k) {
            if (words[k] >> lane_index() & 1) to[__popc(words[k] & below)] = x[k];
            to += __popc(words[k]);
        }
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

// A block looks through a group of events, at most one for each thread, for long ones: few events
// where there are few. Huge ones go on the list.
template <class T>
__global__ void order_long(OrderArgs<T> a, Huge huge) {
    int64_t const even = (a.n_events + gridDim.x - 1) / gridDim.x;
    int64_t const group = even < blockDim.x ? even : blockDim.x;
    FASTJAG_SHARED(unsigned, long_ones);  // a bit for each event
    int const warps = static_cast<int>(blockDim.x) / 32;
    for (int64_t first = blockIdx.x * group; first < a.n_events; first += gridDim.x * group) {
        int64_t const event = first + threadIdx.x;
        bool const inside = threadIdx.x < group && event < a.n_events;
        int64_t const n = inside ? a.offsets[event + 1] - a.offsets[event] : 0;
        if (n > huge_event) huge.add(event, parts_of(n));
        unsigned const events = __ballot_sync(all_lanes, n > most_ranked && n <= huge_event);
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

// Of huge events each block sorts parts, in `from`. Places in `to` are those of some particle of
// the event, whatever becomes of the keys meanwhile.
template <class T>
__global__ void order_parts(OrderArgs<T> a, Huge huge, int64_t* from, int64_t* to) {
    each_part(
        huge, a.offsets,
        [&](int64_t, int64_t event, int64_t begin, int64_t end) {
            int64_t const start = a.offsets[event] + begin, at = start - a.offsets[0];
            for (int64_t k = threadIdx.x; k < end - begin; k += blockDim.x) to[at + k] = start + k;
            sort_event(a.key, start, end - begin, from + at);
        },
        each_block());
}

// How many of n particles in order come before particle i.
template <class T>
__device__ int64_t count_before(T const* key, int64_t const* sorted, int64_t n, int64_t i) {
    T const own = key[i];
    int64_t low = 0;
    for (int64_t high = n; low < high;) {
        int64_t const middle = low + (high - low) / 2, j = sorted[middle];
        if (comes_before(key[j], j, own, i))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Then runs of `run` particles in order are merged, so many at a time: those of the others that
// come before a particle say where it goes.
constexpr int64_t ways = 4;

template <class T>
__global__ void merge_runs(OrderArgs<T> a, Huge huge, int64_t run, int64_t const* from,
                           int64_t* to) {
    each_part(huge, a.offsets, [&](int64_t, int64_t event, int64_t begin, int64_t end) {
        int64_t const start = a.offsets[event], n = a.offsets[event + 1] - start;
        int64_t const* const sorted = from + (start - a.offsets[0]);
        int64_t const own = begin - begin % run, first = begin - begin % (ways * run);
        int64_t const last = smaller(first + ways * run, n);
        for (int64_t k = begin + lane_index(); k < end; k += warp_lanes) {
            int64_t place = first + k - own;
            for (int64_t other = first; other < last; other += run)
                if (other != own)
                    place +=
                        count_before(a.key, sorted + other, smaller(run, n - other), sorted[k]);
            to[start - a.offsets[0] + place] = sorted[k];
        }
    });
}

constexpr int64_t warps_of_block = block_threads / warp_lanes;

}  // namespace

int64_t select_scratch(int64_t n_particles) {
    int64_t const n = tiles_for(n_particles);
    return n * int64_t{sizeof(uint4)} + (n + 1) * int64_t{sizeof(int64_t)} + scan_scratch(n + 1);
}

void select(SelectArgs const& a, Stream stream) {
    Kept const kept(stream.scratch, a.n_particles);
    FASTJAG_LAUNCH(mark_kept, blocks_for(kept.n_tiles * warp_lanes, block_threads), block_threads,
                   0, stream, a, kept);
    scan({kept.n_tiles + 1, kept.before, kept.scan, scan_scratch(kept.n_tiles + 1)}, stream);
    FASTJAG_LAUNCH(offsets_of_kept, blocks_for(a.n_events + 1, block_threads), block_threads, 0,
                   stream, a, kept);
}

void compact(CompactArgs const& a, Stream stream) {
    Kept const kept(stream.scratch, a.n_particles);
    if (kept.n_tiles == 0) return;
    int64_t const blocks = blocks_for(kept.n_tiles * warp_lanes, block_threads);
    switch (a.itemsize) {
        case 1:
            FASTJAG_LAUNCH(compact_values<uint8_t>, blocks, block_threads, 0, stream, a, kept);
            return;
        case 2:
            FASTJAG_LAUNCH(compact_values<uint16_t>, blocks, block_threads, 0, stream, a, kept);
            return;
        case 4:
            FASTJAG_LAUNCH(compact_values<uint32_t>, blocks, block_threads, 0, stream, a, kept);
            return;
        default:
            FASTJAG_LAUNCH(compact_values<uint64_t>, blocks, block_threads, 0, stream, a, kept);
    }
}

void gather(GatherArgs const& a, Stream stream) {
    if (a.n_events == 0) return;
    int64_t const blocks = every_block;  // whatever n_events is: particles may be many
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

int64_t order_scratch(int64_t n_particles) {
    return Huge::bytes(n_particles) + (n_particles > huge_event ? n_particles : 0) * 8;
}

template <class T>
void order(OrderArgs<T> const& a, Stream stream) {
    if (a.n_events == 0) return;
    Huge const huge(stream.scratch);
    clear(huge, a.n_particles, stream);
    FASTJAG_LAUNCH((order_by_rank<T>), every_block, block_threads, 0, stream, a);
    FASTJAG_LAUNCH((order_long<T>), a.n_events, block_threads, warps_of_block * sizeof(unsigned),
                   stream, a, huge);
    if (a.n_particles <= huge_event) return;
    int64_t* from = a.order;
    auto* to =
        reinterpret_cast<int64_t*>(static_cast<char*>(stream.scratch) + Huge::bytes(a.n_particles));
    int64_t const n_parts = Huge::most_parts(a.n_particles);
    for (int64_t run = part_size; run < a.n_particles; run *= ways) std::swap(from, to);
    FASTJAG_LAUNCH((order_parts<T>), blocks_for(n_parts, 1), block_threads, 0, stream, a, huge,
                   from, to);
    for (int64_t run = part_size; run < a.n_particles;
         run *= ways) {  // the last one writes a.order
        FASTJAG_LAUNCH((merge_runs<T>), blocks_for(n_parts * warp_lanes, block_threads),
                       block_threads, 0, stream, a, huge, run, from, to);
        std::swap(from, to);
    }
}

#define FASTJAG_ORDER(T) template void order(OrderArgs<T> const&, Stream);
FASTJAG_FOR_NUMBER_TYPES(FASTJAG_ORDER)

}  // namespace fastjag
