// pyramid: the Gram matrix of sets from the index of their features.
//
// A block is 128 rows by 2048 columns. What a row shares with the columns is the sum of the bit
// planes of its features: one bit per column, added up by carry-save adders, which handle as many
// columns at once as a register has bits (512 with AVX-512) in two instructions. Weights are powers
// of two: planes of a level simply enter at their binary digit. Features that few columns have come
// from lists.
#if defined(__AVX512F__)
// GCC 12 takes the undefined registers that some intrinsics start from for uninitialised variables.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "fastjag/pyramid.hpp"

#include <cstdint>

#include "dispatch.hpp"
#include "vectors.hpp"

namespace fastjag {
namespace FASTJAG_ISA {
namespace {

constexpr int64_t tile_words = pyramid_tile / 64;
constexpr int most_digits = 32;

using Bits = Lanes<uint64_t>;

FASTJAG_HD Bits sum_of(Bits a, Bits b, Bits c) { return a ^ b ^ c; }
#if defined(__AVX512F__)
FASTJAG_HD Bits carry_of(Bits a, Bits b, Bits c) {  // one instruction, which GCC 12 does not find
    return (Bits)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xE8);
}
#endif

// Four registers at a time: their additions hide one another's latency, and what a row's features
// make the processor mispredict is paid once for all of them.
constexpr int64_t group = 4;
constexpr int64_t group_words = group * lanes;

// sum += x + y, with the carries to `carry`.
FASTJAG_HD void add(Bits (&sum)[group], uint64_t const* x, uint64_t const* y, uint64_t* carry) {
    for (int64_t k = 0; k < group; ++k) {
        Bits const xs = load<Bits>(x + k * lanes), ys = load<Bits>(y + k * lanes);
        store(carry_of(sum[k], xs, ys), carry + k * lanes);
        sum[k] = sum_of(sum[k], xs, ys);
    }
}

// A feature of a row that few columns have: its columns from the present tile on.
struct List {
    int32_t const *at, *end;
    uint32_t weight;
};

// What is known of a row before its columns come: planes by binary digit, and lists.
struct Row {
    int32_t digit_end[most_digits];
    int32_t n_planes, n_lists;
};

static_assert(sizeof(List) == 24 && sizeof(Row) == 136);  // as in pyramid_gram_scratch

// The scratch of one thread.
struct Scratch {
    uint64_t* carries;  // two lists of most_features + 1 groups
    void* sums;         // (pyramid_rows, pyramid_tile) of 2 or 4 bytes
    List* lists;        // (block_features,)
    Row* rows;
    int32_t* planes;  // (block_features,)

