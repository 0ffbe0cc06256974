// The contract of `pages`, which the CPU alone has; kernels.hpp has the conventions.
#pragma once
#include <cstdint>

#include "config.hpp"

namespace fastjag {

// ---- pages: bytes of a page of an RNTuple column -> its values (CPU only)
// ------------------------

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
    quantised
};

struct PagesArgs {
    const uint8_t* data;  // page_bytes(n, bits)
    int64_t n;
    Encoding encoding;
    int64_t bits;      // of a number in the page
    double low, high;  // quantised: the range
    bool wide;         // quantised: the results are doubles
    int64_t base;      // indices: added to each
    // (n,): of the size in the page; int64 of indices; uint8 of bits; float of the last four.
    void* out;
};
void pages(PagesArgs const&, Threads);
constexpr int64_t page_bytes(int64_t n, int64_t bits) { return (n * bits + 7) / 8; }

}  // namespace fastjag
