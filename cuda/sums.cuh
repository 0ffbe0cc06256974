// Counts and sums of weights in many slots: kernels that histogram.cu and histogram_cuts.cu share.
//
// A block counts in its shared memory and adds what it has to that of the others once. All sums are
// integers, so that no order of threads can change them. Those of weights are in units of a power
// of two that is chosen for each slot, as small as 64 bits allow: with n entries, the largest below
// 2^e, the unit is 2^e n / 2^62, n rounded up to a power of two. So a weight is rounded by less
// than n 2^-61 of the largest weight in its slot.
#pragma once

#include "fastjag/lorentz.hpp"
#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;

using Word64 = unsigned long long;

// ---- units -----------------------------------------------------------------------------------

constexpr unsigned has_nan = 1, has_plus_infinity = 2, has_minus_infinity = 4, square_overflows = 8;

// What is known of each slot, and its sums of w and w^2 in units. Zeros before the first pass.
struct FixedPoint {
    Word64 *sum, *square_sum;
    uint32_t* entries;
    uint32_t* exponent;  // biased, of the largest finite weight
    uint32_t* flags;

    FixedPoint() = default;
    FASTJAG_HD FixedPoint(void* scratch, int64_t n_slots) {
        sum = static_cast<Word64*>(scratch);
        square_sum = sum + n_slots;
        entries = reinterpret_cast<uint32_t*>(square_sum + n_slots);
        exponent = entries + n_slots;
        flags = exponent + n_slots;
    }
    __device__ void skip(int64_t slots) {
        sum += slots;
        square_sum += slots;
        entries += slots;
        exponent += slots;
        flags += slots;
    }

    // Sums are in units of 2^-shift. Weights are below 2^size. Nothing is finer than 2^-1074.
    __device__ int size(int64_t slot) const {
        return (exponent[slot] > 1 ? static_cast<int>(exponent[slot]) : 1) - 1022;
    }
    __device__ int shift(int64_t slot, int size) const {
        uint32_t const n = entries[slot];
        int const bits = n > 1 ? 32 - __clz(static_cast<int>(n - 1)) : 0;
        int const shift = 62 - bits - size;
        return shift < 1074 ? shift : 1074;
    }
    __device__ int weight_shift(int64_t slot) const { return shift(slot, size(slot)); }
    __device__ int square_shift(int64_t slot) const {
        int const twice = 2 * size(slot);
        return shift(slot, twice < 1024 ? twice : 1024);
    }

    __device__ double weights(int64_t slot) const {
        unsigned const f = flags[slot];
        if (f & has_nan || (f & has_plus_infinity && f & has_minus_infinity))
            return __builtin_nan("");
        if (f & has_plus_infinity) return infinity;
        if (f & has_minus_infinity) return -infinity;
        return scaled(static_cast<double>(static_cast<int64_t>(sum[slot])), -weight_shift(slot));
    }
    __device__ double squares(int64_t slot) const {
        if (flags[slot] & has_nan) return __builtin_nan("");
        if (flags[slot]) return infinity;
        return scaled(static_cast<double>(static_cast<int64_t>(square_sum[slot])),
                      -square_shift(slot));
    }

    // x * 2^power in two steps: one alone could be beyond the largest power of two.
    static __device__ double scaled(double x, int power) {
        int const half = power / 2;
        return x * power_of_2(half) * power_of_2(power - half);
    }
    static __device__ double power_of_2(int n) {
        return from_bits(static_cast<uint64_t>(1023 + n) << 52);
    }
};

__device__ inline bool is_finite(double x) { return std::fabs(x) < infinity; }

__device__ inline unsigned flags_of(double w) {
    if (w != w) return has_nan;
    if (!is_finite(w)) return w > 0 ? has_plus_infinity : has_minus_infinity;
    return is_finite(w * w) ? 0 : square_overflows;
}

// ---- what a block has in shared memory -------------------------------------------------------

// Several copies of each word, for lanes that meet in a slot: neighbours use different ones, which
// are 4 banks apart, so that neither equal nor consecutive slots collide. No copies: no room.
struct Copies {
    int32_t n, stride;

    Copies(int64_t n_slots, int64_t words) {
        stride = static_cast<int32_t>((n_slots + 27) / 32 * 32 + 4);
        int64_t const one = words * stride * int64_t{sizeof(uint32_t)};
        constexpr int64_t room = most_shared / 4;  // beyond that fewer blocks would be at work
        n = one > most_shared ? 0
            : 8 * one <= room ? 8
            : 4 * one <= room ? 4
            : 2 * one <= room ? 2
                              : 1;
    }
    int64_t bytes(int64_t words) const { return words * n * stride * int64_t{sizeof(uint32_t)}; }
};

struct Shared {
    uint32_t* words;
    Copies copies;

