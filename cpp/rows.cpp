// Rows of tensors, copied to where they are wanted. What costs time is the memory: the rows lie
// anywhere, so each is asked for some turns before it is copied.
#include <cstring>

#include "dispatch.hpp"
#include "streams.hpp"

namespace fastjag::FASTJAG_ISA {

namespace {

constexpr int64_t ahead = 12;  // rows, by which memory is asked for

inline void prefetch([[maybe_unused]] void const* at) {
#if defined(__GNUC__)
    __builtin_prefetch(at);
#endif
}

inline void prefetch_to_write([[maybe_unused]] void const* at) {
#if defined(__GNUC__)
    __builtin_prefetch(at, 1);
#endif
}

// Sizes of which the compiler makes single instructions.
inline void copy_row(uint8_t* to, uint8_t const* from, int64_t bytes) {
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64) std::memcpy(to, from, 64);
    if (bytes & 32) std::memcpy(to, from, 32), to += 32, from += 32;
    if (bytes & 16) std::memcpy(to, from, 16), to += 16, from += 16;
    if (bytes & 8) std::memcpy(to, from, 8), to += 8, from += 8;
    if (bytes & 4) std::memcpy(to, from, 4), to += 4, from += 4;
    for (bytes &= 3; bytes > 0; --bytes) *to++ = *from++;
}

}  // namespace

void take_rows_range(TakeRowsArgs const& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        if (i + ahead < end) {
            uint8_t const* const next = a.records + a.rows[i + ahead] * a.record_bytes;
            for (int64_t at = 0; at < a.record_bytes; at += line) prefetch(next + at);
        }
        uint8_t const* const record = a.records + a.rows[i] * a.record_bytes;
        for (int64_t k = 0; k < a.n_parts; ++k) {
            RecordPart const& part = a.parts[k];
            copy_row(part.out + i * part.bytes, record + part.start, part.bytes);
        }
    }
}

// All columns of a list together: while one is copied, that of the next list is asked for.
void take_lists_range(TakeListsArgs const& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        auto from = [&](ListColumn const& column, int64_t list) {
            int64_t const piece = a.pieces[list];
            return column.pieces[piece] + (a.starts[list] - a.firsts[piece]) * column.bytes;
        };
        int64_t const n = a.offsets[i + 1] - a.offsets[i];
        int64_t const next = i + 1 < end ? a.offsets[i + 2] - a.offsets[i + 1] : 0;
        for (int64_t k = 0; k < a.n_columns; ++k) {
            ListColumn const& column = a.columns[k];
            if (next) {
                uint8_t const* const later = from(column, i + 1);
                for (int64_t at = 0; at < next * column.bytes; at += line) prefetch(later + at);
            }
            if (n)
                copy_row(column.out + a.offsets[i] * column.bytes, from(column, i),
                         n * column.bytes);
        }
    }
}

// One tensor after the other: so the narrow ones stay in the cache while they are dealt.
void deal_rows_range(DealRowsArgs const& a, int64_t begin, int64_t end) {
    auto const block_rows = static_cast<uint32_t>(a.block_rows);
    for (int64_t k = 0; k < a.n_tensors; ++k) {
        DealtTensor const& t = a.tensors[k];
        auto place = [&](int64_t i) {
            auto const p = static_cast<uint64_t>(a.places[i]);
            // Most laps have below 2**32 rows, and short numbers divide faster.
            uint64_t const block = p >> 32 ? p / block_rows : static_cast<uint32_t>(p) / block_rows;
            return t.blocks[block] + static_cast<int64_t>(p - block * block_rows) * t.bytes;
        };
        if (t.aligned && t.bytes % line == 0) {
            for (int64_t i = begin; i < end; ++i) stream(place(i), t.from + i * t.bytes, t.bytes);
            continue;
        }
        for (int64_t i = begin; i < end; ++i) {
            if (i + ahead < end) {
                uint8_t const* const next = place(i + ahead);
                for (int64_t at = 0; at < t.bytes; at += line) prefetch_to_write(next + at);
            }
            copy_row(place(i), t.from + i * t.bytes, t.bytes);
        }
    }
    streamed();
}

// Fisher and Yates: the number that word i picks among those up to i changes places with that at i,
// from the last to the first. The same exchanges from the first to the last give the inverse.
void permutation_of(PermutationArgs const& a) {
    for (int64_t i = 0; i < a.n; ++i) a.out[i] = i;
    auto exchange = [&](int64_t i) {
        uint64_t const word = a.words[i], n = static_cast<uint64_t>(i) + 1;
        // The upper half of a product of 128 bits; numbers from 2**32 on would not fit into its
        // parts.
        uint64_t const high = (word >> 32) * n, low = (word & 0xffffffff) * n;
        auto const j = static_cast<int64_t>(n >> 32 ? word % n : (high + (low >> 32)) >> 32);
        int64_t const moved = a.out[i];
        a.out[i] = a.out[j];
        a.out[j] = moved;
    };
    if (a.inverse)
        for (int64_t i = 1; i < a.n; ++i) exchange(i);
    else
        for (int64_t i = a.n - 1; i > 0; --i) exchange(i);
}

}  // namespace fastjag::FASTJAG_ISA
