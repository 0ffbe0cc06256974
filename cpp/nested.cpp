// nested_lists: the lists in lists of a basket. Each entry says how long its lists are where they
// begin, so that they are walked, one after the other.
#include <cstring>

#include "fastjag/kernels_nested.hpp"

namespace fastjag {

namespace {

constexpr uint32_t has_byte_count = 0x40000000;
constexpr unsigned member_wise = 0x4000;

uint32_t big_endian(uint8_t const* at) {
    return static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 |
           static_cast<uint32_t>(at[2]) << 8 | at[3];
}

template <class Word>
void copy_swapped(uint8_t const* from, int64_t n, Word* to) {
    for (int64_t i = 0; i < n; ++i) {
        Word word{};
        for (size_t k = 0; k < sizeof(Word); ++k)
            word = static_cast<Word>(word << (sizeof(Word) > 1 ? 8 : 0) | from[k]);
        to[i] = word;
        from += sizeof(Word);
    }
}

template <class Word>
int64_t walk(NestedArgs const& a) {
    auto* const values = static_cast<Word*>(a.values);
    constexpr auto size = static_cast<int64_t>(sizeof(Word));
    int64_t list = 0, value = 0;
    for (int64_t entry = 0; entry < a.n; ++entry) {
        int64_t at = a.starts[entry];
        int64_t const stop = a.stops[entry];
        for (int64_t k = 0; k < a.counts[entry]; ++k) {
            if (stop - at < 4 || list == a.n_lists) return entry;
            int64_t const n = big_endian(a.data + at);
            at += 4;
            if (n > (stop - at) / size || n > a.n_values - value) return entry;
            a.lengths[list++] = n;
            copy_swapped(a.data + at, n, values + value);
            value += n;
            at += n * size;
        }
        if (at != stop) return entry;
    }
    return -1;
}

}  // namespace

int64_t count_nested(NestedArgs const& a) {
    for (int64_t entry = 0; entry < a.n; ++entry) {
        int64_t const start = a.starts[entry], stop = a.stops[entry];
        if (start < nested_header || stop < start || stop > a.size) return entry;
        uint8_t const* const header = a.data + start - nested_header;
        uint32_t const bytes = big_endian(header);
        unsigned const version = static_cast<unsigned>(header[4]) << 8 | header[5];
        int64_t const n = big_endian(header + 6);
        bool const fits = bytes == (has_byte_count | static_cast<uint32_t>(stop - start + 6));
        if (!fits || version & member_wise || n > (stop - start) / 4) return entry;
        a.counts[entry] = n;
    }
    return -1;
}

int64_t nested_lists(NestedArgs const& a, int64_t itemsize) {
    switch (itemsize) {
        case 1: return walk<uint8_t>(a);
        case 2: return walk<uint16_t>(a);
        case 4: return walk<uint32_t>(a);
        default: return walk<uint64_t>(a);
    }
}

}  // namespace fastjag
