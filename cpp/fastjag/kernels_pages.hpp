// The contracts of `pages`: one page on the CPU, all pages of a column on a GPU; kernels.hpp has
// the conventions.
#pragma once
#include <cstdint>

#include "config.hpp"

namespace fastjag {

// ---- pages: bytes of pages of an RNTuple column, or of baskets of a TTree -> their values
// --------

// How numbers stand in a page. Indices are where lists end, in their cluster; split ones are
// differences.
enum class Encoding : uint8_t {
    plain,
    split,
    zigzag,
    index,
    split_index,
    bit,
    half,
    split_half,
    truncated,
    quantised,
    swapped  // big endian, as baskets are; GPU only
};

struct PagesArgs {
    const uint8_t* data;  // page_bytes(n, bits)
    int64_t n;
    Encoding encoding;
    int64_t bits;          // of a number in the page
    double low, high;      // quantised: the range
    bool wide;             // quantised: the results are doubles
    int64_t base;          // indices: added to each
    int64_t first, count;  // which numbers are wanted; of split indices all
    // (count,): of the size in the page; int64 of indices; uint8 of bits; float of the last four.
    void* out;
};
void pages(PagesArgs const&, Threads);
constexpr int64_t page_bytes(int64_t n, int64_t bits) { return (n * bits + 7) / 8; }

// Some numbers of one page, and where they go.
struct PageRow {
    int64_t offset;  // of the page's first byte: a multiple of 8
    int64_t n;       // numbers in the page
    int64_t first;   // number that is wanted first
    int64_t count;   // how many are
    int64_t to;      // place of the first in the results
};

struct PageRowsArgs {
    const uint8_t* data;
    const PageRow* rows;
    int64_t n_rows;
    Encoding encoding;  // not index and split_index
    int64_t bits;
    double low, high;
    bool wide;
    void* out;
};
void page_rows(PageRowsArgs const&, Stream);

// Checksums of zlib (RFC 1950) of runs of bytes: begins and lengths, below 2^24, in (n, 2).
struct AdlerArgs {
    const uint8_t* data;
    const int64_t* runs;
    int64_t n;
    uint32_t* out;  // (n,)
};
void adler32(AdlerArgs const&, Stream);

}  // namespace fastjag
