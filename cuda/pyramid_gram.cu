// pyramid on a GPU: the Gram matrix of sets from the index of their features.
//
// As on the CPU, what a row shares with the columns is the sum of the bit planes of its features,
// formed by carry-save adders. A warp has a row and 1024 columns, each lane a word of 32 of them,
// which it counts digit by digit in registers: an addition costs two logical instructions for 32
// columns. Levels come from the finest on, and doubling the sum in between gives them their
// weights. Sums then go through shared memory, where features from lists are added, to lanes side
// by side. Both halves of a symmetric matrix are computed: writing it takes as long.
#include "fastjag/pyramid.hpp"

#include <cstdint>
#include <type_traits>

#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;
namespace {

constexpr int64_t warp_columns = 32 * warp_lanes;
constexpr int64_t gram_threads = 128;
constexpr int64_t batch = 4;  // planes added at a time

// What lanes exchange at once: 16 bytes.
struct alignas(16) Words {
    uint32_t at[batch];
};

// Sums of 32 columns, each of n_digits bits: 16, or 32 where they need more.
template <int n_digits>
struct Sums {
    uint32_t digit[n_digits] = {};

    __device__ void add(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
        uint32_t const first = carry_of(digit[0], a, b);
        digit[0] ^= a ^ b;
        uint32_t const second = carry_of(digit[0], c, d);
        digit[0] ^= c ^ d;
        uint32_t carry = carry_of(digit[1], first, second);
        digit[1] ^= first ^ second;
#pragma unroll
        for (int j = 2; j < n_digits; ++j) {
            uint32_t const next = digit[j] & carry;
            digit[j] ^= carry;
            carry = next;
            if (j % 4 == 1 && carry == 0) break;
        }
    }

    __device__ void twice() {
#pragma unroll
        for (int j = n_digits - 1; j > 0; --j) digit[j] = digit[j - 1];
        digit[0] = 0;
    }

    // Transposes each square of bits (two of 16, or one of 32) by exchanging quarters, then theirs:
    // word j holds the sum of column j, and that of column j + 16 in its upper half if sums have 16
    // bits.
    __device__ void turn() {
#pragma unroll
        for (int half = n_digits / 2; half > 0; half /= 2) {
            uint32_t const low = ~uint32_t{0} / ((1u << half) + 1);  // bits j with j & half == 0
#pragma unroll
            for (int k = 0; k < n_digits; ++k) {
                if (k & half) continue;
                uint32_t const change = ((digit[k] >> half) ^ digit[k + half]) & low;
                digit[k + half] ^= change;
                digit[k] ^= change << half;
            }
        }
    }
};

// The shared memory of a warp: a line of sums for each lane. Four words more than there are sums
// keep lanes off each other's banks when they write their lines.
template <int n_digits>
struct Lines {
    static constexpr int64_t length = n_digits + 4;
    static constexpr int64_t words = warp_lanes * length + warp_lanes;  // and planes to add
    uint32_t* const word;