    __device__ void clear(int64_t n_words) const {
        int64_t const size = n_words * copies.n * copies.stride;
        for (int64_t i = threadIdx.x; i < size; i += blockDim.x) words[i] = 0;
        __syncthreads();
    }
    __device__ uint32_t* first(int64_t word, int64_t slot) const {
        return words + word * copies.n * copies.stride + slot;
    }
    __device__ uint32_t* mine(int64_t word, int64_t slot) const {
        return first(word, slot) + lane_index() % copies.n * copies.stride;
    }
    __device__ uint32_t sum(int64_t word, int64_t slot) const {
        uint32_t total = 0;
        for (int i = 0; i < copies.n; ++i) total += first(word, slot)[i * copies.stride];
        return total;
    }
    // Of 64 bits, in two words: GPUs add 32 bits to shared memory in one step, 64 in a loop.
    __device__ void add_wide(int64_t word, int64_t slot, Word64 value) const {
        auto const low = static_cast<uint32_t>(value);
        auto high = static_cast<uint32_t>(value >> 32);
        if (low) high += atomicAdd(mine(word, slot), low) > ~low;  // the carry
        if (high) atomicAdd(mine(word + 1, slot), high);
    }
    __device__ Word64 wide_sum(int64_t word, int64_t slot) const {
        Word64 total = 0;
        for (int i = 0; i < copies.n; ++i) {
            total += first(word, slot)[i * copies.stride];
            total += Word64{first(word + 1, slot)[i * copies.stride]} << 32;
        }
        return total;
    }
};

// ---- kernels ---------------------------------------------------------------------------------

// A Source says what a block fills: each(use) calls use(slot, weight) for its entries, count() is
// where they are counted, fixed_point() where weights are added up, n_slots of both.

template <bool in_shared, class Source>
__global__ void count(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    auto* const counts = source.counts();
    if constexpr (!in_shared) {
        source.each([&](int64_t slot, double) { atomicAdd(counts + slot, 1u); });
        return;
    }
    shared.clear(1);
    source.each([&](int64_t slot, double) { atomicAdd(shared.mine(0, slot), 1u); });
    __syncthreads();
    for (int64_t slot = threadIdx.x; slot < source.n_slots; slot += blockDim.x)
        if (uint32_t const n = shared.sum(0, slot)) atomicAdd(counts + slot, n);
}

// First pass: entries, largest weights, and what is not finite.
template <bool in_shared, class Source>
__global__ void measure(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    FixedPoint const all = source.fixed_point();
    if constexpr (in_shared) shared.clear(2);
    source.each([&](int64_t slot, double w) {
        if (unsigned const flags = flags_of(w)) atomicOr(all.flags + slot, flags);
        atomicAdd(in_shared ? shared.mine(0, slot) : all.entries + slot, 1u);
        auto const exponent = static_cast<uint32_t>(to_bits(w) >> 52 & 0x7ff);
        if (is_finite(w))
            atomicMax(in_shared ? shared.mine(1, slot) : all.exponent + slot, exponent);
    });
    if constexpr (!in_shared) return;
    __syncthreads();
    for (int64_t slot = threadIdx.x; slot < source.n_slots; slot += blockDim.x) {
        uint32_t const n = shared.sum(0, slot);
        if (n == 0) continue;
        atomicAdd(all.entries + slot, n);
        for (int i = 0; i < copies.n; ++i)
            atomicMax(all.exponent + slot, shared.first(1, slot)[i * copies.stride]);
    }
}

// Second pass: the sums.
template <bool in_shared, class Source>
__global__ void add_up(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    FixedPoint const all = source.fixed_point();
    if constexpr (in_shared) shared.clear(4);
    auto add = [&](int64_t word, Word64* sums, int64_t slot, double x, int shift) {
        if (!is_finite(x)) return;
        auto const units = static_cast<Word64>(std::llrint(FixedPoint::scaled(x, shift)));
        if constexpr (in_shared)
            shared.add_wide(word, slot, units);
        else
            atomicAdd(sums + slot, units);
    };
    source.each([&](int64_t slot, double w) {
        add(0, all.sum, slot, w, all.weight_shift(slot));
        add(2, all.square_sum, slot, w * w, all.square_shift(slot));
    });
    if constexpr (!in_shared) return;
    __syncthreads();
    for (int64_t slot = threadIdx.x; slot < source.n_slots; slot += blockDim.x) {
        if (Word64 const sum = shared.wide_sum(0, slot)) atomicAdd(all.sum + slot, sum);
        if (Word64 const sum = shared.wide_sum(2, slot)) atomicAdd(all.square_sum + slot, sum);
    }
}

// ---- launches --------------------------------------------------------------------------------

template <class Source>
void launch_count(Source const& source, int64_t blocks, Stream stream) {
    Copies const copies(source.n_slots, 1);
    if (copies.n)
        FASTJAG_LAUNCH((count<true, Source>), blocks, block_threads, copies.bytes(1), stream,
                       source, copies);
    else
        FASTJAG_LAUNCH((count<false, Source>), blocks, block_threads, 0, stream, source, copies);
}

template <class Source>
void launch_sums(Source const& source, int64_t blocks, Stream stream) {
    Copies const two(source.n_slots, 2), four(source.n_slots, 4);
    if (two.n)
        FASTJAG_LAUNCH((measure<true, Source>), blocks, block_threads, two.bytes(2), stream, source,
                       two);
    else
        FASTJAG_LAUNCH((measure<false, Source>), blocks, block_threads, 0, stream, source, two);
    if (four.n)
        FASTJAG_LAUNCH((add_up<true, Source>), blocks, block_threads, four.bytes(4), stream, source,
                       four);
    else
        FASTJAG_LAUNCH((add_up<false, Source>), blocks, block_threads, 0, stream, source, four);
}

}  // namespace fastjag