    Scratch(void* scratch, int64_t most_features, int64_t block_features, int64_t part) {
        char* at = static_cast<char*>(scratch) +
                   part * pyramid_gram_scratch(most_features, block_features);
        auto take = [&](auto*& array, int64_t bytes) {
            array = reinterpret_cast<decltype(+array)>(at);
            at += bytes;
        };
        take(carries, 2 * (most_features + 1) * 256);
        char* block;
        take(block, pyramid_rows * pyramid_tile * 4);
        sums = block;
        take(lists, block_features * int64_t{sizeof(List)});
        take(rows, pyramid_rows * int64_t{sizeof(Row)});
        take(planes, block_features * int64_t{sizeof(int32_t)});
    }
};

// Features ascend level by level from the finest, which has the highest weight; adding starts at
// the lowest digit, where the two coarsest levels are.
template <class Out>
void plan(PyramidGramArgs<Out> const& a, int64_t index, Row& row, int32_t* planes, List* lists) {
    row.n_planes = row.n_lists = 0;
    int64_t end = a.offsets[index + 1];
    int64_t const begin = a.offsets[index];
    for (int64_t level = a.n_levels - 1; level >= 0; --level) {
        int64_t const digit = digit_of(level, a.n_levels);
        for (; end > begin && a.features[end - 1] >= a.level_first[level]; --end) {
            int32_t const feature = a.features[end - 1];
            if (a.plane[feature] >= 0)
                planes[row.n_planes++] = a.plane[feature];
            else
                lists[row.n_lists++] = {a.postings + a.posting_offsets[feature],
                                        a.postings + a.posting_offsets[feature + 1],
                                        uint32_t{1} << digit};
        }
        row.digit_end[digit] = row.n_planes;
    }
}

// Adds up planes and carries, digit by digit, as far as the lowest `sum_digits`, which hold every
// sum: there can be carries beyond, of a row with far more points than the columns, but they are
// zero. Returns the number of digits.
int add_planes(Row const& row, int32_t const* planes, int64_t n_digits, int sum_digits,
               uint64_t const* words, uint64_t* carries, uint64_t* next, uint64_t* digits) {
    static constexpr uint64_t zeros[group_words] = {};
    auto bits_of = [&](int64_t i) { return words + tile_words * planes[i]; };
    int64_t n_carries = 0, plane = 0;
    int digit = 0;
    for (; digit < sum_digits && (digit < n_digits || n_carries > 0); ++digit) {
        int64_t const plane_end = digit < n_digits ? row.digit_end[digit] : plane;
        uint64_t const *carry = carries, *const carry_end = carries + n_carries * group_words;
        uint64_t* out = next;
        Bits sum[group] = {};
        if (plane < plane_end || carry < carry_end) {
            bool const is_plane = plane < plane_end;
            uint64_t const* const first = is_plane ? bits_of(plane) : carry;
            plane += is_plane;
            carry += is_plane ? 0 : group_words;
            for (int64_t k = 0; k < group; ++k) sum[k] = load<Bits>(first + k * lanes);
        }
        for (; plane + 2 <= plane_end; plane += 2, out += group_words)
            add(sum, bits_of(plane), bits_of(plane + 1), out);
        if (plane < plane_end) {
            bool const paired = carry < carry_end;
            add(sum, bits_of(plane++), paired ? carry : zeros, out);
            carry += paired ? group_words : 0;
            out += group_words;
        }
        for (; carry_end - carry >= 2 * group_words; carry += 2 * group_words, out += group_words)
            add(sum, carry, carry + group_words, out);
        if (carry < carry_end) {
            add(sum, carry, zeros, out);
            out += group_words;
        }
        for (int64_t k = 0; k < group; ++k) store(sum[k], digits + digit * group_words + k * lanes);
        n_carries = (out - next) / group_words;
        uint64_t* const swap = carries;
        carries = next;
        next = swap;
    }
    return digit;
}

#if defined(__AVX512BW__)
// Bit d of byte j is bit j of words[d], for the first `n` of up to 8 digits.
template <int n>
FASTJAG_HD __m512i bytes_of(uint64_t const* words) {
    __m512i bytes = _mm512_maskz_set1_epi8(words[0], 1);
#pragma GCC unroll 8
    for (int d = 1; d < n; ++d)
        bytes = _mm512_mask_add_epi8(bytes, words[d * group_words], bytes,
                                     _mm512_set1_epi8(static_cast<char>(1 << d)));
    return bytes;
}
#endif

// 16 digits, of which the first n are set, of 64 columns as numbers.
FASTJAG_HD void transpose64(uint64_t const* words, int n, uint16_t* out) {
#if defined(__AVX512BW__)
    __m512i const low = bytes_of<8>(words), zero = _mm512_setzero_si512();
    uint64_t const* const above = words + 8 * group_words;
    __m512i const high = n <= 8 ? zero : n <= 12 ? bytes_of<4>(above) : bytes_of<8>(above);
    auto widen = [](__m256i l, __m256i h) {
        return _mm512_or_si512(_mm512_cvtepu8_epi16(l),
                               _mm512_slli_epi16(_mm512_cvtepu8_epi16(h), 8));
    };
    _mm512_storeu_si512(out, widen(_mm512_castsi512_si256(low), _mm512_castsi512_si256(high)));
    _mm512_storeu_si512(
        out + 32, widen(_mm512_extracti64x4_epi64(low, 1), _mm512_extracti64x4_epi64(high, 1)));
#else
    using Bytes = Vector<uint8_t, 16>;
    constexpr Bytes own = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    constexpr Bytes first_byte = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int part = 0; part < 4; ++part) {  // 16 columns each: their bit in a byte each
        Bytes low{}, high{};
        for (int d = 0; d < n; ++d) {
            using Words = Vector<uint64_t, 2>;
            Words const w = {words[d * group_words] >> (16 * part), 0};
            Bytes const spread = __builtin_shuffle(reinterpret_cast<Bytes const&>(w), first_byte);
            Bytes const set = reinterpret_cast<Bytes>((spread & own) == own);
            auto const digit = static_cast<uint8_t>(1 << (d % 8));
            if (d < 8)
                low |= set & digit;
            else
                high |= set & digit;
        }
        constexpr Bytes even = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
        constexpr Bytes odd = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
        Bytes const first = __builtin_shuffle(low, high, even);  // little-endian 16-bit numbers
        Bytes const second = __builtin_shuffle(low, high, odd);
        __builtin_memcpy(out + 16 * part, &first, sizeof first);
        __builtin_memcpy(out + 16 * part + 8, &second, sizeof second);
    }
#endif
}

// Digits beyond the n that are set must be zero up to the next 16.
FASTJAG_HD void transpose_digits(uint64_t const* digits, int n, uint16_t* sums) {
    for (int64_t word = 0; word < group_words; ++word)
        transpose64(digits + word, n, sums + 64 * word);
}

FASTJAG_HD void transpose_digits(uint64_t const* digits, int n, uint32_t* sums) {
    constexpr int64_t columns = 64 * group_words;
    uint16_t low[columns], high[columns];
    transpose_digits(digits, n < 16 ? n : 16, low);
    transpose_digits(digits + 16 * group_words, n < 16 ? 0 : n - 16, high);
    for (int64_t j = 0; j < columns; ++j) sums[j] = low[j] | static_cast<uint32_t>(high[j]) << 16;
}

// A block: its sums in rows of `stride` elements, and what turns them into the output.
template <class Sum, class Out>
struct Block {
    PyramidGramArgs<Out> const& a;
    Sum const* sums;  // (rows, pyramid_tile)
    int64_t row, n_rows, column;

