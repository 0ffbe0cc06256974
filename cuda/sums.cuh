// Counts and sums of weights in many slots: kernels that histogram.cu and histogram_cuts.cu share.
//
// A block counts in its shared memory and adds what it has to that of the others once. All sums are
// integers, so that no order of threads can change them. Those of weights are in units of a power
// of two that is chosen for each slot, as small as 64 bits allow: with n entries, the largest below
// 2^e, the unit is 2^e n / 2^62, n rounded up to a power of two above it. What is left of a weight
// goes to a second sum, in units of n / 2^63 of these. So a weight is rounded by less than n^2
// 2^-123 of the largest weight in its slot.
#pragma once

#include "fastjag/lorentz.hpp"
#include "launch.cuh"

namespace fastjag {
using namespace FASTJAG_ISA;

using Word64 = unsigned long long;

// ---- units -----------------------------------------------------------------------------------

constexpr unsigned has_nan = 1, has_plus_infinity = 2, has_minus_infinity = 4, square_overflows = 8;

// What is known of each slot, and its sums of w and w^2. Zeros before the first pass.
struct FixedPoint {
    int64_t n_slots;
    Word64* sums;  // [w in units, rest, w^2 in units, rest][slot]
    uint32_t* entries;
    uint32_t* exponent;  // biased, of the largest finite weight
    uint32_t* flags;

    FixedPoint() = default;
    FASTJAG_HD FixedPoint(void* scratch, int64_t n) : n_slots(n) {
        sums = static_cast<Word64*>(scratch);
        entries = reinterpret_cast<uint32_t*>(sums + 4 * n);
        exponent = entries + n;
        flags = exponent + n;
    }
    __device__ void skip(int64_t slots) {
        sums += slots;
        entries += slots;
        exponent += slots;
        flags += slots;
    }

    __device__ int bits_of_entries(int64_t slot) const {
        return 32 - __clz(static_cast<int>(entries[slot]));
    }
    // Sums are in units of 2^-shift. Weights are below 2^size. Nothing is finer than 2^-1074.
    __device__ int size(int64_t slot) const {
        return (exponent[slot] ? static_cast<int>(exponent[slot]) : 1) - 1022;
    }
    __device__ int shift(int64_t slot, int size) const {
        int const shift = 62 - bits_of_entries(slot) - size;
        return shift < 1074 ? shift : 1074;
    }
    __device__ int weight_shift(int64_t slot) const { return shift(slot, size(slot)); }
    __device__ int square_shift(int64_t slot) const {
        int const twice = 2 * size(slot);
        return shift(slot, twice < 1024 ? twice : 1024);
    }
    __device__ int rest_shift(int64_t slot) const { return 63 - bits_of_entries(slot); }

    __device__ double sum(int64_t word, int64_t slot, int shift) const {
        auto value = [&](int64_t w) {
            return static_cast<double>(static_cast<int64_t>(sums[w * n_slots + slot]));
        };
        return scale(value(word) + scale(value(word + 1), -rest_shift(slot)), -shift);
    }

    __device__ double weights(int64_t slot) const {
        unsigned const f = flags[slot];
        if (f & has_nan || (f & has_plus_infinity && f & has_minus_infinity))
            return __builtin_nan("");
        if (f & has_plus_infinity) return infinity;
        if (f & has_minus_infinity) return -infinity;
        return sum(0, slot, weight_shift(slot));
    }
    __device__ double squares(int64_t slot) const {
        if (flags[slot] & has_nan) return __builtin_nan("");
        if (flags[slot]) return infinity;
        return sum(2, slot, square_shift(slot));
    }

    // x * 2^power in two steps: one alone could be beyond the largest power of two.
    static __device__ double scale(double x, int power) {
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

// A Source says what a block fills, one part after the other: each_part(body) calls body(part),
// where part.each(use) calls use(slot, weight) for its entries, part.counts() is where they are
// counted, part.fixed_point() where weights are added up, source.n_slots of both.

template <bool in_shared, class Source>
__global__ void count(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    source.each_part([&](auto const& part) {
        auto* const counts = part.counts();
        if constexpr (!in_shared) {
            part.each([&](int64_t slot, double) { atomicAdd(counts + slot, 1u); });
            return;
        }
        shared.clear(1);
        part.each([&](int64_t slot, double) { atomicAdd(shared.mine(0, slot), 1u); });
        __syncthreads();
        for (int64_t slot = threadIdx.x; slot < source.n_slots; slot += blockDim.x)
            if (uint32_t const n = shared.sum(0, slot)) atomicAdd(counts + slot, n);
    });
}

// First pass: entries, largest weights, and what is not finite.
template <bool in_shared, class Source>
__global__ void measure(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    source.each_part([&](auto const& part) {
        FixedPoint const all = part.fixed_point();
        if constexpr (in_shared) shared.clear(2);
        part.each([&](int64_t slot, double w) {
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
    });
}

// Second pass: the sums.
template <bool in_shared, class Source>
__global__ void add_up(Source source, Copies copies) {
    FASTJAG_SHARED(uint32_t, words);
    Shared const shared{words, copies};
    source.each_part([&](auto const& part) {
        FixedPoint const all = part.fixed_point();
        if constexpr (in_shared) shared.clear(8);
        auto add_units = [&](int64_t word, int64_t slot, double x) {
            auto const units = static_cast<Word64>(std::llrint(x));
            if (units == 0) return;
            if constexpr (in_shared)
                shared.add_wide(2 * word, slot, units);
            else
                atomicAdd(all.sums + word * all.n_slots + slot, units);
        };
        auto add = [&](int64_t word, int64_t slot, double w, int shift) {
            if (!is_finite(w)) return;
            double const x = FixedPoint::scale(w, shift);
            add_units(word, slot, x);
            add_units(word + 1, slot, FixedPoint::scale(x - std::rint(x), all.rest_shift(slot)));
        };
        part.each([&](int64_t slot, double w) {
            add(0, slot, w, all.weight_shift(slot));
            add(2, slot, w * w, all.square_shift(slot));
        });
        if constexpr (!in_shared) return;
        __syncthreads();
        for (int64_t slot = threadIdx.x; slot < source.n_slots; slot += blockDim.x)
            for (int64_t word = 0; word < 4; ++word)
                if (Word64 const sum = shared.wide_sum(2 * word, slot))
                    atomicAdd(all.sums + word * all.n_slots + slot, sum);
    });
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
    Copies const two(source.n_slots, 2), eight(source.n_slots, 8);
    if (two.n)
        FASTJAG_LAUNCH((measure<true, Source>), blocks, block_threads, two.bytes(2), stream, source,
                       two);
    else
        FASTJAG_LAUNCH((measure<false, Source>), blocks, block_threads, 0, stream, source, two);
    if (eight.n)
        FASTJAG_LAUNCH((add_up<true, Source>), blocks, block_threads, eight.bytes(8), stream,
                       source, eight);
    else
        FASTJAG_LAUNCH((add_up<false, Source>), blocks, block_threads, 0, stream, source, eight);
}

}  // namespace fastjag
