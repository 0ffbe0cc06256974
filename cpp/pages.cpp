// pages: the values of one page of an RNTuple column, decompressed before.
//
// Split numbers are put together a register of each byte plane at a time, by the network of a
// perfect shuffle: interleaving the first half of the registers with the second as often as there
// are powers of two in the size of a number.
#include "fastjag/pages.hpp"

#include <type_traits>

#include "dispatch.hpp"
#include "vectors.hpp"

namespace fastjag::FASTJAG_ISA {
namespace {

constexpr int lane = 16;  // bytes that unpacking stays within
#if defined(__AVX2__)
constexpr int block = 32;
using Plane = Vector<uint8_t, block>;
FASTJAG_HD Plane unpack_low(Plane a, Plane b) {
    return __builtin_bit_cast(Plane, _mm256_unpacklo_epi8(__builtin_bit_cast(__m256i, a),
                                                          __builtin_bit_cast(__m256i, b)));
}
FASTJAG_HD Plane unpack_high(Plane a, Plane b) {
    return __builtin_bit_cast(Plane, _mm256_unpackhi_epi8(__builtin_bit_cast(__m256i, a),
                                                          __builtin_bit_cast(__m256i, b)));
}
#else
constexpr int block = lane;
using Plane = Vector<uint8_t, block>;
FASTJAG_HD Plane unpack_low(Plane a, Plane b) {
    return __builtin_shuffle(a, b, Plane{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
}
FASTJAG_HD Plane unpack_high(Plane a, Plane b) {
    return __builtin_shuffle(a, b,
                             Plane{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
}
#endif

struct AsIs {
    template <class U>
    U operator()(U x) const {
        return x;
    }
};
struct Unzigzag {
    template <class U>
    U operator()(U x) const {
        return without_zigzag(x);
    }
};

// Number i of those that have 1 to 32 bits each, in `size` bytes.
FASTJAG_HD uint32_t packed_number(uint8_t const* data, int64_t size, int64_t bits, int64_t i) {
    int64_t const at = (i * bits) >> 3;
    int64_t const shift = (i * bits) & 7;
    uint64_t word = 0;
    if (at + 8 <= size)
        word = stored_number<uint64_t>(data + at, 0);
    else
        for (int64_t k = 0; at + k < size; ++k)
            word |= static_cast<uint64_t>(data[at + k]) << (8 * k);
    return static_cast<uint32_t>((word >> shift) & ((uint64_t{1} << bits) - 1));
}

// One block of numbers, from where each of their planes is. `out` is the first one's.
template <class U, class Undo>
FASTJAG_HD void put_together(uint8_t const* planes, int64_t n, U* out, Undo undo) {
    constexpr int size = sizeof(U);
    Plane v[size];
    for (int k = 0; k < size; ++k) v[k] = load<Plane>(planes + k * n);
    for (int round = 1; round < size; round *= 2) {
        Plane w[size];
        for (int k = 0; k < size / 2; ++k) {
            w[2 * k] = unpack_low(v[k], v[k + size / 2]);
            w[2 * k + 1] = unpack_high(v[k], v[k + size / 2]);
        }
        for (int k = 0; k < size; ++k) v[k] = w[k];
    }
    // Lane l of register k has numbers from l * lane + k * lane / size on.
    for (int k = 0; k < size; ++k) {
        auto const numbers = undo(__builtin_bit_cast(Vector<U, block / size>, v[k]));
        auto const* bytes = reinterpret_cast<char const*>(&numbers);
        for (int l = 0; l < block / lane; ++l)
            __builtin_memcpy(out + l * lane + k * lane / size, bytes + l * lane, lane);
    }
}

template <class U, class Undo>
void split_values(PagesArgs const& a, int64_t begin, int64_t end, Undo undo) {
    U* const out = static_cast<U*>(a.out);
    int64_t i = begin;
    for (; i + block <= end; i += block) put_together(a.data + i, a.n, out + (i - a.first), undo);
    for (; i < end; ++i) out[i - a.first] = undo(split_number<U>(a.data, a.n, i));
}

template <class U>
void plain_values(PagesArgs const& a, int64_t begin, int64_t end) {
    if (end > begin)
        __builtin_memcpy(static_cast<U*>(a.out) + (begin - a.first),
                         a.data + begin * static_cast<int64_t>(sizeof(U)),
                         static_cast<uint64_t>(end - begin) * sizeof(U));
}

// Ends of lists as they are: all of this size, signed as ROOT's.
template <class U>
void plain_index(PagesArgs const& a, int64_t begin, int64_t end) {
    auto* const out = static_cast<uint64_t*>(a.out);
    auto const base = static_cast<uint64_t>(a.base);
    for (int64_t i = begin; i < end; ++i)
        out[i - a.first] =
            base + static_cast<uint64_t>(static_cast<int64_t>(
                       static_cast<std::make_signed_t<U>>(stored_number<U>(a.data, i))));
}

// Whether all bytes but the lowest are zero, after the first number.
template <class U>
bool only_lowest(uint8_t const* data, int64_t n) {
    for (int64_t k = 1; k < static_cast<int64_t>(sizeof(U)); ++k) {
        uint8_t const* plane = data + k * n;
        int64_t i = 1;
        for (; i + block <= n; i += block) {
            using Words = Vector<uint64_t, block / 8>;
            auto const words = __builtin_bit_cast(Words, load<Plane>(plane + i));
            uint64_t any = 0;
            for (int l = 0; l < block / 8; ++l) any |= words[l];
            if (any) return false;
        }
        for (; i < n; ++i)
            if (plane[i]) return false;
    }
    return true;
}

// Ends of lists, of which the file has the differences: mostly lengths below 256.
template <class U>
void split_index(PagesArgs const& a) {
    auto* const out = static_cast<uint64_t*>(a.out);
    if (a.n == 0) return;
    auto wide = [](U x) {
        return static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<U>>(x)));
    };
    auto const base = static_cast<uint64_t>(a.base);
    U sum = split_number<U>(a.data, a.n, 0);
    out[0] = base + wide(sum);
    if (only_lowest<U>(a.data, a.n)) {
        for (int64_t i = 1; i < a.n; ++i) {
            sum = static_cast<U>(sum + a.data[i]);
            out[i] = base + wide(sum);
        }
        return;
    }
    alignas(64) U numbers[block];
    int64_t i = 1;
    for (; i + block <= a.n; i += block) {
        put_together(a.data + i, a.n, numbers, AsIs{});
        for (int k = 0; k < block; ++k) {
            sum = static_cast<U>(sum + numbers[k]);
            out[i + k] = base + wide(sum);
        }
    }
    for (; i < a.n; ++i) {
        sum = static_cast<U>(sum + split_number<U>(a.data, a.n, i));
        out[i] = base + wide(sum);
    }
}

// Eight at a time: bit k of a byte goes to byte k of a word, where it becomes 0 or 1.
void bit_values(PagesArgs const& a, int64_t begin, int64_t end) {
    auto* const out = static_cast<uint8_t*>(a.out);
    auto one = [&](int64_t i) { out[i - a.first] = (a.data[i >> 3] >> (i & 7)) & 1; };
    int64_t i = begin;
    for (; i < end && (i & 7); ++i) one(i);
    for (; i + 8 <= end; i += 8) {
        uint64_t const spread =
            (a.data[i >> 3] * uint64_t{0x0101010101010101}) & uint64_t{0x8040201008040201};
        uint64_t const word = ((spread + 0x7f7f7f7f7f7f7f7f) >> 7) & 0x0101010101010101;
        __builtin_memcpy(out + (i - a.first), &word, sizeof word);
    }
    for (; i < end; ++i) one(i);
}

}  // namespace

void pages_range(PagesArgs const& a, int64_t begin, int64_t end) {
    auto* const single = static_cast<float*>(a.out);
    int64_t const size = page_bytes(a.n, a.bits);
    auto by_size = [&](auto run) {
        switch (a.bits) {
            case 8: return run(uint8_t{});
            case 16: return run(uint16_t{});
            case 32: return run(uint32_t{});
            default: return run(uint64_t{});
        }
    };
    switch (a.encoding) {
        case Encoding::plain:
            return by_size([&](auto zero) { plain_values<decltype(zero)>(a, begin, end); });
        case Encoding::split:
            return by_size([&](auto z) { split_values<decltype(z)>(a, begin, end, AsIs{}); });
        case Encoding::zigzag:
            return by_size([&](auto z) { split_values<decltype(z)>(a, begin, end, Unzigzag{}); });
        case Encoding::index:
            return a.bits == 32 ? plain_index<uint32_t>(a, begin, end)
                                : plain_index<uint64_t>(a, begin, end);
        case Encoding::split_index:
            return a.bits == 32 ? split_index<uint32_t>(a) : split_index<uint64_t>(a);
        case Encoding::bit: return bit_values(a, begin, end);
        case Encoding::half:
            for (int64_t i = begin; i < end; ++i)
                single[i - a.first] = half_number(stored_number<uint16_t>(a.data, i));
            return;
        case Encoding::split_half:
            for (int64_t i = begin; i < end; ++i)
                single[i - a.first] = half_number(split_number<uint16_t>(a.data, a.n, i));
            return;
        case Encoding::truncated:
            for (int64_t i = begin; i < end; ++i)
                single[i - a.first] =
                    truncated_number(packed_number(a.data, size, a.bits, i), a.bits);
            return;
        case Encoding::quantised: {
            double const scale = quantum(a.low, a.high, a.bits);
            auto fill = [&](auto* out) {
                using Out = std::remove_pointer_t<decltype(out)>;
                for (int64_t i = begin; i < end; ++i)
                    out[i - a.first] = static_cast<Out>(
                        quantised_number(packed_number(a.data, size, a.bits, i), a.low, scale));
            };
            return a.wide ? fill(static_cast<double*>(a.out)) : fill(single);
        }
        case Encoding::swapped: return;  // a GPU's
    }
}

}  // namespace fastjag::FASTJAG_ISA