    FASTJAG_HD Out finish(Sum sum, int64_t i, int64_t j) const {
        if constexpr (sizeof(Out) == sizeof(Sum) && !std::is_floating_point_v<Out>)
            return sum;
        else
            return scale_sum<Out>(sum, a.row_scale[i], a.column_scale[j]);
    }

    void write(int64_t n_columns) const {
        for (int64_t r = 0; r < n_rows; ++r) {
            Sum const* const from = sums + r * pyramid_tile;
            Out* const to = a.out + (row + r - a.first_row) * a.stride + column;
            for (int64_t c = 0; c < n_columns; ++c) to[c] = finish(from[c], row + r, column + c);
        }
    }

    // The same, mirrored at the diagonal: rows of the output are columns of the block. Turned some
    // columns at a time, so that what is read back has left the store buffer and not yet L1.
    void write_mirrored(int64_t n_columns) const {
        constexpr int64_t side = 16 / sizeof(Sum), some = 64;
        using Line = Vector<Sum, side>;
        Sum turned[some][pyramid_rows];
        for (int64_t c = 0; c < n_columns; c += some) {
            int64_t const n = smaller(some, n_columns - c);
            // Short pieces far apart: no prefetcher sees them coming.
            for (int64_t k = 0; k < n; ++k) {
                auto const* const to = reinterpret_cast<char const*>(
                    a.out + (column + c + k - a.first_row) * a.stride + row);
                for (int64_t b = 0; b < n_rows * int64_t{sizeof(Out)}; b += 64)
                    __builtin_prefetch(to + b, 1);
            }
            for (int64_t k = 0; k < n;
                 k += side)  // to a multiple of side: the block is wide enough
                for (int64_t r = 0; r < pyramid_rows; r += side) {
                    Line lines[side];
                    for (int64_t l = 0; l < side; ++l)
                        __builtin_memcpy(&lines[l], sums + (r + l) * pyramid_tile + c + k, 16);
                    transpose(lines);
                    for (int64_t l = 0; l < side; ++l)
                        __builtin_memcpy(&turned[k + l][r], &lines[l], 16);
                }
            for (int64_t k = 0; k < n; ++k) {
                int64_t const j = column + c + k;
                Out* const to = a.out + (j - a.first_row) * a.stride + row;
                for (int64_t r = 0; r < n_rows; ++r) to[r] = finish(turned[k][r], row + r, j);
            }
        }
    }