    __device__ int32_t* planes() const {
        return reinterpret_cast<int32_t*>(word + warp_lanes * length);
    }
    __device__ void put(Sums<n_digits> const& sums) const {
        uint32_t* const line = word + lane_index() * length;
#pragma unroll
        for (int j = 0; j < n_digits; j += batch)
            *reinterpret_cast<Words*>(line + j) = {sums.digit[j], sums.digit[j + 1],
                                                   sums.digit[j + 2], sums.digit[j + 3]};
    }
    __device__ void add(int64_t column, uint32_t weight) const {
        int64_t const line = column / 32 * length;
        atomicAdd(word + line + column % n_digits, weight << (column % 32 / n_digits * 16));
    }
    __device__ uint32_t sum(int64_t column) const {
        uint32_t const both = word[column / 32 * length + column % n_digits];
        if constexpr (n_digits == 32) return both;
        return both >> (column % 32 / 16 * 16) & 0xffff;
    }
};

// The planes of a row, added up.
template <int n_digits, class Out>
__device__ void add_planes(PyramidGramArgs<Out> const& a, int64_t row, int64_t column,
                           int32_t* planes, Sums<n_digits>& sums) {
    constexpr int64_t plane_words = pyramid_tile / 32;
    int64_t const lane = lane_index(), end = a.offsets[row + 1];
    auto const* const words = reinterpret_cast<uint32_t const*>(a.planes) +
                              column / pyramid_tile * a.n_planes * plane_words +
                              column % pyramid_tile / 32 + lane;
    int64_t level = 0, level_end = a.level_first[1];
    for (int64_t at = a.offsets[row]; at < end; at += warp_lanes) {
        bool const mine = at + lane < end;
        int32_t const feature = mine ? a.features[at + lane] : 0;
        int32_t const plane = mine ? a.plane[feature] : -1;
        for (unsigned left = __ballot_sync(all_lanes, mine);;) {  // one level after the other
            bool const now = left >> lane & 1 && feature < level_end;
            unsigned const added = __ballot_sync(all_lanes, now && plane >= 0);
            int const n = __popc(added), before = __popc(added & ~(all_lanes << lane));
            if (now && plane >= 0) planes[before] = plane;
            if (lane >= n) planes[lane] = -1;
            __syncwarp(all_lanes);
            for (int i = 0; i < n; i += batch) {
                Words const some = *reinterpret_cast<Words const*>(planes + i);
                uint32_t bits[batch];
#pragma unroll
                for (int64_t k = 0; k < batch; ++k) {
                    auto const number = static_cast<int32_t>(some.at[k]);
                    bits[k] = number < 0 ? 0 : words[number * plane_words];
                }
                sums.add(bits[0], bits[1], bits[2], bits[3]);
            }
            __syncwarp(all_lanes);  // before the list is written again
            left &= ~__ballot_sync(all_lanes, now);
            if (left == 0) break;
            if (level < a.n_levels - 2) sums.twice();
            level_end = a.level_first[++level + 1];
        }
    }
    for (; level < a.n_levels - 2; ++level) sums.twice();
}

// The features of a row that few columns have: a lane for each.
template <int n_digits, class Out>
__device__ void add_lists(PyramidGramArgs<Out> const& a, int64_t row, int64_t column,
                          Lines<n_digits> const& lines) {
    for (int64_t i = a.offsets[row] + lane_index(); i < a.offsets[row + 1]; i += warp_lanes) {
        int32_t const feature = a.features[i];
        if (a.plane[feature] >= 0) continue;
        int64_t at = a.posting_offsets[feature], last = a.posting_offsets[feature + 1];
        int64_t const list_end = last;
        while (at < last) {  // the first one not before `column`
            int64_t const middle = at + (last - at) / 2;
            if (a.postings[middle] < column)
                at = middle + 1;
            else
                last = middle;
        }
        if (at == list_end || a.postings[at] >= column + warp_columns) continue;
        int64_t level = 0;
        while (feature >= a.level_first[level + 1]) ++level;
        uint32_t const weight = uint32_t{1} << digit_of(level, a.n_levels);
        for (; at < list_end && a.postings[at] < column + warp_columns; ++at)
            lines.add(a.postings[at] - column, weight);
    }
}

// Warps side by side have the same columns, whose planes stay in the caches, and different rows.
template <int n_digits, class Out>
__global__ void gram_rows(PyramidGramArgs<Out> a) {
    FASTJAG_SHARED(uint32_t, shared);
    int64_t const lane = lane_index();
    Lines<n_digits> const lines{shared + threadIdx.x / warp_lanes * Lines<n_digits>::words};
    int64_t const n_rows = a.last_row - a.first_row;
    int64_t const parts = (a.n_columns + warp_columns - 1) / warp_columns * n_rows;
    for (int64_t part = global_thread() / warp_lanes; part < parts;
         part += all_threads() / warp_lanes) {
        int64_t const column = part / n_rows * warp_columns, row = a.first_row + part % n_rows;
        Sums<n_digits> sums;
        add_planes(a, row, column, lines.planes(), sums);
        sums.turn();
        lines.put(sums);
        __syncwarp(all_lanes);
        add_lists(a, row, column, lines);
        __syncwarp(all_lanes);
        Out* const out = a.out + (row - a.first_row) * a.stride;
        double const row_scale = a.row_scale ? a.row_scale[row] : 0;
        for (int64_t c = lane; c < warp_columns && column + c < a.n_columns; c += warp_lanes) {
            uint32_t const sum = lines.sum(c);
            if constexpr (std::is_floating_point_v<Out>)
                out[column + c] = scale_sum<Out>(sum, row_scale, a.column_scale[column + c]);
            else
                out[column + c] = static_cast<Out>(sum);
        }
        __syncwarp(all_lanes);
    }
}

template <int n_digits, class Out>
void launch_gram(PyramidGramArgs<Out> const& a, Stream stream) {
    int64_t const n_warps =
        (a.n_columns + warp_columns - 1) / warp_columns * (a.last_row - a.first_row);
    if (n_warps == 0) return;
    FASTJAG_LAUNCH((gram_rows<n_digits, Out>), blocks_for(n_warps * warp_lanes, gram_threads),
                   gram_threads, gram_threads / warp_lanes * Lines<n_digits>::words * 4, stream, a);
}

}  // namespace

template <class Out>
void pyramid_gram(PyramidGramArgs<Out> const& a, Stream stream) {
    if constexpr (sizeof(Out) == 2 || std::is_floating_point_v<Out>)
        if (sizeof(Out) == 2 || !a.wide) return launch_gram<16>(a, stream);
    if constexpr (sizeof(Out) > 2) launch_gram<32>(a, stream);
}

#define FASTJAG_INSTANTIATE(Out) template void pyramid_gram(PyramidGramArgs<Out> const&, Stream);
FASTJAG_FOR_GRAM_TYPES(FASTJAG_INSTANTIATE)

}  // namespace fastjag
