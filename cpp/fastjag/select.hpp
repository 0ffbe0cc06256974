// Rules of `select` and `order`: which particles stay, and which comes first. Once for host and
// device.
#pragma once

#include <cstdint>

#include "config.hpp"

namespace fastjag::FASTJAG_ISA {

// Whether particle i stays. Whatever another thread may write into a byte, it counts once.
FASTJAG_HD int keeps(uint8_t const* mask, int64_t i) { return mask[i] & 1; }

// Whether x stands before y in descending order, NaN last; neither does of equals. For numbers, or
// for vectors of them.
template <class V>
FASTJAG_HD auto exceeds(V x, V y) {
    return (x > y) | ((y != y) & (x == x));
}

// The same for particles i and j, where ties keep the stored order: a total order, so that any sort
// is stable and there is only one result.
template <class T>
FASTJAG_HD bool comes_before(T x, int64_t i, T y, int64_t j) {
    if (x > y) return true;  // mostly one of the two
    if (y > x) return false;
    return exceeds(x, y) || (!exceeds(y, x) && i < j);
}

}  // namespace fastjag::FASTJAG_ISA