    // Square transposition by interleaving halves, once per power of two.
    template <class Line, int64_t side>
    FASTJAG_HD static void transpose(Line (&lines)[side]) {
        for (int64_t width = 1; width < side; width *= 2) {
            Line mixed[side];
            for (int64_t k = 0; k < side / 2; ++k) {
                Line const x = lines[k], y = lines[k + side / 2];
                if constexpr (side == 8) {
                    constexpr Line low = {0, 8, 1, 9, 2, 10, 3, 11};
                    constexpr Line high = {4, 12, 5, 13, 6, 14, 7, 15};
                    mixed[2 * k] = __builtin_shuffle(x, y, low);
                    mixed[2 * k + 1] = __builtin_shuffle(x, y, high);
                } else {
                    constexpr Line low = {0, 4, 1, 5};
                    constexpr Line high = {2, 6, 3, 7};
                    mixed[2 * k] = __builtin_shuffle(x, y, low);
                    mixed[2 * k + 1] = __builtin_shuffle(x, y, high);
                }
            }
            for (int64_t k = 0; k < side; ++k) lines[k] = mixed[k];
        }
    }
};

template <class Sum, class Out>
void gram_rows(PyramidGramArgs<Out> const& a, int64_t begin, int64_t end, int64_t part,
               Interrupt* interrupt) {
    Scratch const s(a.scratch, a.most_features, a.block_features, part);
    auto first_of = [&](int64_t r) { return a.offsets[begin + r] - a.offsets[begin]; };
    auto* const sums = static_cast<Sum*>(s.sums);
    int64_t const n_digits = larger(1, a.n_levels - 1);
    constexpr int sum_digits = 8 * int{sizeof(Sum)};
    for (int64_t r = 0; r < end - begin; ++r)
        plan(a, begin + r, s.rows[r], s.planes + first_of(r), s.lists + first_of(r));
    int64_t const n_columns = a.symmetric ? end : a.n_columns;
    for (int64_t column = 0; column < n_columns && !must_stop(interrupt); column += pyramid_tile) {
        uint64_t const* const words = a.planes + column / 64 * a.n_planes;
        int64_t const columns = smaller(pyramid_tile, n_columns - column);
        for (int64_t r = 0; r < end - begin; ++r) {
            Sum* const row = sums + r * pyramid_tile;
            for (int64_t word = 0; word * 64 < columns; word += group_words) {
                uint64_t digits[most_digits * group_words];
                int const n = add_planes(s.rows[r], s.planes + first_of(r), n_digits, sum_digits,
                                         words + word, s.carries,
                                         s.carries + (a.most_features + 1) * group_words, digits);
                __builtin_memset(digits + n * group_words, 0,
                                 static_cast<size_t>((sum_digits - n) * group_words * 8));
                transpose_digits(digits, n, row + 64 * word);
            }
            List* const lists = s.lists + first_of(r);
            for (int64_t l = 0; l < s.rows[r].n_lists; ++l) {
                List list = lists[l];
                for (; list.at < list.end && *list.at < column + columns; ++list.at)
                    row[*list.at - column] += static_cast<Sum>(list.weight);
                lists[l].at = list.at;
            }
        }
        Block<Sum, Out> const block{a, sums, begin, end - begin, column};
        block.write(columns);
        if (a.symmetric) block.write_mirrored(larger(0, smaller(columns, begin - column)));
    }
}

}  // namespace

template <class Out>
void pyramid_gram_rows(PyramidGramArgs<Out> const& a, int64_t begin, int64_t end, int64_t part,
                       Interrupt* interrupt) {
    if constexpr (sizeof(Out) > 2)
        if (a.wide) return gram_rows<uint32_t>(a, begin, end, part, interrupt);
    if constexpr (sizeof(Out) == 2 || std::is_floating_point_v<Out>)
        gram_rows<uint16_t>(a, begin, end, part, interrupt);
}

#define FASTJAG_INSTANTIATE(Out)                                                            \
    template void pyramid_gram_rows(PyramidGramArgs<Out> const&, int64_t, int64_t, int64_t, \
                                    Interrupt*);
FASTJAG_FOR_GRAM_TYPES(FASTJAG_INSTANTIATE)

}  // namespace FASTJAG_ISA
}  // namespace fastjag
