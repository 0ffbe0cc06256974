// pyramid on a GPU: from points to cells on nested grids, to features, to an index of who has what.
#include "fastjag/pyramid.hpp"

#include <cstdint>
#include <type_traits>

#include "launch.cuh"

namespace fastjag {
namespace {

using namespace FASTJAG_ISA;

// With one level there are no bits, and the axes do not matter; otherwise there are at most 63.
constexpr int64_t most_axes = 64;
struct Axes {
    PyramidAxis axis[most_axes];
};

template <class T>
__device__ void put_in_order(T* values, int64_t low, int64_t high) {
    T const a = values[low], b = values[high];
    if (b < a) {
        values[low] = b;
        values[high] = a;
    }
}

// Sorts n values by one warp, ascending. A network that compares upwards only: what lies beyond n,
// as if it were larger than all, never moves. Up to 32 values pass from lane to lane, more of them
// through memory.
template <class T>
__device__ void sort_by_warp(T* values, int64_t n) {
    int64_t const lane = lane_index();
    if (n <= warp_lanes) {
        constexpr auto highest =
            static_cast<T>(~uint64_t{0} >> (64 - 8 * sizeof(T) + std::is_signed_v<T>));
        T own = lane < n ? values[lane] : highest;
        for (int size = 2; size / 2 < n; size *= 2)
            for (int half = size / 2; half > 0; half /= 2) {
                int const partner = static_cast<int>(lane) ^ (half == size / 2 ? size - 1 : half);
                T const other = __shfl_sync(all_lanes, own, partner);
                if ((other < own) == (lane < partner)) own = other;
            }
        if (lane < n) values[lane] = own;
        return;
    }
    for (int log_size = 1; (int64_t{1} << (log_size - 1)) < n; ++log_size) {
        int64_t const size = int64_t{1} << log_size;
        int64_t const pairs = (n + size - 1) / size * (size / 2);
        for (int log_half = log_size - 1; log_half >= 0; --log_half) {
            int64_t const half = int64_t{1} << log_half;
            for (int64_t pair = lane; pair < pairs; pair += warp_lanes) {
                int64_t const begin = pair >> log_half << (log_half + 1), at = pair & (half - 1);
                int64_t const high = begin + (log_half == log_size - 1 ? size - 1 - at : half + at);
                if (high < n) put_in_order(values, begin + at, high);
            }
            __syncwarp(all_lanes);
        }
    }
}

// A warp for each pyramid of each event.
__global__ void codes_of_points(PyramidCodesArgs a, Axes axes) {
    int64_t const n_axes = a.bits > 0 ? a.n_axes : 0;
    for (int64_t part = global_thread() / warp_lanes; part < a.n_events * a.n_pyramids;
         part += all_threads() / warp_lanes) {
        int64_t const event = part / a.n_pyramids, pyramid = part % a.n_pyramids;
        int64_t const first = a.offsets[event], n = a.offsets[event + 1] - first;
        uint64_t* const codes = a.codes + a.n_pyramids * first + pyramid * n;
        for (int64_t i = lane_index(); i < n; i += warp_lanes)
            codes[i] = pyramid_code(a, axes.axis, n_axes, pyramid, first + i, SpreadBits{n_axes});
        __syncwarp(all_lanes);
        sort_by_warp(codes, n);
    }
}

// A thread for each code: from the top level down, among the children of the cell above.
__global__ void cells_of_codes(PyramidCellsArgs a) {
    PyramidTree const& tree = a.tree;
    int64_t const start = a.offsets[0], top = tree.n_levels - 1;
    for (int64_t at = start + global_thread(); at < start + a.n_codes; at += all_threads()) {
        int64_t event = 0;  // the last one that begins at or before the code: it is not empty
        for (int64_t end = a.n_events; end - event > 1;) {
            int64_t const middle = event + (end - event) / 2;
            if (a.offsets[middle] <= at)
                event = middle;
            else
                end = middle;
        }
        int64_t const first = a.offsets[event], n = a.offsets[event + 1] - first, i = at - first;
        uint64_t const* const codes = a.codes + first;
        uint64_t const code = codes[i];
        uint64_t const after = i + 1 < n ? code ^ codes[i + 1] : ~uint64_t{0};
        uint64_t const before = i > 0 ? code ^ codes[i - 1] : ~uint64_t{0};
        int64_t from = tree.first[top], to = tree.first[top + 1];
        for (int64_t level = top; level >= 0; --level) {
            int64_t const shift = tree.n_axes * level;
            int64_t const cell = find_cell(tree.cells, from, to, code >> shift);
            a.cells[tree.n_levels * first + level * n + i] = static_cast<int32_t>(cell);
            if (cell < 0) {
                from = to = 0;
                continue;
            }
            if (level > 0) {
                from = tree.child[cell];
                to = tree.child[cell + 1];
            }
            // The last of several points in a cell says how many there are.
            if (a.most && after >> shift != 0 && before >> shift == 0) {
                int64_t low = -1, high = i - 1;  // codes[low] in a cell before, codes[high] in this
                while (high - low > 1) {
                    int64_t const middle = low + (high - low) / 2;
                    if (codes[middle] >> shift == code >> shift)
                        high = middle;
                    else
                        low = middle;
                }
                atomicMax(a.most + cell, static_cast<int32_t>(i - high + 1));
            }
        }
    }
}

// A warp for each event, 32 cells at a time: equal ones stand side by side, and what a cell adds to
// those before it is its place in the run. Where all cells are known, each lane writes where it has
// read, so that features may go to where the cells were.
__global__ void features_of_cells(PyramidFeaturesArgs a) {
    int64_t const lane = lane_index();
    unsigned const up_to_lane = all_lanes >> (31 - lane);
    for (int64_t event = global_thread() / warp_lanes; event < a.n_events;
         event += all_threads() / warp_lanes) {
        int64_t const first = a.offsets[event], end = a.offsets[event + 1];
        int32_t last_cell = -1;                // of the 32 before
        int64_t run_begin = first, known = 0;  // of the run that they end with
        for (int64_t at = first; at < end; at += warp_lanes) {
            int32_t const cell = at + lane < end ? a.cells[at + lane] : -1;
            int32_t previous = __shfl_up_sync(all_lanes, cell, 1);
            if (lane == 0) previous = last_cell;
            unsigned const begins = __ballot_sync(all_lanes, cell != previous);
            unsigned const here = begins & up_to_lane;
            int64_t const begin = here ? at + 31 - __clz(static_cast<int>(here)) : run_begin;
            int64_t const k = at + lane - begin;
            int32_t const base = cell < 0 ? 0 : a.base[cell];
            bool const keep = cell >= 0 && k < a.base[cell + 1] - base;
            unsigned const kept = __ballot_sync(all_lanes, keep);
            if (a.features && keep)
                a.features[a.out_offsets[event] + known + __popc(kept & (up_to_lane >> 1))] =
                    base + static_cast<int32_t>(k);
            known += __popc(kept);
            run_begin = __shfl_sync(all_lanes, begin, 31);
            last_cell = __shfl_sync(all_lanes, cell, 31);
        }
        if (a.counts && lane == 0) a.counts[event] = known;
    }
}

// A warp for each event, a lane for each of its features.
__global__ void index_features(PyramidIndexArgs a) {
    constexpr int64_t words = pyramid_tile / 32;  // bits are set in halves of the words
    for (int64_t event = global_thread() / warp_lanes; event < a.n_events;
         event += all_threads() / warp_lanes) {
        auto* const tile =
            reinterpret_cast<unsigned*>(a.planes) + event / pyramid_tile * a.n_planes * words;
        int64_t const column = event % pyramid_tile;
        for (int64_t i = a.offsets[event] + lane_index(); i < a.offsets[event + 1];
             i += warp_lanes) {
            int32_t const feature = a.features[i];
            int64_t const plane = a.plane[feature];
            if (plane >= 0) {
                atomicOr(tile + plane * words + column / 32, 1u << (column % 32));
            } else {
                auto* const cursor = reinterpret_cast<unsigned long long*>(a.cursor) + feature;
                a.postings[atomicAdd(cursor, 1ull)] = static_cast<int32_t>(event);
            }
        }
    }
}

// Events came in any order. Each list ends where the next one begins, which cursors now say.
__global__ void sort_lists(PyramidIndexArgs a) {
    for (int64_t feature = global_thread() / warp_lanes; feature < a.n_features;
         feature += all_threads() / warp_lanes) {
        int64_t const begin = feature > 0 ? a.cursor[feature - 1] : 0;
        int64_t const n = a.cursor[feature] - begin;
        if (n > 1) sort_by_warp(a.postings + begin, n);
    }
}

// Ascends with the value and descends with the column; never 0. Columns are less than 2^32.
__device__ uint64_t rank_of(float value, int64_t column) {
    uint32_t const bits = __float_as_uint(value + 0.0f);  // -0 is 0
    uint32_t const ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
    return uint64_t{ordered} << 32 | static_cast<uint32_t>(~column);
}

// A block for each row. A thread keeps the few largest of its columns, looks for more of them only
// when those are used up, and the block takes the largest of all threads k times.
constexpr int n_kept = 4;

__device__ void keep_largest(LargestArgs<float> const& a, int64_t row, uint64_t below,
                             uint64_t (&kept)[n_kept]) {
    float const* const values = a.values + row * a.n_columns;
    int64_t const skip = a.exclude ? a.exclude[row] : -1;
    for (int64_t j = threadIdx.x; j < a.n_columns; j += blockDim.x) {
        uint64_t rank = rank_of(values[j], j);
        if (rank >= below || rank <= kept[n_kept - 1] || j == skip) continue;
#pragma unroll
        for (int i = 0; i < n_kept; ++i) {
            uint64_t const other = kept[i];
            kept[i] = rank > other ? rank : other;
            rank = rank > other ? other : rank;
        }
    }
}

__global__ void largest_of_rows(LargestArgs<float> a) {
    FASTJAG_SHARED(uint64_t, of_warps);  // two sets, used in turn: one barrier each is enough
    int64_t const n_warps = blockDim.x / warp_lanes;
    int64_t turn = 0;
    for (int64_t row = blockIdx.x; row < a.n_rows; row += gridDim.x) {
        uint64_t kept[n_kept] = {};
        keep_largest(a, row, ~uint64_t{0}, kept);
        uint64_t best = ~uint64_t{0};
        for (int64_t found = 0; found < a.k; ++found) {
            if (best != 0) {
                best = kept[0];
                for (int lanes = 16; lanes > 0; lanes /= 2) {
                    uint64_t const other = __shfl_xor_sync(all_lanes, best, lanes);
                    best = best > other ? best : other;
                }
                uint64_t* const warps = of_warps + turn++ % 2 * n_warps;
                if (lane_index() == 0) warps[threadIdx.x / warp_lanes] = best;
                __syncthreads();
                for (int64_t w = 0; w < n_warps; ++w) best = best > warps[w] ? best : warps[w];
            }
            if (best == 0 ? threadIdx.x == 0 : kept[0] == best) {
                auto const column = static_cast<int64_t>(~static_cast<uint32_t>(best));
                a.index[row * a.k + found] = best == 0 ? -1 : column;
                a.largest[row * a.k + found] =
                    best == 0 ? 0.0f : a.values[row * a.n_columns + column];
                for (int i = 0; i + 1 < n_kept; ++i) kept[i] = kept[i + 1];
                kept[n_kept - 1] = 0;
                if (best != 0 && kept[0] == 0) keep_largest(a, row, best, kept);
            }
        }
    }
}

}  // namespace

void pyramid_codes(PyramidCodesArgs const& a, Stream stream) {
    int64_t const n = a.n_events * a.n_pyramids * warp_lanes;
    if (n == 0) return;
    Axes axes{};
    if (a.bits > 0)
        for (int64_t d = 0; d < a.n_axes; ++d) axes.axis[d] = a.axes[d];
    FASTJAG_LAUNCH(codes_of_points, blocks_for(n, block_threads), block_threads, 0, stream, a,
                   axes);
}

void pyramid_cells(PyramidCellsArgs const& a, Stream stream) {
    if (a.n_codes == 0) return;
    FASTJAG_LAUNCH(cells_of_codes, blocks_for(a.n_codes, block_threads), block_threads, 0, stream,
                   a);
}

void pyramid_features(PyramidFeaturesArgs const& a, Stream stream) {
    if (a.n_events == 0) return;
    FASTJAG_LAUNCH(features_of_cells, blocks_for(a.n_events * warp_lanes, block_threads),
                   block_threads, 0, stream, a);
}

void pyramid_index(PyramidIndexArgs const& a, Stream stream) {
    if (a.n_events == 0 || a.n_features == 0) return;
    FASTJAG_LAUNCH(index_features, blocks_for(a.n_events * warp_lanes, block_threads),
                   block_threads, 0, stream, a);
    FASTJAG_LAUNCH(sort_lists, blocks_for(a.n_features * warp_lanes, block_threads), block_threads,
                   0, stream, a);
}

template <class T>
void largest(LargestArgs<T> const& a, Stream stream) {
    if (a.n_rows == 0 || a.k == 0) return;
    FASTJAG_LAUNCH(largest_of_rows, blocks_for(a.n_rows, 1), block_threads,
                   2 * block_threads / warp_lanes * int64_t{sizeof(uint64_t)}, stream, a);
}

template void largest(LargestArgs<float> const&, Stream);

}  // namespace fastjag
